"""What is weak in the identity settings of a bundle that loads.

Owns the findings about ``[identity]``. Refuses nothing: what is wrong there is a fault, found
by `settings` and `keys`. Only `check` asks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from guardrail.documents import Document
from guardrail.errors import Finding
from guardrail.identity.settings import read_settings

#: Clocks of one organisation are within this; what is more keeps expired tokens alive.
_LEEWAY_S: Final = 60
#: Claims that people change, or that go to somebody else one day (OpenID Connect Core §5.7).
_REASSIGNED: Final = frozenset(
    ("email", "preferred_username", "username", "name", "nickname", "phone_number", "upn")
)


def identity_weaknesses(document: Document | None) -> Iterator[Finding]:
    """Yield what is weak in the ``[identity]`` table; nothing where there is none."""
    found = None if document is None else read_settings(document)
    if document is None or found is None:
        return
    name, settings = found
    if settings.secret_env is not None:
        message = (
            f"{settings.algorithm} has one secret for signing and verifying: whoever verifies "
            "tokens can make them. Use an algorithm with a public key, such as ES256."
        )
        yield Finding("GR530", document.at(name, "algorithms"), message)
    if settings.leeway_s > _LEEWAY_S:
        message = (
            f"Tokens are accepted more than {_LEEWAY_S} seconds after they expire. Set the clocks, "
            "and lower `leeway_s`."
        )
        yield Finding("GR531", document.at(name, "leeway_s"), message)
    if settings.unknown_parents == "drop":
        message = (
            "Groups of a token that the bundle lacks are left out, and with them whatever forbids "
            'by group. Write `unknown_parents = "deny"`, and add the groups to entities.json.'
        )
        yield Finding("GR532", document.at(name, "unknown_parents"), message)
    if settings.principal.id in _REASSIGNED:
        message = (
            f"The claim `{settings.principal.id}` can change, or go to somebody else, who then has "
            "the grants and quotas of the first. Use `sub`."
        )
        yield Finding("GR533", document.at(name, "principal"), message)
