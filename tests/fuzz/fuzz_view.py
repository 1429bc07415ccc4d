"""The view of an input: any Python data is measured from above, or refused without its values."""

import ctypes
from array import array
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.fuzz.harness import CANARY, Draw, check_silent, instrumented, main

with instrumented():
    from guardrail._ports import ObligationNotMet
    from guardrail.facts import Bounds, take_view

NUMBER = 10**15 + 4711
KINDS = ("tensor", "table", "record", "list", "text")


class Loud(str):
    __slots__ = ()


class Odd(dict):
    pass


LEAVES: tuple[Callable[[Draw], Any], ...] = (
    lambda draw: draw.text(),
    lambda _: CANARY,
    lambda _: NUMBER,
    lambda draw: draw.whole(-(2**64), 2**64),
    lambda draw: 1 << draw.whole(0, 15_000),
    lambda draw: draw.real(),
    lambda draw: draw.flag(),
    lambda _: None,
)
STRANGE: tuple[Callable[[Draw], Any], ...] = (
    lambda draw: draw.raw(8),
    lambda draw: bytearray(draw.raw(8)),
    lambda _: Loud(CANARY),
    lambda _: Odd({"a": CANARY}),
    lambda _: {CANARY, "b"},
    lambda _: iter([CANARY]),
    lambda _: 1j,
    lambda _: object(),
    lambda draw: array("d", [draw.real()]),
    lambda draw: np.zeros(draw.whole(0, 9), draw.choice(("f2", ">f4", "i8", "S4", "f8"))),
    lambda draw: np.array([CANARY], "O" if draw.flag() else "U"),
    lambda _: memoryview(b"12345678").cast("c"),
    lambda _: (ctypes.c_longdouble * 2)(),
    lambda _: np.float64(NUMBER),
)  # fmt: skip


def value_of(draw: Draw, depth: int = 0) -> Any:
    form = draw.whole(0, 15)
    if depth > 40 or form > 8:
        return draw.choice(LEAVES)(draw)
    if form == 8:
        return draw.choice(STRANGE)(draw)
    count = draw.whole(0, 5)
    if form < 4:
        keys = ("a", "visit", CANARY, "two words", "\ud800", 7, None, (1,), Loud("a"))
        return {
            draw.choice(keys) if draw.flag() else draw.text(6): value_of(draw, depth + 1)
            for _ in range(count)
        }
    items = [value_of(draw, depth + 1) for _ in range(count)]
    if form == 4:  # holds itself
        items.append(items)
    if form == 5:  # shared: as large as a walk makes it
        items = [items] * 9
    return tuple(items) if form == 6 else items


def test_one_input(data: bytes) -> None:
    draw = Draw(data)
    bounds = Bounds(input_nodes=2000)
    if draw.flag():
        bounds = Bounds(
            input_bytes=draw.whole(1, 400),
            input_depth=draw.whole(1, 8),
            input_nodes=draw.whole(1, 60),
            input_rows=draw.whole(1, 8),
        )
    value = value_of(draw)
    try:
        view = take_view(value, name="visit", bounds=bounds)
    except ObligationNotMet as error:
        assert error.code in ("too_large", "input_rejected")
        assert error.path.startswith("visit")
        assert error.message.startswith(error.path)
        check_silent(error, str(NUMBER))
        return
    assert view.kind in KINDS
    assert view.value is value
    assert 0 <= view.nbytes <= bounds.input_bytes
    assert CANARY not in repr(view)
    pending = [value] if type(value) in (dict, list, tuple) else []
    while pending:  # no deeper than the bounds, or there were no view
        item = pending.pop()
        if type(item) is dict:
            for key in item:
                assert type(key) is str
                key.encode()
        inner = item.values() if type(item) is dict else item
        pending += [each for each in inner if type(each) in (dict, list, tuple)]


if __name__ == "__main__":
    main(test_one_input)
