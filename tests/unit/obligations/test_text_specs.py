"""Specs of text and of messages: each error has its place, never its text."""

import pytest
from speed import relative_time

from guardrail._documents import read_yaml
from guardrail._ports import ObligationNotMet
from guardrail.errors import ConfigurationError
from guardrail.facts import Bounds, take_view
from guardrail.obligations.input.specs import read_specs

SECRET = "s3cret"
EVERYTHING = "forbid: [control, bidi, tag, surrogate, zero_width]\n"


def read(text):
    return read_specs({"chat": read_yaml("inputs/chat.yaml", text.encode())})["chat"]


def view(value):
    return take_view(value, name="prompt", bounds=Bounds())


def refusal(spec, value):
    with pytest.raises(ObligationNotMet) as caught:
        spec.check(view(value))
    error = caught.value
    assert error.code == "input_rejected"
    assert error.__context__ is None
    assert SECRET not in error.message
    return error


def faults(text):
    with pytest.raises(ConfigurationError) as caught:
        read(text)
    return caught.value.faults


class TestText:
    spec = read("kind: text\nmax_chars: 20\nmin_chars: 2\n" + EVERYTHING)

    @pytest.mark.parametrize("text", ["ab", "a" * 20, "日本語", "a\tb\nc\r\n", "🙂🙂", "naïve"])
    def test_what_meets_its_spec_passes(self, text):
        assert self.spec.check(view(text)) is None

    @pytest.mark.parametrize(
        ("value", "path", "part"),
        [
            ("a", "prompt", "at least 2 characters; got fewer"),
            (SECRET * 9, "prompt", "at most 20 characters"),
            ("ab\x00", "prompt@2", "no control characters; got one"),
            ("ab\x85", "prompt@2", "no control characters"),
            ("é日\x1b", "prompt@2", "no control characters"),
            ("\u202eab", "prompt@0", "no characters that turn the direction"),
            ("ab\u2066", "prompt@2", "no characters that turn the direction"),
            ("a\U000e0041b", "prompt@1", "no tag characters"),
            ("a\u200bb", "prompt@1", "no characters without width"),
            ("a\ufeffb\x00", "prompt@1", "no characters without width"),
            ("a\u00adb", "prompt@1", "no characters without width"),
            ({"a": 1}, "prompt", "expected text; got a record"),
            (["ab"], "prompt", "expected text; got a list"),
            (memoryview(b"ab"), "prompt", "expected text; got a tensor"),
        ],
    )
    def test_anything_else_is_refused_with_its_place(self, value, path, part):
        error = refusal(self.spec, value)
        assert error.path == path
        assert part in error.message

    def test_only_what_is_forbidden_is(self):
        loose = read("kind: text\nforbid: [bidi]\n")
        assert loose.check(view("\x00\u200b\U000e0041")) is None
        assert refusal(loose, "\x00\u202e").path == "prompt@1"
        assert read("kind: text\n").check(view("\x00\u202e" * 99)) is None

    def test_a_lone_surrogate_is_refused_whatever_is_forbidden(self):
        from guardrail.values import View

        with pytest.raises(ObligationNotMet, match="no lone surrogates"):
            read("kind: text\n").check(View("text", "prompt", "\ud800"))

    @pytest.mark.parametrize("filler", ["a", "é", "日", "🙂", "\u2019"])
    def test_a_megabyte_of_any_text_is_checked_in_a_bounded_time(self, filler):
        spec, seen = read("kind: text\n" + EVERYTHING), view(filler * 1_000_000)
        assert relative_time(lambda: spec.check(seen), 5) < 5

    @pytest.mark.parametrize(
        ("line", "part"),
        [
            ("max_chars: -1", "at least 0"),
            ("max_chars: many", "a whole number"),
            ("min_chars: null", "a whole number"),
            ("max_chars: 3\nmin_chars: 4", "`min_chars` is over `max_chars`"),
            ("forbid: [emoji]", "expected control"),
            ("forbid: control", "list"),
            ("matches: a+", "not a key of this version"),
        ],
    )
    def test_a_bad_spec_is_a_fault(self, line, part):
        found = faults(f"kind: text\n{line}\n")
        assert {fault.code for fault in found} == {"GR300"}
        assert part in found[0].message


