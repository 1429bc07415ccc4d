"""The parts of the clauses of a policy: their texts, their places, and their values."""

import json

import pytest
from bundles import ENTITIES, SCHEMA
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail.bundle.assembly import load_bundle
from guardrail.policy.analysis.conditions import (
    ClauseEvaluator,
    ClauseTracer,
    constraints_of,
    matching_all_requests,
)
from guardrail.testing import FrozenClock
from guardrail.values import Entity, Principal

CLARA = Principal("User", "clara", parents=[Entity("Role", "clinician")], attrs={"department": "a"})
PREDICT, TUMOUR = Entity("Action", "predict"), Entity("Model", "tumour")
SAFE = {"input": {"rows": 5}, "identity": {"delegated": False}, "app": {}}


@pytest.fixture
def snapshot_of(make_bundle):
    """Return a function that loads a bundle of these policies."""

    def load(policies):
        return load_bundle(make_bundle(policies), clock=FrozenClock()).snapshot

    return load


@pytest.fixture
def parts_of(snapshot_of):
    """Return a function that takes one policy's clauses apart."""

    def take_apart(clauses):
        policy = f'@id("p") permit (principal, action == Action::"predict", resource) {clauses};'
        return ClauseEvaluator(snapshot_of(policy).policies).parts

    return take_apart


def texts(parts):
    return [part.text for part in parts if part.is_atom]


@pytest.mark.parametrize(
    ("clauses", "atoms"),
    [
        ("when { context.input.rows > 1 }", ["context.input.rows > 1"]),
        ("when { ((context.input.rows > 1)) }", ["context.input.rows > 1"]),
        (
            "when { context.input.rows > 1 && context.input.rows < 9 }",
            ["context.input.rows > 1", "context.input.rows < 9"],
        ),
        (
            "when { context.input.rows > 1 || (context.input.rows < 9 && true) }",
            ["context.input.rows > 1", "context.input.rows < 9", "true"],
        ),
        (
            "when { !(context.input.rows > 1 && context.identity.delegated) }",
            ["context.input.rows > 1", "context.identity.delegated"],
        ),
        ("when { !context.identity.delegated }", ["context.identity.delegated"]),
        ("when { context.input.rows != 3 }", ["context.input.rows != 3"]),
        ("when { !(context.input.rows != 3) }", ["context.input.rows != 3"]),
        (
            "when { if context.identity.delegated then context.input.rows > 1 else false }",
            ["context.identity.delegated", "context.input.rows > 1", "false"],
        ),
        (
            "when { if (if true then false else true) then true else context.input.rows == 2 }",
            ["true", "false", "true", "true", "context.input.rows == 2"],
        ),
        (
            "when { [1, 2].contains(context.input.rows) && resource.purpose like \"a && b*\" }",
            ["[1, 2].contains(context.input.rows)", 'resource.purpose like "a && b*"'],
        ),
        (
            "when { context.app has purpose &&\n // && not this\n context.app.purpose == \"x\" }",
            ["context.app has purpose", 'context.app.purpose == "x"'],
        ),
        (
            "when { context.identity.delegated } unless { context.input.rows > 3 }",
            ["context.identity.delegated", "context.input.rows > 3"],
        ),
        ("", []),
    ],
)  # fmt: skip
def test_the_truths_of_a_clause_stand_as_they_are_written(parts_of, clauses, atoms):
    parts = parts_of(clauses)
    assert texts(parts) == atoms
    for part in parts:
        own = part.policy.chunk.source.text[slice(*part.span)]
        assert " ".join(own.split()) == part.text or "//" in own
        assert part.keyword in ("when", "unless")


def test_what_is_not_found_in_the_text_stands_where_its_clause_does(parts_of):
    """Entities may be written in more than one way; the tree is what counts."""
    (part,) = parts_of('when { principal == User :: "clara" }')
    assert part.text == 'principal == User :: "clara"'
    assert "clara" in part.policy.chunk.source.text[slice(*part.span)]


def values_of(snapshot, facts, principal=CLARA, action=PREDICT, resource=TUMOUR):
    trace = ClauseTracer(snapshot).trace(principal, action, resource, facts)
    return {
        part.text: value
        for part, value in zip(trace.evaluator.parts, trace.values, strict=True)
        if part.is_atom
    }


def test_what_cedar_does_not_look_at_has_no_value(snapshot_of):
    snapshot = snapshot_of(
        '@id("p") permit (principal, action == Action::"predict", resource) when {'
        ' context.app has purpose && context.app.purpose == "x" } when { context.input.rows < 9 };'
    )
    unsaid = values_of(snapshot, SAFE)
    assert unsaid == {
        "context.app has purpose": "false",
        'context.app.purpose == "x"': None,
        "context.input.rows < 9": None,
    }
    said = values_of(snapshot, {**SAFE, "app": {"purpose": "x"}})
    assert set(said.values()) == {"true"}
    other = values_of(snapshot, {**SAFE, "app": {"purpose": "y"}})
    assert list(other.values()) == ["true", "false", None]


