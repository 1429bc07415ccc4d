"""What the provider publishes, and all the ways in which that goes wrong.

Owns the discovery document and the key set. Without an order it answers as OpenID Connect
Discovery says; with one, as an outage, a mistake or an attacker would.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any, Final

from flask import Response

from .keys import ALGORITHMS, SigningKeys
from .names import AUTHORIZE, DISCOVERY, ELSEWHERE, GRANTS, INTROSPECT, JWKS, REVOKE, TOKEN

#: How much ``huge`` answers.
HUGE_BYTES: Final = 100 * 1024 * 1024
#: The ways to go wrong.
KINDS: Final = (
    "hang", "drip", "status", "rubbish", "huge", "redirect", "private", "wrong_issuer",
)  # fmt: skip
_JSON: Final = "application/json"
_BLOCK: Final = b" " * 65_536


class Documents:
    """The two documents, answered as told.

    Arguments:
        issuer: the provider's address.
        keys: the keys to publish.
    """

    def __init__(self, issuer: str, keys: SigningKeys) -> None:
        self._issuer = issuer
        self._keys = keys
        self._orders: dict[str, str] = {}
        self._over = threading.Event()

    def misbehave(self, kind: str, path: str) -> None:
        """Answer wrongly at a path, until `behave`; an order there before is forgotten."""
        if kind not in KINDS:
            raise ValueError(f"expected one of {', '.join(KINDS)}")
        self._orders[path] = kind

    def behave(self) -> None:
        """Answer as one should, and let go of whoever still waits."""
        self._orders.clear()
        over, self._over = self._over, threading.Event()
        over.set()

    def answer(self, path: str) -> Response:
        """Return what stands at a path, or what was ordered to stand there."""
        honest = discovery(self._issuer) if path == DISCOVERY else self._keys.published()
        match self._orders.get(path):
            case "hang":
                self._over.wait()
                return Response(status=503)
            case "drip":
                text = json.dumps(honest).encode()
                length = {"Content-Length": str(len(text))}
                return Response(_drip(text, self._over), 200, length, mimetype=_JSON)
            case "status":
                return Response(status=500)
            case "rubbish":
                return Response("<html>not what you asked for</html>", mimetype=_JSON)
            case "huge":
                return Response(_huge(), mimetype=_JSON)
            case "redirect":
                return Response(status=302, headers={"Location": ELSEWHERE})
            case "private":
                honest = self._keys.published(private=True)
            case "wrong_issuer":
                honest = {**discovery(self._issuer), "issuer": "https://impostor.example"}
        return Response(json.dumps(honest), mimetype=_JSON)


def discovery(issuer: str) -> dict[str, Any]:
    """Return the discovery document (OpenID Connect Discovery 1.0 §3)."""
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}{AUTHORIZE}",
        "token_endpoint": f"{issuer}{TOKEN}",
        "jwks_uri": f"{issuer}{JWKS}",
        "introspection_endpoint": f"{issuer}{INTROSPECT}",
        "revocation_endpoint": f"{issuer}{REVOKE}",
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": list(ALGORITHMS),
        "grant_types_supported": list(GRANTS),
        "token_endpoint_auth_methods_supported": ["client_secret_basic"],
        "code_challenge_methods_supported": ["S256"],
        "scopes_supported": ["openid"],
    }


def _huge() -> Iterator[bytes]:
    """Yield a key set that never gets to its keys; it is no rubbish until the end."""
    yield b'{"keys": ['
    for _ in range(HUGE_BYTES // len(_BLOCK)):
        yield _BLOCK
    yield b"]}"


def _drip(text: bytes, over: threading.Event) -> Iterator[bytes]:
    """Yield a byte a second, and all that is left once it is over."""
    for at in range(len(text)):
        if over.is_set():
            yield text[at:]
            return
        yield text[at : at + 1]
        over.wait(1.0)
