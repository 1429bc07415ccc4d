"""A test file is read strictly: an unknown key is an error with file and line."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network

import pytest

from guardrail.errors import Place
from guardrail.testing.files import cases as cases_module
from guardrail.testing.files.cases import InvalidTest, PolicyTestCase, read_suite
from guardrail.testing.files.format import Expected
from guardrail.testing.files.yaml_values import MISSING
from guardrail.values import Entity, Principal

GIVEN = """\
given:
  now: 2026-11-23T10:00:00Z
  action: predict
  resource: Model::"tumour"
  principals:
    clara: {uid: 'User::"clara"', in: ['Role::"clinician"'], attrs: {department: care}}
  facts: {input: {rows: 10, dtype: float32}}
"""
TEST = "  - {name: a, as: clara, expect: allow}\n"


@pytest.fixture
def read(tmp_path):
    """Return a function that reads one test file, and gives its tests."""

    def read(text, name="tests/a_test.yaml"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_suite(tmp_path).cases

    return read


def case(read, test, given=GIVEN):
    (found,) = read(f"{given}tests:\n{test}")
    assert isinstance(found, PolicyTestCase), found
    return found


def faults(read, text, name="tests/a_test.yaml"):
    (found,) = read(text, name)
    assert isinstance(found, InvalidTest), found
    return [str(fault) for fault in found.faults]


# What is refused.


@pytest.mark.parametrize(
    ("test", "place", "says"),
    [
        ("{name: a, as: clara, expect: allow, wen: 1}", "9:41 GR003", "`tests.0.wen` is not a key"),
        ("{as: clara, expect: allow}", "9:5 GR003", "`tests.0.name` is required"),
        ("{name: '', as: clara, expect: allow}", "9:6 GR003", "tests.0.name"),
        ("{name: a, as: clara}", "9:5 GR003", "one of `expect`, `steps`, `matrix`"),
        ("{name: a, as: clara, expect: allow, steps: [{expect: allow}]}", "9:5", "it has `expect`"),
        ("{name: a, as: clara, expect: perhaps}", "9:26 GR003", "expected allow or deny"),
        ("{name: a, as: clara, expect: true}", "9:26 GR003", "tests.0.expect"),
        ("{name: a, as: clara, expect: {}}", "9:26 GR003", "expects nothing"),
        ("{name: a, as: clara, expect: {code: null}}", "9:26 GR003", "expects nothing"),
        ("{name: a, as: clara, expect: {codes: no_grant}}", "9:35 GR003", "is not a key"),
        ("{name: a, as: clara, expect: {code: no_grnt}}", "9:35 GR003", "Did you mean no_grant?"),
        ("{name: a, as: clara, expect: {code: input_rejected}}", "9:35 GR003", "calls only"),
        ("{name: a, as: clara, expect: {released: [1]}}", "9:35 GR003", "applies to calls only"),
        ("{name: a, as: clara, expect: {retry_after_s: 1}}", "9:35 GR003", "applies to calls only"),
        ("{name: a, as: clara, expect: {retry_after_s: -1}}", "9:35 GR003", "at least 0"),
        ("{name: a, as: clara, input: {}, expect: allow}", "9:26 GR003", "guarded parameter"),
        ("{name: a, as: clara, input: {p: 1, q: 2}, expect: allow}", "9:26 GR003", "; got 2."),
        ("{name: a, as: clara, input: {'no name': 1}, expect: allow}", "9:26 GR003", "parameter"),
        ("{name: a, as: clara, output: 1, stream: [1], expect: allow}", "9:5 GR003", "Keep one"),
        ("{name: a, as: clara, stream: [], expect: allow}", "9:26 GR003", "at least one"),
        ("{name: a, as: clara, steps: []}", "9:26 GR003", "at least 1"),
        ("{name: a, as: clara, steps: [{times: 0, expect: allow}]}", "9:35 GR003", "at least 1"),
        ("{name: a, as: clara, steps: [{times: 1}]}", "9:34 GR003", "expect` is required"),
        ("{name: a, as: clara, steps: [{after: 1, expect: allow}]}", "9:35 GR003", "such as 60s"),
        ("{name: a, as: clara, steps: [{after: soon, expect: allow}]}", "9:35", "such as 60s"),
        ("{name: a, as: clara, steps: [{steps: 1, expect: allow}]}", "9:35 GR003", "is not a key"),
        ("{name: a, as: clara, steps: [{as: clra, expect: allow}]}", "9:35 GR601", "Did you mean"),
        ("{name: a, input: {p: {zeros: [2], set: {'2': 1}}}, expect: allow}", "9:45", "an index"),
        ("{name: a, input: {p: {zeros: [2], set: {'-1': 1}}}, expect: allow}", "9:45", "index"),
        ("{name: a, input: {p: {zeros: [2], set: {'0': x}}}, expect: allow}", "9:45", "an index"),
        ("{name: a, input: {p: {zeros: [2], sets: {}}}, expect: allow}", "9:39", "is not a key"),
        ("{name: a, input: {p: {zeros: []}}, expect: allow}", "9:27 GR003", "at least 1"),
        ("{name: a, input: {p: {zeros: [0]}}, expect: allow}", "9:35 GR003", "more than 0"),
        ("{name: a, input: {p: {zeros: [4000, 4000]}}, expect: allow}", "9:23 GR003", "more than"),
        ("{name: a, input: {p: {repeat: ab, times: 6000000}}, expect: allow}", "9:23", "more than"),
        ("{name: a, input: {p: {array: [[1], 2]}}, expect: allow}", "9:27 GR003", "of one length"),
        ("{name: a, input: {p: {table: {a: [[1], 2]}}}, expect: allow}", "9:35", "of one length"),
        ("{name: a, input: {p: {table: {a: [1]}, dtypes: {b: int8}}}, expect: deny}", "9:53", "of"),
        ("{name: a, matrix: {table: {}}}", "9:24 GR003", "at least 1"),
        ("{name: a, as: clara, matrix: {table: {clara: allow}}}", "9:15 GR003", "takes no"),
        ("{name: a, input: {p: 1}, matrix: {table: {clara: allow}}}", "9:15 GR003", "takes no"),
        ("{name: a, matrix: {table: {clra: allow}}}", "9:32 GR601", "Did you mean clara?"),
        ("{name: a, matrix: {table: {clara: maybe}}}", "9:32 GR003", "Expected allow, deny, or"),
        ("{name: a, matrix: {table: {clara: quota_exceeded}}}", "9:32 GR003", "Expected allow"),
        ("{name: a, matrix: {table: {clara: [allow, deny]}}}", "9:32 GR003", "has 2 words. Write"),
        ("{name: a, matrix: {table: {clara: [[allow]]}}}", "9:40 GR003", "Expected allow"),
        ("{name: a, matrix: {table: {clara: {predict: allow}}}}", "9:32 GR003", "are: none"),
        (
            "{name: a, matrix: {actions: [predict, explain], table: {clara: {predict: allow}}}}",
            "9:61 GR003", "The actions are: predict, explain",
        ),
        ("{name: a, as: clara, expect: {decision: deny, code: allow}}", "9:26 GR003", "contradict"),
        ("{name: a, as: clara, expect: {decision: allow, code: no_grant}}", "9:26", "contradict"),
        ("{name: a, as: clara, expect: {policies: p}}", "9:35 GR003", "list"),
        (
            "{name: a, as: clara, expect: {obligations: {round: !missing }}}",
            "GR003 `tests.0.expect.obligations.round`", "plain data",
        ),
        ("{name: a, expect: allow}", "9:5 GR003", "no caller"),
        ("{name: a, as: x, principal: {uid: 'U::\"x\"'}, expect: allow}", "9:5 GR003", "both"),
        ("{name: a, as: clra, expect: allow}", "9:15 GR601", "Did you mean clara?"),
        ("{name: a, as: nobody, expect: allow}", "9:15 GR601", "The names are: clara."),
        ("{name: a, as: 'User::clara', expect: allow}", "9:15 GR003", "Expected a uid"),
        ("{name: a, principal: {uid: clara}, expect: allow}", "9:27 GR003", "Expected a uid"),
        ("{name: a, principal: {in: []}, expect: allow}", "GR003", "`tests.0.principal.uid`"),
        (
            "{name: a, principal: {uid: 'U::\"x\"', attrs: {d: !missing }}, expect: allow}",
            "9:50 GR003", "Leave the attribute out",
        ),
        ("{name: a, as: clara, resource: tumour, expect: allow}", "9:26 GR003", "Expected a uid"),
        ("{name: a, as: clara, action: 'Lab::x', expect: allow}", "9:26 GR003", "Expected a uid"),
        ("{name: a, as: clara, now: 2026-11-23T10:00:00, expect: allow}", "9:26 GR003", "its zone"),
        ("{name: a, as: clara, now: 2026-11-23, expect: allow}", "9:26 GR003", "its zone"),
        ("{name: a, as: clara, now: 9999-12-31T23:00:00Z, expect: allow}", "9:26 GR003", "less"),
        ("{name: a, as: clara, now: 0001-01-01T00:00:00Z, expect: allow}", "9:26 GR003", "1970"),
        ("{name: a, as: clara, facts: [1], expect: allow}", "9:26 GR003", "a mapping; got a list"),
        ("{name: a, as: clara, facts: {input: 3}, expect: allow}", "9:34 GR003", "by name"),
        ("{name: a, as: clara, facts: {input: {1: 2}}, expect: allow}", "9:42 GR003", "text"),
        (
            "{name: a, as: clara, facts: {app: {tags: [!missing ]}}, expect: allow}",
            "9:47 GR003", "not items of a list",
        ),
        ("just a text", "9:5 GR003", "Expected a test"),
        ("[]", "9:5 GR003", "Expected a test"),
    ],
)  # fmt: skip
def test_a_test_that_is_not_valid_is_an_error_at_its_place(read, test, place, says):
    (fault,) = faults(read, f"{GIVEN}tests:\n  - {test}\n")
    assert place in fault
    assert fault.startswith("tests/a_test.yaml:")
    assert says in fault


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", "tests/a_test.yaml GR003 Expected a mapping"),
        ("- 1\n", "tests/a_test.yaml:1:1 GR003 Expected a mapping"),
        (
            "given: {}\n",
            "tests/a_test.yaml:1:1 GR003 The file has neither `tests` nor `properties`",
        ),
        ("tests: 3\n", "tests/a_test.yaml:1:1 GR003 `tests`"),
        ("tests: []\nmore: 1\n", "tests/a_test.yaml:2:1 GR003 `more` is not a key"),
        ("given: {who: 1}\ntests: []\n", "tests/a_test.yaml:1:9 GR003 `given.who` is not a key"),
        (
            "given: {facts: {input: 3}}\ntests: []\n",
            "tests/a_test.yaml:1:17 GR003 Expected facts by name",
        ),
        ("given: {principals: {x: {uid: x}}}\ntests: []\n", "tests/a_test.yaml:1:26 GR003 "),
        ("tests: [\n", "tests/a_test.yaml:2:1 GR002 "),
        ("tests: []\ntests: []\n", "tests/a_test.yaml:2:1 GR002 "),
        ("tests: !missing x\n", "tests/a_test.yaml:1:8 GR002 "),
        ("tests: !entity x\n", "tests/a_test.yaml:1:8 GR002 "),
        ("tests: !entity [x]\n", "tests/a_test.yaml:1:8 GR002 "),
        ("tests: !duration 1\n", "tests/a_test.yaml:1:8 GR002 "),
        ("tests: !ip here\n", "tests/a_test.yaml:1:8 GR002 "),
        ("tests: !secret x\n", "tests/a_test.yaml:1:8 GR002 "),
        ("tests: " + "[" * 5000 + "\n", "tests/a_test.yaml:1:"),
        (b"\xff\xfe", "tests/a_test.yaml:1:1 GR005"),
        (b"#" * (1024 * 1024 + 1), "tests/a_test.yaml GR005 "),
    ],
)
def test_a_file_that_is_not_valid_is_an_error_at_its_place(read, text, place):
    assert faults(read, text)[0].startswith(place)


@pytest.mark.parametrize(
    "name", ["tests/a.yaml", "tests/a_test.yml", "tests/deep/a_test.yaml", "tests/_test.yaml/b.yml"]
)
def test_a_file_that_would_never_run_is_an_error(read, name):
    (fault,) = faults(read, f"{GIVEN}tests:\n{TEST}", name)
    assert fault.startswith(f"{name} GR001 Only files named tests/NAME_test.yaml are read")


def test_a_link_out_of_the_bundle_is_an_error(tmp_path):
    (tmp_path / "elsewhere.yaml").write_text("tests: []\n")
    (tmp_path / "bundle" / "tests").mkdir(parents=True)
    (tmp_path / "bundle" / "tests" / "a_test.yaml").symlink_to(tmp_path / "elsewhere.yaml")
    (found,) = read_suite(tmp_path / "bundle").cases
    assert "GR001 The file is a link" in str(found.faults[0])


def test_too_many_files_are_an_error(read, monkeypatch):
    monkeypatch.setattr(cases_module, "LIMIT_FILES", 1)
    read("tests: []\n", "tests/a_test.yaml")
    (fault,) = faults(read, "tests: []\n", "tests/b_test.yaml")
    assert fault.startswith("tests GR005")


def test_a_second_test_of_the_same_name_is_an_error(read):
    first, second = read(f"{GIVEN}tests:\n{TEST}{TEST}")
    assert isinstance(first, PolicyTestCase)
    assert "The test at tests/a_test.yaml:9:6 has the same name" in str(second.faults[0])


def test_values_never_stand_in_a_fault(read):
    text = (
        f"{GIVEN}tests:\n  - {{name: [s3cret], as: clara, expect: {{code: s3cret, path: 4711}}}}\n"
    )
    text = "\n".join(faults(read, text))
    assert "s3cret" not in text
    assert "4711" not in text


# What is read.


def test_a_broken_test_does_not_hide_the_others(read):
    broken, fine = read(f"{GIVEN}tests:\n  - {{name: b, as: nobody, expect: allow}}\n{TEST}")
    assert (type(broken), broken.name) == (InvalidTest, "b")
    assert (type(fine), fine.name) == (PolicyTestCase, "a")


def test_a_broken_file_does_not_hide_the_others(read, tmp_path):
    read("tests: [\n", "tests/a_test.yaml")
    broken, fine = read(f"{GIVEN}tests:\n{TEST}", "tests/b_test.yaml")
    assert (broken.name, broken.place.file, broken.place.line) == ("", "tests/a_test.yaml", 2)
    assert (fine.name, fine.place) == ("a", Place("tests/b_test.yaml", 9, 5))


def test_a_bundle_without_tests_has_none(tmp_path):
    assert read_suite(tmp_path).cases == ()


def test_other_files_beside_the_tests_are_left_alone(read, tmp_path):
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "notes.json").write_text("{}")
    (tmp_path / "tests" / ".hidden.yaml").write_text("x: [")
    assert len(read(f"{GIVEN}tests:\n{TEST}")) == 1


def test_what_is_given_stands_where_the_test_says_nothing(read):
    found = case(read, TEST)
    assert isinstance(found.principal, Principal)
    assert found.principal.uid == Entity("User", "clara")
    assert found.principal.parents == (Entity("Role", "clinician"),)
    assert dict(found.principal.attrs) == {"department": "care"}
    assert found.action == Entity("Action", "predict")
    assert found.resource == Entity("Model", "tumour")
    assert found.now == datetime(2026, 11, 23, 10, tzinfo=UTC).timestamp()
    assert found.facts == {"input": {"rows": 10, "dtype": "float32"}}
    assert found.expected == Expected(decision="allow")


def test_what_the_test_says_stands_over_what_is_given(read):
    found = case(
        read,
        """\
  - name: a
    principal: {uid: 'User::"ana"'}
    action: Lab::Action::"probe"
    resource: Model::"old"
    now: 2026-11-23T10:00:00+02:00
    facts: {input: {rows: 11}, app: {purpose: care}}
    expect: {code: no_grant, errors: []}
