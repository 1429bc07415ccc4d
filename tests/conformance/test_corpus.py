"""Cases in the form of Cedar's integration tests: replayed, and told where they fail."""

import ast
import json
import shutil
from pathlib import Path

import cedarpy
import pytest

import guardrail
from guardrail.policy.engine import slices, snapshot
from guardrail.policy.engine.snapshot import Answer
from guardrail.policy.engine.verdict import Interpretation, interpret
from guardrail.testing.cedar import corpus_case
from guardrail.testing.cedar.corpus import main, replay
from guardrail.values import Decision

CORPUS = Path(__file__).parent / "corpus"

SCHEMA = """
entity User { level: Long };
entity Doc;
action view appliesTo { principal: [User], resource: [Doc], context: { ip: ipaddr } };
"""
POLICIES = """
@id("open") permit (principal, action, resource) when { context.ip.isLoopback() };
@id("low") forbid (principal, action, resource) when { principal.level + 1 < 2 };
"""
ENTITIES = [
    {"uid": {"type": "User", "id": "ann"}, "attrs": {"level": 5}, "parents": []},
    {"uid": {"type": "User", "id": "top"}, "attrs": {"level": 2**63 - 1}, "parents": []},
    {"uid": {"type": "Doc", "id": "plan"}, "attrs": {}, "parents": []},
]


def request(principal="ann", decision="allow", reason=("policy0",), errors=(), **rest):
    return {
        "description": "a request",
        "principal": {"type": "User", "id": principal},
        "action": {"type": "Action", "id": "view"},
        "resource": {"type": "Doc", "id": "plan"},
        "context": {"ip": "127.0.0.1"},
        "validateRequest": True,
        "decision": decision,
        "reason": list(reason),
        "errors": list(errors),
        **rest,
    }


@pytest.fixture
def write(tmp_path):
    def make(*requests, policies=POLICIES, schema=SCHEMA, **changed):
        (tmp_path / "files").mkdir(exist_ok=True)
        (tmp_path / "files/p.cedar").write_text(policies)
        (tmp_path / "files/s.cedarschema").write_text(schema)
        (tmp_path / "files/e.json").write_text(json.dumps(ENTITIES))
        data = {
            "policies": "files/p.cedar",
            "entities": "files/e.json",
            "schema": "files/s.cedarschema",
            "shouldValidate": True,
            "requests": list(requests),
            **changed,
        }
        (tmp_path / "case.json").write_text(json.dumps(data))
        return tmp_path

    return make


def kinds(root):
    return [failure.kind for failure in replay(root).failures]


def test_every_case_of_ours_is_answered_as_cedar_does():
    report = replay(CORPUS)
    assert report.failures == []
    assert (report.cases, report.requests) == (12, 91)
    assert report.raw > report.requests  # principals that stand, and the same as a call adds them
    assert report.stricter == 9
    assert report.cached > report.same // 2


def test_what_is_stricter_is_an_error_or_an_entity_that_nobody_knows(tmp_path):
    for name in ("errors", "absent"):
        shutil.copytree(CORPUS / name, tmp_path / name)
    assert replay(tmp_path).stricter == replay(CORPUS).stricter


@pytest.mark.parametrize(
    "wrong",
    [
        request(decision="deny", reason=()),
        request(reason=("policy0", "policy1")),
        request("top", errors=()),
        request(errors=("policy1",)),
    ],
    ids=["decision", "reason", "errors", "no error"],
)
def test_a_case_that_cedar_answers_otherwise_is_named(write, capsys, wrong):
    root = write(request(), wrong)
    assert kinds(root) == ["cedar"]
    assert main([str(root)]) == 1
    assert "case.json[1]: cedar: expected" in capsys.readouterr().out


def test_an_error_that_cedar_only_names_is_the_same_raw_and_denied_by_us(write):
    report = replay(write(request(), request("top", errors=["policy1"])))
    assert (report.failures, report.raw, report.same, report.stricter) == ([], 4, 1, 1)


def test_policies_may_be_named_by_their_annotation(write):
    assert (
        kinds(write(request(reason=["open"]), request("top", reason=["open"], errors=["low"])))
        == []
    )


