"""Check tensors in plain Python: the reference for `_tensor.pyx`.

`check_tensor` and `count_bad` are used with ``GUARDRAIL_PURE=1``. The compiled functions return the
same results and raise the same errors. This module reads a copy of the elements one by one; the
compiled module copies nothing.
"""

from __future__ import annotations

import math
import struct
import sys
from array import array
from collections.abc import Iterator
from typing import Any, Final

from guardrail._core.terms import ABOVE, BELOW, NOT_FINITE, OK, dtype_of, is_swapped

_CODES: Final = {
    "bool": "B",  # read as its byte: an array of bools may hold any byte
    **{"float16": "e", "float32": "f", "float64": "d"},
    **{"int8": "b", "int16": "h", "int32": "i", "int64": "q"},
    **{"uint8": "B", "uint16": "H", "uint32": "I", "uint64": "Q"},
}


def check_tensor(
    buffer: Any,
    lows: array[float] | None,
    highs: array[float] | None,
    finite: bool,
) -> tuple[int, int]:
    """Find the first element of a tensor that is not finite or not within its bounds.

    Arguments:
        buffer: numbers of one type in either byte order, with any shape and strides: bools, floats
            of 16 to 64 bits, or integers of 8 to 64 bits. A bool is read as its byte.
        lows: lower bounds, inclusive, as an ``array("d")``: one per column, or one for all;
            ``-inf`` for no bound. A column is an element's flat index in C order modulo the product
            of all axes but the first.
        highs: upper bounds, likewise; ``inf`` for no bound. Give both or neither.
        finite: whether NaN and infinities are bad.

    Returns:
        ``(code, index)``: the code of the first bad element and its flat index in C order; `OK` and
        0 if there is none. Comparisons are exact: no number is rounded to the type of a bound. NaN
        passes only if ``finite`` is false and its column has no bound; nothing passes a bound that
        is NaN. An empty tensor is `OK`.

    Raises:
        TypeError: if it is not a buffer of such numbers, or the bounds are not doubles.
        ValueError: if there is neither one bound nor one per column.
        BufferError: if the exporter provides no plain strided view.
    """
    for index, code in _bad(buffer, lows, highs, finite):
        return code, index
    return OK, 0


def count_bad(
    buffer: Any,
    lows: array[float] | None,
    highs: array[float] | None,
    finite: bool,
) -> int:
    """Count the elements of a tensor that are not finite or not within their bounds.

    Called for an error message. Arguments and errors are those of `check_tensor`; an empty tensor
    has no bad elements.
    """
    return sum(1 for _ in _bad(buffer, lows, highs, finite))


def vector_path() -> str:
    """Return which loop screens tensors; in plain Python there is only one."""
    return "none"


def _bad(
    buffer: Any, lows: array[float] | None, highs: array[float] | None, finite: bool
) -> Iterator[tuple[int, int]]:
    """Yield each bad element's flat index and code."""
    with memoryview(buffer) as view:
        if view.suboffsets:
            raise BufferError("expected a buffer without suboffsets")
        dtype = dtype_of(view.format, view.itemsize)
        if not dtype:
            raise TypeError("expected a buffer of bool, float or integer numbers")
        shape = view.shape or ()
        lower, upper = _bounds(lows, highs, math.prod(shape[1:]))
        if 0 in shape:
            return
        is_little = (sys.byteorder == "little") != is_swapped(view.format)
        elements = struct.iter_unpack("<>"[not is_little] + _CODES[dtype], view.tobytes())
    period = len(lower)
    for index, (element,) in enumerate(elements):
        code = _judge(element, lower[index % period], upper[index % period], finite)
        if code != OK:
            yield index, code


def _bounds(
    lows: array[float] | None, highs: array[float] | None, columns: int
) -> tuple[array[float], array[float]]:
    if lows is None and highs is None:
        return array("d", [-math.inf]), array("d", [math.inf])
    if lows is None or highs is None:
        raise ValueError("expected both bounds or neither")
    for bounds in (lows, highs):
        if not isinstance(bounds, array) or bounds.typecode != "d":
            raise TypeError('expected bounds as an array("d")')
    if len(lows) != len(highs) or len(lows) not in (1, columns):
        raise ValueError("expected one bound for all columns or one for each")
    return lows, highs


def _judge(element: float, low: float, high: float, finite: bool) -> int:
    if not math.isfinite(element) and (
        finite or (math.isnan(element) and (low > -math.inf or high < math.inf))
    ):
        return NOT_FINITE
    if math.isnan(element) and not (math.isnan(low) or math.isnan(high)):
        return OK
    if not element >= low:  # not `<`: nothing may pass a bound that is NaN
        return BELOW
    if not element <= high:
        return ABOVE
    return OK
