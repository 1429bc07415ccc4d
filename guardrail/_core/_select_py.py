"""Select the largest entries of rows in plain Python: the reference for `_select.pyx`.

`keep_largest` and `label_rows` are used with ``GUARDRAIL_PURE=1``. The compiled functions return
the same results and raise the same errors.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator
from heapq import nlargest
from typing import Any, Final, Literal

#: The accepted buffer formats (PEP 3118): 64-bit and 32-bit floats.
_FORMATS: Final = ("d", "f")


def keep_largest(buffer: Any, kept: int) -> None:
    """Replace all but the largest entries of each row with NaN, in place.

    Arguments:
        buffer: a writable, C-contiguous buffer of 64-bit or 32-bit floats in native byte order,
            with one axis or more; the last axis is the row. The caller owns it: other holders see
            it change.
        kept: how many entries of a row are kept, 1 or more.

    Of equal entries, those with the lowest index are kept; 0.0 and -0.0 are equal. A NaN is never
    kept as it is: it becomes the same NaN as the entries that were cut. An empty row stays empty.

    Raises:
        TypeError: if it is not a buffer of such floats.
        ValueError: if ``kept`` is below 1, or there is no axis.
        BufferError: if the buffer is not writable or not contiguous.
    """
    if kept < 1:
        raise ValueError("expected to keep one entry or more")
    with memoryview(buffer) as view:
        if view.readonly:
            raise BufferError("expected a writable buffer in C order")
        for start, row, elements in _rows(view):
            largest = set(nlargest(kept, _candidates(row), key=row.__getitem__))
            for index in range(len(row)):
                if index not in largest:
                    elements[start + index] = math.nan


def label_rows(buffer: Any) -> array[int]:
    """Return the index of each row's largest entry, as an ``array("q")`` in C order.

    Arguments:
        buffer: a C-contiguous buffer of 64-bit or 32-bit floats in native byte order, with one axis
            or more; the last axis is the row.

    Of equal entries the first counts. NaN is never the largest; a row that is empty or has only NaN
    has the label -1.

    Raises:
        TypeError: if it is not a buffer of such floats.
        ValueError: if there is no axis.
        BufferError: if the buffer is not contiguous.
    """
    with memoryview(buffer) as view:
        labels = [
            max(_candidates(row), key=row.__getitem__, default=-1) for _, row, _ in _rows(view)
        ]
        if view.shape and view.shape[-1] == 0:  # rows without entries still have labels
            labels = [-1] * math.prod(view.shape[:-1])
    return array("q", labels)


def _rows(view: memoryview) -> Iterator[tuple[int, list[float], memoryview[float]]]:
    """Yield each row with its offset, and a view of all elements."""
    if not view.c_contiguous:
        raise BufferError("expected a buffer in C order")
    if view.format not in _FORMATS:
        raise TypeError("expected a buffer of doubles or single floats in native order")
    if not view.shape:
        raise ValueError("expected an axis for the rows")
    if view.nbytes == 0:
        return
    letter: Literal["d", "f"] = "d" if view.format == "d" else "f"
    length = view.shape[-1]
    with view.cast("B") as octets, octets.cast(letter) as elements:
        for start in range(0, len(elements), length):
            row = [elements[index] for index in range(start, start + length)]
            yield start, row, elements


def _candidates(row: list[float]) -> list[int]:
    return [index for index, entry in enumerate(row) if not math.isnan(entry)]
