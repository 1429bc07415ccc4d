"""A policy test passes only if the decision is the one that it expects."""

import json

import pytest

from guardrail import ConfigurationError
from guardrail.bundle.assembly import load_bundle
from guardrail.testing import FrozenClock, run_tests

POLICIES = """\
@id("wards") permit (principal in Role::"clinician", action == Action::"predict", resource)
when { context.input.rows <= 100 };
@id("nights") permit (principal in Role::"auditor", action == Action::"predict", resource)
when { context.time.hour < 6 };
@id("explains") permit (principal, action == Action::"explain", resource);
@id("no-retired") @reason("It is retired.")
forbid (principal, action == Action::"predict", resource) when { resource.purpose == "retired" };
@id("no-borrowed")
forbid (principal, action == Action::"predict", resource) when { context.identity.delegated };
@id("no-sales")
forbid (principal, action == Action::"predict", resource)
when { context.app has purpose && context.app.purpose == "sales" };
@id("own-only")
forbid (principal, action == Action::"predict", resource)
when { context.app has owner && context.app.owner != principal };
@id("rounded") @round("2")
forbid (principal in Role::"clinician", action == Action::"predict", resource);
@id("rounded-more") @round("1") @top_k("1")
forbid (principal, action == Action::"predict", resource)
when { context.app has flag && context.app.flag };
"""
GIVEN = """\
given:
  now: 2026-11-23T03:00:00Z
  action: predict
  resource: Model::"tumour"
  principals:
    clara: {uid: 'User::"clara"', in: ['Role::"clinician"'], attrs: {department: care}}
    otto: {uid: 'User::"otto"', in: ['Role::"auditor"'], attrs: {department: care}}
    nora: {uid: 'User::"nora"', attrs: {department: care}}
  facts: {input: {rows: 10}, identity: {delegated: false}}
"""


@pytest.fixture
def run(make_bundle):
    """Return a function that runs tests, each a mapping in YAML, and gives their results."""

    def run(*tests, given=GIVEN, policies=POLICIES, **files):
        items = "".join(f"  - {{name: t{number}, {test}}}\n" for number, test in enumerate(tests))
        text = f"{given}tests:\n{items}"
        return run_tests(make_bundle(policies, **{"tests/a_test.yaml": text}, **files)).results

    return run


def outcome(results):
    (result,) = results
    return result.outcome, *(f"{fault.code} {fault.message}" for fault in result.faults)


# What fails.


@pytest.mark.parametrize(
    ("test", "says"),
    [
        ("as: clara, expect: deny", "decision: expected deny; got allow"),
        ("as: nora, expect: allow", "decision: expected allow; got deny"),
        ("as: nora, expect: {code: prohibited}", "code: expected prohibited; got no_grant"),
        ("as: clara, expect: {policies: []}", "policies: expected none; got wards"),
        ("as: clara, expect: {policies: [nights]}", "policies: expected nights; got wards"),
        (
            "as: clara, expect: {policies: [wards, nights]}",
            "policies: expected nights, wards; got wards",
        ),
        ("as: clara, expect: {obligations: {}}", "obligations.round: expected none; got 2"),
        ("as: clara, expect: {obligations: {round: 1}}", "obligations.round: expected 1; got 2"),
        (
            "as: clara, expect: {obligations: {round: 2.0}}",
            "obligations.round: expected 2.0; got 2",
        ),
        (
            "as: clara, expect: {obligations: {round: 2, top_k: 1}}",
            "obligations.top_k: expected 1; got none",
        ),
        ("as: clara, expect: {errors: [wards]}", "errors: expected wards; got none"),
        (
            "as: clara, facts: {input: {rows: !missing }}, expect: {code: no_grant, errors: []}",
            "errors: expected none; got wards",
        ),
        ("as: clara, expect: {path: context.x}", "path: expected context.x; got none"),
        (
            "as: clara, resource: 'Model::\"old\"', expect: {reason: It is old.}",
            "reason: expected It is old.; got It is retired.",
        ),
    ],
)
def test_another_decision_than_the_expected_fails_and_says_both(run, test, says):
    assert outcome(run(test)) == ("failed", f"GR602 {says}")


