"""Rounding: both kernels leave the same bytes, and those are what Python's ``round`` gives."""

import math
import struct
from array import array
from typing import Any

import numpy as np

from tests.fuzz.harness import Draw, instrumented, main, outcome

with instrumented():
    from guardrail._core import _rounding, _rounding_py

DTYPES = ("f8", "f8", "f8", "f4", "f4", ">f8", "f2", "i8")


def number_of(draw: Draw) -> float:
    form = draw.whole(0, 3)
    if form == 0:
        return draw.real()
    tie = (draw.whole(-(10**7), 10**7) + 0.5) / 10 ** draw.whole(0, 15)
    return tie if form == 1 else math.nextafter(tie, draw.choice((math.inf, -math.inf)))


def values_of(draw: Draw) -> Any:
    numbers = [number_of(draw) for _ in range(draw.whole(0, 8))]
    repeats = draw.choice((1, 1, 1, 1, 1, 1, 40, 300))
    with np.errstate(all="ignore"):
        values = np.array(numbers * repeats, "f8")
        if draw.flag() and values.size % 2 == 0:
            values = values.reshape(2, -1)
        values = values.astype(draw.choice(DTYPES))
    form = draw.whole(0, 15)
    if form == 0:
        return values[..., ::2]
    if form == 1:
        values.flags.writeable = False
    return values


def test_one_input(data: bytes) -> None:
    draw = Draw(data)
    digits = draw.whole(-1, 17)
    values = values_of(draw)
    before, twin = values.copy(), values.copy()
    if values.flags.writeable and values.flags.c_contiguous:
        own = values
    else:
        own, twin = values, values
    one = outcome(_rounding.round_floats, own, digits)
    other = outcome(_rounding_py.round_floats, twin, digits)
    assert one == other, (one, other)
    if one is not None:
        assert own.tobytes() == before.tobytes(), "changed, and refused"
        return
    assert own.tobytes() == twin.tobytes()
    if own.dtype == np.float64:
        for number, rounded in zip(
            before.ravel()[:8].tolist(), own.ravel()[:8].tolist(), strict=True
        ):
            if math.isfinite(number):
                assert struct.pack("d", rounded) == struct.pack("d", round(number, digits))
    doubles = array("d", [0.0])
    _rounding.round_floats(doubles, digits)
    doubles.append(1.0)  # a BufferError while a view is held


if __name__ == "__main__":
    main(test_one_input, max_len=256)
