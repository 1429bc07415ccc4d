"""The obligation ``@audit("PATHS")``: store values that the policies read in the record.

It runs before the model. A text is stored as a keyed pseudonym, unless the annotation or the
bundle's ``[audit]`` table says ``as text``. A value that a call does not have is left out. Without
a journal, nothing is stored.
"""

from __future__ import annotations

import re
from typing import Any, Final, TypeAlias

from guardrail._hooks import Stage
from guardrail._ports import BlockingStep, ObligationContext
from guardrail.errors import ConfigurationError
from guardrail.values import Clause, Path

_PATH: Final = re.compile(r"(principal|resource|context)((?:\.[A-Za-z_][A-Za-z0-9_]*)+)( as text)?")

#: Paths, each with whether a text there is stored unchanged.
Demand: TypeAlias = frozenset[tuple[Path, bool]]


class Audit:
    """``@audit("context.input.rows, principal.department as text")``.

    Numbers, booleans and times are stored unchanged. A text is stored as a keyed pseudonym, or
    unchanged if ``as text`` follows its path. Demands are united; a path that one side stores as a
    pseudonym is stored as a pseudonym.
    """

    __slots__ = ()

    name = "audit"
    stage = Stage.RECORD
    on_admit = True
    on_release = False

    def parse(self, clause: Clause) -> Demand:
        """Return the paths; raise `ConfigurationError` at the clause's place."""
        demand: set[tuple[Path, bool]] = set()
        for text in clause.argument.split(", "):
            found = _PATH.fullmatch(text)
            if found is None:
                raise ConfigurationError.at(
                    clause.place, "GR109",
                    "@audit: expected PATHS such as `context.input.rows, principal.department as "
                    "text`.",
                )  # fmt: skip
            demand.add((Path(found[1], tuple(found[2][1:].split("."))), bool(found[3])))
        return _settled(demand)

    def reads(self, demand: Demand) -> tuple[Path, ...]:
        """Return the paths, each once."""
        return tuple(sorted({path for path, _ in demand}, key=str))

    def merge(self, one: Demand, other: Demand) -> Demand:
        """Return the paths of both sides."""
        return _settled({*one, *other})

    def describe(self, demand: Demand) -> list[str]:
        """Return the paths, sorted."""
        return sorted(_written(path, as_text) for path, as_text in demand)

    def admit(self, demand: Demand, context: ObligationContext) -> BlockingStep | None:
        """Add the values that this call has to the record."""
        notes = context.notes
        if notes is not None:
            for path, as_text in demand:
                try:
                    value = context.value_of(path)
                except LookupError:
                    continue
                notes.keep(_written(path, as_text), value)
        return None

    def release(self, demand: Demand, output: Any, context: ObligationContext) -> Any:  # noqa: ARG002
        """Return the output unchanged."""
        return output


def _settled(demand: set[tuple[Path, bool]]) -> Demand:
    """For a path that is stored in two ways, keep only the pseudonym."""
    hidden = {path for path, as_text in demand if not as_text}
    return frozenset(
        (path, as_text) for path, as_text in demand if not as_text or path not in hidden
    )


def _written(path: Path, as_text: bool) -> str:
    return f"{path} as text" if as_text else str(path)
