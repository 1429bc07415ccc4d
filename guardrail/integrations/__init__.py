"""Adapters between web frameworks and the guard.

An adapter reads the credential of a request, enters `Guard.acting_as`, and answers denials. The
guard decides. No framework is imported that the application has not imported.

asgi         middleware for any ASGI 3 application: Starlette, FastAPI, Litestar, Quart, Django
http         turns a denial into status, headers and body, for an integration of your own
credentials  internal: reads the credentials in an ASGI scope
"""
