"""The base classes of the obligations on outputs: the parts of their interface that policies use.

`OutputFilter` is the base of all; `NumberFilter` is that of `round` and `top_k`, whose demand is a
number, for the whole output or for some of its fields.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Collection
from typing import Any, ClassVar, NamedTuple

from guardrail._ports import BlockingStep, ObligationContext
from guardrail.errors import ConfigurationError
from guardrail.obligations.output_walk.field_paths import fields_of
from guardrail.values import Clause, Path


class OutputFilter(ABC):
    """An obligation that changes only the output of a model."""

    __slots__ = ()

    name: str
    on_admit = False
    on_release = True
    #: The kinds of output on which it can be met.
    outputs: ClassVar[frozenset[str]] = frozenset(("tensor", "table", "record", "list"))

    def reads(self, demand: Any) -> tuple[Path, ...]:  # noqa: ARG002
        """Return no path: the annotation contains the whole demand."""
        return ()

    def admit(self, demand: Any, context: ObligationContext) -> BlockingStep | None:  # noqa: ARG002
        """Do nothing: there is no output yet."""
        return None

    def fields(self, demand: Any) -> Collection[str]:  # noqa: ARG002
        """Return the field paths that a demand names."""
        return ()

    def is_narrow(self, demand: Any) -> bool:  # noqa: ARG002
        """Return whether a demand concerns only the fields that it names."""
        return True


def read_fields(clause: Clause, text: str) -> tuple[str, ...]:
    """Return the field paths of a clause; raise `ConfigurationError` at its place."""
    try:
        return fields_of(text)
    except ValueError:
        pass
    raise ConfigurationError.at(
        clause.place, "GR109",
        f"@{clause.name}: expected FIELDS, each once, with a comma and a space between them, "
        'such as "ssn, patient.ssn, rows[].ssn". A name with dots or brackets stands in double '
        "quotes.",
    )  # fmt: skip


class NumberRule(NamedTuple):
    """A number, and the fields to which it applies; no fields means the whole output."""

    number: int
    fields: tuple[str, ...] = ()


#: A number for the whole output, or rules.
Demand = int | tuple[NumberRule, ...]


class NumberFilter(OutputFilter):
    """``N [on FIELDS]``: a whole number, of which the smaller is the stricter."""

    __slots__ = ()

    @abstractmethod
    def merge(self, one: Any, other: Any) -> Any:
        """Return the demand of both sides together."""

    def rules(self, demand: Demand) -> tuple[NumberRule, ...]:
        """Return a demand as rules."""
        return (NumberRule(demand),) if isinstance(demand, int) else demand

    def made_of(self, rules: Collection[NumberRule]) -> Demand:
        """Return a demand from rules; a number if there is only one rule without fields."""
        ordered = tuple(sorted(rules))
        if len(ordered) == 1 and not ordered[0].fields:
            return ordered[0].number
        return ordered

    def describe(self, demand: Demand) -> int | str | list[str]:
        """Return the number; with fields the clause, or a list of clauses."""
        if isinstance(demand, int):
            return demand
        clauses = [
            f"{number} on {', '.join(fields)}" if fields else f"{number}"
            for number, fields in demand
        ]
        return clauses[0] if len(clauses) == 1 else clauses

    def fields(self, demand: Demand) -> Collection[str]:
        """Return the fields that a demand names."""
        return {field for rule in self.rules(demand) for field in rule.fields}

    def is_narrow(self, demand: Demand) -> bool:
        """Return whether a demand concerns only the fields that it names."""
        return all(rule.fields for rule in self.rules(demand))

    def read(self, clause: Clause, *, least: int, most: int, what: str) -> Demand:
        """Return the demand of a clause; raise `ConfigurationError` at its place."""
        found = re.fullmatch("(0|[1-9][0-9]{0,9})(?: on (.+))?", clause.argument)
        if found is None or not least <= int(found[1]) <= most:
            raise ConfigurationError.at(
                clause.place, "GR109",
                f"@{clause.name}: expected {what} [on FIELDS], with {what} from {least} to {most}.",
            )  # fmt: skip
        number = int(found[1])
        if found[2] is None:
            return number
        return (NumberRule(number, tuple(sorted(read_fields(clause, found[2])))),)
