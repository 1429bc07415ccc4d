"""The view of an input, in plain Python: the definition that the compiled one is held to.

Owns `View` and `look`, which takes one of whatever exports a buffer. Refuses to judge what it
sees, and to read an element: sizes and types come from the buffer alone. A view is made once
per call; compiled, it costs a third (`benchmarks/steps.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from guardrail._core.terms import dtype_of

#: The kinds of input of which a view can be taken.
ViewKind: TypeAlias = Literal["tensor", "table", "record", "list", "text", "none"]


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """The one look that is taken at a guarded input, before anything reads it.

    Facts, quotas and validation all read this view; the model gets ``value`` itself, the
    very object that was looked at.

    Attributes:
        kind: ``tensor`` (numbers in a buffer), ``table`` (named columns), ``record`` (named
            fields of plain data), ``list`` (plain data in order, such as messages), ``text``
            or ``none`` (the call has no guarded input).
        name: the parameter's name, with which paths in errors begin.
        value: the object.
        buffer: the buffer of a tensor, whatever its strides; ``None`` otherwise. It is
            released before the model runs.
        shape: the tensor's shape; ``()`` otherwise.
        dtype: numpy's name of the element type (``float32``), in either byte order; ``""`` for
            a record, and where the buffer's format is none of the known numbers.
        nbytes: bytes of the elements; for plain data and text, an upper estimate in UTF-8.
        data: what is read in place of ``value`` where that is not plain itself: the columns
            of a table, the fields of an object; ``None`` where ``value`` is read.
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
        """Length of the first axis; 1 for a zero-dimensional tensor and for a record."""
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
        value: whatever exports a buffer. It is held until the view's buffer is released.
        name: the parameter's name.

    The ``dtype`` is ``""`` where no kernel can read the elements: they are no numbers, or lie
    behind pointers. It does not tell the byte order, which the buffer's format does.

    Raises whatever `memoryview` raises: `TypeError` where there is no buffer, and the
    exporter's own error where it refuses to hand it out.
    """
    buffer = memoryview(value)
    dtype = "" if buffer.suboffsets else dtype_of(buffer.format, buffer.itemsize)
    return View("tensor", name, value, buffer, buffer.shape or (), dtype, buffer.nbytes)
