"""The interface of tables and series in outputs, for all three libraries.

A table is read column by column, and rebuilt from those that may be returned: without categories,
dictionaries, enumeration types, attributes and metadata, and without the bytes of nulls and the
data outside of a slice. None of the libraries is imported here: an output can be a table only if
the model has imported its library.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from guardrail.obligations.output_walk.field_paths import FieldPlace
    from guardrail.obligations.output_walk.leaves import Leaves


class OutputColumn(Protocol):
    """One column of a table.

    Attributes:
        name: its name.
        is_nested: whether its cells are lists or records.
        numbers: for a column of numbers, returns a copy of its values, which are null, and whether
            it can have nulls.
        values: for a column of texts or objects, returns its cells.
        sample: for any other column, a value of the same kind as its cells.
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
        """Return a column of this type with only nulls."""
        ...

    def copy(self) -> Any:
        """Return a copy of the column."""
        ...

    def of_numbers(self, values: Any, nulls: Any) -> Any:
        """Return a column of this type with these numbers."""
        ...

    def of_values(self, values: list[Any]) -> Any:
        """Return a column of this type with these cells."""
        ...

    def pruned(self, place: FieldPlace, leaves: Leaves) -> OutputColumn:
        """Return a nested column with only the fields that may be returned."""
        ...


class OutputTable(Protocol):
    """A table, read column by column."""

    columns: list[Any]

    def make(self, results: list[Any], dropped: Any, place: FieldPlace) -> Any:
        """Return a table of the returned columns: one result per column."""
        ...

    def column_of(self, values: list[Any]) -> Any:
        """Return a column of the library with one value per row."""
        ...


def open_table(value: Any, leaves: Leaves) -> OutputTable | None:
    """Return a table's columns and how to rebuild it; ``None`` if it is not a table."""
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


class OutputSeries(Protocol):
    """One column outside of a table.

    Attributes:
        name: its name; ``None`` if it has none.
        labels: the names of its values, if its index has texts; else ``None``.
        column: its values.
    """

    name: str | None
    labels: list[str] | None
    column: Any

    def make(self, column: Any, place: FieldPlace, labels: list[str] | None = None) -> Any:
        """Return a series of a column, with its labels or some of them."""
        ...


def open_series(value: Any, leaves: Leaves) -> OutputSeries | None:
    """Return a series of pandas or polars; ``None`` for anything else."""
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
