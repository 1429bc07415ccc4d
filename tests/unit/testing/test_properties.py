"""Properties: a counterexample is found and printed; a property without any request fails."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from guardrail import ConfigurationError, Guard
from guardrail.bundle.assembly import load_bundle
from guardrail.policy.analysis.mutations import changed, edits_of
from guardrail.testing import FrozenClock, always, never, run_tests
from guardrail.testing.files.cases import read_suite
from guardrail.testing.properties.check import run_properties
from guardrail.testing.run.reload_child import try_out

POLICIES = """\
@id("wards") permit (principal in Role::"clinician", action == Action::"predict", resource)
when { context.input.rows <= 100 };
@id("cohorts") permit (principal in Role::"analyst", action == Action::"predict", resource)
when { context.input.rows > 100 && context.app has purpose && context.app.purpose == "research" };
@id("leads") permit (principal, action == Action::"explain", resource)
when { principal has level && principal.level >= 7 };
@id("no-retired") forbid (principal, action, resource) when { resource.purpose == "retired" };
@id("no-borrowed") forbid (principal, action == Action::"predict", resource)
when { context.identity.delegated };
@id("rounded") @round("2") forbid (principal, action == Action::"predict", resource)
unless { principal in Role::"clinician" };
"""
GIVEN = """\
given:
  action: predict
  resource: Model::"tumour"
  principals:
    clara: {uid: 'User::"clara"', in: ['Role::"clinician"'], attrs: {department: care}}
  facts: {input: {rows: 10}, identity: {delegated: false}}
