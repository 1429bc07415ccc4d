"""Outputs of any form under obligations: what they must not hold leaves in no form, or nothing."""

import dataclasses
from typing import Any, NamedTuple

from tests.fuzz.harness import CANARY, Draw, check_silent, instrumented, main

with instrumented():
    from guardrail._ports import ObligationContext, ObligationNotMet
    from guardrail.errors import ConfigurationError, Place
    from guardrail.obligations.output.label_only import LabelOnly
    from guardrail.obligations.output.mask import Mask
    from guardrail.obligations.output.only import Only
    from guardrail.obligations.output.redact import Redact
    from guardrail.obligations.output.rounding import Round
    from guardrail.obligations.output.top_k import TopK
    from guardrail.values import NO_INPUT, Clause, Entity, Identity, Principal

MAIL = f"{CANARY}@clinic.example"
PLACE = Place("policies.cedar", 3, 1)
CALL = ObligationContext(
    Identity(Principal("User", "ana")), NO_INPUT, "predict", Entity("Model", "m"), 0.0, lambda _: 0
)
TYPES = {
    kind.name: kind
    for kind in (Mask(), Only(), Round(), TopK(), LabelOnly({}), Redact(key=b"k" * 32))
}
#: Below `kept` and `k.x` stands no canary at all.
KEPT = ("kept", "k.x")
NAMES = (*KEPT, "ssn", "a", "b", "rows", "a.ssn", "rows[]", "x y", '"ssn"', "ssn.", "")


@dataclasses.dataclass
class Data:
    ssn: Any
    a: Any = 0


class Pair(NamedTuple):
    ssn: Any
    a: Any = 0


@dataclasses.dataclass
class Failed(ValueError):
    a: Any = 0


class Text(str):
    pass


def scalar(draw: Draw, canary: str) -> Any:
    return draw.choice(
        (draw.real(), draw.whole(-(2**70), 2**70), draw.flag(), None, draw.text(6), 0.123456,
         "0.123456", canary, Text(canary), canary.encode(), {canary}, object(), 1j, bytearray(2))
    )  # fmt: skip


def value_of(draw: Draw, canary: str, *, hidden: bool, depth: int = 0) -> Any:
    """Return an output whose canary stands below ``ssn`` alone; ``hidden``: below one already."""
    form = draw.whole(0, 11) if depth < 8 else 0
    if form < 3:
        value = scalar(draw, canary)
        clean = hidden or not (isinstance(value, str | bytes | set) and CANARY in repr(value))
        return value if clean else draw.real()
    if form < 6:
        entries = {}
        for _ in range(draw.whole(0, 4)):
            name = draw.choice(NAMES)
            own = "clean" if name in KEPT else canary
            entries[name] = value_of(draw, own, hidden=hidden or name == "ssn", depth=depth + 1)
        return entries
    if form < 9:
        items = [value_of(draw, canary, hidden=hidden, depth=depth + 1)
                 for _ in range(draw.whole(0, 4))]  # fmt: skip
        if form == 8:
            items.append(items)
        return tuple(items) if form == 7 else items
    kind = draw.choice((Data, Pair))
    if form == 11 and draw.flag():
        return Failed(value_of(draw, canary, hidden=hidden, depth=depth + 1))
    return kind(
        value_of(draw, canary, hidden=True, depth=depth + 1),
        value_of(draw, canary, hidden=hidden, depth=depth + 1),
    )


def release(name: str, argument: str, output: Any) -> Any:
    """Return what leaves, or the refusal; any other error is one."""
    kind = TYPES[name]
    try:
        demand = kind.parse(Clause("cut", name, argument, PLACE))
    except ConfigurationError as error:
        assert [fault.code for fault in error.faults] == ["GR109"]
        return None
    try:
        released = kind.release(demand, output, CALL)
    except ObligationNotMet as refusal:
        assert refusal.code == "output_blocked"
        check_silent(refusal)
        return None
    again = kind.release(demand, released, CALL) if name != "label_only" else released
    if name == "mask":
        assert repr(again) == repr(released), "what was masked is masked again"
    return released


def test_one_input(data: bytes) -> None:
    draw = Draw(data)
    name = draw.choice(("mask", "mask", "redact", "only", "round", "top_k", "label_only"))
    if name == "mask":
        output = value_of(draw, CANARY, hidden=False)
        assert CANARY not in repr(release(name, draw.choice(("ssn", "ssn, 0", '"ssn"')), output))
    elif name == "redact":
        output = value_of(draw, MAIL, hidden=True)
        style = draw.choice(("label", "drop", "hash", "block"))
        assert CANARY not in repr(release(name, f"email as {style}", output))
    elif name == "only":
        output = value_of(draw, CANARY, hidden=False)
        assert CANARY not in repr(
            release(name, draw.choice(("kept", '"k.x"', "kept, k.x")), output)
        )
    else:
        output = value_of(draw, CANARY, hidden=True)
        argument = draw.choice(
            ("1", "2 on a", "1 on a, rows[]", "3 on ssn", "1 on " + draw.text(9))
        )
        release(name, argument if name != "label_only" else "", output)


if __name__ == "__main__":
    main(test_one_input, max_len=512)
