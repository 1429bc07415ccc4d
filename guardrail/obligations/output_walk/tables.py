"""Tables and series as outputs: what the three libraries have in common for the walk.

A table is read column by column, and built anew of those that may leave: without categories,
dictionaries, types of enumerations, attributes and metadata, and without the values that may
stand below a null or beside a slice. None of the libraries is imported here: an output can be
a table only where the model has imported its library.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from guardrail.obligations.output_walk.field_paths import Place
    from guardrail.obligations.output_walk.leaves import Leaves


class Column(Protocol):
    """One column of a table.

    Attributes:
        name: its name.
        is_nested: whether its cells are lists or records.
        numbers: of a column of numbers, gives a copy of its values, where they are null, and
            whether it can hold a null.
        values: of a column of texts or objects, gives its cells.
        sample: of any other column, a value such as its cells are.
    """

    name: str
    is_nested: bool
    numbers: Callable[[], tuple[Any, Any, bool]] | None
    values: Callable[[], list[Any]] | None
    sample: Any

    def all_values(self) -> list[Any]:
        """Return the cells of a nested column as plain data."""
        ...

    def null(self) -> Any:
        """Return such a column, of nulls."""
        ...

    def copy(self) -> Any:
        """Return such a column, with the same values."""
        ...

    def of_numbers(self, values: Any, nulls: Any) -> Any:
        """Return such a column of these numbers."""
        ...

    def of_values(self, values: list[Any]) -> Any:
        """Return such a column of these cells."""
        ...

    def pruned(self, place: Place, leaves: Leaves) -> Column:
        """Return a nested column whose type has those fields only of which something leaves."""
        ...


class Table(Protocol):
    """A table, opened."""

    columns: list[Any]

    def make(self, results: list[Any], dropped: Any, place: Place) -> Any:
        """Return a table of the columns that leave: one result per column."""
        ...

    def column_of(self, values: list[Any]) -> Any:
        """Return a single column of the library's, of one value per row."""
        ...


def open_table(value: Any, leaves: Leaves) -> Table | None:
    """Return a table's columns, and how another is made of them; ``None`` for no table."""
    modules: Any = sys.modules
    pandas, polars, arrow = (modules.get(name) for name in ("pandas", "polars", "pyarrow"))
    kind: Any = type(value)
    if pandas is not None and kind is getattr(pandas, "DataFrame", None):
        from guardrail.obligations.output_walk.pandas_tables import PandasTable

        return PandasTable(value, leaves)
    if polars is not None and kind is getattr(polars, "DataFrame", None):
        from guardrail.obligations.output_walk.polars_tables import PolarsTable

        return PolarsTable(value, leaves)
    if arrow is not None and kind is getattr(arrow, "Table", None):
        from guardrail.obligations.output_walk.arrow_tables import ArrowTable

        return ArrowTable(value, leaves)
    return None


class Series(Protocol):
    """One column by itself, opened.

    Attributes:
        name: its name; ``None`` where it has none.
        labels: the names of its values, where its index is of texts; else ``None``.
        column: its values.
    """

    name: str | None
    labels: list[str] | None
    column: Any

    def make(self, column: Any, place: Place, labels: list[str] | None = None) -> Any:
        """Return a series of such a column, under its labels or some of them."""
        ...


def open_series(value: Any, leaves: Leaves) -> Series | None:
    """Return a series of pandas' or polars', opened; ``None`` for anything else."""
    modules: Any = sys.modules
    pandas, polars = modules.get("pandas"), modules.get("polars")
    kind: Any = type(value)
    if pandas is not None and kind is getattr(pandas, "Series", None):
        from guardrail.obligations.output_walk.pandas_tables import PandasSeries

        return PandasSeries(value, leaves)
    if polars is not None and kind is getattr(polars, "Series", None):
        from guardrail.obligations.output_walk.polars_tables import PolarsSeries

        return PolarsSeries(value, leaves)
    return None
