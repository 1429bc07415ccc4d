"""`Leaves`: the interface by which an obligation decides about the parts of an output.

`Leaves` itself returns every known part unchanged; each obligation has a subclass that changes or
blocks parts. No obligation traverses an output itself.
"""

# ruff: noqa: ARG002  (arguments that `Leaves` itself does not use)

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, NoReturn

from guardrail.obligations.output_walk.arrays import copied
from guardrail.obligations.output_walk.field_paths import FieldPlace, Paths
from guardrail.obligations.output_walk.refusal import blocked

#: The result for a part that is not returned.
DROPPED: Final = type("Dropped", (), {"__slots__": (), "__repr__": lambda _: "DROPPED"})()


class Collapsed(NamedTuple):
    """The replacement of a whole row, or of all rows of a table (then a list)."""

    value: Any


class NumberColumn(NamedTuple):
    """A column of numbers: its values, which are null, and whether it can have nulls."""

    values: Any
    nulls: Any
    place: FieldPlace
    is_nullable: bool


class Leaves:
    """Decides about the leaves of one output. Made for one walk.

    Arguments:
        paths: the field paths of the demand.
    """

    #: The obligation's name, and what it expects, for errors.
    name: str = "output"
    expected: str = "records, lists, tables or arrays of texts and numbers"
    #: Whether columns must have names.
    needs_names: bool = True
    #: Whether it can handle columns of lists or records.
    reads_nested: bool = True
    #: Whether it can handle an index of texts.
    reads_index: bool = True
    #: Whether an index of numbers must be handled: it can have the same content as a column.
    changes_index: bool = False
    #: Whether only named fields are returned: then a name may match only one field.
    is_allow_list: bool = False

    def __init__(self, paths: Paths) -> None:
        self.paths = paths

    def refuse(self, output: Any, inside: str = "") -> NoReturn:
        """Raise `ObligationNotMet` for an output, or for a part of it."""
        raise blocked(self.name, self.expected, output, inside=inside)

    def label(self, text: str, place: FieldPlace, *, is_declared: bool = False) -> None:
        """Check the name of a key, a column or an index; raise if it may not be returned.

        ``is_declared`` means that a class declares the name, so there are few such names.
        """

    def hides(self, place: FieldPlace) -> bool:
        """Return whether the field or column at this place is returned as None or nulls."""
        return False

    def enters(self, name: str, place: FieldPlace, *, is_declared: bool) -> bool:
        """Return whether any part of the field at this place may be returned."""
        return True

    def keeps(self, place: FieldPlace) -> bool:
        """Return whether a leaf at this place may be returned."""
        return True

    def leaf(self, value: Any, place: FieldPlace) -> Any:
        """Return the result for a text, a number, a bool, a time, bytes or None."""
        return value

    def row(
        self,
        values: list[Any],
        names: Sequence[str] | None,
        places: Sequence[FieldPlace],
        place: FieldPlace,
        *,
        is_whole: bool = True,
        is_list: bool = True,
    ) -> list[Any] | Collapsed:
        """Return the result for the numbers in a list or a record.

        Arguments:
            values: the numbers; in a list also None.
            names: for a record, the names of the fields with these numbers.
            places: the place of each number.
            place: the place of the list or the record.
            is_whole: whether a record has no other fields.
            is_list: whether the values are from a list or a series.
        """
        return [self.leaf(value, own) for value, own in zip(values, places, strict=True)]

    def mixed(self, values: Any, place: FieldPlace) -> None:
        """Raise if the demand can't be met on a list of numbers and other entries."""

    def array(self, values: Any, place: FieldPlace) -> Any:
        """Return the result for an array of numbers, times or bools.

        It is a copy, never the model's memory.
        """
        return copied(values)

    def columns(
        self,
        columns: list[NumberColumn],
        names: Sequence[str],
        place: FieldPlace,
        *,
        is_whole: bool,
    ) -> list[NumberColumn] | Collapsed:
        """Return the result for a table's columns of numbers.

        Arguments:
            columns: those of which something may be returned. Their values are a copy.
            names: their names.
            place: the place of the table.
            is_whole: whether the table has no other columns.
        """
        return [
            column._replace(values=self.array(column.values, column.place)) for column in columns
        ]

    def finish(self, output: Any, result: Any) -> None:
        """Raise if the demand could be met on no part of the output; called after the walk."""