def test_every_key_that_does_not_hold_is_named(run):
    (result,) = run(
        "as: nora, expect: {decision: allow, code: allow, policies: [wards],"
        " obligations: {round: 2}}"
    )
    assert [fault.message.partition(":")[0] for fault in result.faults] == [
        "decision", "code", "policies", "obligations.round",
    ]  # fmt: skip
    assert result.decision.code == "no_grant"
    assert {fault.place.line for fault in result.faults} == {11}


def test_one_is_not_true_in_an_obligation(run):
    flagged = "as: clara, facts: {app: {flag: true}}, expect: {obligations: {round: 1, top_k: %s}}"
    assert outcome(run(flagged % "true"))[0] == "failed"
    assert outcome(run(flagged % "1")) == ("passed",)


# What is wrong with a test.


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ("facts: {identity: {delegated: false}}", "input.rows"),
        ("facts: {input: {rows: 10}}", "identity.delegated"),
        ("facts: {}", "input.rows, identity.delegated"),
    ],
)
def test_a_fact_that_is_read_and_not_said_is_an_error_of_the_test(run, given, names):
    head = GIVEN.partition("  facts:")[0]
    got = outcome(run("as: clara, expect: deny", given=f"{head}  {given}\n"))
    assert got[0] == "error"
    assert got[1].startswith(
        f'GR600 The policies of Action::"predict" read {names}, which the test does not state'
    )


def test_time_that_is_not_said_is_an_error_of_the_test(run):
    given = GIVEN.replace("  now: 2026-11-23T03:00:00Z\n", "")
    (message,) = outcome(run("as: otto, expect: deny", given=given))[1:]
    assert "time.hour" in message
    assert "computed from `now`" in message


@pytest.mark.parametrize(
    "test",
    [
        "facts: {input: {rowz: 3}}",
        "facts: {artifact: {signed: true}}",
        "facts: {app: {purposes: sales}}",
        "facts: {input: {rowz: !missing }}",
    ],
)
def test_a_fact_that_the_schema_has_not_is_an_error_of_the_test(run, test):
    assert outcome(run(f"as: clara, {test}, expect: allow"))[1].startswith(
        "GR601 The schema has no context."
    )


def test_a_given_fact_that_no_action_has_is_an_error_of_the_file(run):
    given = GIVEN.replace("{rows: 10}", "{rows: 10, rowz: 3}")
    of_file, of_test = run("as: clara, expect: allow", given=given)
    assert (of_file.name, of_file.outcome) == ("", "error")
    assert str(of_file.faults[0]).startswith("tests/a_test.yaml:9:29 GR601 ")
    assert of_test.outcome == "passed"


def test_a_given_fact_of_another_action_is_none(run):
    given = GIVEN.replace("{rows: 10}", "{rows: 10, fields: [a]}")  # of `summarize`
    assert outcome(run("as: clara, expect: allow", given=given)) == ("passed",)
    own = "as: clara, facts: {input: {fields: [a]}}, expect: allow"
    assert outcome(run(own))[0] == "error"


# What passes.


@pytest.mark.parametrize(
    "test",
    [
        "as: nora, expect: {decision: deny, code: no_grant, policies: [], obligations: {}}",
        "as: clara, facts: {input: {rows: 101}}, expect: {code: no_grant}",
        "as: clara, expect: {decision: allow, code: allow, policies: [wards], errors: []}",
        "as: clara, expect: {path: '', reason: ''}",
        "as: clara, resource: 'Model::\"old\"', expect: {policies: [no-retired],"
        " reason: It is retired.}",
        "as: clara, resource: 'Model::\"none\"', expect: {code: unknown_entity}",
        "as: clara, action: fly, expect: {code: undeclared_action}",
        "principal: {uid: 'Model::\"old\"', attrs: {purpose: x}}, expect: {code: wrong_type}",
        "as: 'User::\"carl\"', expect: allow",
        "as: 'User::\"nobody\"', expect: {code: unknown_entity}",
        "as: clara, facts: {input: {rows: ten}},"
        " expect: {code: bad_fact, path: context.input.rows}",
        "as: clara, facts: {input: {rows: {number: 3}}}, expect: {code: bad_fact}",
        "as: clara, facts: {app: {owner: !entity 'User::\"carl\"'}},"
        " expect: {policies: [own-only]}",
        "as: clara, facts: {app: {owner: !entity 'User::\"clara\"'}}, expect: allow",
        "as: clara, facts: {app: {owner: 'User::\"clara\"'}}, expect: {code: bad_fact}",
        "as: clara, facts: {app: {purpose: sales}}, expect: {policies: [no-sales]}",
        "as: clara, facts: {app: {flag: true}}, expect: {obligations: {round: 1, top_k: 1}}",
        "as: nora, action: explain, expect: {policies: [explains]}",
    ],
)
def test_the_expected_decision_passes(run, test):
    assert outcome(run(test)) == ("passed",)


