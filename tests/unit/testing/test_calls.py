"""A test that makes calls runs the whole flow: quotas, inputs and outputs, with its own time."""

import pytest

from guardrail._ports import SystemClock
from guardrail.bundle.assembly import load_bundle
from guardrail.testing import FrozenClock, run_tests
from guardrail.testing.files.cases import read_suite
from guardrail.testing.mutation.mutants import collect, mutate
from guardrail.testing.run.reload_child import try_out
from guardrail.testing.run.runner import Runner

SCHEMA = """
entity Role enum ["clinician", "analyst"];
entity User in [Role] { department: String };
entity Model { purpose: String };
action predict appliesTo {
  principal: [User], resource: [Model],
  context: { input: guardrail::TensorInput, time: guardrail::TimeFacts, app: { flag?: Bool } },
};
action tell appliesTo {
  principal: [User], resource: [Model], context: { input: guardrail::RecordInput },
};
action chat appliesTo {
  principal: [User], resource: [Model], context: { input: guardrail::TextInput },
};
action score appliesTo {
  principal: [User], resource: [Model], context: { input: guardrail::TableInput },
};
"""
POLICIES = """\
@id("grants") permit (principal in Role::"clinician", action, resource);
@id("wards") permit (principal in Role::"analyst", action == Action::"predict", resource)
when { context.input.rows <= 100 };
@id("nights") @reason("Not at night.")
forbid (principal, action == Action::"predict", resource) when { context.time.hour < 6 };
@id("fair-use") @quota("3/minute per principal; 500 rows/hour per resource using fixed")
forbid (principal, action == Action::"predict", resource);
@id("checked") @input("patients")
forbid (principal, action == Action::"predict", resource);
@id("coarse") @round("2") @top_k("1")
forbid (principal in Role::"analyst", action == Action::"predict", resource);
@id("clean") @redact("email as label")
forbid (principal, action == Action::"chat", resource);
@id("short") @input("question")
forbid (principal, action == Action::"chat", resource);
@id("sane") @input("amounts")
forbid (principal, action == Action::"score", resource);
"""
GIVEN = """\
given:
  now: 2026-11-23T10:00:00Z
  action: predict
  resource: Model::"tumour"
  principals:
    clara: {uid: 'User::"clara"', in: ['Role::"clinician"'], attrs: {department: care}}
    ana: {uid: 'User::"ana"', in: ['Role::"analyst"'], attrs: {department: care}}
    nora: {uid: 'User::"nora"', attrs: {department: care}}
  facts: {input: {rows: 10}}
"""
FILES = {
    "schema.cedarschema": SCHEMA,
    "inputs/question.yaml": "kind: text\nmax_chars: 20\n",
    "inputs/amounts.yaml": (
        "kind: table\nrows: 1..10\ncolumns:\n"
        "  amount: {type: float64, min: 0, max: 100}\n"
        "  country: {type: string, one_of: [DE, FR]}\n"
    ),
    "entities.json": (
        '[{"uid": {"type": "Model", "id": "tumour"}, "attrs": {"purpose": "care"}, "parents": []},'
        ' {"uid": {"type": "User", "id": "carl"}, "attrs": {"department": "care"},'
        ' "parents": [{"type": "Role", "id": "clinician"}]}]'
    ),
}


@pytest.fixture
def folder(make_bundle):
    """Return a function that writes a bundle with some tests."""

    def folder(*tests, policies=POLICIES, given=GIVEN):
        text = f"{given}tests:\n" + "".join(f"  - {test}\n" for test in tests)
        return make_bundle(policies, **FILES, **{"tests/a_test.yaml": text})

    return folder


@pytest.fixture
def run(folder):
    """Return a function that runs tests, and tells how each ended."""

    def run(*tests, **options):
        return [
            (result.outcome, *(f"{fault.place.line}: {fault.message}" for fault in result.faults))
            for result in run_tests(folder(*tests, **options)).results
        ]

    return run


PASSED = [("passed",)]
SPENT = (
    " (quota_exceeded: The quota `3/minute per principal` is spent. "
    "Call again after `retry_after_s` seconds.)"
)

# What holds.


