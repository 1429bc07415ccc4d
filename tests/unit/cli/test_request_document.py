"""A request is read strictly, from a file or from options, and a fault names its place."""

from __future__ import annotations

import re
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.cli.io.request_document import from_options, read, read_request
from guardrail.errors import ConfigurationError, Place
from guardrail.values import Entity, Principal

FILE = b"""\
principal:
  uid: User::"clara"
  in: [Role::"clinician", Role::"auditor"]
  attrs: {department: oncology, level: 3}
action: predict
resource: Model::"tumour"
facts: {input: {rows: 10}, app: {purpose: care}}
"""

OPTIONS = {
    "principal": 'User::"clara"',
    "parents": ['Role::"clinician"', 'Role::"auditor"'],
    "attrs": ["department=oncology", "level=3"],
    "known": None,
    "action": "predict",
    "resource": 'Model::"tumour"',
    "facts": ["input.rows=10", "app.purpose=care"],
}


def parse(text: str, place: Place) -> Entity:
    found = re.fullmatch(r'(\w+)::"(\w+)"', text)
    if not found:
        raise ConfigurationError.at(place, "GR900", "Not a uid.")
    return Entity(found[1], found[2])


def faults(raw: bytes, *, file: str = "request.yaml") -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        read_request(read(file, raw), parse=parse)
    return [str(fault) for fault in caught.value.faults]


def asked(document):
    found = read_request(document, parse=parse)
    principal = found.principal
    assert isinstance(principal, Principal)
    caller = (principal.uid, principal.parents, dict(principal.attrs))
    return caller, found.action, found.resource, found.facts


def test_unknown_key_is_a_fault_with_its_line():
    (fault,) = faults(FILE + b"reason: because\n")
    assert fault.startswith("request.yaml:8:1 GR003 `reason`")


def test_missing_action_is_a_fault():
    (fault,) = faults(FILE.replace(b"action: predict\n", b""))
    assert "`action` is required" in fault


def test_every_fault_is_told_at_once():
    assert len(faults(b"principal: {uid: 1, in: Role}\naction: 2\nresource: 3\n")) == 4


def test_a_value_never_stands_in_a_fault():
    text = "\n".join(faults(b"principal: {uid: 47114711}\naction: [s3cret]\nresource: r\n"))
    assert "4711" not in text
    assert "s3cret" not in text


def test_no_caller_is_a_fault():
    (fault,) = faults(b'action: predict\nresource: Model::"tumour"\n')
    assert "names no caller" in fault


def test_options_without_a_caller_name_the_options():
    document = from_options(
        principal=None, parents=(), attrs=(), known=None, action="predict",
        resource='Model::"tumour"', facts=(),
    )  # fmt: skip
    with pytest.raises(ConfigurationError) as caught:
        read_request(document, parse=parse)
    assert "Add --principal or --as." in caught.value.faults[0].message


def test_a_uid_whose_quotes_the_shell_removed_names_them():
    document = from_options(
        principal="User::anna", parents=(), attrs=(), known=None, action="predict",
        resource='Model::"tumour"', facts=(),
    )  # fmt: skip
    with pytest.raises(ConfigurationError) as caught:
        read_request(document, parse=parse)
    (fault,) = caught.value.faults
    assert str(fault.place) == "--principal"
    assert """In a shell, put it in single quotes: 'User::"clara"'.""" in fault.message
    assert "anna" not in fault.message


def test_two_callers_are_a_fault_with_a_line():
    (fault,) = faults(FILE + b'as: User::"clara"\n')
    assert fault.startswith("request.yaml:8:1 GR003 The request names both")


@pytest.mark.parametrize(
    ("before", "after", "place"),
    [
        (b'uid: User::"clara"', b"uid: clara", "request.yaml:2:3"),
        (b'Role::"auditor"', b"auditor", "request.yaml:3:27"),
        (b'resource: Model::"tumour"', b"resource: tumour", "request.yaml:6:1"),
    ],
)
def test_text_that_is_no_uid_is_a_fault_at_its_place(before, after, place):
    (fault,) = faults(FILE.replace(before, after))
    assert fault.startswith(f"{place} ")


def test_broken_yaml_is_a_fault_with_line_and_column():
    (fault,) = faults(b"action: predict\nfacts: {input: [\n")
    assert re.match(r"request\.yaml:\d+:\d+ GR002 ", fault)


