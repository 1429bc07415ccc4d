# ruff: noqa: RUF001, E501 (look-alikes are what this is about; a case per line)
"""Custom kinds of a bundle: found like built-in ones, and only at word boundaries."""

import re
from contextlib import suppress
from time import thread_time

import pytest

from guardrail.detectors import Detector, MatchTooLong, Redactor, Scanner, StreamRedactor
from guardrail.detectors import TooManyFindings as TooMany
from guardrail.detectors.custom_kinds import LIMIT_HELD, LIMIT_NEAR

KEY = bytes(range(16))
EMPLOYEE = Detector("employee_id", r"EMP-\d{6}")


def cut(text, *own, kinds=None, style="label"):
    names = kinds or [detector.name for detector in own]
    return Redactor(names, style, KEY, own=own).redact(text)[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("EMP-123456", "[employee_id]"),
        ("id: EMP-123456.", "id: [employee_id]."),
        ("EMP-123456, EMP-654321", "[employee_id], [employee_id]"),
        ("EMP-123456 EMP-654321", "[employee_id] [employee_id]"),
        ("_EMP-123456_", "_[employee_id]_"),
        ('{"id":"EMP-123456"}', '{"id":"[employee_id]"}'),
        ("TEMP-123456", "TEMP-123456"),
        ("1EMP-123456", "1EMP-123456"),
        ("EMP-1234567", "EMP-1234567"),
        ("EMP-123456a", "EMP-123456a"),
        ("emp-123456", "emp-123456"),
        ("EMP-12345", "EMP-12345"),
    ],
)
def test_a_match_begins_and_ends_where_a_word_does(text, expected):
    assert cut(text, EMPLOYEE) == expected


@pytest.mark.parametrize(
    "text",
    [
        "ЕМP-123456",
        "EMP\u2011123456",
        "EM\u200bP-12\u00ad3456",
        "ＥＭＰ-１２３４５６",
        "EMP-١٢٣٤٥٦",
    ],
)
def test_tricks_of_writing_are_seen_through(text):
    assert cut(f"so {text} is", EMPLOYEE) == "so [employee_id] is"


def test_a_pattern_is_brought_to_ascii_as_texts_are():
    assert cut("Nummer MÜ-1234 und MU-1234", Detector("file", r"MÜ[–-]\d{4}")) == (
        "Nummer [file] und [file]"
    )


def test_a_pattern_that_begins_with_a_sign_may_stand_behind_a_word():
    detector = Detector("ticket", r"#\d{4}")
    assert cut("bug#1234 (#1234) #12345", detector) == "bug[ticket] ([ticket]) #12345"


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        (r"^A\d", "A1 A2\nA3", "[x] A2\nA3"),
        (r"A\d$", "A1 A2\nA3", "A1 A2\n[x]"),
        (r"(?m)^A\d$", "A1\nA2 A3\nA4", "[x]\nA2 A3\n[x]"),
        (r"(?i)a\d", "a1 A2", "[x] [x]"),
        (r"a\d", "a1 A2", "[x] A2"),
        (r"\bA\d\b", "A1-A2", "[x]-[x]"),
        (r"A\d|A\d\d", "A1 A12", "[x] [x]"),
        (r"A.B", "A\nB AxB", "A\nB [x]"),
        (r"(?s)A.B", "A\nB AxB", "[x] [x]"),
    ],
)
def test_anchors_and_case_mean_the_same_in_a_text_and_in_a_stream(pattern, text, expected):
    redactor = Redactor(["x"], own=[Detector("x", pattern)])
    assert redactor.redact(text)[0] == expected
    for at in range(len(text) + 1):
        stream = StreamRedactor(redactor)
        assert stream.feed(text[:at]) + stream.feed(text[at:]) + stream.close() == expected
    stream = StreamRedactor(redactor)
    assert "".join(map(stream.feed, text)) + stream.close() == expected


