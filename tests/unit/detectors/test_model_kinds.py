"""Kinds with their own code: batches, limits, and invalid results."""

import threading

import name_model
import pytest

from guardrail.detectors import (
    DetectorFailed,
    ModelKind,
    Redactor,
    Scanner,
    StreamRedactor,
    TooManyFindings,
)


class Names(name_model.Names):
    batch_size = 2


class Answers(Names):
    """Answers what it was made with."""

    def find(self, texts):
        return self.answer


class Raises(Names):
    def find(self, texts):
        raise self.error


class Waits(Names):
    """Does not answer before it may."""

    timeout_s = 0.02

    def __init__(self, **attributes):
        super().__init__(**attributes)
        self.may_answer = threading.Event()

    def find(self, texts):
        self.may_answer.wait(10)
        return [[] for _ in texts]


def test_texts_come_in_batches_and_empty_ones_not_at_all():
    names = Names()
    found = ModelKind(names).find(["Ada", "", "Bob", "Bob and Ada", "Ada Ada"], 10)
    assert found == [[(0, 3)], [], [], [(8, 11)], [(0, 3), (4, 7)]]
    assert names.batches == [["Ada", "Bob"], ["Bob and Ada", "Ada Ada"]]


def test_findings_that_overlap_are_joined():
    kind = ModelKind(Answers(answer=[[(4, 6), (0, 3), (2, 4)]]))
    assert kind.find(["abcdefgh"], 10) == [[(0, 4), (4, 6)]]


@pytest.mark.parametrize(
    "answer",
    [
        None,
        "a",
        [],
        [[], []],
        [None],
        ["ab"],
        [[(0,)]],
        [[(0, 1, 2)]],
        [[(0, 5)]],
        [[(-1, 2)]],
        [[(2, 2)]],
        [[(3, 2)]],
        [[(0.0, 2)]],
        [[(False, True)]],
        [[7]],
    ],
)
def test_an_answer_that_is_not_places_in_the_text_fails(answer):
    with pytest.raises(DetectorFailed, match="the detector kind person") as caught:
        ModelKind(Answers(answer=answer)).find(["abcd"], 10)
    assert "abcd" not in str(caught.value)


@pytest.mark.parametrize("error", [ValueError("secret"), SystemExit("secret"), MemoryError()])
def test_a_kind_that_raises_fails_without_its_text(error):
    with pytest.raises(DetectorFailed, match=type(error).__name__) as caught:
        ModelKind(Raises(error=error)).find(["secret"], 10)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_a_kind_that_is_too_slow_fails_and_leaves_few_threads():
    names = Waits()
    kind = ModelKind(names)
    before = threading.active_count()
    try:
        for _ in range(10):
            with pytest.raises(DetectorFailed, match=r"took over 0\.02 s|have not returned"):
                kind.find(["abcd"], 10)
        assert threading.active_count() - before <= 8
    finally:
        names.may_answer.set()
    for thread in threading.enumerate():
        if thread.name == "detector person":
            thread.join(5)
    assert kind.find(["abcd"], 10) == [[]]


def test_too_many_findings_are_refused():
    with pytest.raises(TooManyFindings):
        ModelKind(Names()).find(["Ada Ada Ada"], 2)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"name": "Person"}, "name of a detector"),
        ({"name": "email"}, "built-in kind"),
        ({"name": 3}, "`name`"),
        ({"timeout_s": 0}, "`timeout_s`"),
        ({"timeout_s": float("nan")}, "`timeout_s`"),
        ({"timeout_s": float("inf")}, "`timeout_s`"),
        ({"timeout_s": True}, "`timeout_s`"),
        ({"batch_size": 0}, "`batch_size`"),
        ({"batch_size": 1.5}, "`batch_size`"),
        ({"held_chars": 0}, "`held_chars`"),
        ({"held_chars": 10**9}, "`held_chars`"),
        ({"find": None}, "`find`"),
    ],
)
def test_wrong_attributes_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        ModelKind(Names(**wrong))


def test_an_object_of_another_kind_is_refused():
    with pytest.raises(ValueError, match="no `name`"):
        ModelKind(object())


def test_the_scanner_finds_it_beside_the_patterns():
    scanner = Scanner(["person", "email"], own=[ModelKind(Names())])
    assert scanner.find("Ada: ada@example.org") == [("person", 0, 3), ("email", 5, 20)]
    assert scanner.kinds_in("Ada: ada@example.org") == {"person", "email"}
    assert scanner.kinds_in_all(["Ada", "Bob"]) == {"person"}
    assert scanner.kinds_in("Bob") == frozenset()
    assert Scanner(["email"], own=[ModelKind(Raises())]).kinds_in("Ada") == frozenset()


@pytest.mark.parametrize(
    ("style", "expected"),
    [("label", "[person] met [email]"), ("drop", "… met …")],
)
def test_the_redactor_cuts_it(style, expected):
    redactor = Redactor(["person", "email"], style, own=[ModelKind(Names())])
    assert redactor.redact("Ada met ada@example.org") == (expected, 2)


def test_a_cut_ends_where_a_character_ends():
    redactor = Redactor(["person"], own=[ModelKind(Names())])
    assert redactor.redact("Ada\u0301 met") == ("[person] met", 1)


@pytest.mark.parametrize("size", [1, 2, 7, 100])
def test_a_stream_is_cut_as_the_whole_text(size):
    text = "Ada " + "and so on and on, Ada, " * 6 + "and Bob"
    redactor = Redactor(["person"], own=[ModelKind(Names())])
    stream = StreamRedactor(redactor)
    out, held = [], 0
    for at in range(0, len(text), size):
        out.append(stream.feed(text[at : at + size]))
        assert "Ad" not in out[-1]
        held = max(held, at + size - sum(map(len, out)))
    whole, cuts = redactor.redact(text)
    assert "".join(out) + stream.close() == whole
    assert stream.cuts == cuts == 7


def test_a_stream_of_a_kind_that_needs_the_whole_text_is_refused():
    redactor = Redactor(["person"], own=[ModelKind(Names(held_chars=None))])
    assert redactor.redact("Ada")[0] == "[person]"
    with pytest.raises(ValueError, match="whole texts only"):
        StreamRedactor(redactor)


def test_a_finding_that_needs_more_text_than_is_held_fails():
    class Long(Names):
        """Finds the whole text, once it is long."""

        def find(self, texts):
            return [[(0, len(text))] if len(text) > 20 else [] for text in texts]

    stream = StreamRedactor(Redactor(["person"], own=[ModelKind(Long())]))
    stream.feed("x" * 17)
    with pytest.raises(DetectorFailed, match="held_chars"):
        stream.feed("x" * 17)


def test_a_forked_child_has_all_its_threads():
    names = Waits()
    kind = ModelKind(names)
    for _ in range(8):
        with pytest.raises(DetectorFailed):
            kind.find(["abcd"], 10)
    kind._process = -1  # as in a child process: the threads of the parent are not there
    names.may_answer.set()
    assert kind.find(["abcd"], 10) == [[]]
