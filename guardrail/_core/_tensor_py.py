"""The tensor check in plain Python: the definition that the compiled kernel is held to.

Owns `check_tensor` and `count_bad` where ``GUARDRAIL_PURE=1`` chooses it. Refuses nothing that the
compiled one accepts, and the other way round: same result, same error, same index. It
reads a copy of the elements, one by one, for clarity; the compiled kernel copies nothing.
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
    "bool": "B",  # as the byte it is: an array that claims to be bool may hold any byte
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
        buffer: numbers of one type in either byte order: bool, floats of 16 to 64 bits or
            integers of 8 to 64; any shape and any strides. A bool is its byte.
        lows: lower bounds, inclusive, as an ``array("d")``: one per column, or one for
            all; ``-inf`` where there is none. A column is an element's flat index in C
            order modulo the product of all axes but the first.
        highs: upper bounds likewise, ``inf`` where there is none. Both or neither.
        finite: whether NaN and infinities are refused.

    Returns:
        ``(code, index)``: `OK` and 0, or what is wrong with the first bad element and its
        flat index in C order. Comparisons are exact: no number is rounded to the type
        of a bound. NaN passes only where ``finite`` is false and its column has no bound;
        a bound that is NaN lets nothing pass. An empty tensor is `OK`.

    Raises:
        TypeError: not a buffer of such numbers, or bounds that are not doubles.
        ValueError: bounds of which there are neither one nor one per column.
        BufferError: the exporter refuses a plain strided view.
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

    Called for the message of a refusal: how many elements `check_tensor` would refuse, each
    for itself. Takes and raises what `check_tensor` does; an empty tensor has none.
    """
    return sum(1 for _ in _bad(buffer, lows, highs, finite))


def vector_path() -> str:
    """Return which loop screens tensors: there is none here but Python's own."""
    return "none"


def _bad(
    buffer: Any, lows: array[float] | None, highs: array[float] | None, finite: bool
) -> Iterator[tuple[int, int]]:
    """Yield each bad element's flat index, and what is wrong with it."""
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
    if not element >= low:  # not `<`: a bound that is NaN must let nothing pass
        return BELOW
    if not element <= high:
        return ABOVE
    return OK