@pytest.mark.parametrize(
    "test",
    [
        # quotas
        """name: the fourth call of a minute waits
    as: clara
    input: {patients: {zeros: [10, 3]}}
    steps:
      - {times: 3, expect: allow}
      - {expect: {decision: deny, code: quota_exceeded, policies: [fair-use], retry_after_s: 60}}
      - {after: 20s, expect: {code: quota_exceeded, retry_after_s: 40}}
      - {as: ana, expect: allow}
      - {after: 41s, times: 3, expect: allow}""",
        """name: rows are counted for all who call
    input: {patients: {zeros: [100, 3]}}
    steps:
      - {as: clara, times: 3, expect: allow}
      - {as: ana, times: 2, expect: allow}
      - {as: ana, expect: {code: quota_exceeded, retry_after_s: 3600}}
      - {as: nora, expect: {code: no_grant}}
      - {after: 1h, as: ana, expect: allow}""",
        "{name: no quota is taken by who may not, steps: [{as: nora, times: 9, input: {patients: "
        "{zeros: [10, 3]}}, expect: {code: no_grant}}]}",
        """name: bad input is not free
    as: clara
    steps:
      - {times: 3, input: {p: {zeros: [1, 4]}}, expect: {code: input_rejected}}
      - {input: {p: {zeros: [1, 3]}}, expect: {code: quota_exceeded}}""",
        # inputs
        "{name: a, as: clara, input: {patients: {zeros: [10, 3]}}, expect: "
        "{decision: allow, code: allow, policies: [grants], errors: []}}",
        '{name: a, as: clara, input: {patients: {zeros: [10, 3], set: {"3,2": .nan}}}, expect: '
        "{code: input_rejected, path: 'patients[3, 2]', policies: [checked]}}",
        "{name: a, as: clara, input: {rows: {ones: [10, 3], dtype: float32, set: {'9,0': 11}}}, "
        "expect: {code: input_rejected, path: 'rows[9, 0]'}}",
        "{name: a, as: clara, input: {patients: {array: [[1, 2, 3]], dtype: int64}}, expect: "
        "{decision: deny, code: input_rejected, path: patients}}",
        "{name: a, as: clara, input: {patients: {array: [[1, 2, 3]]}}, expect: allow}",
        "{name: a, as: clara, input: {patients: [[1, 2, 3]]}, facts: {input: {rows: 1}}, expect: "
        "{code: input_rejected}}",
        "{name: a, as: clara, action: chat, input: {q: how are you}, expect: allow}",
        "{name: a, as: clara, action: chat, input: {q: {repeat: ab, times: 10}}, expect: allow}",
        "{name: a, as: clara, action: chat, input: {q: {repeat: ab, times: 11}}, expect: "
        "{code: input_rejected, path: q}}",
        "{name: a, as: clara, action: tell, input: {r: {age: 3}}, expect: allow}",
        "{name: a, as: clara, action: tell, input: {r: {value: {zeros: 3}}}, expect: allow}",
        "{name: a, as: clara, action: score, "
        "input: {t: {table: {amount: [1.5, 2], country: [DE, FR]}}}, expect: allow}",
        "{name: a, as: clara, action: score, "
        "input: {t: {table: {amount: [1, 2], country: [DE, FR]}, dtypes: {amount: float64}}}, "
        "expect: allow}",
        "{name: a, as: clara, action: score, "
        "input: {t: {table: {amount: [1.5, 101.0], country: [DE, FR]}}}, "
        "expect: {code: input_rejected, path: 't[1].amount'}}",
        # the facts of an input are those that it has, unless the test says otherwise
        "{name: a, as: ana, input: {patients: {zeros: [100, 3]}}, expect: allow}",
        "{name: a, as: ana, input: {patients: {zeros: [101, 3]}}, expect: {code: no_grant}}",
        "{name: a, as: ana, facts: {input: {rows: 5}}, input: {patients: {zeros: [100, 3]}}, "
        "expect: allow}",
        "{name: a, as: ana, facts: {input: {rows: 101}}, input: {patients: {zeros: [10, 3]}}, "
        "expect: {code: no_grant}}",
        # outputs
        "{name: a, as: ana, output: [[0.123456, 0.876544]], expect: {released: [[null, 0.88]]}}",
        "{name: a, as: ana, input: {p: {zeros: [1, 3]}}, "
        "output: {array: [[0.123456, 0.876544]]}, expect: "
        "{decision: allow, obligations: {input: patients, round: 2, top_k: 1, "
        "quota: [3/minute per principal, 500 rows/hour per resource using fixed]}, "
        "released: [[null, 0.88]]}}",
        "{name: a, as: ana, output: {array: [[0.123456, 0.876544]], dtype: float32}, expect: "
        "{released: [[.nan, 0.88]]}}",
        "{name: a, as: clara, output: {scores: [0.1, 0.9]}, expect: {released: "
        "{scores: [0.1, 0.9]}}}",
        "{name: a, as: clara, output: null, expect: {released: null}}",
        "{name: a, as: ana, output: just text, expect: {code: output_blocked, policies: [coarse]}}",
        "{name: a, as: clara, action: chat, output: write to anna@example.org, expect: "
        "{released: 'write to [email]'}}",
        "{name: a, as: clara, action: chat, stream: [write to anna@, example.org, ' now'], expect: "
        "{released: 'write to [email] now'}}",
        "{name: a, as: clara, stream: [1, 2], expect: {released: [1, 2]}}",
        "{name: a, as: ana, stream: [[0.1, 0.9]], expect: {code: output_blocked}}",
        # without an input, or an output, nothing is demanded of it
        "{name: a, as: ana, steps: [{output: [[0.5, 0.25]], expect: {released: [[0.5, null]]}}]}",
        "{name: a, as: clara, input: {patients: {zeros: [1, 3]}}, output: 7, expect: "
        "{released: 7}}",
        # one of entities.json
        "{name: a, as: 'User::\"carl\"', output: 7, expect: {released: 7}}",
        # time moves with the steps
        """name: the night falls
    now: 2026-11-23T23:59:30Z
    as: clara
    steps:
      - {output: 1, expect: {released: 1}}
      - {after: 30s, output: 1, expect: {code: prohibited, reason: Not at night., path: ''}}
      - {after: 6h, output: 1, expect: allow}""",
        # a step says what differs
        """name: each step may be another's
    as: clara
    facts: {app: {flag: true}}
    steps:
      - {expect: allow}
      - {as: nora, expect: deny}
      - {principal: {uid: 'User::"zoe"', in: ['Role::"analyst"'], attrs: {department: x}},
         facts: {input: {rows: 101}}, expect: {code: no_grant}}
      - {resource: 'Model::"none"', expect: {code: unknown_entity}}
      - {action: retrain, expect: {code: undeclared_action}}""",
    ],
)
def test_what_is_expected_of_a_call_holds(run, test):
    policies = POLICIES
    if "500 rows" not in test and "rows are counted" not in test:
        policies = POLICIES.replace("; 500 rows/hour per resource using fixed", "")
    assert run(test, policies=policies) == PASSED


