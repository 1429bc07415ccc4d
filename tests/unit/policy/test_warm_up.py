"""The warm-up evaluates every action of a snapshot with Cedar before the snapshot serves."""

import cedarpy
import pytest
from bundles import GRANT

from guardrail.bundle.assembly import load_bundle
from guardrail.policy.engine.warm_up import warm_up
from guardrail.policy.source.parser import applies_to

#: With a real request these err, overflow or deny; for the warm-up none of this is a fault.
ODD = """
@id("errs") forbid (principal == User::"nobody", action, resource)
when { principal has level && principal.level + 9223372036854775807 > 0 };
@id("links") permit (principal in Team::"heart", action in Action::"read", resource == Model::"old")
when { resource has owner && resource.owner.department == "care" };
"""


@pytest.fixture
def evaluations(monkeypatch):
    """Record what Cedar evaluates: the request, and the number of policies. Cedar still does."""
    seen, evaluate = [], cedarpy.is_authorized

    def record(request, policies, entities):
        seen.append((request["principal"], str(request["action"]), len(policies)))
        return evaluate(request, policies, entities)

    monkeypatch.setattr(cedarpy, "is_authorized", record)
    return seen


@pytest.mark.parametrize("policies", [GRANT, GRANT + ODD])
def test_each_action_is_evaluated_on_all_of_its_policies_and_as_a_call(
    make_bundle, clock, evaluations, policies
):
    snapshot = load_bundle(make_bundle(policies), clock=clock).snapshot
    evaluations.clear()
    assert warm_up(snapshot) == len(evaluations) == 2 * len(snapshot.schema.actions)
    whole = [
        (action, count) for principal, action, count in evaluations if "guardrail" in str(principal)
    ]
    assert len(whole) == len(snapshot.schema.actions)
    for (name, count), (action, groups) in zip(whole, snapshot.schema.actions.items(), strict=True):
        assert action.id in name
        assert count == sum(applies_to(each, action, groups) for each in snapshot.policies)


def test_an_evaluation_that_fails_fails_the_warm_up(make_bundle, clock, monkeypatch):
    snapshot = load_bundle(make_bundle(GRANT), clock=clock).snapshot

    def fail(*_):
        raise RuntimeError

    monkeypatch.setattr(cedarpy, "is_authorized", fail)
    with pytest.raises(RuntimeError):
        warm_up(snapshot)


def test_callers_can_have_a_type_that_only_tokens_bring(make_bundle, clock, evaluations):
    models = '[{"uid": {"type": "Model", "id": "old"}, "attrs": {"purpose": "x"}, "parents": []}]'
    snapshot = load_bundle(make_bundle(**{"entities.json": models}), clock=clock).snapshot
    actions = len(snapshot.schema.actions)
    evaluations.clear()
    assert warm_up(snapshot) == actions
    assert not any("User" in str(principal) for principal, *_ in evaluations)
    evaluations.clear()
    assert warm_up(snapshot, types=["User"]) == 2 * actions
    assert sum("User" in str(principal) for principal, *_ in evaluations) == actions


def test_a_bundle_without_policies_or_entities_is_evaluated_too(make_bundle, clock, evaluations):
    snapshot = load_bundle(make_bundle("", **{"entities.json": "[]"}), clock=clock).snapshot
    evaluations.clear()
    assert warm_up(snapshot) == len(snapshot.schema.actions)
    assert warm_up(snapshot, types=["No::Such", "User"]) == len(snapshot.schema.actions)
    assert len(evaluations) == 2 * len(snapshot.schema.actions)
