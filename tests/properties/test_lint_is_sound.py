"""What `check` says of policies, evaluation bears out: Cedar is asked, over random bundles."""

from __future__ import annotations

from pathlib import Path

from hypothesis import event, given
from hypothesis import strategies as st
from random_bundles import SCHEMA, bundles, load, load_text, requests

from guardrail import Entity, Principal, Resource
from guardrail._documents import Document
from guardrail.policy import Folder
from guardrail.policy.lint import arithmetic, lint
from guardrail.policy.lint import contradictions as sense

SETTINGS = Document("guardrail.toml", {"bundle": {}})
#: What a 64-bit number can be at its ends, and around what the clauses below compare with.
EDGES = (0, 1, -1, 6, 7, 8, -7, 2**62, -(2**62), 2**63 - 2, 2**63 - 1, -(2**63) + 1, -(2**63))
PREDICT = Entity("Action", "predict")
CLARA = Principal("User", "clara", attrs={"department": "x"})


@given(bundles(), requests)
def test_a_policy_that_can_never_match_never_does(bundle, asked):
    snapshot = load(bundle)
    files = {"schema.cedarschema": SCHEMA.encode()}
    found = lint(snapshot, Folder(Path(), files, "random"), SETTINGS)
    never = {finding.policy for finding in found if finding.code == "GR501"}
    grants = {policy.id for policy in snapshot.policies if policy.kind == "grant"}
    event("some never match" if never else "all can match")
    for request in asked:
        action = Entity("Action", request.action)
        question = snapshot.ask(request.principal, action, request.resource)
        decision = question.decide(request.facts).decision
        # what errs denies, but for a grant: that misses a fact and does not grant, as it never does
        erred = {error.policy for error in decision.errors}
        assert not never & {*decision.policies, *(erred - grants)}


@st.composite
def numbers(draw: st.DrawFn, depth: int) -> str:
    """Draw a number, now and then a computed one."""
    plain = ("context.input.rows", "context.input.bytes", "7", "-7", "2", "0")
    shape = draw(st.sampled_from(("plain", "plain", "sum", "minus", "if"))) if depth else "plain"
    inner = numbers(depth - 1)
    if shape == "sum":
        return f"({draw(inner)} {draw(st.sampled_from('+-*'))} {draw(inner)})"
    if shape == "minus":
        return f"(-({draw(inner)}))"
    if shape == "if":
        return f"(if {draw(truths(0))} then {draw(inner)} else {draw(inner)})"
    return draw(st.sampled_from(plain))


@st.composite
def truths(draw: st.DrawFn, depth: int) -> str:
    """Draw a comparison, or several that bound one another."""
    shape = draw(st.sampled_from(("plain", "and", "and", "or", "not"))) if depth else "plain"
    inner = truths(depth - 1)
    if shape == "plain":
        one, other = draw(numbers(depth)), draw(st.sampled_from(("7", "-7", "0", str(2**63 - 8))))
        if draw(st.booleans()):
            one, other = other, one
        return f"{one} {draw(st.sampled_from(('<', '<=', '>', '>=', '==', '!=')))} {other}"
    if shape == "not":
        return f"!({draw(inner)})"
    return f"({draw(inner)} {'&&' if shape == 'and' else '||'} {draw(inner)})"


@st.composite
def clauses(draw: st.DrawFn) -> str:
    """Draw one to three clauses; what the first ones rule out holds in the last."""
    kinds = draw(st.lists(st.sampled_from(("when", "unless")), min_size=1, max_size=3))
    return " ".join(f"{kind} {{ {draw(truths(2))} }}" for kind in kinds)


@given(clauses(), st.lists(st.tuples(*[st.sampled_from(EDGES)] * 2), min_size=8, max_size=8))
def test_arithmetic_without_a_finding_never_overflows(written, values):
    text = f'@id("a") permit (principal, action, resource is Model) {written};'
    snapshot = load_text(text.replace("action,", 'action == Action::"predict",'))
    (policy,) = snapshot.policies
    found = list(arithmetic.find(policy))
    event("found" if found else "not found")
    if found:
        return
    question = snapshot.ask(CLARA, PREDICT, Resource("Model", "tumour"))
    for rows, size in values:
        facts = {"input": {"rows": rows, "bytes": size}}
        assert question.decide(facts).decision.errors == ()


@given(bundles(), requests)
def test_a_grant_that_is_covered_or_overridden_can_be_removed(bundle, asked):
    """All grants with such a finding, one by one: no decision is another one without it."""
    snapshot = load(bundle)
    files = {"schema.cedarschema": SCHEMA.encode()}
    found = lint(snapshot, Folder(Path(), files, "random"), SETTINGS)
    idle = {each.policy: each.code for each in found if each.code in ("GR515", "GR516")}
    event("some are idle" if idle else "all count")
    decisions = []
    for request in asked:
        question = snapshot.ask(
            request.principal, Entity("Action", request.action), request.resource
        )
        decisions.append(question.decide(request.facts).decision)
    for name, code in idle.items():
        for decision in decisions:
            if decision.allowed and name in decision.policies:
                assert code == "GR515"
                assert len(decision.policies) > 1  # the wider one grants it, too


@given(clauses(), st.lists(st.tuples(*[st.sampled_from(EDGES)] * 2), min_size=8, max_size=8))
def test_a_policy_whose_bounds_contradict_each_other_never_matches(written, values):
    text = f'@id("a") permit (principal, action == Action::"predict", resource is Model) {written};'
    snapshot = load_text(text)
    (policy,) = snapshot.policies
    ranges = {("input", name): (0, 2**63 - 1) for name in ("rows", "bytes")}
    codes = {finding.code for finding in sense.find(policy, ranges)}
    event(", ".join(sorted(codes)) or "nothing is found")
    question = snapshot.ask(CLARA, PREDICT, Resource("Model", "tumour"))
    for rows, size in values:
        decision = question.decide({"input": {"rows": rows, "bytes": size}}).decision
        if "GR513" in codes:
            assert not decision.allowed