class TestNear:
    detector = Detector("staff", r"\d{6}", ["employee", "Büro"])

    @pytest.mark.parametrize(
        ("text", "is_found"),
        [
            ("employee 123456", True),
            ("EMPLOYEES: 123456", True),
            ("123456 is an employee", True),
            ("buro 123456", True),
            ("order 123456", False),
            ("employee" + "." * LIMIT_NEAR + "123456", False),
            ("123456" + "." * LIMIT_NEAR + "employee", False),
        ],
    )
    def test_a_word_must_stand_near(self, text, is_found):
        assert bool(Scanner(["staff"], own=[self.detector]).find(text)) == is_found
        redactor = Redactor(["staff"], own=[self.detector])
        whole = redactor.redact(text)[0]
        assert ("123456" not in whole) == is_found
        for at in range(len(text) + 1):
            stream = StreamRedactor(redactor)
            assert stream.feed(text[:at]) + stream.feed(text[at:]) + stream.close() == whole

    def test_numbers_without_such_a_word_are_counted_more_loosely(self):
        scanner = Scanner(["staff"], limit=5, own=[self.detector])
        assert scanner.find("123456 " * 40) == []
        with pytest.raises(TooMany):
            scanner.find("123456 " * 41)


def test_own_kinds_stand_beside_ours():
    text = "EMP-123456 wrote to ada@example.org"
    assert (
        cut(text, EMPLOYEE, kinds=["contacts", "employee_id"]) == "[employee_id] wrote to [email]"
    )
    assert Scanner(["email", "employee_id"], own=[EMPLOYEE]).kinds_in(text) == {
        "email",
        "employee_id",
    }
    assert Scanner(["email"], own=[EMPLOYEE]).kinds_in(text) == {"email"}
    (one,) = Scanner(["employee_id"], own=[EMPLOYEE]).find(f"é {text}")
    assert (one.start, one.end) == (2, 12)


def test_equal_values_of_an_own_kind_have_equal_marks():
    one, other, third = cut("EMP-123456 EMP-123456 EMP-123457", EMPLOYEE, style="hash").split()
    assert re.fullmatch(r"\[employee_id:[0-9a-f]{8}\]", one)
    assert one == other != third
    assert cut("EMP-123456", EMPLOYEE, style="drop") == "…"


def test_an_own_kind_is_whole_where_ours_would_take_a_part():
    detector = Detector("part", r"P-\d{3}-\d{3}-\d{4}")
    assert cut("P-212-555-0123", detector, kinds=["part", "phone"]) == "[part]"


@pytest.mark.parametrize(
    ("name", "pattern", "near", "complaint"),
    [
        ("email", "a", (), "email is a built-in kind"),
        ("secrets", "a", (), "secrets is a built-in group"),
        ("Employee", "a", (), "lower case"),
        ("a" * 41, "a", (), "at most 40"),
        ("system", "a", (), "itself a finding"),
        ("x", "a*", (), "matches the empty text"),
        ("x", "", (), "matches the empty text"),
        ("x", r"\b", (), "matches the empty text"),
        ("x", "(?m)^$", (), "matches the empty text"),
        ("x", "(secret-canary", (), "RE2 does not take the pattern: missing )"),
        ("x", r"(a)\1", (), "RE2 does not take"),
        ("x", r"a(?i){9}", (), "after flags"),
        ("x", "(?=a)b", (), "RE2 does not take"),
        ("x", "a" * 501, (), "over 500 characters"),
        ("x", r"\p{Greek}", (), "ASCII"),
        ("x", "工号", (), "without an ASCII form"),
        ("x", r"\x{5de5}", (), "RE2 does not take"),
        ("x", r"\xe9", (), "without an ASCII form"),
        ("x", "[à-ü]", (), "several letters"),
        ("x", "a", ("",), "1 to 40 characters"),
        ("x", "a", ("工号",), "without an ASCII form"),
        ("x", "a", ("b",) * 33, "over 32 words"),
    ],
)
def test_what_cannot_be_searched_for_is_refused(name, pattern, near, complaint):
    with pytest.raises(ValueError, match=re.escape(complaint)) as caught:
        Detector(name, pattern, near)
    assert "canary" not in str(caught.value)