def test_a_missing_fact_is_an_error_of_the_truth_that_reads_it(snapshot_of):
    snapshot = snapshot_of(
        '@id("p") permit (principal, action == Action::"predict", resource) when {'
        " context.identity.delegated || context.input.rows < 9 };"
    )
    assert values_of(snapshot, {**SAFE, "identity": {}}) == {
        "context.identity.delegated": "error",
        "context.input.rows < 9": None,
    }


def test_only_policies_whose_scope_matches_are_looked_at(snapshot_of):
    snapshot = snapshot_of(
        '@id("p") permit (principal in Role::"clinician", action == Action::"predict", resource)'
        " when { context.input.rows < 9 };"
        '@id("q") permit (principal in Role::"auditor", action == Action::"predict", resource)'
        " when { context.input.rows < 8 };"
    )
    trace = ClauseTracer(snapshot).trace(CLARA, PREDICT, TUMOUR, SAFE)
    assert [policy.id for policy in trace.evaluator.policies] == ["p"]
    assert ClauseTracer(snapshot).trace(CLARA, PREDICT, TUMOUR, None).values == ()
    assert ClauseTracer(snapshot).trace(CLARA, Entity("Action", "fly"), TUMOUR, SAFE) is None
    assert ClauseTracer(snapshot).trace(Principal("Model", "x"), PREDICT, TUMOUR, SAFE) is None


def test_a_scope_that_matches_all_that_the_schema_has_cannot_be_missed(snapshot_of):
    snapshot = snapshot_of(
        '@id("all") permit (principal, action, resource);'
        '@id("type") permit (principal is User, action, resource is Model);'
        '@id("who") permit (principal in Role::"clinician", action, resource);'
        '@id("what") permit (principal, action, resource == Model::"tumour");'
        '@id("how") permit (principal, action == Action::"predict", resource);'
    )
    always = matching_all_requests(snapshot.policies, snapshot.schema)
    ids = {policy.id for policy in snapshot.policies if policy.key in always}
    assert ids == {"all", "type"}
    counts = {policy.id: len(constraints_of(policy)) for policy in snapshot.policies}
    assert counts == {"all": 0, "type": 2, "who": 1, "what": 1, "how": 1}


ATOMS = st.sampled_from(
    ["context.input.rows < 3", "context.input.rows == 5", "context.identity.delegated",
     "context.app has purpose", 'context.app.purpose == "x"', "true", "false"]
)  # fmt: skip
EXPRESSIONS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda both: f"({both[0]} && {both[1]})"),
        st.tuples(inner, inner).map(lambda both: f"({both[0]} || {both[1]})"),
        inner.map(lambda text: f"!({text})"),
        st.tuples(inner, inner, inner).map(
            lambda three: f"(if {three[0]} then {three[1]} else {three[2]})"
        ),
    ),
    max_leaves=8,
)


@settings(max_examples=60)
@given(data=st.data())
def test_the_parts_come_to_what_the_whole_comes_to(tmp_path_factory, data):
    """Whatever the clause: its text is found, and its parts explain its value."""
    text = data.draw(EXPRESSIONS)
    folder = tmp_path_factory.mktemp("bundle")
    (folder / "guardrail.toml").write_text('[bundle]\nname = "small"\nversion = "1.0.0"\n')
    (folder / "schema.cedarschema").write_text(SCHEMA)
    (folder / "entities.json").write_text(json.dumps(ENTITIES))
    (folder / "p.cedar").write_text(
        '@id("p") permit (principal, action == Action::"predict", resource) when { true }'
        f" when {{ {text} }};"
        '@id("q") permit (principal, action == Action::"predict", resource) when { false };'
    )
    try:
        snapshot = load_bundle(folder, clock=FrozenClock()).snapshot
    except Exception:  # the validator knows of some that they cannot be
        return
    app = {"purpose": data.draw(st.sampled_from("xy"))} if data.draw(st.booleans()) else {}
    facts = {
        "input": {"rows": data.draw(st.sampled_from([1, 5, 9]))},
        "identity": {"delegated": data.draw(st.booleans())},
        "app": app,
    }
    trace = ClauseTracer(snapshot).trace(CLARA, PREDICT, TUMOUR, facts)
    answer = snapshot.ask(CLARA, PREDICT, TUMOUR).decide(facts)
    own = [
        (part, value)
        for part, value in zip(trace.evaluator.parts, trace.values, strict=True)
        if part.policy.id == "p" and part.clause == 1
    ]
    _, root = own[-1]
    if answer.decision.errors:
        assert root == "error"
        assert any(value == "error" for part, value in own if part.is_atom)
    else:
        assert (root == "true") == answer.decision.allowed
    for part, _ in own:
        assert part.policy.chunk.source.text[slice(*part.span)] == part.text
