"""Layouts: kernel and twin write the same JSON of any record, or refuse it with the same error."""

import json
from typing import Any

from tests.fuzz.harness import CANARY, Draw, instrumented, main

with instrumented():
    from guardrail._core import _layout, _layout_py

KINDS = ("text", "short", "integer", "seconds", "seconds+2", "flag", "pairs", "json")
KEYS = ("a", "id", "facts_left_out", 'q"', "\u00e9", "k" * 19, "k" * 20)


def value_of(draw: Draw, kind: str) -> Any:
    if draw.whole(0, 15) == 0:
        kind = draw.choice(KINDS)
    if kind in ("text", "short"):
        return draw.text(64) * draw.choice((1, 1, 1, 40))
    if kind == "integer":
        return draw.whole(-(2**70), 2**70) if draw.flag() else draw.whole(-300, 300)
    if kind.startswith("seconds"):
        return draw.real() if draw.flag() else draw.whole(-(10**12), 10**12) / 997
    if kind == "flag":
        return draw.choice((None, True, False))
    if kind == "pairs":
        pairs = [(draw.text(8), draw.whole(-9, 2**40)) for _ in range(draw.whole(0, 4))]
        return tuple(pairs)
    return draw.choice((b"", b"{}", b'["x"]', CANARY.encode()))


def come_to(core: Any, fields: Any, limit: int, record: Any, more: Any) -> Any:
    try:
        return core.Layout(fields, limit).write(record, more)
    except (TypeError, ValueError, IndexError) as error:
        assert CANARY not in str(error)
        return type(error)


def test_one_input(data: bytes) -> None:
    draw = Draw(data)
    fields, record, more, is_json = [], [], [], True
    for _ in range(draw.whole(0, 6)):
        kind = draw.choice(KINDS)
        value = value_of(draw, kind)
        is_json = is_json and value != CANARY.encode()
        if draw.flag():
            fields.append((draw.choice(KEYS), -len(more) - 1, kind))
            more.append(value)
        else:
            fields.append((draw.choice(KEYS), len(record), kind))
            record.append(value)
    if draw.flag():
        record.append(0.5)
        more.append(0.25)
    limit = draw.whole(0, 50)
    one = come_to(_layout, tuple(fields), limit, tuple(record), tuple(more))
    other = come_to(_layout_py, tuple(fields), limit, tuple(record), tuple(more))
    assert one == other, (one, other)
    if isinstance(one, bytes) and is_json:
        json.loads(one)
    start, stop = draw.whole(0, 9), draw.whole(0, 9)
    runs = [core.Run(tuple(record), start, stop) for core in (_layout, _layout_py)]
    for seen in (record, more, record[::-1], record[:-1]):
        assert runs[0].is_in(tuple(seen)) == runs[1].is_in(tuple(seen))


if __name__ == "__main__":
    main(test_one_input, max_len=512)
