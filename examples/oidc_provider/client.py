"""The provider from the outside: started, logged in to, and told to misbehave.

Owns what can be done with a provider. What a client does, it does as a client would: over TLS,
trusting the provider's CA and no other, with Authlib's session. Only what no protocol has goes
by the pipe (`process`): whom the provider knows, which key it signs with, how it goes wrong.
"""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from .names import (
    ACCESS_TOKEN,
    AUTHORIZE,
    EXCHANGE,
    INTROSPECT,
    JWKS,
    REDIRECT_URI,
    REVOKE,
    TOKEN,
)
from .process import Process

#: The client that people log in with, where nothing else is said.
APP: Final = "app"
_TIMEOUT_S: Final = 20.0


@dataclass(frozen=True, slots=True)
class Tokens:
    """What the token endpoint answered; ``""`` for a token that it did not give.

    Attributes:
        access: a JWT for the provider's audience (RFC 9068).
        id: a JWT for the client, where the scope has ``openid``.
        refresh: for `OidcProvider.refresh`.
        scope: what was granted.
        expires_in: seconds that the access token lives.
    """

    access: str = field(repr=False)
    id: str = field(default="", repr=False)
    refresh: str = field(default="", repr=False)
    scope: str = ""
    expires_in: int = 0


class OidcProvider:
    """A provider that runs for as long as ``with OidcProvider() as provider`` does.

    Arguments:
        audience: whom its access tokens are for.
        algorithm: of its first key: ``RS256``, ``ES256`` or ``EdDSA``.
        folder: where its certificates stand, or are put; by default a temporary one.

    Attributes (while it runs):
        issuer: its address, and the claim ``iss``.
        jwks_uri: where its keys are.
        audience: the claim ``aud``.
        ca_file: the CA to trust, in PEM.
        ca_pem: the same, as bytes.
    """

    def __init__(
        self,
        *,
        audience: str = "scoring",
        algorithm: str = "RS256",
        folder: Path | None = None,
    ) -> None:
        self.audience = audience
        self.issuer = ""
        self.jwks_uri = ""
        self.ca_file = Path()
        self.ca_pem = b""
        self._algorithm = algorithm
        self._folder = folder
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._process: Process | None = None
        self._secrets: dict[str, str] = {}

    def __enter__(self) -> Self:
        """Start it."""
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop it."""
        self.stop()

    def start(self) -> None:
        """Start it, and wait until it serves."""
        folder = self._folder
        if folder is None:
            self._temporary = tempfile.TemporaryDirectory()
            folder = Path(self._temporary.name)
        folder.mkdir(parents=True, exist_ok=True)
        self._process = Process(folder, "--audience", self.audience, "--algorithm", self._algorithm)
        self.issuer = f"https://127.0.0.1:{self._process.port}"
        self.jwks_uri = f"{self.issuer}{JWKS}"
        self.ca_file = folder / "ca.pem"
        self.ca_pem = self.ca_file.read_bytes()
        self._secrets = {APP: self._order("client", name=APP)}

    def stop(self) -> None:
        """End it, and forget what stood in a temporary folder. Nothing happens where it ended."""
        process, self._process = self._process, None
        if process is not None:
            process.stop()
        temporary, self._temporary = self._temporary, None
        if temporary is not None:
            temporary.cleanup()

    def login(
        self,
        user: str,
        *,
        scope: str = "openid",
        roles: Sequence[str] | None = (),
        dept: str | None = None,
        amr: Sequence[str] = ("pwd",),
        lifetime_s: int = 300,
        claims: Mapping[str, Any] | None = None,
    ) -> Tokens:
        """Log a person in by the code flow with PKCE, and return their tokens.

        Arguments:
            user: their name, the claim ``sub``.
            scope: what to ask for; with ``openid`` there is an id token.
            roles: the claims ``roles`` and ``realm_access.roles``; ``None`` leaves them out.
            dept: the claim ``dept``; ``None`` leaves it out.
            amr: how they prove who they are (RFC 8176).
            lifetime_s: how long their tokens live; negative ones have expired before they
                arrive.
            claims: any others, which go before all that the provider would say itself.
        """
        self._order(
            "user",
            name=user,
            roles=None if roles is None else list(roles),
            dept=dept,
            amr=list(amr),
            lifetime_s=lifetime_s,
            claims=dict(claims or {}),
        )
        verifier = secrets.token_urlsafe(48)
        with self.session(scope=scope) as session:
            address, state = session.create_authorization_url(
                f"{self.issuer}{AUTHORIZE}",
                code_verifier=verifier,
                nonce=secrets.token_urlsafe(),
            )
            session.get(address, withhold_token=True).raise_for_status()
            answer = session.post(
                address, data={"user": user}, allow_redirects=False, withhold_token=True
            )
            return _tokens(
                session.fetch_token(
                    authorization_response=answer.headers["Location"],
                    state=state,
                    code_verifier=verifier,
                )
            )

    def client_token(
        self,
        client: str,
        *,
        scope: str = "",
        roles: Sequence[str] | None = (),
        dept: str | None = None,
        lifetime_s: int = 300,
        claims: Mapping[str, Any] | None = None,
    ) -> Tokens:
        """Return a token of a program for itself: the arguments are those of `login`."""
        self._secrets[client] = self._order(
            "client",
            name=client,
            roles=None if roles is None else list(roles),
            dept=dept,
            lifetime_s=lifetime_s,
            claims=dict(claims or {}),
        )
        with self.session(client) as session:
            return _tokens(session.fetch_token(grant_type="client_credentials", scope=scope))

    def exchange(
        self, token: str, *, actor: str, audience: str | None = None, scope: str = ""
    ) -> Tokens:
        """Return a token with which a program acts for someone (RFC 8693).

        Arguments:
            token: an access token of whom to act for.
            actor: the program's name, the claim ``act.sub``.
            audience: the new token's; by default the old one's.
            scope: a part of the old token's scope; by default all of it.
        """
        held = self.client_token(actor)
        asked = {
            "subject_token": token,
            "subject_token_type": ACCESS_TOKEN,
            "actor_token": held.access,
            "actor_token_type": ACCESS_TOKEN,
            "audience": audience,
            "scope": scope,
        }
        given = {name: value for name, value in asked.items() if value}
        with self.session(actor) as session:
            return _tokens(session.fetch_token(grant_type=EXCHANGE, **given))

    def refresh(self, refresh: str, *, client: str = APP) -> Tokens:
        """Return new tokens for a refresh token, which is used up by it."""
        with self.session(client) as session:
            return _tokens(session.refresh_token(refresh_token=refresh))

    def introspect(self, token: str, *, client: str = APP) -> dict[str, Any]:
        """Return what the provider says about an access token (RFC 7662)."""
        with self.session(client) as session:
            answer = session.introspect_token(f"{self.issuer}{INTROSPECT}", token=token)
            answer.raise_for_status()
            said: dict[str, Any] = answer.json()
            return said

    def revoke(self, token: str, *, client: str = APP) -> None:
        """Revoke a token, and the one beside it (RFC 7009).

        Arguments:
            token: an access or a refresh token.
            client: whom it was issued to; a token of `login` is the app's.
        """
        with self.session(client) as session:
            session.revoke_token(f"{self.issuer}{REVOKE}", token=token).raise_for_status()

    def rotate(self, *, keep_old: bool = True, algorithm: str | None = None) -> str:
        """Have the provider sign with a new key, and return its ``kid``.

        Arguments:
            keep_old: go on to publish the keys that were.
            algorithm: the new key's; by default that of the old one.
        """
        kid: str = self._order("rotate", keep_old=keep_old, algorithm=algorithm)
        return kid

    def misbehave(self, kind: str, *, at: str | None = None) -> None:
        """Have the provider answer wrongly until `behave`.

        Arguments:
            kind: ``hang`` never answers, ``drip`` gives a byte a second, ``status`` is a 500,
                ``rubbish`` is no JSON, ``huge`` is 100 MB, ``redirect`` goes to ``/elsewhere``
                (where the true keys are), ``private`` publishes private keys,
                ``wrong_issuer`` names another, ``down`` refuses connections.
            at: ``jwks`` or ``discovery``; by default the first, for ``wrong_issuer`` the second.
        """
        default = "discovery" if kind == "wrong_issuer" else "jwks"
        self._order("misbehave", kind=kind, at=at or default)

    def behave(self) -> None:
        """Have the provider answer as it should, at the same port."""
        self._order("behave")

    def hits(self, path: str) -> int:
        """Return how often a path was asked for since the start, such as ``/jwks``."""
        count: int = self._order("hits", path=path)
        return count

    def session(self, client: str = APP, *, scope: str | None = None) -> Any:
        """Return Authlib's session of a client, ``with`` which to ask the provider.

        Arguments:
            client: its name; known from `client_token`, or the app.
            scope: what it asks for where nothing else is said.
        """
        from authlib.integrations.requests_client import OAuth2Session

        session = OAuth2Session(
            client,
            self._secrets[client],
            scope=scope,
            redirect_uri=REDIRECT_URI,
            code_challenge_method="S256",
            token_endpoint=f"{self.issuer}{TOKEN}",
            default_timeout=_TIMEOUT_S,
        )
        session.verify = str(self.ca_file)
        session.trust_env = False  # neither its proxies nor its certificates
        return session

    def _order(self, do: str, **what: Any) -> Any:
        if self._process is None:
            raise RuntimeError("The provider does not run. Start it first.")
        return self._process.order(do, **what)


def _tokens(answer: Mapping[str, Any]) -> Tokens:
    return Tokens(
        access=answer["access_token"],
        id=answer.get("id_token", ""),
        refresh=answer.get("refresh_token", ""),
        scope=answer.get("scope", ""),
        expires_in=answer.get("expires_in", 0),
    )
