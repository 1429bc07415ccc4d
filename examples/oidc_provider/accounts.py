"""Whom the provider knows, and what it has issued; all of it in memory.

Owns the shapes that Authlib's grants ask about. Each change is one operation on a dictionary,
so that the threads of the server need no lock.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from authlib.oauth2.rfc6749 import ClientMixin, TokenMixin
from authlib.oidc.core import AuthorizationCodeMixin

from .names import GRANTS, REDIRECT_URI


@dataclass(frozen=True, slots=True)
class Account:
    """Whom a token is about: a person or a program.

    Attributes:
        name: the claim ``sub``.
        roles: the claims ``roles`` and ``realm_access.roles``; ``None`` leaves them out.
        dept: the claim ``dept``; ``None`` leaves it out.
        amr: how the person proves who they are (RFC 8176); empty leaves it out.
        lifetime_s: how long a token lives.
        claims: any others; they go before all that the provider would say itself.
        audience: the claim ``aud`` of access tokens; ``None``: the provider's.
        auth_time: when the person logged in, in seconds since the epoch.
        act: who acts for the account (RFC 8693 §4.1).
    """

    name: str
    roles: tuple[str, ...] | None = ()
    dept: str | None = None
    amr: tuple[str, ...] = ()
    lifetime_s: int = 300
    claims: Mapping[str, Any] = field(default_factory=dict)
    audience: str | None = None
    auth_time: int | None = None
    act: Mapping[str, Any] | None = None

    def describe(self) -> dict[str, Any]:
        """Return the claims about the account, as tokens of both kinds have them."""
        nested = None if self.roles is None else {"roles": self.roles}
        said = {
            "sub": self.name,
            "roles": self.roles,
            "realm_access": nested,
            "dept": self.dept,
            "amr": self.amr or None,
            "auth_time": self.auth_time,
            "act": self.act,
        }
        known = {name: value for name, value in said.items() if value is not None}
        return {**known, **self.claims}


@dataclass(frozen=True, slots=True)
class Client(ClientMixin):
    """An application that may ask for tokens, for itself and for people."""

    account: Account
    secret: str = field(default_factory=secrets.token_urlsafe, repr=False)

    def get_client_id(self) -> str:
        """Return its id: the name of its account."""
        return self.account.name

    def get_default_redirect_uri(self) -> str:
        """Return the one address."""
        return REDIRECT_URI

    def get_allowed_scope(self, scope: str | None) -> str:
        """Return what was asked for: every client may have every scope."""
        return scope or ""

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        """Whether it is the one address."""
        return redirect_uri == REDIRECT_URI

    def check_client_secret(self, client_secret: str) -> bool:
        """Whether it is the secret."""
        return secrets.compare_digest(self.secret, client_secret)

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:  # noqa: ARG002
        """Whether a client may prove itself so: by its secret alone."""
        return method == "client_secret_basic"

    def check_response_type(self, response_type: str) -> bool:
        """Whether it is the code flow."""
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        """Whether the provider has the grant at all."""
        return grant_type in GRANTS


@dataclass(frozen=True, slots=True)
class Code(AuthorizationCodeMixin):
    """A code, and what it stands for until it is redeemed."""

    client_id: str
    redirect_uri: str | None
    scope: str
    nonce: str | None
    user: Account
    code_challenge: str | None
    code_challenge_method: str | None

    def get_redirect_uri(self) -> str | None:
        """Return the address that was asked with."""
        return self.redirect_uri

    def get_scope(self) -> str:
        """Return the scope that was granted."""
        return self.scope

    def get_nonce(self) -> str | None:
        """Return the nonce that was asked with."""
        return self.nonce

    def get_auth_time(self) -> int | None:
        """Return when the person logged in."""
        return self.user.auth_time


@dataclass(slots=True)
class Issued(TokenMixin):
    """A pair of tokens that was issued, and whether it still counts."""

    client_id: str
    account: Account
    claims: dict[str, Any]
    access: str = field(repr=False)
    refresh: str | None = field(repr=False)
    revoked: bool = False

    def check_client(self, client: Client) -> bool:
        """Whether it was issued to this client."""
        return client.get_client_id() == self.client_id

    def get_scope(self) -> str:
        """Return the scope that was granted."""
        return str(self.claims.get("scope", ""))

    def get_expires_in(self) -> int:
        """Return how long an access token lives, in seconds."""
        return self.account.lifetime_s

    def is_expired(self) -> bool:
        """Whether the access token has expired."""
        return bool(self.claims["exp"] <= time.time())

    def is_revoked(self) -> bool:
        """Whether it was revoked."""
        return self.revoked

    @property
    def is_live(self) -> bool:
        """Whether the access token counts."""
        return not self.revoked and not self.is_expired()


@dataclass(frozen=True, slots=True)
class Directory:
    """All that the provider knows: by name, by code, and by the text of a token."""

    users: dict[str, Account] = field(default_factory=dict)
    clients: dict[str, Client] = field(default_factory=dict)
    codes: dict[str, Code] = field(default_factory=dict, repr=False)
    issued: dict[str, Issued] = field(default_factory=dict, repr=False)
    refreshable: dict[str, Issued] = field(default_factory=dict, repr=False)
