"""The provider's ways to a token, and to the end of one: Authlib's, on our directory.

Owns the code flow with PKCE, the grants for programs, token exchange, introspection and
revocation. Refuses a code without a challenge by S256, for every kind of client.
"""

from __future__ import annotations

import dataclasses
import secrets
import time
from typing import Any

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import (
    InvalidGrantError,
    InvalidRequestError,
    InvalidScopeError,
    TokenEndpointMixin,
    grants,
)
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oauth2.rfc7662 import IntrospectionEndpoint
from authlib.oidc.core import OpenIDCode, UserInfo
from joserfc.jwk import KeySet

from .accounts import Account, Client, Code, Directory, Issued
from .keys import SigningKeys
from .names import ACCESS_TOKEN, EXCHANGE


class Authority(AuthorizationServer):
    """Authlib's server with our directory behind it, and all grants registered.

    Arguments:
        issuer: who signs.
        audience: whom access tokens are for.
        directory: who is known, and what was issued.
        keys: what is signed with.
    """

    def __init__(
        self, *, issuer: str, audience: str, directory: Directory, keys: SigningKeys
    ) -> None:
        super().__init__(query_client=directory.clients.get, save_token=lambda *_: None)
        self.issuer = issuer
        self.audience = audience
        self.directory = directory
        self.keys = keys
        self.register_token_generator("default", self.mint)
        self.register_grant(CodeGrant, [Pkce(), IdToken(self)])
        self.register_grant(RefreshGrant)
        self.register_grant(grants.ClientCredentialsGrant)
        self.register_grant(ExchangeGrant)
        self.register_endpoint(Introspection)
        self.register_endpoint(Revocation)

    def mint(
        self,
        *,
        client: Client,
        user: Account | None = None,
        scope: str | None = None,
        include_refresh_token: bool = True,
        **_: Any,
    ) -> dict[str, Any]:
        """Return a token response with a JWT for an access token (RFC 9068), and remember it."""
        account = user or client.account
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": account.audience or self.audience,
            "iat": now,
            "exp": now + account.lifetime_s,
            "jti": secrets.token_urlsafe(16),
            "client_id": client.get_client_id(),
            "scope": scope or "",
            **account.describe(),
        }
        access = self.keys.sign(claims, kind="at+jwt")
        refresh = secrets.token_urlsafe() if include_refresh_token else None
        issued = Issued(client.get_client_id(), account, claims, access, refresh)
        self.directory.issued[access] = issued
        response = {
            "token_type": "Bearer",
            "access_token": access,
            "expires_in": account.lifetime_s,
            "scope": scope or "",
        }
        if refresh is not None:
            self.directory.refreshable[refresh] = issued
            response["refresh_token"] = refresh
        return response


class CodeGrant(grants.AuthorizationCodeGrant):
    """The code flow: RFC 6749 §4.1."""

    def save_authorization_code(self, code: str, request: Any) -> None:
        """Remember what a code stands for."""
        asked = request.payload
        self.server.directory.codes[code] = Code(
            client_id=request.client.get_client_id(),
            redirect_uri=asked.redirect_uri,
            scope=request.scope,
            nonce=asked.data.get("nonce"),
            user=request.user,
            code_challenge=asked.data.get("code_challenge"),
            code_challenge_method=asked.data.get("code_challenge_method"),
        )

    def query_authorization_code(self, code: str, client: Client) -> Code | None:
        """Return what a code stands for; it is used up by asking, whatever comes of it."""
        found: Code | None = self.server.directory.codes.pop(code, None)
        return found if found and found.client_id == client.get_client_id() else None

    def delete_authorization_code(self, authorization_code: Code) -> None:
        """Do nothing: see `query_authorization_code`."""

    def authenticate_user(self, authorization_code: Code) -> Account:
        """Return who logged in."""
        return authorization_code.user


class Pkce(CodeChallenge):
    """RFC 7636, demanded of all clients and by S256 only."""

    SUPPORTED_CODE_CHALLENGE_METHOD = ("S256",)

    def validate_code_challenge(self, grant: CodeGrant, redirect_uri: str) -> None:
        """Refuse to issue a code without a challenge."""
        if "code_challenge_method" not in grant.request.payload.data:
            raise InvalidRequestError("PKCE is required, with code_challenge_method=S256.")
        super().validate_code_challenge(grant, redirect_uri)