def test_broken_json_is_a_fault_with_line_and_column():
    (fault,) = faults(b'{"action": "predict",\n "facts": }', file="request.json")
    assert fault.startswith("request.json:2:11 GR002 ")


@pytest.mark.parametrize("raw", [b"", b"[]", b"predict", b"# nothing\n"])
def test_file_that_is_no_mapping_is_a_fault(raw):
    (fault,) = faults(raw)
    assert "Expected a mapping" in fault


def test_missing_is_a_mark_of_tests_and_refused():
    (fault,) = faults(FILE.replace(b"rows: 10", b"rows: !missing "))
    assert fault.startswith("request.yaml:7:23 GR002 ")


def test_tags_stand_for_values_that_yaml_has_not():
    found = read("request.yaml", FILE.replace(b"purpose: care", b"owner: !entity 'User::\"a\"'"))
    assert read_request(found, parse=parse).facts["app"] == {"owner": Entity("User", "a")}


def test_known_caller_is_an_entity():
    raw = b'as: User::"clara"\naction: predict\nresource: Model::"tumour"\n'
    assert read_request(read("request.yaml", raw), parse=parse).principal == Entity("User", "clara")


def test_options_ask_the_same_as_a_file():
    assert asked(from_options(**OPTIONS)) == asked(read("request.yaml", FILE))


def test_standard_input_is_json_where_it_begins_with_a_brace():
    raw = b' {"as": "User::\\"clara\\"", "action": "p\\ud83d\\ude00", "resource": "M::\\"t\\""}'
    assert read_request(read("<stdin>", raw), parse=parse).action == "p\U0001f600"
    assert asked(read("<stdin>", FILE)) == asked(read("request.yaml", FILE))


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"action": None}, "--action GR003 `action` is required"),
        ({"resource": None}, "--resource GR003 `resource` is required"),
        ({"principal": None}, "--principal GR003 `principal.uid` is required"),
        ({"known": 'User::"ana"'}, "--as GR003 The request names both"),
        ({"parents": ["clinician"]}, "--in GR003"),
        ({"resource": "tumour"}, "--resource GR003"),
        ({"action": "Lab::predict"}, "--action GR003"),
        ({"attrs": ["department"]}, "--attr GR003 Expected NAME=VALUE"),
        ({"attrs": ["a=1", "a=2"]}, "--attr GR003 The same path"),
        ({"facts": ["rows=10"]}, "--fact GR003 Expected NAMESPACE.NAME=VALUE"),
        ({"facts": ["input..rows=10"]}, "--fact GR003 Expected NAMESPACE.NAME=VALUE"),
        ({"facts": ["input.rows=1", "input.rows.x=1"]}, "--fact GR003 The same path"),
        ({"facts": ["input.rows.x=1", "input.rows=1"]}, "--fact GR003 The same path"),
    ],
)
def test_fault_in_an_option_names_the_option(change, place):
    with pytest.raises(ConfigurationError) as caught:
        read_request(from_options(**{**OPTIONS, **change}), parse=parse)
    assert str(caught.value).startswith(place)


def test_no_options_at_all_is_a_fault():
    none = dict.fromkeys(("principal", "known", "action", "resource"))
    with pytest.raises(ConfigurationError):
        read_request(from_options(**none, parents=(), attrs=(), facts=()), parse=parse)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("10", 10),
        ("true", True),
        ('"10"', "10"),
        ("[1, 2]", [1, 2]),
        ("oncology", "oncology"),
        ("a=b", "a=b"),
        ("", ""),
        # What is no JSON is text, so a number that JSON lacks never becomes one.
        ("NaN", "NaN"),
        ('{"a": 1, "a": 2}', '{"a": 1, "a": 2}'),
    ],
)
def test_value_of_an_option_is_json_or_text(text, value):
    document = from_options(**{**OPTIONS, "facts": [f"app.x={text}"]})
    assert document.data["facts"] == {"app": {"x": value}}


@given(st.text())
def test_option_never_crashes(text):
    for option in ("attrs", "facts"):
        with suppress(ConfigurationError):
            from_options(**{**OPTIONS, option: [text, f"a.b={text}"]})
