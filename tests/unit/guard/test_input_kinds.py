"""Texts, messages, objects, JSON Schemas and models as inputs of a guarded function."""

from dataclasses import dataclass

import pytest
from bundles import GRANT, SCHEMA, principal
from pydantic import BaseModel, field_validator
from pydantic_core import PydanticCustomError

from guardrail import ConfigurationError, Guard, InputRejected, NotAuthorized

CHAT = (
    SCHEMA
    + """
action ask appliesTo {
  principal: [User], resource: [Model], context: { input: guardrail::TextInput }
};
action chat appliesTo {
  principal: [User], resource: [Model], context: { input: guardrail::MessagesInput }
};
"""
)
SHORT = """
@id("short") forbid (principal, action == Action::"ask", resource)
when { context.input.chars > 20 || context.input.tokens > 25 };
@id("few") forbid (principal, action == Action::"chat", resource)
when { context.input.messages > 2 || context.input.roles.contains("system") };
"""
FOUND = """
@id("found") forbid (principal, action == Action::"ask", resource)
when { context.input.findings.contains("email") };
"""
CLEAN = """
@id("clean") @input("prompt") forbid (principal, action == Action::"ask", resource);
@id("said") @input("chat") forbid (principal, action == Action::"chat", resource);
"""
VISIT = '@id("v") @input("visit") forbid (principal, action == Action::"summarize", resource);'
SCHEMA_OF_VISIT = '{"type": "object", "properties": {"age": {"type": "integer"}}}'
FILES = {
    "schema.cedarschema": CHAT,
    "inputs/prompt.yaml": "kind: text\nforbid: [bidi]\n",
    "inputs/chat.yaml": "kind: messages\nmax_chars: 30\n",
}


class Visit(BaseModel):
    age: int


class Visits(BaseModel):
    ages: dict[str, int]


class Named(BaseModel):
    age: str

    @field_validator("age")
    @classmethod
    def _is_known(cls, age: str) -> str:
        raise PydanticCustomError("anna_muster_" + "x" * 3, age)


@dataclass
class Stay:
    age: int
    note: str = ""


def protect(folder, action, **options):
    guard = Guard.from_dir(folder, **options)
    on = {"action": action, "resource": 'Model::"tumour"', "principal": principal()}
    return guard.protect(**on)(lambda value: value)


def test_facts_of_a_text_decide(make_bundle):
    ask = protect(make_bundle(GRANT + SHORT, **FILES), "ask")
    assert ask("a short one") == "a short one"
    for text in ("x" * 21, "日" * 9):
        with pytest.raises(NotAuthorized) as caught:
            ask(text)
        assert (caught.value.code, caught.value.policies) == ("prohibited", ("short",))


def test_facts_of_messages_decide(make_bundle):
    chat = protect(make_bundle(GRANT + SHORT, **FILES), "chat")
    messages = [{"role": "user", "content": "hi"}]
    assert chat(messages) is messages
    for value in ([*messages] * 3, [{"role": "system", "content": "hi"}]):
        with pytest.raises(NotAuthorized) as caught:
            chat(value)
        assert caught.value.policies == ("few",)


@pytest.mark.parametrize("value", [[1, 2], [{"role": "user"}], {"role": "user"}, "hi"])
def test_what_is_no_conversation_has_no_such_facts_and_is_denied(make_bundle, value):
    chat = protect(make_bundle(GRANT + SHORT, **FILES), "chat")
    with pytest.raises(NotAuthorized) as caught:
        chat(value)
    assert caught.value.code == "evaluation_error"


def test_a_policy_reads_what_is_found_in_a_text(make_bundle):
    ask = protect(make_bundle(GRANT + FOUND, **FILES), "ask")
    assert ask("hi") == "hi"
    with pytest.raises(NotAuthorized) as caught:
        ask("I am ann@clinic.example.")
    assert (caught.value.code, caught.value.policies) == ("prohibited", ("found",))


def test_output_tokens_are_asked_of_the_application_and_not_of_an_input(make_bundle):
    rule = """@id("out") forbid (principal, action == Action::"chat", resource)
    when { context.input.max_output_tokens > 9 };"""
    with pytest.raises(ConfigurationError, match="max_output_tokens"):
        protect(make_bundle(GRANT + rule, **FILES), "chat")


def test_specs_of_text_and_messages_are_demanded(make_bundle):
    folder = make_bundle(GRANT + CLEAN, **FILES)
    ask, chat = protect(folder, "ask"), protect(folder, "chat")
    assert ask("fine") == "fine"
    with pytest.raises(InputRejected) as caught:
        ask("abc\u202e")
    assert (caught.value.code, caught.value.path) == ("input_rejected", "value@3")
    with pytest.raises(InputRejected) as caught:
        chat([{"role": "user", "content": "x" * 31}])
    assert caught.value.path == "value[0]"


def test_a_json_schema_is_a_spec(make_bundle):
    folder = make_bundle(GRANT + VISIT, **{"inputs/visit.json": SCHEMA_OF_VISIT})
    summarize = protect(folder, "summarize")
    stay = Stay(40)
    assert summarize(stay) is stay
    with pytest.raises(InputRejected) as caught:
        summarize({"age": "40"})
    assert caught.value.path == "value.age"


