"""The view of an input, in plain Python: the reference for `_view.pyx`.

`look` makes a `View` of an object that exports a buffer. It reads no element: sizes and types come
from the buffer alone. A view is made once per call; the compiled code takes a third of the time
(`benchmarks/steps.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from guardrail._core.terms import dtype_of

#: The kinds of input of which a view can be taken.
ViewKind: TypeAlias = Literal["tensor", "table", "record", "list", "text", "none"]


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A guarded input, with the sizes and types that are read once at the start of a call.

    Facts, quotas and validation read this view; the model gets ``value``, the object that was
    checked.

    Attributes:
        kind: ``tensor`` (numbers in a buffer), ``table`` (named columns), ``record`` (named fields
            of plain data), ``list`` (plain data in order, such as messages), ``text`` or ``none``
            (the call has no guarded input).
        name: the parameter's name, with which paths in errors begin.
        value: the object.
        buffer: the buffer of a tensor, with any strides; ``None`` otherwise. It is released before
            the model runs.
        shape: the tensor's shape; ``()`` otherwise.
        dtype: numpy's name of the element type (``float32``), in either byte order; ``""`` for a
            record, and for a buffer format that is not a known number.
        nbytes: bytes of the elements; for plain data and text, an upper estimate as UTF-8.
        data: what is read instead of ``value`` if that is not plain data: the columns of a table,
            the fields of an object; ``None`` if ``value`` is read.
    """

    kind: ViewKind
    name: str = ""
    value: Any = None
    buffer: memoryview | None = None
    shape: tuple[int, ...] = ()
    dtype: str = ""
    nbytes: int = 0
    data: Any = None

    @property
    def rows(self) -> int:
        """The length of the first axis; 1 for a zero-dimensional tensor and for a record."""
        return self.shape[0] if self.shape else 1

    @property
    def features(self) -> int:
        """Elements per row: the product of all axes but the first."""
        features = 1
        for length in self.shape[1:]:
            features *= length
        return features

    def __repr__(self) -> str:
        return f"View(kind={self.kind!r}, name={self.name!r}, shape={self.shape!r})"


def look(value: Any, name: str) -> View:
    """Return the view of a tensor.

    Arguments:
        value: an object that exports a buffer. It is held until the view's buffer is released.
        name: the parameter's name.

    The ``dtype`` is ``""`` if the elements can't be read: they are not numbers, or are reached
    through pointers. It does not state the byte order; the buffer's format does.

    Raises the errors of `memoryview`: `TypeError` if there is no buffer, or the exporter's own
    error.
    """
    buffer = memoryview(value)
    dtype = "" if buffer.suboffsets else dtype_of(buffer.format, buffer.itemsize)
    return View("tensor", name, value, buffer, buffer.shape or (), dtype, buffer.nbytes)
