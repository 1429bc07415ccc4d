"""Tests in the format of Cedar's own tools: Cedar decides them as `cedar run-tests` does."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import cedarpy
import pytest
from typer.testing import CliRunner

from guardrail.bundle.assembly import load_bundle
from guardrail.cli import app
from guardrail.testing import FrozenClock
from guardrail.testing.cedar.run_tests import run_cedar_tests

ROOT = Path(__file__).parents[3]
POLICIES = """\
@id("wards") permit (principal in Role::"clinician", action == Action::"predict", resource)
when { context.input.rows <= 100 };
@id("no-retired") forbid (principal, action == Action::"predict", resource)
when { resource.purpose == "retired" };
@id("no-borrowed") forbid (principal, action == Action::"predict", resource)
when { context.identity.delegated };
@id("rounded") @round("2") forbid (principal in Team::"heart", action == Action::"predict", resource);
@id("late") forbid (principal, action == Action::"predict", resource)
when { context.app has at && context.app.at > datetime("2026-01-01") };
"""  # noqa: E501
MODELS = [
    {"uid": {"type": "Model", "id": "tumour"}, "attrs": {"purpose": "care"}, "parents": []},
    {"uid": {"type": "Model", "id": "old"}, "attrs": {"purpose": "retired"}, "parents": []},
    {"uid": {"type": "Team", "id": "heart"}, "attrs": {"level": 3}, "parents": []},
]


def caller(name, *groups):
    parents = [{"type": kind, "id": group} for kind, group in groups]
    return {
        "uid": {"type": "User", "id": name},
        "attrs": {"department": "care"},
        "parents": parents,
    }


CLARA = caller("clara", ("Role", "clinician"))
HENRY = caller("henry", ("Role", "clinician"), ("Team", "heart"))
NORA = caller("nora")


def asked_of_cedar(policies, test):
    """Return what Cedar says of a test, as `cedar run-tests` asks it: no schema, ids by @id."""
    handle = cedarpy.PolicySet.from_str(policies)
    ids = {name: node.annotations["id"] for name, node in handle.to_pst().static_policies.items()}
    request = test["request"]
    answer = cedarpy.is_authorized(
        {**request, "context": json.dumps(request["context"])},
        handle,
        cedarpy.Entities.from_json_str(json.dumps(test["entities"])),
    )
    reasons = sorted(ids[name] for name in answer.diagnostics.reasons)
    return answer.decision.value.lower(), reasons, len(answer.diagnostics.errors)


def case_of(who, model, context, entities=None, **expected):
    return {
        "name": f"{who['uid']['id']} {model} {context}",
        "request": {
            "principal": f'User::"{who["uid"]["id"]}"',
            "action": 'Action::"predict"',
            "resource": f'Model::"{model}"',
            "context": context,
        },
        "entities": [*MODELS, who] if entities is None else entities,
        "decision": "deny",
        "reason": [],
        "num_errors": 0,
        **expected,
    }


CONTEXTS = [
    {"input": {"rows": 10}, "identity": {"delegated": False}, "app": {}},
    {"input": {"rows": 101}, "identity": {"delegated": False}, "app": {}},
    {"input": {"rows": 10}, "identity": {"delegated": True}, "app": {}},
    {"input": {"rows": 10}, "identity": {}, "app": {}},
    {"input": {}, "identity": {"delegated": False}, "app": {}},
    {},
    {"input": {"rows": 10}, "identity": {"delegated": False}, "app": {
        "at": {"__extn": {"fn": "datetime", "arg": "2026-11-23"}}}},
]  # fmt: skip
REQUESTS = [
    case_of(who, model, context)
    for who, model, context in itertools.product(
        (CLARA, HENRY, NORA), ("tumour", "old", "unknown"), CONTEXTS
    )
]


@pytest.fixture
def folder(make_bundle):
    return make_bundle(POLICIES)


@pytest.fixture
def run(folder, tmp_path):
    """Return a function that runs tests, and returns their results."""
    bundle = load_bundle(folder, clock=FrozenClock())

    def run(*tests):
        file = tmp_path / "tests.json"
        file.write_text(json.dumps(tests, indent=1))
        return list(run_cedar_tests(bundle, file))

    return run


def of_cedar(test):
    decision, reason, errors = asked_of_cedar(POLICIES, test)
    return {**test, "decision": decision, "reason": reason, "num_errors": errors}


def test_the_requests_come_to_every_answer():
    output = [of_cedar(test) for test in REQUESTS]
    assert {test["decision"] for test in output} == {"allow", "deny"}
    assert {name for test in output for name in test["reason"]} == {
        "wards", "no-retired", "no-borrowed", "rounded", "late"
    }  # fmt: skip
    assert {test["num_errors"] for test in output} == {0, 1, 2, 3, 4}


def test_what_cedar_says_of_a_request_holds(run):
    tests = [of_cedar(test) for test in REQUESTS]
    results = run(*tests)
    assert [each.result.outcome for each in results] == ["passed"] * len(tests)
    for each, test in zip(results, tests, strict=True):
        assert each.cedar.decision.lower() == test["decision"]
        assert sorted(each.cedar.reasons) == test["reason"]


def test_what_cedar_does_not_say_does_not_hold(run):
    tests = [of_cedar(test) for test in REQUESTS]
    other = {"allow": "deny", "deny": "allow"}
    turned = [{**test, "decision": other[test["decision"]]} for test in tests]
    more = [{**test, "num_errors": test["num_errors"] + 1} for test in tests]
    named = [{**test, "reason": [*test["reason"], "nobody"]} for test in tests]
    results = run(*turned, *more, *named)
    assert [each.result.outcome for each in results] == ["failed"] * len(results)
    size = len(tests)
    for part, word in ((0, "decision"), (1, "num_errors"), (2, "reason")):
        for each in results[part * size : (part + 1) * size]:
            assert [str(fault.code) for fault in each.result.faults] == ["GR602"]
            assert each.result.message.startswith(f"{word}: expected")


def test_a_reason_that_is_left_out_is_not_looked_at(run):
    (each,) = run(case_of(CLARA, "tumour", CONTEXTS[0], decision="allow"))
    assert each.result.outcome == "passed"


# What a guard decides.


@pytest.mark.parametrize(
    ("test", "cedar", "guard"),
    [
        (case_of(CLARA, "tumour", CONTEXTS[0]), "Allow", "allow"),
        (case_of(CLARA, "old", CONTEXTS[0]), "Deny", "prohibited"),
        (case_of(HENRY, "tumour", CONTEXTS[0]), "Deny", "allow"),
        (case_of(CLARA, "tumour", CONTEXTS[3]), "Allow", "evaluation_error"),
        (case_of(CLARA, "unknown", CONTEXTS[0]), "Allow", "unknown_entity"),
        (case_of(NORA, "tumour", CONTEXTS[0]), "Deny", "no_grant"),
        (case_of(NORA, "tumour", CONTEXTS[0], MODELS), "Deny", "unknown_entity"),
    ],
)
def test_a_guard_that_decides_otherwise_is_told(run, test, cedar, guard):
    (each,) = run(test)
    assert (each.cedar.decision, each.guard.code) == (cedar, guard)
    assert each.differs == ((cedar == "Allow") != (guard == "allow"))
    output = each.as_json()
    assert output["cedar"]["decision"] == cedar.lower()
    assert output["guard"]["code"] == guard


def test_no_guard_allows_what_cedar_denies_but_on_conditions(run):
    for each in run(*REQUESTS):
        if each.guard.allowed and each.cedar.decision == "Deny":
            assert each.guard.obligations
            assert each.cedar.reasons == {"rounded"}


# What is no test.


def changed(**changes):
    return {**case_of(CLARA, "tumour", CONTEXTS[0]), **changes}


@pytest.mark.parametrize(
    ("test", "says"),
    [
        (changed(decision="Allow"), "`decision`"),
        (changed(reason="wards"), "`reason`"),
        (changed(num_errors=-1), "`num_errors`"),
        (changed(request={}), "`request.principal` is required"),
        (
            changed(request={**REQUESTS[0]["request"], "principal": 'User::"clara" || true'}),
            "Expected a uid",
        ),
        (changed(entities={}), "`entities`"),
        (changed(entities=[{"uid": {"type": "User", "id": "x"}}]), "is not a list of entities"),
        (changed(entities=[*MODELS, caller("x", ("Model", "old"))]), "is not a list of entities"),
        (changed(entities="nowhere.json"), "names no file in the folder of the tests"),
        (changed(entities="\ud800"), "names no file in the folder of the tests"),
        (changed(entities="a\0b"), "names no file in the folder of the tests"),
        (changed(entities="a" * 5000), "names no file in the folder of the tests"),
        (changed(entities="../bundle/entities.json"), "names no file in the folder"),
        (
            changed(request={**REQUESTS[0]["request"], "context": {"input": {"rows": 0.5}}}),
            "Cedar rejects the context",
        ),
        ("a test", "expected a mapping"),
    ],
)
def test_what_is_no_test_is_an_error_at_its_line_and_hides_no_other(run, test, says):
    first, broken, last = run(REQUESTS[0], test, of_cedar(REQUESTS[0]))
    assert broken.result.outcome == "error"
    assert says in broken.result.message
    assert broken.result.place.line == first.result.place.line + len(
        json.dumps(REQUESTS[0], indent=1).splitlines()
    )
    assert last.result.outcome == "passed"


def test_entities_may_stand_in_a_file_beside_the_tests(run, tmp_path):
    (tmp_path / "who.json").write_text(json.dumps([*MODELS, CLARA]))
    (each,) = run(of_cedar(REQUESTS[0]) | {"entities": "who.json"})
    assert each.result.outcome == "passed"


# Export.

TESTS = """\
given:
  principals:
    clara: {uid: 'User::"clara"', in: ['Role::"clinician"'], attrs: {department: care}}
    henry: {uid: 'User::"henry"', in: ['Role::"clinician"', 'Team::"heart"'],
            attrs: {department: care, score: 0.5}}
  action: predict
  resource: Model::"tumour"
  facts: {input: {rows: 10}, identity: {delegated: false}, app: {at: !missing }}
