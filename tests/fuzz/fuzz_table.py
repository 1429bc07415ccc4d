"""The checks of a table's columns: both kernels judge alike, and read no buffer past its end.

Every buffer ends where its last byte does, so that a sanitizer sees what is read behind it.
"""

import math
import struct
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from tests.fuzz.harness import Draw, instrumented, main, outcome

with instrumented():
    from guardrail._core import _codes, _codes_py, _column, _column_py, _words, _words_py


def united(*modules: Any) -> SimpleNamespace:
    """Return the names of several kernels as one's."""
    return SimpleNamespace(**{key: value for each in modules for key, value in vars(each).items()})


COMPILED = united(_codes, _column, _words)
PLAIN = united(_codes_py, _column_py, _words_py)
DTYPES = (
    "?",
    "f4",
    "f8",
    *(f"{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8)),
    "f2",
    ">f8",
)
EDGES = (0.0, -0.0, 1.0, 2.0**53, 2.0**63, -(2.0**63), 2.0**64, 127.5, 1e300, math.inf, -math.inf)
LENGTHS = (0, 1, 7, 8, 9, 63, 64, 65, 511, 512, 513, 1100)
WORDS = (
    b"",
    b"DE",
    b"FR",
    b"twelve bytes",
    b"more than twelve bytes",
    "é€𝄞".encode(),
    b"\xff",
    b"\xed\xa0\x80",
)
CHOICES = (None, (), ("DE", "FR"), ("", "twelve bytes", "more than twelve bytes", "é€𝄞"))
INTEGERS = (0, 1, 2, 5, 12, 13, -1, -2, 2**31 - 1, -(2**31), 2**31, 2**62, -(2**63))
NA = object()


class Text(str):
    __slots__ = ()


ITEMS = ("DE", "FR", "", None, NA, math.nan, 1.5, b"DE", 3, "\ud800", "é\udfff", "𝄞", Text("DE"))


def length_of(draw: Draw) -> int:
    return draw.choice(LENGTHS) if draw.flag() else draw.whole(0, 70)


def bytes_of(draw: Draw, count: int) -> bytearray:
    """Return so many bytes: a few of the fuzzer's, over and over, and others at a few places."""
    fill = draw.raw(draw.choice((1, 1, 8, 40))) or b"\0"
    memory = bytearray((fill * (count // len(fill) + 1))[:count])
    for _ in range(draw.whole(0, 3) if count else 0):
        at = draw.whole(0, 65_535) % count
        own = draw.raw(8)[: count - at]
        memory[at : at + len(own)] = own
    return memory


def validity_of(draw: Draw, rows: int) -> tuple[Any, int]:
    """Return a bitmap and the bit of its first row; now and then one that is too short."""
    form = draw.whole(0, 7)
    if form < 3:
        return None, draw.choice((0, 0, 0, 5, -1))
    offset = draw.choice((-1, 2**62, 2**63 - 1)) if form == 3 else draw.whole(0, 19)
    size = (max(offset, 0) % 64 + rows + 7) // 8 - (form == 4)
    if form == 5:
        return bytearray(b"\xff" * max(size, 0)), offset
    return bytes_of(draw, max(size, 0)), offset


def numbers_of(draw: Draw, rows: int) -> Any:
    dtype = np.dtype(draw.choice(DTYPES))
    stride = dtype.itemsize * draw.choice((1, 1, 1, 2, -1, -2, 0)) + draw.choice((0, 0, 0, 1))
    reach = stride * (rows - 1) if rows else 0
    start = draw.whole(0, 8)
    memory = bytes_of(draw, abs(reach) + dtype.itemsize + start)
    origin = start - min(reach, 0)
    return np.ndarray((rows,), dtype, memory, origin, (stride,))


def bound_of(draw: Draw) -> float:
    form = draw.whole(0, 2)
    if form == 0:
        return draw.choice(EDGES)
    return draw.real() if form == 1 else float(draw.whole(-300, 300))


def integers_of(draw: Draw, count: int, kind: str) -> memoryview:
    """Return offsets or the like: in order where all is well, and anything else."""
    bits = 8 * struct.calcsize(f"={kind}") - 1
    numbers, last = [], draw.whole(0, 3)
    for _ in range(count):
        if draw.whole(0, 15) == 0:
            last = draw.choice(INTEGERS)
        numbers.append(max(-(2**bits), min(last, 2**bits - 1)))
        last += draw.whole(0, 9)
    return memoryview(bytearray(struct.pack(f"={count}{kind}", *numbers))).cast(kind)


def both(name: str, *arguments: Any) -> None:
    """Ask both kernels, and hold them to each other."""
    one = outcome(getattr(COMPILED, name), *arguments)
    other = outcome(getattr(PLAIN, name), *arguments)
    assert one == other, (name, one, other)


def both_flagged(name: str, draw: Draw, rows: int, *arguments: Any) -> None:
    """Likewise for checks that compare with texts, and write a flag for each row."""
    chosen = draw.choice(CHOICES)
    size = max(0, rows - (draw.whole(0, 15) == 0))
    flags = (bytearray(size), bytearray(size)) if draw.flag() else (None, None)
    results = [
        outcome(
            getattr(kernel, name),
            *arguments,
            None if chosen is None else kernel.Choices(chosen),
            own,
        )
        for kernel, own in zip((COMPILED, PLAIN), flags, strict=True)
    ]
    assert results[0] == results[1], (name, *results)
    if not isinstance(results[0], type):
        assert flags[0] == flags[1], name


def numbers(draw: Draw) -> None:
    rows = length_of(draw)
    values = numbers_of(draw, rows)
    validity, offset = validity_of(draw, rows)
    mask = bytes_of(draw, rows + (draw.whole(0, 15) == 0)) if draw.flag() else None
    low, high = bound_of(draw), bound_of(draw)
    if draw.whole(0, 7):
        low, high = min(low, high), max(low, high)
    rule = (low, high, draw.flag(), draw.flag(), draw.flag())
    both("check_numbers", values, validity, offset, mask, *rule)
    both("check_nulls", rows, validity, offset, mask)


def text(draw: Draw) -> None:
    kind = draw.choice("iq")
    rows = draw.whole(0, 12)
    offsets = integers_of(draw, rows + 1 - (draw.whole(0, 31) == 0), kind)
    data = bytearray(b"".join(draw.choice(WORDS) for _ in range(draw.whole(0, 9))))
    if draw.flag():
        data = bytes_of(draw, draw.whole(0, 40))
    validity, offset = validity_of(draw, rows)
    rule = (draw.flag(), draw.whole(-1, 25))
    both_flagged("check_text", draw, rows, offsets, data, validity, offset, *rule)
    both("measure_text", offsets, len(data))


def views(draw: Draw) -> None:
    buffers = [bytearray(draw.choice(WORDS) * draw.whole(0, 2)) for _ in range(draw.whole(0, 2))]
    raw = bytearray()
    rows = draw.whole(0, 9)
    for _ in range(rows):
        form = draw.whole(0, 3)
        word = draw.choice(WORDS)
        if form == 0:
            triple = [max(-(2**31), min(draw.choice(INTEGERS), 2**31 - 1)) for _ in range(3)]
            raw += struct.pack("=i4xii", *triple)
        elif len(word) <= 12:
            raw += struct.pack("=i12s", len(word), word)
        else:
            raw += struct.pack("=i4sii", len(word), word[:4], draw.whole(0, 2), draw.whole(0, 3))
    if draw.whole(0, 15) == 0:
        raw += b"\0"
    validity, offset = validity_of(draw, rows)
    rule = (draw.flag(), draw.whole(-1, 25))
    both_flagged("check_views", draw, rows, raw, buffers, validity, offset, *rule)
    both("measure_views", raw, validity, offset)


def codes(draw: Draw) -> None:
    rows = length_of(draw)
    values = numbers_of(draw, rows)
    validity, offset = validity_of(draw, rows)
    flags = bytes_of(draw, draw.whole(0, 6))
    both("check_codes", values, validity, offset, flags, draw.flag(), draw.flag())


def objects(draw: Draw) -> None:
    items = [draw.choice(ITEMS) if draw.flag() else draw.text(6) for _ in range(draw.whole(0, 12))]
    values = np.empty(len(items), object)
    values[:] = items
    values = values[:: draw.choice((1, 1, 2, -1))]
    na = draw.choice((None, NA))
    rule = (na, draw.flag(), draw.whole(-1, 5))
    both_flagged("check_objects", draw, len(values), values, *rule)
    both("measure_objects", values, na)


CHECKS: tuple[Callable[[Draw], None], ...] = (numbers, text, views, codes, objects)


def test_one_input(data: bytes) -> None:
    draw = Draw(data)
    draw.choice(CHECKS)(draw)


if __name__ == "__main__":
    main(test_one_input, max_len=512)