def test_the_older_names_of_the_format_are_read(write):
    older = request(decision="Allow", reasons=["policy0"])
    del older["reason"]
    open_ended = {**request(), "principal": None}
    root = write()
    case = json.loads((root / "case.json").read_text())
    case["queries"] = [older, open_ended]
    del case["requests"]
    (root / "case.json").write_text(json.dumps(case))
    report = replay(root)
    assert (report.failures, report.requests, report.refused) == ([], 2, 1)


def test_policies_and_a_schema_in_json_are_read(write):
    never = {"conditions": [], "annotations": {}, "action": {"op": "All"}}
    scope = {"principal": {"op": "All"}, "resource": {"op": "All"}}
    policies = {"staticPolicies": {"p": {"effect": "permit", **never, **scope}}}
    user = {"shape": {"type": "Record", "attributes": {"level": {"type": "Long"}}}}
    view = {
        "principalTypes": ["User"],
        "resourceTypes": ["Doc"],
        "context": {
            "type": "Record",
            "attributes": {"ip": {"type": "Extension", "name": "ipaddr"}},
        },
    }
    schema = {
        "": {"entityTypes": {"User": user, "Doc": {}}, "actions": {"view": {"appliesTo": view}}}
    }
    texts = {"policies": json.dumps({**policies, "templates": {}, "templateLinks": []})}
    report = replay(write(request(reason=["p"]), **texts, schema=json.dumps(schema)))
    assert report.failures == []


def test_links_in_json_policies_are_filled(write):
    slot = {"op": "==", "slot": "?principal"}
    template = {
        "effect": "permit",
        "principal": slot,
        "action": {"op": "All"},
        "resource": {"op": "All"},
        "conditions": [],
    }
    link = {
        "templateId": "t",
        "newId": "mine",
        "values": {"?principal": {"type": "User", "id": "ann"}},
    }
    policies = {"staticPolicies": {}, "templates": {"t": template}, "templateLinks": [link]}
    root = write(
        request(reason=["mine"]), request("top", "deny", ()), policies=json.dumps(policies)
    )
    assert replay(root).failures == []


def test_policies_that_do_not_validate_are_refused_by_us_and_replayed_raw(write):
    report = replay(
        write(request(), policies=POLICIES + "permit (principal, action, resource) when { 1 };")
    )
    assert [failure.kind for failure in report.failures] == ["validation", "cedar"]
    assert (report.same, report.refused, report.raw) == (0, 1, 2)


@pytest.mark.parametrize(
    "changed",
    [
        {"policies": "files/none.cedar"},
        {"policies": "../outside.cedar"},
        {"entities": 7},
        {"schema": "files/e.json"},
        {"requests": {}},
        {"requests": [7]},
        {"requests": [request(decision="maybe")]},
        {"requests": [{**request(), "reason": "policy0"}]},
        {"requests": [request(reason=[7])]},
        {"requests": [request(action={"type": "Action"})]},
        {"requests": [request(context=[])]},
    ],
)
def test_a_case_that_cannot_be_read_fails(write, changed):
    assert kinds(write(**changed)) == ["unreadable"]


@pytest.mark.parametrize("policies", ["permit (", '{"staticPolicies": 1}'])
def test_policies_that_cannot_be_read_fail(write, policies):
    assert kinds(write(request(), policies=policies)) == ["unreadable"]


def test_a_request_that_cedar_cannot_be_given_fails(write):
    nameless = {**request(), "principal": {"type": "no type", "id": "x"}}
    assert "unreadable" in kinds(write(nameless))


def test_policies_that_nest_too_deep_are_told_and_not_replayed(write, capsys):
    deep = "permit (principal, action, resource) when { " + "(" * 200_000
    root = write(request(), policies=deep)
    report = replay(root)
    assert (report.too_deep, report.failures, report.raw) == (["case.json"], [], 0)
    assert main([str(root)]) == 1  # nothing was replayed
    assert "not replayed" in capsys.readouterr().out
    shutil.copytree(CORPUS / "sets", root / "sets")
    assert main([str(root)]) == 0


def test_a_file_that_is_no_json_fails(write):
    root = write(request())
    (root / "other.json").write_text("{")
    assert kinds(root) == ["unreadable"]


def test_a_slice_that_lacks_a_policy_is_seen(monkeypatch):
    everything = slices.ScopeIndex.matching
    monkeypatch.setattr(slices.ScopeIndex, "matching", lambda *args: everything(*args)[1:])
    assert {"raw", "ours"} <= set(kinds(CORPUS))