"""


@pytest.fixture
def folder(make_bundle):
    """Return a function that writes a bundle whose test file ends with some properties."""

    def folder(*properties, policies=POLICIES, given=GIVEN, **files):
        items = "".join(f"  - {{name: p{number}, {each}}}\n" for number, each in
                        enumerate(properties))  # fmt: skip
        text = f"{given}properties:\n{items}"
        return make_bundle(policies, **{"tests/a_test.yaml": text}, **files)

    return folder


@pytest.fixture
def outcome(folder):
    """Return a function that checks one property and says how it ends: outcome, codes, messages."""

    def outcome(stated, *, examples=40, **more):
        (result,) = run_tests(folder(stated, **more), examples=examples).results
        return result.outcome, *(f"{fault.code} {fault.message}" for fault in result.faults)

    return outcome


def shown(ended):
    """Return the test that a failed property tells, as lines."""
    assert ended[0] == "failed", ended
    (message,) = ended[1:]
    assert message.startswith("GR610 ")
    return [line.removeprefix("  ") for line in message.splitlines()[1:]]


# What breaks a property.


def test_what_must_never_be_and_is_is_told_as_the_simplest_request(outcome):
    output = shown(outcome("never: {allow: true, when: {action: predict}}"))
    assert output == [
        '- name: "shows: p0"',
        '  principal: {"uid": "User::\\"somebody\\"", "in": ["Role::\\"clinician\\""], "attrs":'
        ' {"department": "another"}}',
        '  action: "predict"',
        '  resource: "Model::\\"tumour\\""',
        '  facts: {"input": {"rows": 0}, "identity": {"delegated": false}}',
        '  expect: {"decision": "allow", "code": "allow", "policies": ["wards"]}',
    ]


def test_what_must_always_be_and_is_not_is_told(outcome):
    output = shown(outcome("always: {obligations: [round], when: {allow: true, action: predict}}"))
    assert 'Role::\\"clinician\\"' in output[1]
    assert output[-1] == '  expect: {"decision": "allow", "code": "allow", "policies": ["wards"]}'


def test_what_implies_is_broken_by_what_has_the_one_without_the_other(outcome):
    stated = (
        "implies: {if: {allow: true, action: predict}, then: {facts: {input: {rows: {max: 100}}}}}"
    )
    output = shown(outcome(stated))
    assert '"rows": 101' in output[4]
    assert '"purpose": "research"' in output[4]


HOLD = [
    "never: {allow: true, when: {resource: {purpose: retired}}}",
    "never: {allow: true, when: {facts: {identity: {delegated: true}}, action:"
    " predict}}",
    "never: {allow: true, when: {principal: {not_in: ['Role::\"clinician\"', 'Role::\"analyst\"']},"
    " action: predict}}",
    "never: {code: allow, when: {principal: {level: {max: 6}}, action: explain}}",
    "never: {allow: true, when: {principal: {level: !missing }, action: explain}}",
    "always: {obligations: {round: 2}, when: {principal: {in: 'Role::\"analyst\"', not_in:"
    " 'Role::\"clinician\"'}, action: predict, allow: true}}",
    "always: {allow: true, when: {principal: {level: {min: 7}}, action: explain,"
    " resource: {purpose: {none_of: [retired]}}}}",
    "always: {allow: true, when: {principal: {in: 'Role::\"clinician\"'}, action: predict,"
    " resource: 'Model::\"tumour\"', facts: {input: {rows: {max: 100}},"
    " identity: {delegated: false}}}}",
    "implies: {if: {policies: [cohorts]}, then: {facts: {app: {purpose: research},"
    " input: {rows: {min: 101}}}}}",
    "always: {errors: false}",
    "never: {code: [prohibited, evaluation_error], when: {action: {one_of: [explain]}, resource:"
    " 'Model::\"tumour\"'}}",
    "always: {code: prohibited, when: {facts: {identity: {delegated: true}}}}",
]  # fmt: skip


@pytest.mark.parametrize("stated", HOLD[:-1])
def test_what_holds_passes(outcome, stated):
    assert outcome(stated) == ("passed",)


def test_who_has_no_grant_is_not_prohibited(outcome):
    output = shown(outcome(HOLD[-1]))
    assert '"code": "no_grant"' in output[-1]


@pytest.mark.parametrize(
    ("stated", "policy"),
    [
        (HOLD[0], "no-retired"),
        (HOLD[1], "no-borrowed"),
        (HOLD[5], "rounded"),
        (HOLD[6], "leads"),
        (HOLD[7], "wards"),
    ],
)
def test_a_property_fails_where_the_policy_behind_it_is_dropped(folder, stated, policy):
    path = folder(stated)
    bundle = load_bundle(path, clock=FrozenClock())
    ended = dropped(bundle, read_suite(path), policy)
    assert ended == {"p0": "failed"}


def dropped(bundle, suite, policy):
    """Return how the properties of a suite end on a bundle without one of its policies."""
    (edit,) = [
        edit
        for edit in edits_of(bundle.snapshot)
        if edit.what == "the policy dropped" and edit.name == policy
    ]
    other = replace(bundle, snapshot=changed(bundle.snapshot, edit))
    return {each.name: each.outcome for each in run_properties(other, suite)}


@pytest.mark.parametrize(
    ("name", "policy", "property_"),
    [
        ("clinical_scoring", "coarse-scores-for-analysts", "what an analyst gets is coarse"),
        ("clinical_scoring", "no-retired-models",
         "a retired model scores for nobody, whoever asks"),
        ("clinical_scoring", "no-borrowed-identities", "a borrowed identity gets nothing"),
        ("clinical_scoring", "fair-use", "only auditors are without a quota"),
        ("support_replies", "no-instructions-to-the-assistant",
         "nobody instructs the assistant, whoever asks"),
        ("support_replies", "prompts-are-plain-text", "no reply leaves unread"),
        ("support_replies", "replies-are-plain-text", "no reply leaves unread"),
        ("support_replies", "contacts-are-for-leads", "only leads see contacts"),
        ("support_replies", "fair-use", "only leads ask without end"),
    ],
)  # fmt: skip
def test_each_property_of_the_shipped_bundles_hangs_on_its_policy(name, policy, property_):
    path = Path("policies", name)
    ended = dropped(load_bundle(path, clock=FrozenClock()), read_suite(path), policy)
    assert ended[property_] == "failed"
    assert all(outcome == "passed" for other, outcome in ended.items() if other != property_)


# What is told, pasted.


@pytest.mark.parametrize(
    "stated",
    [
        "never: {allow: true, when: {action: predict}}",
        "never: {allow: true, when: {principal: {team: !entity 'Team::\"heart\"', score: 0.25},"
        " action: explain}}",
        "always: {allow: true, when: {facts: {identity: {delegated: !missing }}, action: predict}}",
        "never: {allow: true, when: {facts: {app: {span: !duration 90s, ip: !ip 10.0.0.0/8,"
        " at: {min: 2026-02-01T00:00:00Z}, owner: !entity 'User::\"carl\"',"
        ' note: {text: "a\'\u00e9"},'
        " tags: [x], score: 0.5, count: -3}}}}",
        "never: {allow: true, when: {principal: 'User::\"carl\"', action: predict}}",
    ],
)
def test_what_is_told_says_the_same_where_it_is_pasted(folder, make_bundle, stated):
    (result,) = run_tests(folder(stated), examples=0).results
    test = shown((result.outcome, *(str(fault).partition(" ")[2] for fault in result.faults)))
    pasted = "".join(f"  {line}\n" for line in ["tests:", *test])[2:]
    again = run_tests(make_bundle(POLICIES, **{"tests/a_test.yaml": pasted}))
    (other,) = again.results
    assert (other.outcome, other.faults) == ("passed", ())
    assert other.decision.code == result.decision.code


# What would pass without anything tried.


@pytest.mark.parametrize(
    "stated",
    [
        "never: {allow: true, when: {principal: {not_in: ['Role::\"clinician\"', "
        "'Role::\"analyst\"']}, action: predict, policies: [wards]}}",
        "never: {allow: true, when: {action: predict, facts: {input: {rows: {min: 5, max: 4}}}}}",
        "never: {allow: true, when: {principal: {type: Model}}}",
        "never: {allow: true, when: {facts: {time: {hour: {min: 24}}}}}",
        "always: {allow: true, when: {principal: {in: 'Role::\"analyst\"', not_in:"
        " 'Role::\"analyst\"'}}}",
    ],
)
@pytest.mark.parametrize("examples", [0, 20])
def test_a_condition_that_nothing_meets_is_an_error(outcome, stated, examples):
    ended = outcome(stated, examples=examples)
    assert ended[0] == "error"
    assert ended[1].startswith("GR611 The property applies to no request")


@pytest.mark.parametrize(
    ("when", "key", "code", "says"),
    [
        ("principal: {mfa: false}", "mfa", "GR601", "not declare principal.mfa"),
        ("principal: {attrs: {mfa: 1}}", "mfa", "GR601", "not declare principal.mfa"),
        ("principal: {attrs: 1}", "attrs", "GR003", "attributes by name"),
        ("facts: {input: {rws: 1}}", "rws", "GR601", "context.input.rws"),
        ("facts: {inptu: {rows: 1}}", "inptu", "GR601", "context.inptu"),
        ("resource: {colour: red}", "colour", "GR601", "resource.colour"),
        ("principal: {in: 'Role::\"clinican\"'}", "in:", "GR601", 'Role::"clinican"'),
        ("principal: {type: Usr}", "type", "GR601", "no such entity type"),
        ("resource: 'Model::\"tumor\"'", "resource", "GR601", "no entity Model"),
        ("action: predit", "action", "GR601", "no action predit"),
        ("policies: [ward]", "ward]", "GR601", "no policy of this id"),
        ("obligations: [rond]", "obligations", "GR601", "no such obligation"),
        ("facts: {input: {rows: many}}", "rows", "GR003", "an int"),
        ("facts: {input: {rows: {least: 1}}}", "rows", "GR003", "the keys contains, max, min"),
        ("facts: {input: {rows: {min: x}}}", "rows", "GR003", "an int"),
        ("facts: {app: {purpose: {min: a}}}", "purpose", "GR003", "takes no `min`"),
        ("facts: {app: {purpose: {contains: a}}}", "purpose", "GR003", "only a set takes"),
        ("facts: {app: {tags: {one_of: a}}}", "tags", "GR003", "a list under `one_of`"),
        ("facts: {app: {note: x}}", "note", "GR003", "is a record"),
        ("facts: {app: {purpose: {missing: 1}}}", "purpose", "GR003", "takes `missing: true`"),
        ("principal: {in: [3]}", "3]", "GR003", "the uid of an entity"),
        ("principal: {in: clinician}", "in:", "GR003", "Expected a uid"),
        ("action: 3", "action", "GR003", "the name of an action"),
        ("when: {}", "when: {}", "GR003", "is not a key"),
        ("alow: true", "alow", "GR003", "is not a key"),
        ("allow: often", "allow: often", "GR003", "true or false"),
    ],
)
def test_what_the_bundle_has_not_is_an_error_at_its_place(folder, when, key, code, says):
    path = folder(f"never: {{allow: true, when: {{{when}}}}}")
    line = (path / "tests" / "a_test.yaml").read_text().splitlines()[7]
    (result,) = run_tests(path, examples=0).results
    assert result.outcome == "error"
    (fault,) = result.faults
    place = f"tests/a_test.yaml:8:{line.index(key) + 1}"
    # What pydantic says of a value stands where the value does, or at its key.
    assert str(fault).startswith((f"{place} {code}", f"{place}"[:-1])), fault
    assert (fault.code, fault.place.line) == (code, 8)
    assert says in fault.message


@pytest.mark.parametrize(
    ("stated", "says"),
    [
        ("never: {when: {action: predict}}", "has no claim"),
        ("implies: {if: {allow: true}, then: {}}", "has no claim"),
        ("always: {allow: true}, never: {allow: true}", "one of `never`"),
        ("sometimes: {allow: true}", "is not a key"),
        ("missing: 3, never: {allow: true}", "true or false"),
        ("missing: true", "one of `never`"),
    ],
)
def test_a_property_that_claims_nothing_is_an_error(outcome, stated, says):
    output = outcome(stated)
    assert output[0] == "error"
    assert any(says in message for message in output[1:]), output


def test_one_property_that_is_wrong_hides_no_other(folder):
    report = run_tests(folder("never: {}", HOLD[0], "[]"), examples=0)
    assert [result.outcome for result in report.results] == ["error", "passed", "error"]


def test_a_name_stands_once(folder):
    path = folder(HOLD[0], HOLD[1])
    file = path / "tests" / "a_test.yaml"
    file.write_text(file.read_text().replace("name: p1", "name: p0"))
    assert [result.outcome for result in run_tests(path, examples=0).results] == ["passed", "error"]


def test_a_file_may_have_properties_alone_but_not_nothing(folder, make_bundle):
    assert [each.outcome for each in run_tests(folder(HOLD[0])).results] == ["passed"]
    path = make_bundle(POLICIES, **{"tests/a_test.yaml": "properties: 3\n"})
    (result,) = run_tests(path).results
    assert (result.outcome, result.faults[0].code) == ("error", "GR003")


# How it is tried.


def test_without_hypothesis_a_property_is_an_error_that_says_what_to_install(outcome, monkeypatch):
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    monkeypatch.delitem(sys.modules, "guardrail.testing.properties.strategies", raising=False)
    ended = outcome(HOLD[0])
    assert ended[0] == "error"
    assert "GR612" in ended[1]
    assert "guardrail-cedar[properties]" in ended[1]
    assert outcome(HOLD[0], examples=0) == ("passed",)
    assert outcome("never: {allow: true}")[0] == "failed", "found at the edges"


def test_what_is_only_between_the_edges_is_found_at_random(outcome):
    policies = """@id("odd") permit (principal, action == Action::"predict", resource)
