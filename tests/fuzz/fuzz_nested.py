"""The walk over plain data, and the search in a text: both kernels come to the same."""

from collections.abc import Callable
from typing import Any

from tests.fuzz.harness import Draw, instrumented, main, outcome

with instrumented():
    from guardrail._core import _nested, _nested_py
    from guardrail._core.terms import CHARACTERS


class Text(str):
    __slots__ = ()


class Whole(int):
    pass


class Odd(dict):
    pass


LEAVES: tuple[Callable[[Draw], Any], ...] = (
    lambda draw: draw.text(),
    lambda draw: draw.whole(-(2**65), 2**65),
    lambda draw: draw.choice((1, -1)) << draw.whole(0, 14_100),
    lambda draw: draw.real(),
    lambda draw: draw.flag(),
    lambda _: None,
    lambda draw: draw.choice(("", "é", "€", "𝄞", "\ud800", "a" * 300)),
    lambda draw: draw.choice((b"", Text("a"), Whole(1), Odd(), {1}, object(), 1j, range(3))),
)
#: The ends of each range of characters, and their neighbours.
EDGES = tuple(
    chr(edge)
    for ranges in CHARACTERS.values()
    for first, last in ranges
    for edge in (first - 1, first, last, last + 1)
    if edge >= 0
)


def value_of(draw: Draw, depth: int = 0) -> Any:
    form = draw.whole(0, 15)
    if depth > 30 or (form > 7 and depth):
        return draw.choice(LEAVES)(draw)
    count = draw.whole(0, 5)
    if form & 1:
        keys = ("a", "b", "\ud800", "é", 1, None, Text("c"), (1,))
        return {
            draw.choice(keys) if draw.flag() else draw.text(6): value_of(draw, depth + 1)
            for _ in range(count)
        }
    items = [value_of(draw, depth + 1) for _ in range(count)]
    if form == 2:
        items.append(items)
    elif form == 4:
        items = [items] * 7
    return tuple(items) if form == 6 else items


def test_one_input(data: bytes) -> None:
    draw = Draw(data)
    limits = (draw.whole(0, 9), draw.whole(0, 2000), draw.whole(0, 300))
    if draw.flag():
        limits = (32, 10**6, 10**5)
    classes = draw.whole(0, 31)
    value = value_of(draw)
    one = outcome(_nested.measure, value, *limits)
    assert one == outcome(_nested_py.measure, value, *limits), one
    parts = [draw.choice(("", "a" * 3, "é", "€" * 40, "𝄞"))]
    while draw:
        parts.append(draw.choice(EDGES) if draw.flag() else draw.text(9))
    text = "".join(parts)
    found = outcome(_nested.find_character, text, classes)
    assert found == outcome(_nested_py.find_character, text, classes), found


if __name__ == "__main__":
    main(test_one_input, max_len=512)
