"""Map verified claims to the identity that policies see.

This follows `tokens.verifier`, and never sees unverified claims. They become the principal, its
parents and attributes, and the identity facts. Nothing is filled in: if a claim that names the
caller or its groups is absent or has another type, the call is denied, since a missing role would
disable what forbids that role; groups may be absent if the bundle says so. Attributes are passed on
as they were parsed; ``policy`` checks them against the schema.

A claim that is null counts as absent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from guardrail.errors import NotAuthorized
from guardrail.identity.groups import known_parents
from guardrail.identity.id_prefixes import IdPrefix
from guardrail.identity.settings import ClaimPath, ParentClaim, TokenSettings
from guardrail.identity.tokens.verifier import (
    MISSING,
    Claims,
    VerifiedClaims,
    find_optional,
    is_text,
    required,
    strings,
    time_of,
    wrong_type,
)
from guardrail.values import Entity, Identity, Principal

#: Returns whether an entity exists in the bundle.
EntityExists: TypeAlias = Callable[[Entity], bool]


def identify(
    verified: VerifiedClaims,
    *,
    provider: str,
    prefix: IdPrefix,
    settings: TokenSettings,
    knows: EntityExists,
) -> Identity:
    """Return the identity for verified claims.

    Arguments:
        verified: the result of `tokens.verifier.Verifier`.
        provider: the name of the provider's table.
        prefix: the prefix of the provider's principals.
        settings: the provider's settings.
        knows: returns whether a parent exists in the bundle; unknown ones are dropped or denied, as
            ``unknown_parents`` says.

    Raises:
        NotAuthenticated: ``missing_claim`` for the claim that names the caller, ``malformed_token``
            or ``unknown_entity``.
        NotAuthorized: ``missing_claim``, if the token is valid but does not state the caller's
            groups.
    """
    claims = verified.claims
    mapping = settings.principal
    named = _text(required(claims, mapping.id), mapping.id)
    principal = Principal(
        mapping.type,
        prefix.id_of(named),
        parents=_parents(claims, settings, knows),
        attrs=dict(_attributes(claims, mapping.attrs)),
    )
    issued_at = time_of(claims, "iat")
    authenticated_at = time_of(claims, "auth_time")
    actor = _actor(claims)
    token_id = claims.get("jti")
    token_id = "" if token_id is None else token_id
    if not isinstance(token_id, str):
        raise wrong_type(("jti",), "a string", token_id)
    return Identity(
        principal,
        provider=provider,
        issuer=settings.issuer,
        method="jwt",
        mfa=claims.get("amr") is not None and "mfa" in strings(claims, ("amr",)),  # RFC 8176
        authenticated_at=issued_at if authenticated_at is None else authenticated_at,
        expires_at=verified.expires_at,
        delegated=bool(actor),
        actor=actor,
        scopes=_scopes(claims),
        subject=named,
        token_id=token_id,
        issued_at=issued_at,
    )


def _parents(claims: Claims, settings: TokenSettings, knows: EntityExists) -> tuple[Entity, ...]:
    """Return the parents in the claims, each once."""
    found: dict[Entity, None] = {}
    for kind, sources in settings.principal.parents.items():
        for source in sources:
            named = [Entity(kind, name) for name in _named(claims, source)]
            if all(map(knows, named)):  # the usual case: no message is made
                found.update(dict.fromkeys(named))
                continue
            claim = ".".join(source.claim)
            kept = known_parents(
                named,
                knows=knows,
                unknown=settings.unknown_parents,
                source=f"claim `{claim}`",
                path=f"token.{claim}",
            )
            found.update(dict.fromkeys(kept))
    return tuple(found)


def _named(claims: Claims, source: ParentClaim) -> Sequence[str]:
    """Return the names in one claim; none if it is absent and optional."""
    path = source.claim
    value = find_optional(claims, path)
    is_absent = value is MISSING
    names: Sequence[str] = ()
    if source.split is None:
        names = () if is_absent else strings(claims, path)
    elif not is_absent and value != "":
        names = [
            name.strip()
            for text in strings(claims, path)
            for name in text.split(source.split)
            if name.strip()
        ]
    _check_kept_apart(claims, path, is_group=not names)
    if is_absent and not source.optional:
        raise _missing(path, "Have the issuer include it, or map it as `optional`.")
    return names


def _check_kept_apart(claims: Claims, path: ClaimPath, *, is_group: bool = False) -> None:
    """Deny if the issuer keeps a claim outside the token, which so states only a part of it.

    An issuer keeps claims that are too large elsewhere (OpenID Connect Core §5.6.2). Azure does so
    with groups, and marks it by ``_claim_names``, or by ``hasgroups``. A caller in very many groups
    must not count as a caller without groups, in whatever way the claim in the token names none
    (``is_group``).
    """
    apart = claims.get("_claim_names")
    is_apart = apart is not None and (not isinstance(apart, dict) or path[0] in apart)
    if is_group and not is_apart:
        is_apart = claims.get("hasgroups") not in (None, False) or (
            isinstance(apart, dict) and "groups" in apart
        )
    if is_apart:
        raise _missing(path, "The issuer stores it outside the token. Map application roles.")


def _missing(path: ClaimPath, advice: str) -> NotAuthorized:
    """Return the error for a valid token that lacks a claim about the caller."""
    name = ".".join(path)
    return NotAuthorized(
        f"The token lacks the claim `{name}`. {advice}", code="missing_claim", path=f"token.{name}"
    )


def _attributes(claims: Claims, mapped: Mapping[str, ClaimPath]) -> Iterator[tuple[str, Any]]:
    for name, path in mapped.items():
        value = find_optional(claims, path)
        if value is not MISSING:
            yield name, value
        else:
            _check_kept_apart(claims, path)


def _actor(claims: Claims) -> str:
    """Return who acts for the principal (RFC 8693 §4.1); empty if nobody does.

    Only the outermost actor counts: the inner ones have acted before.
    """
    if claims.get("act") is None:
        return ""
    return _text(required(claims, ("act", "sub")), ("act", "sub"))


def _scopes(claims: Claims) -> frozenset[str]:
    """Return a token's scopes: ``scope`` (RFC 8693 §4.2), or ``scp`` of some issuers."""
    found: set[str] = set()
    for name in ("scope", "scp"):
        value = claims.get(name)
        if value is None:
            continue
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