def test_an_unknown_kind_is_refused_with_the_near_one():
    with pytest.raises(ValueError, match="did you mean 'employee_id'"):
        Scanner(["employee_ids"], own=[EMPLOYEE])


class TestWithoutAGreatestLength:
    detector = Detector("block", r"<<[a-z ]*>>")

    def test_a_match_within_the_bound_is_cut(self):
        text = "<<" + "a" * (LIMIT_HELD - 4) + ">>"
        assert cut(text, self.detector) == "[block]"
        stream = StreamRedactor(Redactor(["block"], own=[self.detector]))
        assert "".join(map(stream.feed, text)) + stream.close() == "[block]"

    def test_a_longer_one_is_refused_in_a_text_and_in_a_stream(self):
        text = "<<" + "a" * LIMIT_HELD + ">>"
        with pytest.raises(MatchTooLong, match="block has over 1024") as caught:
            cut(text, self.detector)
        assert "aaaa" not in str(caught.value)
        with pytest.raises(MatchTooLong):
            Scanner(["block"], own=[self.detector]).kinds_in(text)
        stream = StreamRedactor(Redactor(["block"], own=[self.detector]))
        left = []
        with pytest.raises(MatchTooLong):
            left.extend(map(stream.feed, text))
        assert "".join(left) == ""

    def test_what_may_become_one_and_does_not_leaves(self):
        stream = StreamRedactor(Redactor(["block"], own=[self.detector]))
        assert stream.feed("so <<ab") == "so "
        assert stream.feed("1") == "<<ab1"


def test_a_stream_gives_what_is_decided():
    stream = StreamRedactor(Redactor(["employee_id"], own=[EMPLOYEE]))
    assert stream.feed("Ask EM") == "Ask "
    assert stream.feed("P") == ""
    assert stream.feed("loyees or EMP-12345") == "EMPloyees or "
    assert stream.feed("6") == ""
    assert stream.feed(" now") == "[employee_id] now"


@pytest.mark.parametrize("limit", [1, 7])
def test_the_bound_on_findings_holds(limit):
    redactor = Redactor(["employee_id"], limit=limit, own=[EMPLOYEE])
    text = "EMP-123456 " * limit
    assert redactor.redact(text)[1] == limit
    with pytest.raises(TooMany):
        redactor.redact(text + "EMP-123456")
    stream = StreamRedactor(redactor)
    with pytest.raises(TooMany):
        "".join([*map(stream.feed, text + "EMP-123456"), stream.close()])


HOSTILE = [
    (r"(a+)+b", "a"), (r"(a|a)*c", "a"), (r"(x+x+)+y", "x"), (r"a(.*z)?", "a"), (r"(?s).{1,200}z", "q"),
    (r"(a{1,30}){1,30}b", "a"), (r"\w+@\w+\.com", "a@"), (r"[a-q][^u-z]{13}x", "ab"), (r"\d{6}", "1"),
    (r"(?:ab|ba){1,400}c", "ab"), (r"a\b.{0,300}\bz", "a "), (r"EMP-\d+", "EMP-1"),
]  # fmt: skip


def seconds(call, text):
    took = []
    for _ in range(3):
        start = thread_time()
        with suppress(TooMany):
            call(text)
        took.append(thread_time() - start)
    return min(took)


@pytest.mark.parametrize(("pattern", "unit"), HOSTILE)
def test_a_hostile_pattern_takes_linear_time_on_a_hostile_text(pattern, unit):
    scanner = Scanner(["x"], own=[Detector("x", pattern)])
    redactor = Redactor(["x"], own=[Detector("x", pattern)])

    def stream(text):
        stream = StreamRedactor(redactor)
        for at in range(0, len(text), 500):
            stream.feed(text[at : at + 500])
        stream.close()

    small, large = (unit * (size // len(unit)) for size in (30_000, 300_000))
    for call in (scanner.find, redactor.redact, stream):
        seconds(call, small)
        assert seconds(call, large) < 25 * seconds(call, small) + 0.05
        assert seconds(call, large) < 5