# What does not.


@pytest.mark.parametrize(
    ("test", "says"),
    [
        (
            "{name: a, as: clara, steps: [{times: 3, expect: allow},\n {times: 2, expect: allow}]}",
            [f"12: step 2, call 1: decision: expected allow; got deny{SPENT}"],
        ),
        (
            "{name: a, as: clara, steps: [{times: 4, expect: allow}]}",
            [f"11: step 1, call 4: decision: expected allow; got deny{SPENT}"],
        ),
        (
            "{name: a, as: clara, steps: [{times: 3, expect: allow},\n"
            " {after: 1s, expect: {retry_after_s: 60}}]}",
            ["12: step 2: retry_after_s: expected 60; got 59"],
        ),
        (
            "{name: a, as: clara, steps: [{expect: {retry_after_s: 60}}]}",
            ["11: step 1: retry_after_s: expected 60; got none"],
        ),
        (
            "{name: a, as: clara, input: {p: {zeros: [3, 3]}}, expect: {code: input_rejected}}",
            ["11: code: expected input_rejected; got allow"],
        ),
        (
            "{name: a, as: clara, input: {p: {zeros: [3, 4]}}, expect: {path: 'p[1]'}}",
            ["11: path: expected p[1]; got p"],
        ),
        (
            "{name: a, as: ana, output: [[0.1, 0.9], [0.8, 0.2]], "
            "expect: {released: [[null, 0.9], [0.9, null]]}}",
            ["11: released[1][0]: expected 0.9; got 0.8"],
        ),
        (
            "{name: a, as: clara, output: {a: 1, b: 2}, expect: {released: {a: true, c: 2}}}",
            [
                "11: released.a: expected true; got 1",
                "11: released.c: expected 2; got nothing",
                "11: released.b: expected nothing; got 2",
            ],
        ),
        (
            "{name: a, as: clara, output: [1, 2], expect: {released: [1]}}",
            ["11: released: expected [1]; got [1, 2]"],
        ),
        (
            "{name: a, as: clara, output: 1, expect: {released: null}}",
            ["11: released: expected null; got 1"],
        ),
        (
            "{name: a, as: nora, output: [1], expect: {released: [1]}}",
            ["11: released: got no output, since the call ended with no_grant"],
        ),
        (
            "{name: a, as: clara, action: chat, stream: [write to anna@, example.org], "
            "expect: {released: write to anna@example.org}}",
            ['11: released: expected "write to anna@example.org"; got "write to [email]"'],
        ),
    ],
)
def test_what_does_not_hold_fails_with_its_place(run, test, says):
    policies = POLICIES.replace("; 500 rows/hour per resource using fixed", "")
    assert run(test, policies=policies) == [("failed", *says)]