""",
    )
    assert found.principal.uid == Entity("User", "ana")
    assert found.action == Entity("Lab::Action", "probe")
    assert found.resource == Entity("Model", "old")
    assert found.now == datetime(2026, 11, 23, 8, tzinfo=UTC).timestamp()
    assert found.facts == {"input": {"rows": 11, "dtype": "float32"}, "app": {"purpose": "care"}}
    assert (found.expected.code, found.expected.errors, found.expected.decision) == (
        "no_grant", [], None,
    )  # fmt: skip


def test_missing_goes_over_what_is_given_and_the_other_way_round(read):
    test = "  - {name: a, as: clara, facts: {input: {rows: !missing }}, expect: allow}\n"
    assert case(read, test).facts == {"input": {"rows": MISSING, "dtype": "float32"}}
    given = GIVEN.replace("rows: 10", "rows: !missing ")
    test = "  - {name: a, as: clara, facts: {input: {rows: 3}}, expect: allow}\n"
    assert case(read, test, given).facts["input"]["rows"] == 3
    test = "  - {name: a, as: clara, facts: {input: !missing }, expect: allow}\n"
    assert case(read, test).facts == {"input": MISSING}


def test_a_uid_is_a_principal_of_the_bundle(read):
    found = case(read, "  - {name: a, as: 'User::\"carl\"', expect: allow}\n")
    assert found.principal == Entity("User", "carl")


def test_tags_stand_for_values_that_yaml_has_not(read):
    found = case(
        read,
        """\
  - name: a
    as: clara
    facts:
      app: {e: !entity 'Model::"x"', d: !duration 90s, i: !ip 10.0.0.1, n: !ip 10.0.0.0/8}
    expect: deny
""",
    )
    assert found.facts["app"] == {
        "e": Entity("Model", "x"),
        "d": timedelta(seconds=90),
        "i": ip_address("10.0.0.1"),
        "n": ip_network("10.0.0.0/8"),
    }


def test_tags_are_those_of_one_reading(read):
    from guardrail._documents import read_yaml
    from guardrail.errors import ConfigurationError

    read(f"{GIVEN}tests:\n{TEST}")
    with pytest.raises(ConfigurationError):
        read_yaml("a.yaml", b"x: !missing \n")
