"""The obligation `mask`: fields and columns leave without their values.

Owns which outputs have fields by name, and what stands in place of a hidden value: None, in
tables a null, in float arrays NaN. Refuses outputs in which a name can't be found because
there are none. A field that an output lacks is hidden already. First of all that works on
outputs, so that what is hidden is seen by nothing after it.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar, Final

from guardrail.errors import ConfigurationError
from guardrail.obligations.frames import frame_kind, hide_columns
from guardrail.obligations.outputs import blocked, is_number, numpy_kind
from guardrail.obligations.plain import fields_of, with_fields
from guardrail.ports import Admission, Wait
from guardrail.values import Clause, Path

_NAME: Final = re.compile(r"[^\s,;][^,;]{0,198}[^\s,;]|[^\s,;]")
_INDEX: Final = re.compile("0|[1-9][0-9]{0,8}")
_EXPECTED: Final = "a record, a table, rows of them, or by number the columns of a float array"


class Mask:
    """``@mask("ssn, address")``: names of fields or columns; of an array, their numbers.

    Demands unite: what one side hides is hidden.
    """

    __slots__ = ()

    name = "mask"
    on_admit = False
    on_release = True
    #: Kinds of output on which it can be met.
    outputs: ClassVar[frozenset[str]] = frozenset(("tensor", "table", "record", "list"))

    def parse(self, clause: Clause) -> frozenset[str]:
        """Return the names; raise `ConfigurationError` at the clause's place."""
        names = clause.argument.split(", ")
        if not all(_NAME.fullmatch(name) for name in names) or len(set(names)) != len(names):
            raise ConfigurationError.at(
                clause.place, "GR109",
                '@mask: expected COLUMNS, each once, such as "ssn, address".',
            )  # fmt: skip
        return frozenset(names)

    def reads(self, demand: frozenset[str]) -> tuple[Path, ...]:  # noqa: ARG002
        """Return no path: the demand names columns."""
        return ()

    def merge(self, one: frozenset[str], other: frozenset[str]) -> frozenset[str]:
        """Return all that either side hides."""
        return one | other

    def describe(self, demand: frozenset[str]) -> list[str]:
        """Return the names, sorted."""
        return sorted(demand)

    def admit(self, demand: frozenset[str], admission: Admission) -> Wait | None:  # noqa: ARG002
        """Do nothing: the output is not there yet."""
        return None

    def release(self, demand: frozenset[str], output: Any, admission: Admission) -> Any:  # noqa: ARG002
        """Return a copy of ``output`` without the values of the fields named.

        Takes records (a mapping, a dataclass, a model of pydantic's), lists and tuples of
        them, and tables of pandas, polars and pyarrow; and, where all names are numbers, float
        arrays and lists of rows. Raises `Unmet` (``output_blocked``) for anything else.
        """
        if frame_kind(output):
            return hide_columns(output, demand, name=self.name)
        if numpy_kind(output):
            return self._hide_in_array(demand, output)
        return self._hide(demand, output, rows=True)

    def _hide(self, demand: frozenset[str], output: Any, *, rows: bool) -> Any:
        fields = fields_of(output)
        if fields is not None:
            hidden = dict.fromkeys((name for name in fields if name in demand), None)
            return with_fields(output, {**fields, **hidden})
        if rows and isinstance(output, list | tuple):
            if output and all(entry is None or is_number(entry) for entry in output):
                return self._hide_in_row(demand, output)
            if output and all(isinstance(row, list | tuple) for row in output):
                return _like(output, [self._hide_in_row(demand, row) for row in output])
            if all(fields_of(row) is not None for row in output):
                return _like(output, [self._hide(demand, row, rows=False) for row in output])
        raise blocked(self.name, _EXPECTED, output)

    def _hide_in_row(self, demand: frozenset[str], row: Any) -> Any:
        hidden = self._numbers(demand, row)
        return _like(row, [None if i in hidden else value for i, value in enumerate(row)])

    def _hide_in_array(self, demand: frozenset[str], output: Any) -> Any:
        if numpy_kind(output) != "f" or not output.ndim:
            raise blocked(self.name, _EXPECTED, output)
        hidden = [number for number in self._numbers(demand, output) if number < output.shape[-1]]
        copy = output.copy()
        copy[..., hidden] = float("nan")
        return copy

    def _numbers(self, demand: frozenset[str], output: Any) -> frozenset[int]:
        if not all(_INDEX.fullmatch(name) for name in demand):
            raise blocked(self.name, _EXPECTED, output, inside="whose columns have no names")
        return frozenset(map(int, demand))


def _like(output: Any, entries: list[Any]) -> Any:
    return tuple(entries) if isinstance(output, tuple) else entries
