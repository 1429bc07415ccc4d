"""Lint the ``[audit]`` table of a bundle that loads.

`guardrail check` reports these findings. Errors in the table are reported by `settings` instead.
"""

from __future__ import annotations

from collections.abc import Iterator

from guardrail._documents import Document
from guardrail.errors import Finding, Place


def lint_audit(document: Document | None, default: Place) -> Iterator[Finding]:
    """Yield the findings about the ``[audit]`` table.

    Arguments:
        document: the table; ``None`` if there is none.
        default: the place of a finding where the bundle has no table.
    """
    if document is not None and "journal" in document.data:
        yield from _of_journal(document)
        return
    message = (
        "No journal stores the records: a record whose span the exporter loses is lost. Add "
        "`journal` under [audit], or accept this if your collector stores spans reliably."
    )
    yield Finding("GR540", default if document is None else document.at(), message)


def _of_journal(document: Document) -> Iterator[Finding]:
    checkpoints = document.data.get("checkpoints")
    if not checkpoints:
        message = (
            "The journal has no signed checkpoints, so anyone who can write its files can "
            "truncate it unnoticed. Add [audit.checkpoints], or accept this."
        )
        yield Finding("GR541", document.at("journal"), message)
    elif not {"file", "command", "url"} & set(checkpoints):
        message = (
            "The checkpoints stay beside the journal: anyone who can delete it can delete them, "
            "too. Deliver them elsewhere: `file`, `command` or `url`."
        )
        yield Finding("GR541", document.at("checkpoints"), message)
