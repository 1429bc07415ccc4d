"""What both sides call things: addresses, grants, kinds of token. It imports nothing."""

from __future__ import annotations

from typing import Final

DISCOVERY: Final = "/.well-known/openid-configuration"
JWKS: Final = "/jwks"
#: Where the misbehaviour ``redirect`` sends: the key set is there too, for whoever follows.
ELSEWHERE: Final = "/elsewhere"
AUTHORIZE: Final = "/authorize"
TOKEN: Final = "/token"  # noqa: S105
INTROSPECT: Final = "/introspect"
REVOKE: Final = "/revoke"

#: Where a browser would be sent back to; nobody listens there.
REDIRECT_URI: Final = "https://app.example/signed-in"
#: RFC 8693 §2.1, §3.
EXCHANGE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN: Final = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105
GRANTS: Final = ("authorization_code", "client_credentials", "refresh_token", EXCHANGE)