when { context.input.rows * 3 > 10000 && context.input.rows * 3 < 20000 };"""
    stated = "never: {allow: true}"
    assert outcome(stated, policies=policies, given="", examples=0) == ("passed",)
    output = shown(outcome(stated, policies=policies, given="", examples=2000))
    assert '"decision": "allow"' in output[-1]


def test_it_ends_the_same_each_time(outcome):
    stated = "never: {allow: true, when: {action: predict}}"
    assert outcome(stated) == outcome(stated)


def test_what_the_schema_demands_is_left_out_where_it_is_asked_for(outcome):
    stated = "always: {errors: false}"
    assert outcome(stated) == ("passed",)
    output = shown(outcome(f"missing: true, {stated}"))
    assert "!missing" in output[4]


def test_a_bundle_is_served_by_its_properties_tried_at_the_edges_alone(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    monkeypatch.delitem(sys.modules, "guardrail.testing.properties.strategies", raising=False)
    assert try_out(folder(HOLD[0]))[1] == ()
    _, faults = try_out(folder("never: {allow: true}"))
    assert [(fault.code, fault.place.line) for fault in faults] == [("GR610", 8)]


# From Python.


def test_never_and_always_assert_and_tell(folder):
    path = folder()
    never(path, allow=True, when={"resource": {"purpose": "retired"}}, examples=20)
    analyst = {"in": 'Role::"analyst"', "not_in": 'Role::"clinician"'}
    always(
        path, obligations=["round"], when={"allow": True, "principal": analyst, "action": "predict"}
    )
    with pytest.raises(AssertionError, match=r'- name: "shows: never"'):
        never(path, allow=True)
    with pytest.raises(AssertionError, match="nothing was tried"):
        never(path, allow=True, when=lambda request: False, examples=5)
    with pytest.raises(ConfigurationError, match=r"principal\.mfa"):
        never(path, allow=True, when={"principal": {"mfa": False}})
    with pytest.raises(ConfigurationError, match="has no claim"):
        never(path, when={"action": "predict"})
    with pytest.raises(ConfigurationError, match="is not a key"):
        never(path, alow=True)


def test_a_function_may_say_of_which_requests(folder):
    path = folder()
    never(path, allow=True, when=lambda request: request.resource.id == "old", examples=20)
    with pytest.raises(AssertionError, match="explain"):
        never(path, allow=True, when=lambda request: request.action.id == "explain", examples=20)


def test_a_bundle_is_a_folder_itself_or_a_guard(folder):
    path = folder()
    for bundle in (path, str(path), load_bundle(path, clock=FrozenClock()), Guard.from_dir(path)):
        never(bundle, allow=True, when={"resource": {"purpose": "retired"}}, examples=5)
        with pytest.raises(AssertionError):
            never(bundle, allow=True, examples=5)