@pytest.mark.parametrize(
    ("files", "code", "file"),
    [
        ({"inputs/visit.json": "{"}, "GR002", "inputs/visit.json"),
        ({"inputs/visit.json": '{"a": 1, "a": 2}'}, "GR002", "inputs/visit.json"),
        ({"inputs/visit.json": "[" * 40 + "]" * 40}, "GR005", "inputs/visit.json"),
        ({"inputs/visit.json": '{"$ref": "x"}'}, "GR300", "inputs/visit.json"),
        ({"inputs/visit.txt": "{}"}, "GR001", "inputs/visit.txt"),
        (
            {"inputs/visit.json": SCHEMA_OF_VISIT, "inputs/visit.yaml": "kind: text\n"},
            "GR300",
            "inputs/visit.json",
        ),
    ],
)
def test_a_bad_file_is_a_fault_with_its_place(make_bundle, files, code, file):
    with pytest.raises(ConfigurationError) as caught:
        Guard.from_dir(make_bundle(GRANT, **files))
    assert [(fault.code, fault.place.file) for fault in caught.value.faults] == [(code, file)]


def test_a_model_is_a_spec_and_the_function_gets_what_came(make_bundle):
    summarize = protect(make_bundle(GRANT + VISIT), "summarize", models={"visit": Visit})
    for value in ({"age": 40}, Visit(age=40), Stay(40)):
        assert summarize(value) is value
    with pytest.raises(InputRejected) as caught:
        summarize({"age": "40"})
    assert (caught.value.code, caught.value.path) == ("input_rejected", "value.age")


def test_a_model_that_is_not_registered_is_a_fault(make_bundle):
    folder = make_bundle(GRANT + VISIT)
    with pytest.raises(ConfigurationError) as caught:
        Guard.from_dir(folder, models={"visits": Visit})
    assert caught.value.faults[0].code == "GR301"
    assert "Did you mean visits?" in caught.value.faults[0].message


def test_a_model_beside_a_file_of_its_name_is_a_fault(make_bundle):
    with pytest.raises(ConfigurationError) as caught:
        Guard.from_dir(make_bundle(GRANT), models={"patients": Visit})
    assert [fault.code for fault in caught.value.faults] == ["GR300"]


def test_what_is_no_model_is_refused(make_bundle):
    with pytest.raises(ConfigurationError, match="pydantic model"):
        Guard.from_dir(make_bundle(GRANT), models={"visit": dict})


def test_a_reload_keeps_the_models(make_bundle, recorder):
    folder = make_bundle(GRANT + VISIT)
    guard = Guard.from_dir(folder, models={"visit": Visit}, sinks=(recorder,))
    on = {"action": "summarize", "resource": 'Model::"tumour"', "principal": principal()}
    summarize = guard.protect(**on)(lambda value: value)
    (folder / "policies.cedar").write_text(GRANT + VISIT.replace('"v"', '"w"'))
    assert guard.reload().changed
    assert summarize({"age": 40}) == {"age": 40}
    with pytest.raises(InputRejected) as caught:
        summarize({"age": None})
    assert caught.value.policies == ("w",)


KEY = "anna_muster_xxx"


@pytest.mark.parametrize(
    ("files", "models", "value"),
    [
        ({}, {}, {KEY: object()}),
        ({}, {}, {"age": 1, "more": [{KEY: {KEY: {1, 2}}}]}),
        ({}, {}, {"a": {KEY: {1: 2}}}),
        ({"inputs/visit.json": SCHEMA_OF_VISIT}, {}, {KEY: {"age": b"x"}}),
        (
            {"inputs/visit.json": '{"additionalProperties": {"type": "integer"}}'},
            {},
            {KEY: "x", "age": 1},
        ),
        (
            {"inputs/visit.yaml": "kind: record\nfields: {age: {type: int}}\n"},
            {},
            {"age": 1, KEY: 2},
        ),
        ({}, {"visit": Visits}, {"ages": {KEY: "x"}}),
        ({}, {"visit": Named}, {"age": KEY}),
    ],
)
def test_a_key_that_no_spec_names_is_in_no_message_record_or_path(
    make_bundle, recorder, files, models, value
):
    rule = VISIT if files or models else ""
    guard = Guard.from_dir(make_bundle(GRANT + rule, **files), models=models, sinks=(recorder,))
    on = {"action": "summarize", "resource": 'Model::"tumour"', "principal": principal()}
    summarize = guard.protect(**on)(lambda value: value)
    with pytest.raises(InputRejected) as caught:
        summarize(value)
    assert caught.value.code == "input_rejected"
    assert KEY not in str(caught.value) + caught.value.path + repr(vars(caught.value))
    assert KEY not in repr(recorder.records)
    assert caught.value.__context__ is None


def test_a_key_that_a_spec_names_is_shown(make_bundle):
    spec = "kind: record\nfields: {age: {type: list, items: {type: int}}}\n"
    summarize = protect(make_bundle(GRANT + VISIT, **{"inputs/visit.yaml": spec}), "summarize")
    with pytest.raises(InputRejected) as caught:
        summarize({"age": [1, object()]})
    assert caught.value.path == "value.age[1]"
