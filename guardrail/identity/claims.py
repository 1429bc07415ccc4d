"""From verified claims to the identity that policies see.

Owns the mapping of claims to principal, parents, attributes and identity facts. Refuses to
fill in: a claim that should name the caller or their groups and is absent or of another
type denies, for a missing role would switch off what forbids that role. In the flow it
follows `tokens`, and never sees a claim that was not verified. Attributes are handed on as
they were parsed; ``policy`` holds them to the schema.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from guardrail.errors import NotAuthenticated
from guardrail.identity.settings import JwtSettings
from guardrail.identity.tokens import (
    Claims,
    Verified,
    is_text,
    required,
    strings,
    time_of,
    wrong_type,
)
from guardrail.values import Entity, Identity, Principal

#: Says whether an entity exists in the bundle.
Knows: TypeAlias = Callable[[Entity], bool]


def identify(verified: Verified, *, provider: str, settings: JwtSettings, knows: Knows) -> Identity:
    """Return the identity that verified claims make.

    Arguments:
        verified: what `tokens.Verifier` answered.
        provider: the name of the provider's table.
        settings: the provider's.
        knows: whether a parent exists in the bundle; what it does not know is dropped or
            denied, as ``unknown_parents`` says.

    Raises:
        NotAuthenticated: ``missing_claim``, ``malformed_token`` or ``unknown_entity``.
    """
    claims = verified.claims
    mapping = settings.principal
    principal = Principal(
        mapping.type,
        _text(required(claims, mapping.id), mapping.id),
        parents=tuple(dict.fromkeys(_parents(claims, settings, knows))),
        attrs={
            name: _present(claims[claim], claim)
            for name, claim in mapping.attrs.items()
            if claim in claims
        },
    )
    authenticated_at = time_of(claims, "auth_time")
    actor = _actor(claims)
    return Identity(
        principal,
        provider=provider,
        issuer=settings.issuer,
        method="jwt",
        mfa="amr" in claims and "mfa" in strings(claims, "amr"),  # RFC 8176
        authenticated_at=time_of(claims, "iat") if authenticated_at is None else authenticated_at,
        expires_at=verified.expires_at,
        delegated=bool(actor),
        actor=actor,
    )


def _parents(claims: Claims, settings: JwtSettings, knows: Knows) -> Iterator[Entity]:
    for kind, claim in settings.principal.parents.items():
        for name in strings(claims, claim):
            parent = Entity(kind, name)
            if knows(parent):
                yield parent
            elif settings.unknown_parents == "deny":
                raise NotAuthenticated(
                    f"The claim `{claim}` names a {kind} that the bundle does not have. Add it "
                    'to entities.json, or set `unknown_parents = "drop"`.',
                    code="unknown_entity",
                    path=f"token.{claim}",
                )


def _actor(claims: Claims) -> str:
    """Return who acts for the principal (RFC 8693 §4.1); empty where nobody does."""
    if "act" not in claims:
        return ""
    act = claims["act"]
    if not isinstance(act, dict):
        raise wrong_type("act", "an object", act)
    return _text(act.get("sub"), "act.sub")


def _text(value: Any, name: str) -> str:
    if not is_text(value):
        raise wrong_type(name, "a non-empty string", value)
    return str(value)


def _present(value: Any, name: str) -> Any:
    if value is None:
        raise wrong_type(name, "a value", value)  # Cedar has no null
    return value
