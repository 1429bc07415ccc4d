"""Facts of text, messages and tables: the named ones are computed, and nothing is guessed."""

import hashlib
import json
import sys
import types
from dataclasses import dataclass

import pytest

from guardrail._ports import FactContext, ObligationNotMet
from guardrail.facts import Bounds, Findings, InputFacts, take_view
from guardrail.facts.input import count_bytes
from guardrail.values import View

SYSTEM = {"role": "system", "content": "Be brief."}
PARTS = {
    "role": "user",
    "content": [{"type": "text", "text": "Héllo"}, {"type": "text", "text": ""}],
}
TOOL = {"role": "tool", "content": "42", "tool_call_id": "a1", "name": "sum"}
MESSAGES = [SYSTEM, PARTS, TOOL]


def never(text):
    raise AssertionError("asked")


def compute(value, *names, source=None):
    view = value if isinstance(value, View) else take_view(value, name="prompt", bounds=Bounds())
    context = FactContext(identity=None, view=view, action="", resource=None, now=0.0, app={})
    return (source or InputFacts()).compute(frozenset(names or InputFacts.facts), context)


class TestText:
    def test_sizes_and_digest(self):
        found = compute("Héllo 日本")
        assert found == {
            "chars": 8,
            "bytes": 13,
            "tokens": 13,
            "digest": hashlib.sha256("Héllo 日本".encode()).hexdigest(),
        }

    def test_an_empty_text_has_them_all(self):
        assert compute("", "chars", "bytes", "tokens") == {"chars": 0, "bytes": 0, "tokens": 0}

    def test_only_what_is_named_is_computed(self):
        source = InputFacts(tokens=never, findings=never)
        assert compute("abc", "chars", source=source) == {"chars": 3}
        assert compute("abc", "rows", "fields", source=source) == {}

    def test_tokens_are_counted_by_the_counter_that_is_given(self):
        source = InputFacts(tokens=lambda text: len(text.split()))
        assert compute("one two three", "tokens", source=source) == {"tokens": 3}

    def test_a_text_with_more_places_than_may_be_looked_at_is_refused(self):
        source = InputFacts(findings=Findings(limit=2))
        assert compute("a@b.co a@b.co", "findings", source=source) == {
            "findings": frozenset({"email"})
        }
        with pytest.raises(ObligationNotMet, match="over 2 findings") as caught:
            compute("a@b.co " * 3, "findings", source=source)
        assert caught.value.code == "too_large"
        assert "b.co" not in str(caught.value)
        assert caught.value.__cause__ is caught.value.__context__ is None

    def test_findings_are_the_kinds_that_were_found(self):
        source = InputFacts(
            findings=lambda texts: frozenset({"email"} if "@" in "".join(texts) else ())
        )
        assert compute("a@b", "findings", source=source) == {"findings": frozenset({"email"})}
        assert compute("ab", "findings", source=source) == {"findings": frozenset()}

    def test_without_detectors_there_is_no_such_fact(self):
        assert "findings" in InputFacts.facts
        assert compute("a@b", "findings") == {}

    @pytest.mark.parametrize("text", ["", "abc", "é", "日本", "🙂", "a\x00"])
    def test_the_estimate_of_tokens_is_the_bytes(self, text):
        assert count_bytes(text) == len(text.encode())

    def test_output_tokens_are_no_fact_of_an_input(self):
        assert "max_output_tokens" not in InputFacts.facts


