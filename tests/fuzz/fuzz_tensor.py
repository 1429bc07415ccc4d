"""The tensor check, and the look at a buffer: both kernels find the same code at the same index."""

import ctypes
import math
from array import array
from typing import Any

import numpy as np

from tests.fuzz.harness import Draw, instrumented, main, outcome

with instrumented():
    from guardrail._core import _tensor, _tensor_py, _view, _view_py

DTYPES = ("?", *(f"{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8)), "f2", "f4", "f8")
ODD = ("c8", "c16", "S3", "U1", "M8[s]", "V4", "f4,i4", ">f4", ">i8", ">u2", ">f8")
EDGES = (0.0, -0.0, 1.0, 255.0, 2.0**53, 2.0**63, -(2.0**63), 2.0**64, 65504.0, math.inf, -math.inf)
#: Whole tiles of what is screened, and broken ones.
LONG = (511, 512, 1023, 1024, 1025, 1536, 2047, 3000)
LIMIT_ELEMENTS = 6000


def buffer_of(draw: Draw) -> Any:
    """Return an exporter of a buffer whose memory ends where its last element does."""
    dtype = np.dtype(draw.choice(DTYPES) if draw.whole(0, 15) else draw.choice(ODD))
    shape = tuple(draw.whole(0, 5) for _ in range(draw.whole(0, 4)))
    if draw.whole(0, 7) == 0:
        shape = (draw.choice(LONG), *(draw.whole(1, 3) for _ in range(draw.whole(0, 2))))
    if math.prod(shape) > LIMIT_ELEMENTS:
        return None
    strides, low, high = [], 0, dtype.itemsize
    expected = dtype.itemsize
    for length in reversed(shape):
        # the usual stride, another order, a reversal, a repeat, or anything
        form = draw.whole(0, 7)
        stride = expected
        if form == 1:
            stride = -expected
        elif form == 2:
            stride = 2 * expected
        elif form == 3:
            stride = 0
        elif form == 4:
            stride = draw.whole(-64, 64)
        strides.insert(0, stride)
        expected *= max(length, 1)
        reach = stride * (length - 1) if length else 0
        low, high = low + min(reach, 0), high + max(reach, 0)
    if draw.whole(0, 7) == 0:
        strides.reverse()
        reaches = [stride * (n - 1) for stride, n in zip(strides, shape, strict=True) if n]
        low, high = (
            sum(min(r, 0) for r in reaches),
            dtype.itemsize + sum(max(r, 0) for r in reaches),
        )
    start = draw.whole(0, 8)  # no boundary of the type
    memory = bytearray(high - low + start)
    fill = draw.raw(draw.choice((1, 2, 8, 64)))
    if fill:
        memory[:] = (fill * (len(memory) // len(fill) + 1))[: len(memory)]
    for _ in range(draw.whole(0, 3)):  # and something else at a few places
        at = draw.whole(0, 65_535) % len(memory)
        own = draw.raw(8)[: len(memory) - at]
        memory[at : at + len(own)] = own
    return np.ndarray(shape, dtype, memory, start - low, tuple(strides))


def other_of(draw: Draw) -> Any:
    """Return an exporter that is none of numpy's."""
    raw = draw.raw(64)
    whole = raw[: len(raw) // 8 * 8]
    return draw.choice((
        lambda: array(draw.choice("bBhHiIlLqQfd"), whole),
        lambda: memoryview(whole).cast(draw.choice("bBhHiIlLqQfdnN?c")),
        lambda: memoryview(raw)[:: draw.choice((1, 2, -1, -3))],
        lambda: (ctypes.c_double * 3)(draw.real(), draw.real()),
        lambda: ((ctypes.c_int16 * 2) * 3)((1, 2), (-3, 4)),
        ctypes.c_longdouble * 2,
        lambda: whole,
        lambda: [1.0],
        lambda: None,
    ))()  # fmt: skip


def bound_of(draw: Draw) -> float:
    form = draw.whole(0, 3)
    if form == 0:
        return draw.choice(EDGES)
    return draw.real() if form == 1 else float(draw.whole(-300, 300))


def bounds_of(draw: Draw, columns: int) -> Any:
    form = draw.whole(0, 15)
    if form == 0:
        return draw.choice((array("f", [1.0]), [1.0], array("d"), array("d", [0.0] * 7), 1.0))
    count = columns if form > 8 else 1
    if count > 64:
        return array("d", [bound_of(draw)] * count)
    return array("d", [bound_of(draw) for _ in range(count)])


def same_view(value: Any) -> None:
    views = [outcome(kernel.look, value, "x") for kernel in (_view, _view_py)]
    one, other = ((v.kind, v.shape, v.dtype, v.nbytes) if hasattr(v, "kind") else v for v in views)
    assert one == other, (one, other)


def test_one_input(data: bytes) -> None:
    draw = Draw(data)
    finite, is_bound = draw.flag(), draw.whole(0, 3)
    value = buffer_of(draw) if draw.whole(0, 7) else other_of(draw)
    columns = math.prod(value.shape[1:]) if isinstance(value, np.ndarray) else 1
    lows = bounds_of(draw, columns) if is_bound & 1 else None
    highs = bounds_of(draw, columns) if is_bound else None
    one = outcome(_tensor.check_tensor, value, lows, highs, finite)
    other = outcome(_tensor_py.check_tensor, value, lows, highs, finite)
    assert one == other, (one, other)
    same_view(value)


if __name__ == "__main__":
    main(test_one_input, max_len=512)