def test_a_slice_that_lacks_an_entity_is_seen(monkeypatch):
    monkeypatch.setattr(slices._EntityCollector, "follow", lambda *_: None)
    assert "raw" in kinds(CORPUS)


def test_an_allow_that_is_none_of_cedars_is_seen(monkeypatch):
    def lax(verdict, policies, order):
        found = interpret(verdict, policies, order)
        return Interpretation("allow", found.deciding, (), found.erred)

    monkeypatch.setattr(snapshot, "interpret", lax)
    report = replay(CORPUS)
    assert any(
        "we allow a request that Cedar denies" in failure.message for failure in report.failures
    )


def test_a_denial_without_a_cause_is_seen(monkeypatch):
    monkeypatch.setattr(snapshot, "interpret", lambda *_: Interpretation("no_grant"))
    assert set(kinds(CORPUS)) == {"ours"}


def test_a_kept_answer_that_differs_is_seen(monkeypatch):
    real = corpus_case.ask

    def fickle(*asked):
        answer = real(*asked)
        if not answer.cached:
            return answer
        other = Decision(not answer.decision.allowed, "prohibited")
        return Answer(other, answer.question, answer.context, answer.pending, True)

    monkeypatch.setattr(corpus_case, "ask", fickle)
    assert "cached" in kinds(CORPUS)


def test_the_command_says_so_in_json_and_exits_0(capsys):
    assert main([str(CORPUS), "--format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["cases"] == 12
    assert told["raw"]["different"] == told["ours"]["different"] == 0
    assert told["failures"] == []


def test_the_command_names_each_failure_in_json_and_exits_1(write, capsys):
    assert main([str(write(request(decision="deny"))), "--format", "json"]) == 1
    (failure,) = json.loads(capsys.readouterr().out)["failures"]
    assert (failure["case"], failure["request"], failure["kind"]) == ("case.json", 0, "cedar")
    assert failure["description"] == "a request"


@pytest.mark.parametrize("folder", ["none", "empty"])
def test_a_folder_without_a_case_is_wrong_usage(tmp_path, capsys, folder):
    (tmp_path / "empty").mkdir()
    with pytest.raises(SystemExit) as stopped:
        main([str(tmp_path / folder)])
    assert stopped.value.code == 2
    assert "DIR" in capsys.readouterr().err


def test_nothing_but_testing_imports_the_raw_semantics():
    root = Path(guardrail.__file__).parent
    raw = {
        "guardrail.policy.analysis.differential",
        "guardrail.policy.analysis.plain_cedar",
        "guardrail.policy.schema.literal_context",
    }
    importers = set()
    for path in root.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{alias.name}" for alias in node.names] + [str(node.module)]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            if raw & set(names):
                importers.add(path.relative_to(root).as_posix())
    assert importers - {"policy/analysis/plain_cedar.py"} == {
        "testing/cedar/corpus_case.py",
        "testing/cedar/run_tests.py",
    }


WRONG_ARGUMENTS = """
permit (principal, action, resource) when { context.ip.isLoopback() };
permit (principal, action, resource) when { true || ip("::1", "::2").isIpv4() };
permit (principal, action, resource) when { decimal("1.0").lessThan() };
forbid (principal, action, resource) when { false && duration("1d", "") == duration("1d") };
forbid (principal, action, resource) when { [datetime()].contains(1) };
forbid (principal, action, resource) when { {ip: ip("::1")}.ip.isIpv4() };
"""


@pytest.mark.parametrize("is_json", [False, True])
def test_a_function_of_too_many_or_too_few_arguments_is_compared(write, is_json):
    policies = WRONG_ARGUMENTS
    if is_json:
        policies = cedarpy.policies_to_json_str(policies)
    asked = request(reason=["policy0", "policy1"], errors=["policy2", "policy4"])
    report = replay(write(asked, policies=policies, shouldValidate=False))
    assert report.failures == []
    assert (report.cases, report.raw, report.refused) == (1, 2, 1)


def test_a_wrong_answer_to_such_policies_is_seen(write):
    asked = request(reason=["policy0", "policy1"], errors=["policy2"])
    assert "cedar" in kinds(write(asked, policies=WRONG_ARGUMENTS, shouldValidate=False))
