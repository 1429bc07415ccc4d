"""The room where frameworks meet the guard: one file per framework.

Owns what must be said in a framework's own words: where a request carries its credential, and
how a denial is answered. Refuses to decide anything; the guard does. No framework is imported
here that the application has not.

asgi         any ASGI 3 application: Starlette, FastAPI, Litestar, Quart, Django
credentials  what an ASGI scope says of its caller
problems     a denial as an HTTP answer
"""
