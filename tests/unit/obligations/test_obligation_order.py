"""The order of obligations follows from their stages, and calls use this order."""

from types import SimpleNamespace

from guardrail import obligations
from guardrail._hooks import ObligationBase, Stage, changes_of, in_order
from guardrail.testing import FrozenClock


def standard():
    return obligations.standard(
        take_view=print, specs_documents={}, bundle="clinic", clock=FrozenClock()
    )


OURS = [
    "audit", "quota", "input", "only", "output", "mask", "label_only", "top_k", "round", "redact",
]  # fmt: skip


def test_our_obligations_keep_their_order():
    assert list(in_order(standard())) == OURS
    assert list(in_order(reversed(standard()))) == OURS


def test_stages_of_obligations_to_come_are_between_those_that_exist():
    later = [
        SimpleNamespace(name=name, stage=stage)
        for name, stage in (
            ("sign", Stage.SIGN), ("noise", Stage.NOISE), ("deadline", Stage.LIMIT_TIME),
            ("concurrency", Stage.RESERVE),
        )
    ]  # fmt: skip
    assert list(in_order((*later, *standard()))) == [
        "audit", "quota", "concurrency", "deadline", *OURS[2:9], "noise", "redact", "sign",
    ]  # fmt: skip


def test_obligations_of_a_user_come_after_ours_and_before_redact_by_name():
    class Stamp(ObligationBase):
        name = "stamp"

    own = [Stamp(), SimpleNamespace(name="a_cap"), SimpleNamespace(name="zeal")]
    names = list(in_order((*own, *standard())))
    assert names == [*OURS[:-1], "a_cap", "stamp", "zeal", "redact"]


def test_a_user_can_choose_a_stage():
    first = SimpleNamespace(name="zz_first", stage=Stage.INPUT - 1)
    names = list(in_order((first, *standard())))
    assert names.index("zz_first") == names.index("input") - 1


def changes(name, argument):
    kinds = in_order(standard())
    return [tuple(change) for change in changes_of(kinds[name], argument)]


def test_a_quota_says_how_it_counts_less():
    text = "5/minute per principal and resource; 9/day"
    assert changes("quota", text) == [
        ("not per principal", 8, 35, " per resource"),
        ("not per resource", 8, 35, " per principal"),
        ("minute became second", 2, 8, "second"),
        ("day became hour", 39, 42, "hour"),
    ]


def test_a_redaction_says_how_it_shows_more():
    assert changes("redact", "email as block; iban as label on a") == [
        ("block became drop", 9, 14, "drop"),
        ("label became hash", 24, 29, "hash"),
    ]


def test_an_obligation_without_the_hook_has_no_changes_of_its_own():
    assert changes("round", "2") == []