@pytest.mark.parametrize(
    ("test", "says"),
    [
        (
            "{name: a, as: ana, input: {p: how much}, output: 1, expect: {released: 1}}",
            "11: The policies of Action::\"predict\" read input.rows, which the test does not "
            "state. Add a value under `facts`, or mark the fact !missing.",
        ),
        (
            "{name: a, as: ana, facts: {inputs: {rows: 1}}, output: 1, expect: {released: 1}}",
            "11: The schema has no context.inputs here. Did you mean input?",
        ),
        (
            "{name: a, as: ana, steps: [{facts: {inputs: {rows: 1}}, expect: allow}]}",
            "11: The schema has no context.inputs here. Did you mean input?",
        ),
    ],
)  # fmt: skip
def test_a_call_on_facts_that_are_not_said_is_an_error(run, test, says):
    assert run(test) == [("error", says)]


def test_a_call_without_a_time_is_an_error_where_policies_read_it(run):
    given = GIVEN.replace("  now: 2026-11-23T10:00:00Z\n", "")
    ((outcome, says),) = run("{name: a, as: clara, output: 1, expect: allow}", given=given)
    assert outcome == "error"
    assert "time.hour" in says
    assert says.endswith("Facts about the time are computed from `now`.")


# What a test leaves behind.


def test_each_test_begins_with_whole_quotas(run):
    test = "as: clara, input: {p: {zeros: [9, 3]}}, steps: [{times: 3, expect: allow}]"
    assert run(*(f"{{name: t{number}, {test}}}" for number in range(5))) == PASSED * 5


def test_calls_are_refused_where_the_clock_runs_for_they_would_empty_the_quotas(folder):
    path = folder("{name: a, as: clara, steps: [{expect: allow}]}")
    bundle = load_bundle(path, clock=SystemClock())
    (result,) = run_tests(path, bundle=bundle).results
    assert result.outcome == "error"
    assert "FrozenClock" in result.message


def test_what_calls_ask_the_policies_is_known(folder):
    path = folder(
        "{name: a, as: ana, input: {p: {zeros: [7, 3]}}, steps: [{times: 2, expect: allow}, "
        "{input: {p: {zeros: [8, 3]}}, expect: allow}]}"
    )
    runner = Runner(load_bundle(path, clock=FrozenClock()))
    (case,) = read_suite(path).cases
    asked = runner.requests(case)
    assert [request.facts["input"]["rows"] for request in asked] == [7, 8]
    assert runner.facts(case) == asked[0].facts