tests:
  - {name: may, as: clara, expect: allow}
  - {name: on a condition, as: henry, expect: allow}
  - {name: late, as: clara, facts: {app: {at: 2026-11-23T10:00:00Z}}, expect: deny}
  - {name: unsaid, as: clara, facts: {identity: {delegated: !missing }}, expect: deny}
  - {name: not what it expects, as: clara, resource: Model::"old", expect: allow}
  - {name: of the bundle, as: 'User::"carl"', expect: allow}
  - {name: nobody, as: 'User::"x"', expect: deny}
  - {name: an unknown action, as: clara, action: fly, expect: deny}
  - {name: no such fact, as: clara, facts: {input: {rows: ten}}, expect: deny}
  - {name: broken, expect: deny}
"""


def command(*arguments):
    return CliRunner().invoke(app, ["cedar", *map(str, arguments)])


@pytest.fixture
def exported(make_bundle, tmp_path):
    done = command(
        "export", make_bundle(POLICIES, **{"tests/a_test.yaml": TESTS}), tmp_path / "out"
    )
    assert done.exit_code == 0, done.output
    policies = (tmp_path / "out" / "policies.cedar").read_text("utf-8")
    return done, policies, json.loads((tmp_path / "out" / "tests.json").read_text("utf-8"))


def test_what_is_exported_cedar_says_of_it(exported):
    _, policies, tests = exported
    assert [(test["name"], test["decision"], test["reason"], test["num_errors"])
            for test in tests] == [
        ("may", "allow", ["wards"], 0),
        ("on a condition", "deny", ["rounded"], 0),
        ("late", "deny", ["late"], 0),
        ("unsaid", "allow", ["wards"], 1),
        ("not what it expects", "deny", ["no-retired"], 0),
        ("of the bundle", "allow", ["wards"], 0),
        ("nobody", "deny", [], 0),
    ]  # fmt: skip
    for test in tests:
        assert asked_of_cedar(policies, test) == (
            test["decision"], test["reason"], test["num_errors"]
        )  # fmt: skip


def test_what_cedar_can_not_be_asked_is_left_out_and_said(exported):
    done, _, _ = exported
    assert [line.partition(": ")[0] for line in done.stderr.splitlines()[:3]] == [
        "tests/a_test.yaml:17:5 is left out",
        "tests/a_test.yaml:18:5 is left out",
        "tests/a_test.yaml:19:5 is left out",
    ]
    assert "Cedar decides 2 of them differently from a guard" in done.stderr
    assert done.stdout.endswith("out: 7 tests\n")


@pytest.mark.parametrize("name", ["clinical_scoring", "support_replies"])
def test_tests_of_a_shipped_bundle_go_there_and_back(name, tmp_path):
    bundle = ROOT / "policies" / name
    assert command("export", bundle, tmp_path).exit_code == 0
    policies = (tmp_path / "policies.cedar").read_text("utf-8")
    tests = json.loads((tmp_path / "tests.json").read_text("utf-8"))
    for test in tests:
        assert asked_of_cedar(policies, test) == (
            test["decision"], test["reason"], test["num_errors"]
        )  # fmt: skip
    back = command("run-tests", bundle, tmp_path / "tests.json", "--format", "json")
    assert back.exit_code == 0
    output = json.loads(back.stdout)
    assert (output["passed"], output["failed"], output["errors"]) == (len(tests), 0, 0)


def test_links_are_exported_as_policies_under_their_own_ids(make_bundle, tmp_path):
    folder = make_bundle(
        '@id("share") @doc("To \\"share\\".")\n'
        'permit (principal in ?principal, action == Action::"predict", resource == ?resource)\n'
        'when { resource.purpose != "a\\"b" };\n'
        '@id("stop") @round("1") forbid (principal in ?principal, action, resource);\n',
        **{
            "links.yaml": "- {template: share, id: share-1, principal: 'Role::\"clinician\"', "
            "resource: 'Model::\"tumour\"'}\n"
            "- {template: stop, id: stop-1, principal: 'Team::\"heart\"'}\n",
            "tests/a_test.yaml": TESTS,
        },
    )
    assert command("export", folder, tmp_path / "out").exit_code == 0
    policies = (tmp_path / "out" / "policies.cedar").read_text("utf-8")
    tests = json.loads((tmp_path / "out" / "tests.json").read_text("utf-8"))
    reasons = {test["name"]: test["reason"] for test in tests}
    assert (reasons["may"], reasons["on a condition"]) == (["share-1"], ["stop-1"])
    for test in tests:
        assert asked_of_cedar(policies, test)[1] == test["reason"]


# The commands.


@pytest.fixture
def file(tmp_path):
    def file(data):
        path = tmp_path / "cedar.json"
        path.write_text(data if isinstance(data, str) else json.dumps(data))
        return path

    return file


def test_a_run_is_told_with_what_differs(folder, file):
    tests = [
        of_cedar(case_of(CLARA, "tumour", CONTEXTS[0])),
        of_cedar(case_of(HENRY, "tumour", CONTEXTS[0])),
    ]
    done = command("run-tests", folder, file(tests))
    assert done.exit_code == 0
    assert "a guard decides: allow by wards, if: round 2" in done.stdout
    assert done.stdout.endswith("2 passed; a guard decides 1 differently from Cedar\n")


def test_a_test_that_does_not_hold_exits_1(folder, file):
    done = command("run-tests", folder, file([case_of(CLARA, "tumour", CONTEXTS[0])]))
    assert done.exit_code == 1
    assert "GR602 decision: expected deny; Cedar returns allow" in done.stdout
    assert done.stdout.endswith("1 failed, 0 passed\n")


def test_no_test_at_all_exits_1(folder, file):
    done = command("run-tests", folder, file([]))
    assert (done.exit_code, done.stdout) == (1, "0 passed\n")
    assert "has no tests" in done.stderr


@pytest.mark.parametrize(("data", "code"), [({}, "GR003"), ("[", "GR002"), ("[1,]", "GR002")])
def test_a_file_that_is_none_of_tests_exits_2(folder, file, data, code):
    done = command("run-tests", folder, file(data))
    assert (done.exit_code, done.stdout) == (2, "")
    assert code in done.stderr


def test_a_bundle_without_tests_exports_nothing(folder, tmp_path):
    done = command("export", folder, tmp_path / "out")
    assert done.exit_code == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["run-tests", "export"])
def test_a_bundle_that_does_not_load_exits_1(make_bundle, file, name):
    done = command(name, make_bundle("permit ("), file([]))
    assert (done.exit_code, done.stdout) == (1 if name == "run-tests" else 2, "")
