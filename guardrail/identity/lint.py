"""The findings of ``guardrail check`` about the ``[identity]`` and ``[evidence]`` tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from guardrail._documents import Document
from guardrail._ports import IdentityProvider
from guardrail.errors import Finding
from guardrail.identity.load import read_tables
from guardrail.identity.registry import kinds_by_name


def lint_identity(
    document: Document | None, own: Sequence[IdentityProvider] = ()
) -> Iterator[Finding]:
    """Yield what is weak in the ``[identity]`` table; nothing where there is none.

    Arguments:
        document: the table.
        own: the application's own kinds of providers.
    """
    if document is None:
        return
    kinds = kinds_by_name(own)
    for name, settings in read_tables(document, own).items():
        table = document.below(name)
        yield from kinds[table.data["type"]].lint(settings, table)


def lint_evidence(document: Document | None) -> Iterator[Finding]:
    """Yield what is weak in the ``[evidence]`` tables; nothing where there are none."""
    for name, table in (document.data if document is not None else {}).items():
        if document is not None and table["about"] == "peer" and table.get("nonce") == "none":
            message = (
                "Evidence without a nonce of ours can be presented again by anyone who has it, "
                "until it lapses. Have callers ask for a challenge, and leave `nonce` out."
            )
            yield Finding("GR535", document.at(name, "nonce"), message)
