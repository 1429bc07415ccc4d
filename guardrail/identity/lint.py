"""Lint the ``[identity]`` and ``[evidence]`` tables of a bundle that loads.

`guardrail check` reports these findings. Errors in the tables are reported by `settings` instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from guardrail._documents import Document
from guardrail._plugins import at_load
from guardrail._ports import IdentityProvider
from guardrail._type_names import a_type
from guardrail.errors import ConfigurationError, Finding
from guardrail.identity.load import read_tables
from guardrail.identity.registry import kinds_by_name


def lint_identity(
    document: Document | None, own: Sequence[IdentityProvider] = ()
) -> Iterator[Finding]:
    """Yield the findings about the ``[identity]`` table; none if there is no table.

    Arguments:
        document: the table.
        own: the application's own kinds of providers.
    """
    if document is None:
        return
    kinds = kinds_by_name(own)
    for name, settings in read_tables(document, own).items():
        table = document.below(name)
        yield from _findings(kinds[table.data["type"]], settings, table)


def _findings(kind: IdentityProvider, settings: Any, table: Document) -> tuple[Finding, ...]:
    """Return what `lint` of a provider yields; raise `ConfigurationError` if it raises."""
    what, place = f"`lint` of the identity provider {kind.kind}", table.at()
    found: tuple[Any, ...] = at_load(lambda: tuple(kind.lint(settings, table)), what, place=place)
    for each in found:
        if not isinstance(each, Finding):
            message = f"{what} must yield findings, and yields {a_type(each)}. Correct the plug-in."
            raise ConfigurationError.at(place, "GR003", message)
    return found


def lint_evidence(document: Document | None) -> Iterator[Finding]:
    """Yield the findings about the ``[evidence]`` tables; none if there are none."""
    for name, table in (document.data if document is not None else {}).items():
        if document is not None and table["about"] == "peer" and table.get("nonce") == "none":
            message = (
                "Without a nonce, anyone who has the evidence can present it again until it "
                "expires. Let callers request a challenge, and leave `nonce` out."
            )
            yield Finding("GR535", document.at(name, "nonce"), message)