def test_policies_are_a_set(run):
    both = "principal: {uid: 'User::\"b\"', in: ['Role::\"auditor\"', 'Role::\"clinician\"'],"
    both += " attrs: {department: care}}"
    for ids in ("nights, wards", "wards, nights"):
        assert outcome(run(f"{both}, expect: {{policies: [{ids}]}}")) == ("passed",)


def test_missing_in_a_prohibition_denies_as_in_a_call(run):
    for facts in ("{identity: {delegated: !missing }}", "{identity: !missing }"):
        assert outcome(
            run(
                f"as: clara, facts: {facts}, expect: {{code: evaluation_error,"
                " policies: [no-borrowed], errors: [no-borrowed],"
                " path: context.identity.delegated}"
            )
        ) == ("passed",)


def test_optional_facts_may_be_left_unsaid_or_marked(run):
    assert outcome(run("as: clara, expect: allow")) == ("passed",)
    for facts in ("{app: !missing }", "{app: {purpose: !missing }}", "{app: {}}"):
        assert outcome(run(f"as: clara, facts: {facts}, expect: allow")) == ("passed",)


def test_time_follows_from_now_in_the_zone_of_the_bundle(run):
    toml = '[bundle]\nname = "small"\nversion = "1"\ntimezone = "Asia/Tokyo"\n'
    late = "as: otto, now: 2026-11-23T06:00:00Z, expect: deny"
    tests = ("as: otto, expect: allow", late, "as: otto, facts: {time: {hour: 7}}, expect: deny")
    assert [result.outcome for result in run(*tests)] == ["passed"] * 3
    shifted = run(*tests, **{"guardrail.toml": toml})
    assert [result.outcome for result in shifted] == ["failed", "passed", "passed"]


def test_time_that_is_marked_missing_is_missing(run):
    for facts in ("{time: {hour: !missing }}", "{time: !missing }"):
        test = f"as: otto, facts: {facts}, expect: {{code: no_grant, errors: [nights]}}"
        assert outcome(run(test)) == ("passed",)


def test_facts_are_not_asked_for_where_who_or_what_decides_alone(run):
    given = GIVEN.partition("  facts:")[0]
    assert outcome(run("as: nora, expect: {code: no_grant}", given=given)) == ("passed",)


def test_tests_consume_no_quota(run):
    policies = POLICIES + '@id("q") @quota("1/day") forbid (principal, action, resource);'
    results = run(*["as: clara, expect: allow"] * 3, policies=policies)
    assert [result.outcome for result in results] == ["passed"] * 3


# The report.


def test_report_counts_and_tells_as_json(make_bundle):
    tests = [
        "  - {name: fine, as: clara, expect: allow}",
        "  - {name: failing, as: nora, expect: allow}",
        "  - {name: wrong, as: nobody, expect: allow}",
    ]
    text = f"{GIVEN}tests:\n" + "\n".join(tests)
    folder = make_bundle(POLICIES, **{"tests/a_test.yaml": text, "tests/b_test.yaml": "x"})
    report = run_tests(str(folder))
    assert (report.passed, report.failed, report.errors, report.holds) == (1, 1, 2, False)
    output = json.loads(json.dumps(report.as_json()))
    assert (output["passed"], output["failed"], output["errors"]) == (1, 1, 2)
    assert output["tests"][1] == {
        "name": "failing",
        "file": "tests/a_test.yaml",
        "line": 12,
        "outcome": "failed",
        "code": "GR602",
        "message": "decision: expected allow; got deny",
    }
    assert [test["outcome"] for test in output["tests"]] == ["passed", "failed", "error", "error"]
    assert [(test["file"], test["line"]) for test in output["tests"][2:]] == [
        ("tests/a_test.yaml", 13), ("tests/b_test.yaml", 1),
    ]  # fmt: skip
    assert [str(fault) for fault in report.faults] == [
        "tests/a_test.yaml:12:31 GR602 failing: decision: expected allow; got deny",
        "tests/a_test.yaml:13:19 GR601 wrong: `as` is neither a name under given.principals nor "
        "a uid."
        " The names are: clara, nora, otto.",
        "tests/b_test.yaml:1:1 GR003 Expected a mapping with `tests`, and with `given` for what all"
        " tests have in common.",
    ]


