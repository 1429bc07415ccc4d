"""One evaluation is worth two: conditions as permits in one set decide as sets of their own.

The reference here is plain cedarpy and shares nothing with guardrail but Cedar: the access
set as it stands, each condition in a set of its own, entities built with the schema, and
the facts whole, not only those that are read. Where we are stricter than Cedar, the
reference says so too: without a grant whose scope matches, and where a policy asks something
of an entity that nobody knows.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from functools import partial
from typing import Any

import cedarpy
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from plain_cedar import PlainSet, entities
from random_bundles import Request, Rule, bundles, load, requests, rules

from guardrail import Decision, Entity
from guardrail.policy import Answer, Snapshot

run = partial(
    settings,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
#: Each example asks 54 requests of one bundle.
DEFAULT, LONG, NIGHT = 120, 400, 2000

ORDER = ("quota", "top_k", "round")
#: How a clause asks something of the resource's owner, who may be nobody.
OF_OWNER = ("resource.owner.", "resource.owner in")


class TwoSets:
    """What DESIGN says of a bundle: access and conditions evaluated apart."""

    def __init__(self, bundle: tuple[Rule, ...]) -> None:
        self.bundle = tuple(sorted(bundle, key=lambda rule: bool(rule.slots)))  # links come last
        self.scopes = PlainSet([(r.id, f"permit ({r.scope});\n") for r in bundle])
        self.access = PlainSet(
            [(r.id, r.written(r.effect)) for r in bundle if r.kind != "condition"]
        )
        self.conditions = [
            PlainSet([(r.id, r.written("permit"))]) for r in bundle if r.kind == "condition"
        ]

    def early(self, request: Request, world: cedarpy.Entities) -> str | None:
        """Return the code of a call that is lost before any fact is computed."""
        matching = [r for r in self.bundle if r.id in self.scopes.ask(request, world).named]
        if not any(r.kind == "grant" for r in matching):
            return "no_grant"
        haunted = request.resource.id == "haunted"
        if haunted and any(question in r.clauses for r in matching for question in OF_OWNER):
            return "unknown_entity"
        return None

    def decide(self, request: Request, world: cedarpy.Entities) -> tuple[Any, ...]:
        """Return (code, policies, obligations, errors), with ids in bundle order."""
        early = self.early(request, world)
        if early is not None:
            return (early, (), {}, ())
        access = self.access.ask(request, world)
        apart = [condition.ask(request, world) for condition in self.conditions]
        matched = frozenset[str]().union(*(one.named for one in apart))
        errors = access.erred.union(*(one.erred for one in apart))
        prohibitions = {r.id for r in self.bundle if r.kind == "prohibition"}
        grants = {r.id for r in self.bundle if r.kind == "grant"}
        if access.named & prohibitions:
            code, policies, matched = "prohibited", access.named, frozenset()
        elif errors - grants:
            code, policies, matched = "evaluation_error", errors - grants, frozenset()
        elif access.decision == "Allow":
            code, policies = "allow", access.named
        else:
            code, policies, matched = "no_grant", frozenset(), frozenset()
        return (code, self.sorted(policies), self.merged(matched), self.sorted(errors))

    def sorted(self, ids: frozenset[str]) -> tuple[str, ...]:
        return tuple(rule.id for rule in self.bundle if rule.id in ids)

    def merged(self, matched: frozenset[str]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name in ORDER:
            holders = [r for r in self.bundle if r.id in matched and name in r.demands]
            demands = sorted(r.demands[name] for r in holders)
            if demands:
                kept = demands if name == "quota" and len(demands) > 1 else demands[0]
                found[name] = (kept, tuple(r.id for r in holders))
        return found


def answer(snapshot: Snapshot, request: Request) -> Answer:
    question = snapshot.ask(request.principal, Entity("Action", request.action), request.resource)
    return question.decide({"app": {}, **request.facts})


def ask(snapshot: Snapshot, request: Request) -> Decision:
    return answer(snapshot, request).decision


def told(snapshot: Snapshot, decision: Decision) -> tuple[Any, ...]:
    assert decision.allowed is (decision.code == "allow")
    obligations = {
        held.name: (snapshot.obligations[held.name].describe(held.demand), held.policies)
        for held in decision.obligations
    }
    errors = tuple(error.policy for error in decision.errors)
    return (decision.code, decision.policies, obligations, errors)


def compare(bundle: tuple[Rule, ...], asked: tuple[Request, ...]) -> None:
    snapshot, reference = load(bundle), TwoSets(bundle)
    worlds = {id(request.principal): entities(request.principal) for request in asked}
    codes = set()
    for request in asked:
        ours = told(snapshot, ask(snapshot, request))
        assert ours == reference.decide(request, worlds[id(request.principal)]), request
        assert list(ours[2]) == [name for name in ORDER if name in ours[2]]
        codes.add(ours[0] + (" with obligations" if ours[2] else ""))
    for code in codes:
        event(code)


@run(max_examples=DEFAULT)
@given(bundles(), requests)
def test_one_set_decides_as_two_sets_apart(bundle, asked):
    compare(bundle, asked)


@pytest.mark.long
@run(max_examples=LONG)
@given(bundles(most=12), requests)
def test_one_set_decides_as_two_sets_apart_over_20_000_requests(bundle, asked):
    compare(bundle, asked)


@pytest.mark.night
@run(max_examples=NIGHT)
@given(bundles(most=12), requests)
def test_one_set_decides_as_two_sets_apart_over_100_000_requests(bundle, asked):
    compare(bundle, asked)


@run(max_examples=DEFAULT // 4)
@given(bundles(), requests, st.randoms())
def test_an_answer_that_was_kept_is_the_answer_of_a_snapshot_that_kept_nothing(
    bundle, asked, random
):
    snapshot = load(bundle)
    mixed = [*asked, *asked, *asked]
    random.shuffle(mixed)
    truth = {id(request): ask(load(bundle), request) for request in asked[::9]}
    kept: dict[int, Decision] = {}
    for request in mixed:
        given_anew = replace(request, facts=deepcopy(request.facts))  # equal, and not the same
        found = answer(snapshot, given_anew)
        before = kept.setdefault(id(request), found.decision)
        assert found.decision == before == truth.get(id(request), before)
        assert found.cached or snapshot.misses <= len(asked)
    assert snapshot.misses <= len(asked)


@run(max_examples=DEFAULT // 4)
@given(bundles(), requests)
def test_nothing_is_allowed_beside_a_forbid_that_matches_or_errs(bundle, asked):
    """Each policy alone: a prohibition that matches denies, and so does a doubt in any forbid."""
    snapshot, reference = load(bundle), TwoSets(bundle)
    alone = {rule.id: PlainSet([(rule.id, rule.written("permit"))]) for rule in bundle}
    worlds = {id(request.principal): entities(request.principal) for request in asked}
    for request in asked:
        world = worlds[id(request.principal)]
        found = {rule.id: alone[rule.id].ask(request, world) for rule in bundle}
        grants = [rule for rule in bundle if rule.kind == "grant" and found[rule.id].named]
        stops = [
            rule
            for rule in bundle
            if rule.kind != "grant"
            and (found[rule.id].erred or (rule.kind == "prohibition" and found[rule.id].named))
        ]
        allowed = ask(snapshot, request).allowed
        assert not (allowed and stops)
        assert allowed is bool(grants and not stops and reference.early(request, world) is None)


@run(max_examples=DEFAULT // 4)
@given(bundles(), rules("added", ("prohibition", "condition")), st.randoms(), requests)
def test_adding_a_forbid_never_widens(bundle, added, random, asked):
    place = random.randrange(len(bundle) + 1)
    before, after = load(bundle), load((*bundle[:place], added, *bundle[place:]))
    for request in asked:
        then, now = ask(before, request), ask(after, request)
        assert then.allowed or not now.allowed
        if not now.allowed:
            continue
        assert now.policies == then.policies
        held = {each.name: each for each in now.obligations}
        for each in then.obligations:
            kind, both = before.obligations[each.name], held[each.name]
            assert kind.merge(each.demand, both.demand) == both.demand  # never looser
            assert set(each.policies) <= set(both.policies)


@run(max_examples=DEFAULT // 4)
@given(bundles(("condition", "prohibition")), requests)
def test_a_bundle_without_a_grant_allows_nothing(bundle, asked):
    snapshot = load(bundle)
    assert {ask(snapshot, request).code for request in asked} == {"no_grant"}