def say(role="user", content="hi", **more):
    return {"role": role, "content": content, **more}


def part(text):
    return {"type": "text", "text": text}


class TestMessages:
    spec = read(
        "kind: messages\nmax_messages: 4\nmax_chars: 20\nmax_total_chars: 45\nfirst_role: system\n"
        "last_role: user\n" + EVERYTHING
    )

    @pytest.mark.parametrize(
        "value",
        [
            [say("system"), say()],
            (say("system"), say("assistant"), say("tool", "1", tool_call_id="x"), say()),
            [say("system", [part("a"), part("b")]), say(content="x" * 20, name="")],
            [say("system", []), say()],
        ],
    )
    def test_what_meets_its_spec_passes(self, value):
        assert self.spec.check(view(value)) is None

    @pytest.mark.parametrize(
        ("value", "path", "expected"),
        [
            ("hi", "prompt", "a list of messages; got a text"),
            ({"role": "user"}, "prompt", "a list of messages; got a record"),
            ([], "prompt", "at least 1 messages; got fewer"),
            ([say("system")] * 5, "prompt", "at most 4 messages; got more"),
            ([say("system"), SECRET], "prompt[1]", "a dict with role and content; got str"),
            ([say("system"), say(image=SECRET)], "prompt[1]", "only keys such as role, content"),
            ([say(3)], "prompt[0].role", "text; got int"),
            ([{"content": "hi"}], "prompt[0].role", "text; got None"),
            ([say(content=None)], "prompt[0].content", "or a list of parts of text; got None"),
            ([say(content=[SECRET])], "prompt[0].content[0]", "a part of text"),
            ([say(content=[part("a"), {"type": "image"}])], "prompt[0].content[1]", "a part of"),
            ([say(content=[part(3)])], "prompt[0].content[0].text", "text; got int"),
            ([say(name=3)], "prompt[0].name", "text; got int"),
            ([say("system"), say(SECRET)], "prompt[1].role", "one of system, user, assistant"),
            ([say("user"), say()], "prompt[0].role", "system first"),
            ([say("system"), say("tool")], "prompt[1].role", "user last"),
            ([say("system"), say(content=SECRET * 4)], "prompt[1]", "at most 20 characters"),
            ([say("system"), say(content=[part("x" * 11)] * 2)], "prompt[1]", "at most 20 char"),
            ([say("system"), say(name="x" * 19)], "prompt[1]", "at most 20 characters"),
            ([say("system", "x" * 16)] * 2 + [say(content="x" * 16)], "prompt", "at most 45"),
            ([say("system", "ab\x00"), say()], "prompt[0].content@2", "no control characters"),
            ([say("system"), say(content=[part("a"), part("b\u202e")])],
             "prompt[1].content[1].text@1", "turn the direction"),
            ([say("system"), say(name="\u200b")], "prompt[1].name@0", "without width"),
            ([say("system"), say(content="\ud800")], "prompt[1].content@0", "no lone surrogates"),
        ],
    )  # fmt: skip
    def test_anything_else_is_refused_with_its_place(self, value, path, expected):
        error = refusal(self.spec, value)
        assert error.path == path
        assert expected in error.message

    def test_a_spec_that_says_little_knows_the_usual_roles_only(self):
        spec = read("kind: messages\n")
        assert spec.check(view([say(role) for role in ("tool", "user", "system")])) is None
        assert refusal(spec, [say("developer")]).path == "prompt[0].role"
        assert refusal(spec, []).path == "prompt"
        assert read("kind: messages\nmin_messages: 0\n").check(view([])) is None
        assert read("kind: messages\nroles: [developer]\n").check(view([say("developer")])) is None

    @pytest.mark.parametrize(
        ("line", "part"),
        [
            ("roles: []", "at least 1"),
            ("roles: user", "list"),
            ("first_role: developer", "none of `roles`"),
            ("roles: [user]\nlast_role: system", "none of `roles`"),
            ("max_messages: 0", "`min_messages` is over"),
            ("max_total_chars: -1", "at least 0"),
            ("max_tokens: 3", "not a key of this version"),
        ],
    )
    def test_a_bad_spec_is_a_fault(self, line, part):
        found = faults(f"kind: messages\n{line}\n")
        assert {fault.code for fault in found} == {"GR300"}
        assert part in found[0].message
