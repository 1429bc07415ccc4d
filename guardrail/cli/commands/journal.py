"""``guardrail journal``: groups the commands that `guardrail.cli.journal` declares."""

from __future__ import annotations

from typing import Final

from guardrail.cli.registry import CommandGroup, HelpSection, find_commands

COMMAND: Final = CommandGroup(
    "journal",
    help="Show, verify, summarize and export a journal.",
    example="guardrail journal show var/journal --outcome denied --since 1h",
    commands=tuple(find_commands("guardrail.cli.journal")),
    section=HelpSection.records,
)
