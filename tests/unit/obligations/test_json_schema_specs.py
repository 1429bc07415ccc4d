"""JSON Schemas as specs: strict at load, and silent of values at a call."""

import importlib.util

import pytest

from guardrail.documents import read_json
from guardrail.errors import ConfigurationError
from guardrail.facts import Bounds, take_view
from guardrail.obligations import json_schema_spec
from guardrail.obligations.specs import read_specs
from guardrail.ports import Unmet

SECRET = "s3cret"
VISIT = """{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "properties": {
    "age": {"type": "integer", "minimum": 0, "maximum": 130},
    "weight": {"type": ["number", "null"]},
    "mail": {"type": "string", "format": "email"},
    "code": {"type": "string", "pattern": "^[a-z]+$"},
    "beds": {"type": "array", "items": {"$ref": "#/$defs/bed"}}
  },
  "required": ["age"],
  "additionalProperties": false,
  "$defs": {"bed": {"type": "object", "propertyNames": {"maxLength": 4}}}
}"""


def read(text):
    return read_specs({"visit": read_json("inputs/visit.json", text.encode())})["visit"]


def refusal(spec, value):
    with pytest.raises(Unmet) as caught:
        spec.check(take_view(value, name="visit", bounds=Bounds()))
    error = caught.value
    assert error.code == "input_rejected"
    assert error.__context__ is None
    assert error.__cause__ is None
    assert SECRET not in error.message
    assert "12345" not in error.message
    return error


def faults(text):
    with pytest.raises(ConfigurationError) as caught:
        read(text)
    error = caught.value
    assert error.__context__ is None
    assert {fault.code for fault in error.faults} == {"GR300"}
    assert {fault.place.file for fault in error.faults} == {"inputs/visit.json"}
    return error.faults


class TestCalls:
    spec = read(VISIT)

    @pytest.mark.parametrize(
        "value",
        [
            {"age": 3},
            {"age": 3, "weight": None, "mail": "a@example.org", "code": "x", "beds": [{"no": 1}]},
            {"age": 3, "beds": ()},
            {"age": 3, "weight": -(10**400)},
        ],
    )
    def test_what_meets_its_schema_passes(self, value):
        assert self.spec.check(take_view(value, name="visit", bounds=Bounds())) is None

    @pytest.mark.parametrize(
        ("value", "path", "part"),
        [
            ({"age": 12345}, "visit.age", "(maximum)"),
            ({"age": SECRET}, "visit.age", "(type)"),
            ({"age": True}, "visit.age", "(type)"),
            ({}, "visit", "(required)"),
            ({"age": 3, SECRET: 1}, "visit", "(additionalProperties)"),
            ({"age": 3, "mail": SECRET}, "visit.mail", "(format)"),
            ({"age": 3, "code": "S3CRET"}, "visit.code", "(pattern)"),
            ({"age": 3, "beds": [{}, SECRET]}, "visit.beds[1]", "(type)"),
            ({"age": 3, "beds": [{SECRET: 1}]}, "visit.beds[0]", "axLength)"),
            ({"age": 3, "weight": float("nan")}, "visit", "finite numbers"),
            ({"age": 3, "weight": float("-inf")}, "visit", "finite numbers"),
            ({"age": 3, "code": "\ud800"}, "visit", "text that is Unicode"),
            ([{"age": 3}], "visit", "(type)"),
            (SECRET, "visit", "(type)"),
            (memoryview(b"ab"), "visit", "a record, a list or text; got a tensor"),
        ],
    )
    def test_anything_else_is_refused_with_its_place(self, value, path, part):
        error = refusal(self.spec, value)
        assert error.path == path
        assert part in error.message

    def test_a_key_that_may_be_data_stays_out_of_the_path(self):
        spec = read('{"additionalProperties": {"type": "integer"}}')
        assert refusal(spec, {SECRET: "x"}).path == "visit[...]"

    def test_lists_and_text_have_schemas_as_well(self):
        spec = read('{"type": "array", "items": {"type": "integer"}}')
        assert spec.check(take_view([1, 2], name="visit", bounds=Bounds())) is None
        assert refusal(spec, [1, SECRET]).path == "visit[1]"
        spec = read('{"type": "string", "maxLength": 3}')
        assert "(maxLength)" in refusal(spec, SECRET).message

    def test_an_error_of_the_validators_own_is_a_refusal(self):
        class Broken:
            def validate(self, value):
                raise ValueError(SECRET)

        spec = json_schema_spec.JsonSchemaSpec("visit", Broken(), KeyError, frozenset())
        assert "(its schema)" in refusal(spec, {"age": 1}).message


class TestLoading:
    @pytest.mark.parametrize(
        ("text", "part"),
        [
            ("true", "is an object"),
            ("[]", "is an object"),
            ('{"$ref": "https://example.org/visit.json"}', "`$ref`: leads out of the file"),
            ('{"$ref": "other.json#/a"}', "leads out of the file"),
            ('{"$ref": 3}', "leads out of the file"),
            ('{"items": {"not": {"$ref": "file:///etc/passwd"}}}', "`items.not.$ref`"),
            ('{"allOf": [{"$dynamicRef": "x"}]}', "`allOf.0.$dynamicRef`"),
            ('{"properties": {"a": {"$ref": "x"}}}', "`properties.a.$ref`"),
            ('{"$ref": "#/$defs/absent"}', "names what the file lacks"),
            ('{"$id": "https://example.org/", "type": "object"}', "`$id`: is no keyword"),
            ('{"$schema": "http://json-schema.org/draft-07/schema#"}', "`$schema`: is https"),
            ('{"properties": {"a": {"maxLenght": 3}}}', "`properties.a.maxLenght`: is no keyword"),
            ('{"definitions": {}}', "is no keyword"),
            ('{"type": "objekt"}', "`type` is not valid"),
            ('{"properties": 3}', "`properties` is not valid"),
            ('{"format": "nonsense"}', "`format` is not valid"),
            ('{"pattern": "(a"}', "`pattern` is not valid"),
            ('{"pattern": "(?=a)b"}', "not valid"),
            ('{"pattern": "(a)\\\\1"}', "not valid"),
        ],
    )
    def test_what_is_no_schema_by_itself_is_a_fault(self, text, part):
        assert any(part in fault.message for fault in faults(text))

    def test_names_of_properties_are_no_keywords(self):
        spec = read('{"properties": {"$ref": {"type": "integer"}, "kind": {}}, "minProperties": 1}')
        assert refusal(spec, {"$ref": "x"}).path == "visit[...]"

    def test_what_is_only_data_is_not_read_as_a_schema(self):
        assert read('{"const": {"$ref": "x"}, "examples": [{"maxLenght": 3}]}').name == "visit"

    def test_patterns_take_linear_time(self):
        spec = read('{"type": "string", "pattern": "^(a+)+$"}')
        assert refusal(spec, "a" * 50_000 + "!").path == "visit"

    def test_without_the_package_the_fault_says_what_to_install(self, monkeypatch):
        find = importlib.util.find_spec
        monkeypatch.setattr(
            json_schema_spec,
            "find_spec",
            lambda name: None if name == "jsonschema_rs" else find(name),
        )
        [fault] = faults('{"type": "object"}')
        assert "pip install 'guardrail-cedar[jsonschema]'" in fault.message
