"""From verified claims to the identity that policies see.

Owns the mapping of claims to principal, parents, attributes and identity facts. Refuses to
fill in: a claim that should name the caller or their groups and is absent or of another
type denies, for a missing role would switch off what forbids that role. In the flow it
follows `tokens`, and never sees a claim that was not verified. Attributes are handed on as
they were parsed; ``policy`` holds them to the schema.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

from guardrail.identity.parents import known_parents
from guardrail.identity.settings import ClaimPath, TokenSettings
from guardrail.identity.tokens import (
    MISSING,
    Claims,
    Verified,
    find,
    is_text,
    required,
    strings,
    time_of,
    wrong_type,
)
from guardrail.values import Entity, Identity, Principal

#: Says whether an entity exists in the bundle.
Knows: TypeAlias = Callable[[Entity], bool]


def identify(
    verified: Verified, *, provider: str, prefix: str, settings: TokenSettings, knows: Knows
) -> Identity:
    """Return the identity that verified claims make.

    Arguments:
        verified: what `tokens.Verifier` answered.
        provider: the name of the provider's table.
        prefix: what goes before the principal's id, so that it is of one issuer only.
        settings: the provider's.
        knows: whether a parent exists in the bundle; what it does not know is dropped or
            denied, as ``unknown_parents`` says.

    Raises:
        NotAuthenticated: ``missing_claim``, ``malformed_token`` or ``unknown_entity``.
    """
    claims = verified.claims
    mapping = settings.principal
    named = _text(required(claims, mapping.id), mapping.id)
    principal = Principal(
        mapping.type,
        prefix + named,
        parents=_parents(claims, settings, knows),
        attrs=dict(_attributes(claims, mapping.attrs)),
    )
    issued_at = time_of(claims, "iat")
    authenticated_at = time_of(claims, "auth_time")
    actor = _actor(claims)
    token_id = claims.get("jti", "")
    if not isinstance(token_id, str):
        raise wrong_type(("jti",), "a string", token_id)
    return Identity(
        principal,
        provider=provider,
        issuer=settings.issuer,
        method="jwt",
        mfa="amr" in claims and "mfa" in strings(claims, ("amr",)),  # RFC 8176
        authenticated_at=issued_at if authenticated_at is None else authenticated_at,
        expires_at=verified.expires_at,
        delegated=bool(actor),
        actor=actor,
        scopes=_scopes(claims),
        subject=named,
        token_id=token_id,
        issued_at=issued_at,
    )


def _parents(claims: Claims, settings: TokenSettings, knows: Knows) -> tuple[Entity, ...]:
    """Return the parents that claims name, each once."""
    found: dict[Entity, None] = {}
    for kind, path in settings.principal.parents.items():
        claim = ".".join(path)
        kept = known_parents(
            [Entity(kind, name) for name in strings(claims, path)],
            knows=knows,
            unknown=settings.unknown_parents,
            source=f"claim `{claim}`",
            path=f"token.{claim}",
        )
        found.update(dict.fromkeys(kept))
    return tuple(found)


def _attributes(claims: Claims, mapped: Mapping[str, ClaimPath]) -> Iterator[tuple[str, Any]]:
    for name, path in mapped.items():
        value = find(claims, path)
        if value is None:
            raise wrong_type(path, "a value", value)  # Cedar has no null
        if value is not MISSING:
            yield name, value


def _actor(claims: Claims) -> str:
    """Return who acts for the principal (RFC 8693 §4.1); empty where nobody does.

    Only the outermost counts: those within have acted before.
    """
    if "act" not in claims:
        return ""
    return _text(required(claims, ("act", "sub")), ("act", "sub"))


def _scopes(claims: Claims) -> frozenset[str]:
    """Return a token's scopes: ``scope`` (RFC 8693 §4.2), or ``scp``, as some issuers have it."""
    found: set[str] = set()
    for name in ("scope", "scp"):
        if name not in claims:
            continue
        value = claims[name]
        if isinstance(value, list):
            found.update(strings(claims, (name,)))
        elif isinstance(value, str):
            if value:
                found.update(_text(value, (name,)).split(" "))
        else:
            raise wrong_type((name,), "a string or a list of them", value)
    return frozenset(found - {""})


def _text(value: Any, path: ClaimPath) -> str:
    if not is_text(value):
        raise wrong_type(path, "a non-empty string", value)
    return str(value)