class TestMessages:
    def test_facts_are_those_of_all_texts_together(self):
        found = compute(MESSAGES)
        dumped = json.dumps(MESSAGES, sort_keys=True, separators=(",", ":"))
        assert found == {
            "messages": 3,
            "roles": frozenset({"system", "user", "tool"}),
            "tools": frozenset(),
            "tool_calls": 0,
            "images": 0,
            "chars": 9 + 5 + 2 + 2 + 3,
            "bytes": 9 + 6 + 2 + 2 + 3,
            "tokens": 9 + 6 + 2 + 2 + 3,
            "digest": hashlib.sha256(dumped.encode()).hexdigest(),
        }

    def test_a_tuple_is_a_list_and_an_empty_one_has_no_messages(self):
        assert compute(tuple(MESSAGES)) == compute(MESSAGES)
        assert compute([], "messages", "roles", "chars") == {
            "messages": 0, "roles": frozenset(), "chars": 0,
        }  # fmt: skip
        assert compute([{"role": "user", "content": []}], "messages", "chars")["chars"] == 0

    def test_findings_are_searched_in_every_text(self):
        source = InputFacts(findings=lambda texts: frozenset(text[0] for text in texts if text))
        found = compute(MESSAGES, "findings", source=source)["findings"]
        assert found == {"B", "H", "4", "s", "a"}
        assert compute([], "findings", source=source) == {"findings": frozenset()}

    def test_only_what_is_named_is_computed(self):
        source = InputFacts(tokens=never, findings=never)
        assert compute(MESSAGES, "roles", "messages", source=source).keys() == {"roles", "messages"}

    def test_a_lone_surrogate_within_is_counted(self):
        message = {"role": "user", "content": "\ud800"}
        assert compute([message], "chars", "bytes") == {"chars": 1, "bytes": 3}
        assert len(compute([message], "digest")["digest"]) == 64

    def test_objects_are_messages_by_their_fields(self):
        @dataclass
        class Message:
            role: str
            content: str

        assert compute([Message("user", "hi")]) == compute([{"role": "user", "content": "hi"}])

    @pytest.mark.parametrize(
        "odd",
        [
            "text",
            1,
            None,
            [],
            {},
            {"role": "user"},
            {"content": "hi"},
            {"role": "user", "content": None},
            {"role": "user", "content": 3},
            {"role": 3, "content": "hi"},
            {"role": None, "content": "hi"},
            {"role": "user", "content": "hi", "tool_calls": {}},
            {"role": "user", "content": "hi", "tool_calls": [{}]},
            {"role": "user", "content": "hi", "audio": {"id": "x"}},
            {"role": "user", "content": "hi", "image": "x"},
            {"role": "user", "content": "hi", "name": 3},
            {"role": "user", "content": "hi", "tool_call_id": None},
            {"role": "user", "content": ["hi"]},
            {"role": "user", "content": [{"type": "image_url", "image_url": "x"}]},
            {"role": "user", "content": [{"type": "text"}]},
            {"role": "user", "content": [{"type": "text", "text": 3}]},
            {"role": "user", "content": [{"type": "text", "text": "hi", "more": "x"}]},
            {"role": "user", "content": [{"type": 3, "text": "hi"}]},
        ],
    )
    def test_one_item_that_is_no_message_leaves_no_facts_at_all(self, odd):
        source = InputFacts(tokens=never, findings=never)
        assert compute([odd], source=source) == {}
        assert compute([SYSTEM, odd], source=source) == {}


class TestOthers:
    def test_an_object_has_the_facts_of_its_fields(self):
        @dataclass
        class Visit:
            age: int
            note: str

        same = {"note": "x", "age": 3}
        names = ("fields", "bytes", "digest")
        assert compute(Visit(3, "x"), *names) == compute(same, *names)
        assert compute(Visit(3, "x"), "fields") == {"fields": frozenset({"age", "note"})}

    def test_a_table_has_the_facts_that_its_module_computes(self, monkeypatch):
        module = types.ModuleType("guardrail.facts.input_view.tables")
        module.column_names = lambda view: ("a", "b")
        module.null_count = lambda view: 4
        module.digest_table = lambda view: "d" * 64
        monkeypatch.setitem(sys.modules, "guardrail.facts.input_view.tables", module)
        view = View("table", "rows", object(), shape=(7, 2), nbytes=112)
        assert compute(view) == {
            "rows": 7,
            "bytes": 112,
            "columns": frozenset({"a", "b"}),
            "nulls": 4,
            "digest": "d" * 64,
        }
        assert compute(view, "rows", "chars") == {"rows": 7}