def test_report_names_the_policies_that_had_no_part(make_bundle):
    text = f"{GIVEN}tests:\n  - {{name: a, as: clara, expect: allow}}\n"
    report = run_tests(make_bundle(POLICIES, **{"tests/a_test.yaml": text}))
    assert report.untested == (
        "nights", "explains", "no-retired", "no-borrowed", "no-sales", "own-only", "rounded-more",
    )  # fmt: skip
    assert report.as_json()["untested_policies"] == list(report.untested)


def test_a_policy_that_erred_had_a_part(make_bundle):
    hidden = "{input: {rows: !missing }}"
    text = f"{GIVEN}tests:\n  - {{name: a, as: clara, facts: {hidden}, expect: deny}}\n"
    report = run_tests(make_bundle(POLICIES, **{"tests/a_test.yaml": text}))
    assert report.holds
    assert "wards" not in report.untested


def test_values_of_facts_never_stand_in_a_report(run):
    (result,) = run(
        "as: clara, facts: {app: {purpose: s3cret}, input: {rows: s3cret}}, expect: allow"
    )
    assert result.outcome == "failed"
    assert "s3cret" not in result.message
    assert "s3cret" not in result.decision.message


def test_no_tests_hold_and_pass_nothing(make_bundle):
    report = run_tests(make_bundle(POLICIES))
    assert (report.holds, report.passed, report.results) == (True, 0, ())


@pytest.mark.parametrize(
    ("only", "names"),
    [("", ["a", "B"]), ("b", ["B"]), ("A_TEST", ["a"]), ("b_test.yaml b", ["B"]), ("zzz", [])],
)
def test_only_picks_tests_by_file_and_name(make_bundle, only, names):
    text = GIVEN + "tests:\n  - {name: %s, as: clara, expect: allow}\n"
    files = {"tests/a_test.yaml": text % "a", "tests/b_test.yaml": text % "B"}
    report = run_tests(make_bundle(POLICIES, **files), only=only)
    assert [result.name for result in report.results] == names


def test_a_bundle_that_is_loaded_already_is_used(make_bundle):
    text = f"{GIVEN}tests:\n  - {{name: a, as: clara, expect: allow}}\n"
    folder = make_bundle(POLICIES, **{"tests/a_test.yaml": text})
    bundle = load_bundle(folder, clock=FrozenClock())
    (folder / "policies.cedar").write_text("no policy")
    assert run_tests(folder, bundle=bundle).passed == 1
    with pytest.raises(ConfigurationError):
        run_tests(folder)


def test_facts_of_the_application_are_given_as_well(make_bundle):
    class Site:
        namespace = "site"
        facts = frozenset(("name",))

        def compute(self, names, context):
            raise AssertionError("a test computes nothing but the time")

    schema = (
        'entity Role enum ["clinician"];\nentity User in [Role];\nentity Model;\n'
        "action predict appliesTo { principal: [User], resource: [Model],"
        " context: { site: { name: String } } };\n"
    )
    policies = '@id("g") permit (principal, action, resource) when { context.site.name == "a" };'
    files = {
        "schema.cedarschema": schema,
        "entities.json": '[{"uid": {"type": "Model", "id": "m"}, "attrs": {}, "parents": []}]',
        "tests/a_test.yaml": (
            "given: {action: predict, resource: 'Model::\"m\"',"
            " principals: {u: {uid: 'User::\"u\"'}}}\n"
            "tests:\n"
            "  - {name: a, as: u, facts: {site: {name: a}}, expect: allow}\n"
            "  - {name: b, as: u, facts: {site: {name: b}}, expect: deny}\n"
            "  - {name: c, as: u, expect: deny}\n"
        ),
    }
    report = run_tests(make_bundle(policies, **files), facts=[Site()])
    assert [result.outcome for result in report.results] == ["passed", "passed", "error"]
