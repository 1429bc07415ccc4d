"""What an explanation says of a policy, Cedar says of that policy alone.

The reference is plain cedarpy: each policy that is told is asked by itself, as it is written, and
again with each of its truths as a literal in the text.
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache, partial

import cedarpy
from hypothesis import given, settings
from plain_cedar import PlainSet, entities
from random_bundles import Request, Rule, bundles, load, requests

from guardrail import Entity
from guardrail.policy.analysis.explain import ExplainedPart, Explainer, Explanation

run = partial(settings, deadline=None)
#: Each example asks 54 requests of one bundle: over 10,000 in all.
EXAMPLES = 190

#: What becomes of a policy that has this part in a decision.
COMES_TO = {"decides": "true", "demands": "true", "errs": "error", "near": "false"}


@lru_cache(maxsize=4096)
def permit(scope: str, clauses: str) -> PlainSet:
    return PlainSet([("it", f"permit ({scope}) {clauses};")])


def outcome(
    rule: Rule, request: Request, world: cedarpy.Entities, clauses: str | None = None
) -> str:
    """Return what one policy comes to, asked of plain Cedar, with these clauses or its own."""
    asked = permit(rule.scope, rule.clauses if clauses is None else clauses)
    found = asked.ask(request, world)
    return "error" if found.erred else "true" if found.named else "false"


def replaced(rule: Rule, step: ExplainedPart, literal: str) -> str | None:
    """Return the clauses with one truth as a literal; ``None`` where its text is not found."""
    line = rule.written()
    start = step.place.column - 1 - line.rindex(rule.clauses)
    end = start + len(step.text)
    if rule.clauses[start:end] != step.text:
        return None
    return f"{rule.clauses[:start]}{literal}{rule.clauses[end:]}"


def check(
    bundle: tuple[Rule, ...],
    request: Request,
    found: Explanation,
    world: cedarpy.Entities,
    counts: Counter[str],
) -> None:
    rules = {rule.id: rule for rule in bundle}
    for told in found.policies:
        rule = rules[told.policy.id]
        before = outcome(rule, request, world)
        assert before == COMES_TO[told.role], (rule, told.role)
        counts[told.role] += 1
        scope = all(step.value == "true" for step in told.steps if step.keyword == "scope")
        assert scope == (outcome(rule, request, world, "") == "true")
        for step in told.steps:
            if step.keyword == "scope" or step.value is None:
                continue
            others = {"true": ["false"], "false": ["true"]}.get(step.value, ["true", "false"])
            texts = [replaced(rule, step, other) for other in others]
            if None in texts:
                counts["not found"] += 1
                continue
            after = {outcome(rule, request, world, text) for text in texts}
            unmatched = {before, "error"} if before == "false" else {before}
            assert step.turns == (not after <= unmatched), (rule, step)
            counts["turns" if step.turns else "stays"] += 1


def explained(bundle: tuple[Rule, ...], asked: tuple[Request, ...], counts: Counter[str]) -> None:
    snapshot = load(bundle)
    explainer = Explainer(snapshot)
    for request in asked:
        action = Entity("Action", request.action)
        resource = Entity(request.resource.type, request.resource.id)
        found = explainer.explain(request.principal, action, resource, request.facts)
        decision = snapshot.ask(request.principal, action, resource).decide(request.facts).decision
        assert found.decision == decision
        allowing = {each.policy.id for each in found.policies if each.role == "decides"}
        if decision.code in ("allow", "prohibited"):
            assert allowing == set(decision.policies)
        check(bundle, request, found, entities(request.principal), counts)
        counts["asked"] += 1


def test_an_explanation_says_what_cedar_says_of_each_policy_alone():
    counts: Counter[str] = Counter()

    @run(max_examples=EXAMPLES)
    @given(bundles(), requests)
    def ask(bundle, asked):
        explained(bundle, asked, counts)

    ask()
    assert counts["asked"] >= 10_000
    assert min(counts[name] for name in ("turns", "stays", *COMES_TO)) > 25, counts
    assert counts["not found"] < counts["turns"]
