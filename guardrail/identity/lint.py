"""Lint the ``[identity]`` and ``[evidence]`` tables of a bundle that loads.

`guardrail check` reports these findings. Errors in the tables are reported by `settings` instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from guardrail._documents import Document
from guardrail.errors import Finding
from guardrail.identity.certificates.mtls import MtlsSettings
from guardrail.identity.load import read_tables
from guardrail.identity.settings import JwtSettings, TokenSettings

#: Clocks of one organisation differ by less; a larger leeway keeps expired tokens valid.
_LEEWAY_S: Final = 60
#: Claims that users can change, or that can be reassigned (OpenID Connect Core §5.7).
_REASSIGNED: Final = frozenset(
    ("email", "preferred_username", "username", "name", "nickname", "phone_number", "upn")
)


def lint_identity(document: Document | None) -> Iterator[Finding]:
    """Yield the findings about the ``[identity]`` table; none if there is no table."""
    if document is None:
        return
    for name, settings in read_tables(document).items():
        if isinstance(settings, TokenSettings):
            yield from _of_tokens(document.below(name), settings)
        if isinstance(settings, MtlsSettings) and settings.ca_file is None:
            message = (
                "The bundle does not verify certificates: a caller that bypasses the TLS server, "
                "or whose certificate it passes on unverified, can claim any identity. Give "
                "`ca_file`."
            )
            yield Finding("GR534", document.at(name, "unsafe_trust_server"), message)
        if getattr(settings, "unknown_parents", "deny") == "drop":
            message = (
                "Groups that the bundle does not have are left out, so policies that forbid by "
                'group do not apply. Write `unknown_parents = "deny"`, and add the groups to '
                "entities.json."
            )
            yield Finding("GR532", document.at(name, "unknown_parents"), message)


def lint_evidence(document: Document | None) -> Iterator[Finding]:
    """Yield the findings about the ``[evidence]`` tables; none if there are none."""
    for name, table in (document.data if document is not None else {}).items():
        if document is not None and table["about"] == "peer" and table.get("nonce") == "none":
            message = (
                "Without a nonce, anyone who has the evidence can present it again until it "
                "expires. Let callers request a challenge, and leave `nonce` out."
            )
            yield Finding("GR535", document.at(name, "nonce"), message)


def _of_tokens(table: Document, settings: TokenSettings) -> Iterator[Finding]:
    if isinstance(settings, JwtSettings) and settings.is_shared:
        message = (
            f"{settings.algorithms[0]} uses one secret to sign and to verify: everyone who "
            "verifies tokens can also make them. Use a public-key algorithm, such as ES256."
        )
        yield Finding("GR530", table.at("algorithms"), message)
    if settings.leeway_s > _LEEWAY_S:
        message = (
            f"Tokens are accepted more than {_LEEWAY_S} seconds after they expire. Synchronize "
            "the clocks, and lower `leeway_s`."
        )
        yield Finding("GR531", table.at("leeway_s"), message)
    named = settings.principal.id[-1]
    if named in _REASSIGNED:
        message = (
            f"The claim `{named}` can change, or be reassigned to another user, who then has the "
            "grants and quotas of the first. Use `sub`."
        )
        yield Finding("GR533", table.at("principal"), message)
