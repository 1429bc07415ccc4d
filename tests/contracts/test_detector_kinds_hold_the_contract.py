"""A kind of findings with code of its own, as small as can be, holds the contract."""

import pytest

from guardrail.testing.contracts import DetectorKindContract


class Shouting:
    """Words of capitals."""

    name = "shouting"
    timeout_s = 10.0
    batch_size = 4
    held_chars: int | None = 24

    def find(self, texts):
        return [
            [
                (at, at + 3)
                for at in range(len(text) - 2)
                if text[at : at + 3].isascii() and text[at : at + 3].isupper()
            ]
            for text in texts
        ]


class TestShouting(DetectorKindContract):
    found = ("HEY", "so HEY there", "HEY HEY")
    not_found = ("hey", "Hey there", "")

    def make(self):
        return Shouting()


class Whole(Shouting):
    held_chars = None


class TestWhole(DetectorKindContract):
    found = TestShouting.found
    not_found = TestShouting.not_found

    def make(self):
        return Whole()


def test_a_kind_that_finds_nothing_does_not_hold_it():
    class Blind(TestShouting):
        def make(self):
            kind = Shouting()
            kind.find = lambda texts: [[] for _ in texts]
            return kind

    with pytest.raises(AssertionError, match=r"`found\[0\]` has no finding"):
        Blind().test_it_finds_what_it_must_and_nothing_else()
