"""Selection in plain Python: the definition that the compiled kernel is held to.

Owns `keep_largest` and `label_rows` where ``GUARDRAIL_PURE=1`` chooses them. Refuses nothing
that the compiled ones accept, and the other way round: same entries, same labels, same error.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator
from heapq import nlargest
from typing import Any, Final, Literal

#: The formats that are read, as PEP 3118 writes them: doubles and single floats.
_FORMATS: Final = ("d", "f")


def keep_largest(buffer: Any, kept: int) -> None:
    """Replace by NaN, in each row, all but the largest entries.

    Arguments:
        buffer: doubles or single floats in the machine's byte order, contiguous in C order
            and writable, of one axis or more; the last axis is the row. It is the caller's
            own: whoever else holds it sees it change.
        kept: how many entries of a row stay, 1 or more.

    Of equal entries those with the lowest index stay; the zeros are equal. A NaN is never
    kept, whatever there is room for: it becomes the NaN that stands for all that was cut. An
    empty row stays empty.

    Raises:
        TypeError: not a buffer, or not of such floats.
        ValueError: nothing to keep, or no axis.
        BufferError: the buffer is not writable, or not contiguous.
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
        buffer: doubles or single floats in the machine's byte order, contiguous in C order,
            of one axis or more; the last axis is the row.

    Of equal entries the first counts. A NaN is never the largest; a row that has nothing
    else, and an empty one, has the label -1.

    Raises:
        TypeError: not a buffer, or not of such floats.
        ValueError: no axis.
        BufferError: the buffer is not contiguous.
    """
    with memoryview(buffer) as view:
        labels = [
            max(_candidates(row), key=row.__getitem__, default=-1) for _, row, _ in _rows(view)
        ]
        if view.shape and view.shape[-1] == 0:  # rows without entries are rows
            labels = [-1] * math.prod(view.shape[:-1])
    return array("q", labels)


def _rows(view: memoryview) -> Iterator[tuple[int, list[float], memoryview[float]]]:
    """Yield each row with where it begins, and the elements of all."""
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
