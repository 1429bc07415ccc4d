"""Input specs of ``kind: tensor``.

`TensorSection` is the file, and `TensorSpec` checks a tensor: the accepted dtypes, the ranges of
the shape, and the bounds of the columns as arrays of doubles. Nothing is converted and nothing is
parsed on a call: the core reads the elements in one pass, in either byte order. An error names the
first bad element by its path, the rule, and how many others are bad.

Cython compiles this file with ``tensor.pxd``; it also runs as plain Python.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal, NoReturn, TypeAlias

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from guardrail._core import ABOVE, BELOW, DTYPES, OK, check_tensor, count_bad, kind_of
from guardrail._documents import Section
from guardrail._ports import ObligationNotMet
from guardrail._schema_hints import exactly_one, one_or_several
from guardrail.obligations.input.interval import Limits, Range
from guardrail.values import View

#: The most columns; a greater number is a mistake in a range.
_LIMIT_COLUMNS: Final = 10_000_000


def _known_dtypes(value: Any) -> Any:
    dtypes = [value] if isinstance(value, str) else value
    known = isinstance(dtypes, list) and all(isinstance(d, str) and d in DTYPES for d in dtypes)
    if not known or not dtypes:
        raise ValueError(f"expected one or several of {', '.join(sorted(DTYPES))}")
    return dtypes


_Dtypes: TypeAlias = Annotated[
    list[str], BeforeValidator(_known_dtypes), WithJsonSchema(one_or_several(DTYPES))
]


class ColumnsSection(Limits):
    """One entry of ``columns``: the next column, with a ``name``, or several by their indices.

    Attributes:
        name: the next column's name, for error messages.
        names: instead, the next columns by their indices: ``"1..29"``.
    """

    hints = (exactly_one("name", "names"),)

    name: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    names: Range | None = None

    @model_validator(mode="after")
    def _is_usable(self) -> ColumnsSection:
        if (self.name is None) == (self.names is None):
            raise ValueError('expected either `name` (one column) or `names` ("1..29")')
        for bound in (self.min, self.max):
            if isinstance(bound, int) and not _is_exact(bound):
                raise ValueError("a bound has no exact 64-bit float. Choose one that has")
        return self


def _is_exact(bound: int) -> bool:
    return bound.bit_length() <= 1024 and int(float(bound)) == bound


class TensorSection(Section):
    """The file of an input spec for a tensor.

    Attributes:
        kind: ``tensor``: any object with a buffer or DLPack, such as those of numpy, torch and jax.
        dtype: the accepted dtype, or several, by numpy's names. Nothing is converted.
        shape: the length of each axis: a number, or a range such as ``1..1000``.
        finite: whether NaN and infinities are rejected.
        columns: bounds per column. The entries cover every column once, in order.
    """

    kind: Literal["tensor"]
    dtype: _Dtypes
    shape: Annotated[list[Range], Field(max_length=32)]
    finite: bool = True
    columns: list[ColumnsSection] | None = None

    @model_validator(mode="after")
    def _columns_fit(self) -> TensorSection:
        if self.columns is None:
            return self
        if any(least != most for least, most in self.shape[1:]):
            raise ValueError("`columns` needs a fixed length for every axis but the first")
        expected = math.prod(least for least, _ in self.shape[1:])
        if expected > _LIMIT_COLUMNS:
            raise ValueError(f"`columns` describes no more than {_LIMIT_COLUMNS} columns")
        if (described := _count(self.columns)) != expected:
            raise ValueError(f"`columns` describes {described} columns; `shape` has {expected}")
        return self


def _count(columns: Sequence[ColumnsSection]) -> int:
    """Return how many columns are described; each range must begin where the one before ended."""
    following = 0
    for entry in columns:
        if entry.names is None:
            following += 1
        elif entry.names[0] != following:
            raise ValueError(
                f"`columns` must stand in order: the next index is {following},"
                f" and a range begins at {entry.names[0]}"
            )
        else:
            following = entry.names[1] + 1
    return following


class TensorSpec:
    """The spec of a tensor. Immutable.

    Attributes:
        name: the spec's name.
        dtypes: the accepted dtypes, by numpy's names.
        shape: for each axis the least and the greatest length.
        finite: whether NaN and infinities are rejected.
        lows, highs: bounds per column as doubles, infinite for no bound; a single one for all
            columns, or ``None`` for no bounds.
        columns: the names of columns by index, for those that have one.
    """

    __slots__ = ("columns", "dtypes", "finite", "highs", "lows", "name", "shape")

    def __init__(
        self,
        *,
        name: str,
        dtypes: frozenset[str],
        shape: tuple[tuple[int, int], ...],
        finite: bool,
        lows: array[float] | None,
        highs: array[float] | None,
        columns: dict[int, str],
    ) -> None:
        self.name = name
        self.dtypes = dtypes
        self.shape = shape
        self.finite = finite
        self.lows = lows
        self.highs = highs
        self.columns = columns

    @property
    def keys(self) -> frozenset[str]:
        """Empty: a tensor has no keys."""
        return frozenset()

    @classmethod
    def from_section(cls, name: str, section: TensorSection) -> TensorSpec:
        """Return the spec of a valid file."""
        lows, highs = array("d"), array("d")
        columns: dict[int, str] = {}
        for entry in section.columns or ():
            least, most = entry.names or (len(lows), len(lows))
            lows.extend([-math.inf if entry.min is None else entry.min] * (most - least + 1))
            highs.extend([math.inf if entry.max is None else entry.max] * (most - least + 1))
            if entry.name is not None:
                columns[least] = entry.name
        # one for all columns, for which the core repeats less
        if len(set(lows)) == len(set(highs)) == 1:
            lows, highs = lows[:1], highs[:1]
        is_bound = any(low > -math.inf for low in lows) or any(high < math.inf for high in highs)
        return cls(
            name=name,
            dtypes=frozenset(section.dtype),
            shape=tuple(section.shape),
            finite=section.finite,
            lows=lows if is_bound else None,
            highs=highs if is_bound else None,
            columns=columns,
        )

    def check(self, view: View) -> None:
        """Raise `ObligationNotMet` (``input_rejected``) with the path of the first fault."""
        if view.kind == "list":
            raise ObligationNotMet(
                f"{view.name}: expected a tensor; got a list. Pass numpy.asarray(...) of it.",
                code="input_rejected",
                path=view.name,
            )
        if view.kind != "tensor":
            self._refuse(view.name, "a tensor", f"a {view.kind}")
        if view.dtype not in self.dtypes:
            buffer = view.buffer
            arrived = view.dtype or ("none" if buffer is None else kind_of(buffer.format))
            self._refuse(view.name, f"dtype {' or '.join(sorted(self.dtypes))}", arrived)
        if not self._takes(view.shape):
            self._refuse(view.name, f"shape {self._shape_text()}", f"shape {view.shape}")
        code, index = check_tensor(view.buffer, self.lows, self.highs, self.finite)
        if code != OK:
            self._refuse_element(view, code, index)

    def _takes(self, shape: tuple[int, ...]) -> bool:
        if len(shape) != len(self.shape):
            return False
        # a loop: `all` over a `zip` costs more than the check of the core
        for axis in range(len(shape)):
            length = shape[axis]
            least, most = self.shape[axis]
            if length < least or length > most:
                return False
        return True

    def _refuse_element(self, view: View, code: int, index: int) -> NoReturn:
        column = index % view.features
        path = f"{view.name}{list(unravel(index, view.shape)) if view.shape else ''}"
        where = f" ({self.columns[column]})" if column in self.columns else ""
        others = _others(count_bad(view.buffer, self.lows, self.highs, self.finite) - 1)
        if code == BELOW:
            self._refuse(path, f"at least {_bound(self.lows, column)}{where}", f"less{others}")
        if code == ABOVE:
            self._refuse(path, f"at most {_bound(self.highs, column)}{where}", f"more{others}")
        self._refuse(path, f"finite numbers{where}", f"one that is not finite{others}")

    def _refuse(self, path: str, expected: str, arrived: str) -> NoReturn:
        raise ObligationNotMet(
            f"{path}: expected {expected}; got {arrived}. Correct the input and call again.",
            code="input_rejected",
            path=path,
        )

    def _shape_text(self) -> str:
        axes = [f"{least}" if least == most else f"{least}..{most}" for least, most in self.shape]
        return f"({', '.join(axes)}{',' if len(axes) == 1 else ''})"


def _others(count: int) -> str:
    """Return the part of a message about the other bad elements."""
    if count < 1:  # below 0 if another thread has corrected them meanwhile
        return ""
    return "; 1 other is bad too" if count == 1 else f"; {count} others are bad too"


def _bound(bounds: array[float] | None, column: int) -> str:
    if bounds is None:
        return "its bound"
    bound = bounds[column if len(bounds) > 1 else 0]
    return f"{bound:.0f}" if bound.is_integer() and abs(bound) < 1e15 else repr(bound)


def unravel(index: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the indices along each axis of the element at a flat index in C order.

    >>> unravel(97, (1000, 30))
    (3, 7)
    """
    indices = []
    for length in reversed(shape):
        index, along = divmod(index, length)
        indices.append(along)
    return tuple(reversed(indices))
