"""The provider's addresses.

Owns the way from a request to Authlib or to a document, and counts what is asked for. The
login form asks for a name and nothing else.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from collections import Counter

from authlib.oauth2 import OAuth2Error
from flask import Flask, Response, request

from .documents import Documents
from .grants import Authority
from .names import AUTHORIZE, DISCOVERY, ELSEWHERE, INTROSPECT, JWKS, REVOKE, TOKEN

_FORM = """\
<!doctype html>
<title>Who are you?</title>
<form method="post"><input name="user" autofocus><button>Log in</button></form>
"""


class Hits:
    """How often each path was asked for, exactly, whatever the threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts = Counter[str]()

    def add(self, path: str) -> None:
        """Count one more."""
        with self._lock:
            self._counts[path] += 1

    def of(self, path: str) -> int:
        """Return the count."""
        with self._lock:
            return self._counts[path]


def make_app(authority: Authority, documents: Documents, hits: Hits) -> Flask:
    """Return the application.

    Arguments:
        authority: who issues tokens.
        documents: what is published.
        hits: where requests are counted.
    """
    app = Flask(__name__)

    @app.before_request
    def count() -> None:
        hits.add(request.path)

    @app.get(DISCOVERY)
    @app.get(JWKS)
    @app.get(ELSEWHERE)
    def published() -> Response:
        return documents.answer(request.path)

    @app.route(AUTHORIZE, methods=["GET", "POST"])
    def authorize() -> Response:
        user = authority.directory.users.get(request.form.get("user", ""))
        if user is not None:
            user = dataclasses.replace(user, auth_time=int(time.time()))
        try:
            grant = authority.get_consent_grant(end_user=user)
        except OAuth2Error as error:
            refusal: Response = authority.handle_error_response(request, error)
            return refusal
        if request.method == "GET":
            return Response(_FORM)
        answer: Response = authority.create_authorization_response(grant=grant, grant_user=user)
        return answer

    @app.post(TOKEN)
    def token() -> Response:
        answer: Response = authority.create_token_response()
        return answer

    @app.post(INTROSPECT)
    def introspect() -> Response:
        answer: Response = authority.create_endpoint_response("introspection")
        return answer

    @app.post(REVOKE)
    def revoke() -> Response:
        answer: Response = authority.create_endpoint_response("revocation")
        return answer

    return app