class IdToken(OpenIDCode):
    """The id token beside an access token, where the scope has ``openid``."""

    def __init__(self, authority: Authority) -> None:
        super().__init__()
        self._authority = authority

    def exists_nonce(self, nonce: str, request: Any) -> bool:  # noqa: ARG002
        """Whether a nonce is one of a code that was not redeemed yet."""
        return any(code.nonce == nonce for code in list(self._authority.directory.codes.values()))

    def get_client_algorithm(self, client: Client) -> str:  # noqa: ARG002
        """Return what the key in use signs with."""
        return self._authority.keys.algorithm

    def resolve_client_private_key(self, client: Client) -> KeySet:  # noqa: ARG002
        """Return the key in use, as a set: so its ``kid`` gets into the header."""
        return KeySet([self._authority.keys.current])

    def get_client_claims(self, client: Client) -> dict[str, Any]:
        """Return whom the token is from and for: the client, not the audience of the access."""
        return {
            "iss": self._authority.issuer,
            "aud": client.get_client_id(),
            "jti": secrets.token_urlsafe(16),
        }

    def generate_user_info(self, user: Account, scope: str) -> UserInfo:  # noqa: ARG002
        """Return the claims about who logged in."""
        return UserInfo(user.describe())


class RefreshGrant(grants.RefreshTokenGrant):
    """New tokens for a refresh token, which is used up by it: RFC 6749 §6, RFC 9700 §4.14."""

    INCLUDE_NEW_REFRESH_TOKEN = True

    def authenticate_refresh_token(self, refresh_token: str) -> Issued | None:
        """Return what was issued with it, while that counts."""
        found: Issued | None = self.server.directory.refreshable.get(refresh_token)
        return found if found and not found.revoked else None

    def authenticate_user(self, refresh_token: Issued) -> Account:
        """Return whom it was issued for."""
        return refresh_token.account

    def revoke_old_credential(self, refresh_token: Issued) -> None:
        """Use the old one up; the access token beside it lives on."""
        self.server.directory.refreshable.pop(refresh_token.refresh, None)


class ExchangeGrant(grants.BaseGrant, TokenEndpointMixin):
    """A token of one account in the hands of another: RFC 8693, with an actor token."""

    GRANT_TYPE = EXCHANGE

    def validate_token_request(self) -> None:
        """Check the client and both tokens."""
        self.request.client = self.authenticate_token_endpoint_client()
        self._subject, self._actor = self._live("subject_token"), self._live("actor_token")
        held = self._subject.get_scope()
        self._scope = self.request.payload.scope or held
        if not set(self._scope.split()) <= set(held.split()):
            raise InvalidScopeError()

    def create_token_response(self) -> tuple[int, dict[str, Any], Any]:
        """Return a token of the subject that says who acts, and for whom that one acted before."""
        act: dict[str, Any] = {"sub": self._actor.claims["sub"]}
        if "act" in self._subject.claims:
            act["act"] = self._subject.claims["act"]  # §4.1: the one before, nested
        account = self._subject.account
        left_s = int(self._subject.claims["exp"] - time.time())
        delegated = dataclasses.replace(
            account,
            act=act,
            audience=self.request.form.get("audience") or account.audience,
            lifetime_s=min(account.lifetime_s, left_s),
        )
        token = self.generate_token(user=delegated, scope=self._scope, include_refresh_token=False)
        token["issued_token_type"] = ACCESS_TOKEN
        return 200, token, self.TOKEN_RESPONSE_HEADER

    def _live(self, name: str) -> Issued:
        form = self.request.form
        if form.get(f"{name}_type") != ACCESS_TOKEN:
            raise InvalidRequestError(f"Expected an access token as {name}.")
        found: Issued | None = self.server.directory.issued.get(form.get(name, ""))
        if found is None or not found.is_live:
            raise InvalidGrantError(f"The {name} does not count.")
        return found


class Introspection(IntrospectionEndpoint):
    """What an access token says, while it counts: RFC 7662, for every client."""

    def query_token(self, token_string: str, token_type_hint: str | None) -> Issued | None:  # noqa: ARG002
        """Return what was issued as this access token."""
        found: Issued | None = self.server.directory.issued.get(token_string)
        return found

    def check_permission(self, token: Issued, client: Client, request: Any) -> bool:  # noqa: ARG002
        """Let every client ask."""
        return True

    def introspect_token(self, token: Issued) -> dict[str, Any]:
        """Return its claims."""
        return {"active": True, "token_type": "Bearer", **token.claims}


class Revocation(RevocationEndpoint):
    """The end of an access token and the refresh token beside it: RFC 7009."""

    def query_token(self, token_string: str, token_type_hint: str | None) -> Issued | None:  # noqa: ARG002
        """Return what was issued as this token of either kind."""
        directory: Directory = self.server.directory
        return directory.issued.get(token_string) or directory.refreshable.get(token_string)

    def revoke_token(self, token: Issued, request: Any) -> None:  # noqa: ARG002
        """End it."""
        token.revoked = True
