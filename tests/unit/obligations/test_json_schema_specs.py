"""JSON Schemas as specs: strict at load, and without values in errors."""

import http.server
import importlib.util
import json
import threading

import pytest
from bundles import GRANT

from guardrail._documents import read_json
from guardrail._ports import ObligationNotMet, SystemClock
from guardrail.bundle.assembly import load_bundle
from guardrail.bundle.lint import findings
from guardrail.errors import ConfigurationError
from guardrail.facts import Bounds, take_view
from guardrail.obligations.input import json_schema as json_schema_spec
from guardrail.obligations.input.specs import read_specs
from guardrail.policy import read_folder

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
    with pytest.raises(ObligationNotMet) as caught:
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
            ({"age": 3, "code": "\ud800"}, "visit", "Unicode text"),
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
            ("3", "is an object"),
            ("[]", "is an object"),
            ('{"$ref": "https://example.org/visit.json"}', "`$ref`: refers to another file"),
            ('{"$ref": "other.json#/a"}', "refers to another file"),
            ('{"$ref": 3}', "refers to another file"),
            ('{"items": {"not": {"$ref": "file:///etc/passwd"}}}', "`items.not.$ref`"),
            ('{"allOf": [{"$dynamicRef": "x"}]}', "`allOf.0.$dynamicRef`"),
            ('{"properties": {"a": {"$ref": "x"}}}', "`properties.a.$ref`"),
            ('{"$ref": "#/$defs/absent"}', "refers to a missing definition"),
            ('{"$id": 3}', "`$id` is not valid"),
            (
                '{"$id": "https://a.example/b", "$ref": "https://a.example/c"}',
                "refers to another file",
            ),
            ('{"$id": "https://a.example/b/", "$ref": "c"}', "refers to another file"),
            (
                '{"contentSchema": {"$ref": "https://a.example/c"}}',
                "`contentSchema.$ref`: refers to another file",
            ),
            ('{"$id": "https://[a", "$ref": "x"}', "refers to another file"),
            ('{"contentMedia": "x"}', "`contentMedia`: is not a supported keyword"),
            ('{"$schema": "http://json-schema.org/draft-07/schema#"}', "`$schema`: is https"),
            (
                '{"properties": {"a": {"maxLenght": 3}}}',
                "`properties.a.maxLenght`: is not a supported keyword",
            ),
            ('{"definitions": {}}', "is not a supported keyword"),
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


class Counted(http.server.BaseHTTPRequestHandler):
    """Counts what is fetched."""

    asked = 0

    def do_GET(self):
        type(self).asked += 1
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"true")

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    Counted.asked = 0
    with http.server.HTTPServer(("127.0.0.1", 0), Counted) as held:
        thread = threading.Thread(target=held.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{held.server_port}"
        held.shutdown()
        thread.join()


class TestNames:
    def test_an_id_fetches_nothing(self, server, tmp_path):
        (tmp_path / "other.json").write_text("true")
        for address in (f"{server}/visit.json", (tmp_path / "visit.json").as_uri()):
            schema = {
                "$id": address,
                "$vocabulary": {f"{server}/vocabulary": True},
                "properties": {"age": {"$id": "age", "$ref": "#/$defs/age",
                                       "$defs": {"age": {"type": "integer"}}}},
                "not": {"contentSchema": {"$id": f"{server}/inner"}, "required": ["no"]},
            }  # fmt: skip
            spec = read(json.dumps(schema))
            spec.check(take_view({"age": 1}, name="visit", bounds=Bounds()))
            assert refusal(spec, {"age": "x"}).path == "visit.age"
            for there in ("other.json", f"{server}/other.json", (tmp_path / "other.json").as_uri()):
                faults(json.dumps({**schema, "items": {"$ref": there}}))
        assert Counted.asked == 0

    @pytest.mark.parametrize(
        "reference",
        ["#/$defs/bed", "https://a.example/visit#/$defs/bed", "visit#/$defs/bed", "bed", "#here",
         "https://a.example/bed"],
    )  # fmt: skip
    def test_a_reference_may_go_by_the_names_in_the_file(self, reference):
        if "/$defs" in reference or reference == "#here":
            bed = {"$anchor": "here", "type": "integer"}
        else:
            bed = {"$id": "bed", "type": "integer"}
        schema = {
            "$id": "https://a.example/visit", "$defs": {"bed": bed}, "items": {"$ref": reference},
        }  # fmt: skip
        spec = read(json.dumps(schema))
        spec.check(take_view([1], name="visit", bounds=Bounds()))
        assert refusal(spec, ["x"]).path == "visit[0]"


class TestRemarks:
    def test_content_keywords_demand_nothing(self):
        schema = {
            "type": "string", "contentMediaType": "application/json", "contentEncoding": "base64",
            "contentSchema": {"type": "object"},
        }  # fmt: skip
        spec = read(json.dumps(schema))
        spec.check(take_view("no base64 at all", name="visit", bounds=Bounds()))
        assert refusal(spec, [SECRET]).path == "visit"

    def test_a_schema_that_is_a_boolean_loads(self):
        read("true").check(take_view({"a": 1}, name="visit", bounds=Bounds()))
        for value in ({}, [], ""):
            assert refusal(read("false"), value).path == "visit"

    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ("true", True),
            ("{}", True),
            ('{"$id": "https://a.example/", "title": "Visit", "$defs": {"a": false}}', True),
            ('{"contentSchema": {"type": "object"}}', True),
            ("false", False),
            ('{"type": "object"}', False),
            ('{"not": {}}', False),
        ],
    )
    def test_one_that_demands_nothing_is_a_finding(self, make_bundle, text, found):
        folder = read_folder(make_bundle(GRANT, **{"inputs/visit.json": text}))
        told = findings(load_bundle(folder, clock=SystemClock()), folder)
        at = [str(each.place) for each in told if each.place.file == "inputs/visit.json"]
        assert [each.code for each in told if str(each.place) in at] == ["GR507"] * found
