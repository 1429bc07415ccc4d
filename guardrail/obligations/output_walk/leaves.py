"""`Leaves`: the interface by which an obligation tells the walk what to do with each part.

`Leaves` itself lets every known part through; each obligation is a subclass that changes or refuses
its own leaves. No obligation traverses an output itself.
"""

# ruff: noqa: ARG002  (what a hook is told, and `Leaves` itself has no use for)

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, NoReturn

from guardrail.obligations.output_walk.arrays import copied
from guardrail.obligations.output_walk.field_paths import Paths, Place
from guardrail.obligations.output_walk.refusal import blocked

#: What is left of a part that does not leave at all.
DROPPED: Final = type("Dropped", (), {"__slots__": (), "__repr__": lambda _: "DROPPED"})()


class Collapsed(NamedTuple):
    """What leaves in place of a whole row, or of all rows of a table (then a list)."""

    value: Any


class Numbers(NamedTuple):
    """A column of numbers: its values, where they are null, and whether it can hold a null."""

    values: Any
    nulls: Any
    place: Place
    is_nullable: bool


class Leaves:
    """What becomes of the leaves of one output. Made for one walk.

    Arguments:
        paths: the field paths of the demand.
    """

    #: The obligation's name, and what it expects, for refusals.
    name: str = "output"
    expected: str = "records, lists, tables or arrays of texts and numbers"
    #: Whether columns must have a name of their own.
    needs_names: bool = True
    #: Whether it can look into columns that hold lists or records.
    reads_nested: bool = True
    #: Whether it can look at an index of texts.
    reads_index: bool = True
    #: Whether an index of numbers must be looked at: it holds what a column could.
    changes_index: bool = False
    #: Whether only what is named leaves: then one name may mean one field only.
    is_allow_list: bool = False

    def __init__(self, paths: Paths) -> None:
        self.paths = paths

    def refuse(self, output: Any, inside: str = "") -> NoReturn:
        """Raise the refusal of an output, or of a part of it."""
        raise blocked(self.name, self.expected, output, inside=inside)

    def label(self, text: str, place: Place, *, is_declared: bool = False) -> None:
        """A name leaves: a key, a column's, an index's. Raise where it may not.

        ``is_declared`` says that it is a class' or one of its fields', and so one of few.
        """

    def hides(self, place: Place) -> bool:
        """Return whether the field or column that stands here leaves as None or nulls."""
        return False

    def enters(self, name: str, place: Place, *, is_declared: bool) -> bool:
        """Return whether something of the field that stands here may leave."""
        return True

    def keeps(self, place: Place) -> bool:
        """Return whether a leaf may leave that stands here."""
        return True

    def leaf(self, value: Any, place: Place) -> Any:
        """Return what leaves of a text, a number, a truth, a time, bytes or None."""
        return value

    def row(
        self, values: list[Any], names: Sequence[str] | None, places: Sequence[Place], place: Place,
        *, is_whole: bool = True, is_list: bool = True,
    ) -> list[Any] | Collapsed:  # fmt: skip
        """Return what leaves of the numbers that stand side by side in a list or a record.

        Arguments:
            values: the numbers, in a list None too.
            names: of a record, the names of the fields that hold them.
            places: where each stands.
            place: where the list or the record stands.
            is_whole: whether a record has no other fields.
            is_list: whether the values are a list's, or a series'.
        """
        return [self.leaf(value, own) for value, own in zip(values, places, strict=True)]

    def mixed(self, values: Any, place: Place) -> None:
        """A list has numbers beside other entries. Raise where it can't be met on that."""

    def array(self, values: Any, place: Place) -> Any:
        """Return what leaves of an array of numbers, times or truths: never the model's memory."""
        return copied(values)

    def columns(
        self, columns: list[Numbers], names: Sequence[str], place: Place, *, is_whole: bool
    ) -> list[Numbers] | Collapsed:
        """Return what leaves of a table's columns of numbers.

        Arguments:
            columns: those of which something may leave. Their values are a copy.
            names: their names.
            place: where the table stands.
            is_whole: whether the table has no other columns.
        """
        return [
            column._replace(values=self.array(column.values, column.place)) for column in columns
        ]

    def finish(self, output: Any, result: Any) -> None:
        """The walk is over. Raise where the demand could be met on nothing of the output."""