def test_a_mutant_of_a_quota_is_noticed_by_the_calls_alone(folder):
    grant, quota = POLICIES.splitlines()[0], '@id("fair-use") @quota("3/minute per principal")\n'
    policies = f"{grant}\n{quota}forbid (principal, action, resource);\n"
    steps = (
        "steps: [{times: 3, expect: allow}, {expect: {code: quota_exceeded, retry_after_s: 60}}, "
        "{as: 'User::\"carl\"', expect: allow}]"
    )
    suites = {
        "bound": f"{{name: a, as: clara, {steps}}}",
        "loose": "{name: a, as: clara, steps: [{times: 3, expect: allow}]}",
    }
    survive = {}
    for name, test in suites.items():
        path = folder(test, policies=policies)
        found = collect(mutate(load_bundle(path, clock=FrozenClock()), read_suite(path)))
        survive[name] = {each.edit.what for each in found.survivors if "quota" in each.edit.what}
    assert survive["bound"] == set()
    assert len(survive["loose"]) > 0


def test_calls_are_tried_before_a_reload(folder):
    given = "name: a, as: clara, input: {p: {zeros: [1, 3]}}"
    path = folder(f"{{{given}, steps: [{{times: 3, expect: allow}}, {{expect: deny}}]}}")
    assert try_out(path)[1] == ()
    path = folder(f"{{{given}, steps: [{{times: 4, expect: allow}}]}}")
    (fault,) = try_out(path)[1]
    assert str(fault).endswith(
        "GR602 The test 'a' does not pass: "
        f"step 1, call 4: decision: expected allow; got deny{SPENT}"
    )


def test_calls_count_for_coverage_once_each_step(folder):
    path = folder(
        "{name: a, as: ana, input: {p: {zeros: [9, 3]}}, "
        "steps: [{times: 3, expect: allow}, {as: nora, expect: deny}]}"
    )
    coverage = run_tests(path, coverage=True).coverage
    seen = {each.policy.id: each for each in coverage.policies}
    assert (seen["wards"].matched, seen["wards"].missed) == (1, 1)
    assert seen["fair-use"].applied == 1


# A matrix.


def test_a_matrix_is_a_test_for_each_of_its_cells(folder):
    path = folder(
        """name: who may what
    matrix:
      actions: [predict, chat]
      resources: ['Model::"tumour"', 'Model::"none"']
      table:
        clara: {predict: [allow, unknown_entity], chat: [allow, unknown_entity]}
        ana: {predict: [allow, deny], chat: [no_grant, unknown_entity]}
        nora: {predict: [deny, unknown_entity], chat: [deny, unknown_entity]}""",
        "{name: alone, matrix: {table: {clara: allow, nora: [allow]}}}",
    )
    results = run_tests(path).results
    assert [(result.name, result.outcome) for result in results] == [
        ('who may what: clara predict Model::"tumour"', "passed"),
        ('who may what: clara predict Model::"none"', "passed"),
        ('who may what: clara chat Model::"tumour"', "passed"),
        ('who may what: clara chat Model::"none"', "passed"),
        ('who may what: ana predict Model::"tumour"', "passed"),
        ('who may what: ana predict Model::"none"', "error"),
        ('who may what: ana chat Model::"tumour"', "passed"),
        ('who may what: ana chat Model::"none"', "passed"),
        ('who may what: nora predict Model::"tumour"', "passed"),
        ('who may what: nora predict Model::"none"', "passed"),
        ('who may what: nora chat Model::"tumour"', "passed"),
        ('who may what: nora chat Model::"none"', "passed"),
        ("alone: clara", "passed"),
        ("alone: nora", "failed"),
    ]
    (fault,) = results[5].faults
    assert str(fault) == (
        'tests/a_test.yaml:14:38 GR601 entities.json has no Model::"none". Correct it, or add it. '
        "If the test is about this denial, expect `code: unknown_entity`."
    )
    (fault,) = results[-1].faults
    assert str(fault) == ("tests/a_test.yaml:19:57 GR602 decision: expected allow; got deny")


def test_a_call_that_lacks_the_input_of_a_quota_says_what_to_add(run):
    policies = """\
@id("grant") permit (principal, action, resource);
@id("rows") @quota("500 rows/hour per principal") forbid (principal, action, resource);
"""
    ((outcome, says),) = run("{name: a, as: clara, output: 1, expect: allow}", policies=policies)
    assert outcome == "failed"
    assert "obligation_failed" in says
    assert "The test has no `input`: add one" in says
