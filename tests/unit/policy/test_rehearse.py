"""Before a snapshot serves, every one of its actions has been asked of Cedar once."""

import pytest
from bundles import GRANT

from guardrail.bundle.assembly import load_bundle
from guardrail.policy.engine.warm_up import rehearse

#: Evaluated, these would err, overflow or deny: nothing of that is a fault of the bundle.
ODD = """
@id("errs") forbid (principal == User::"nobody", action, resource)
when { principal has level && principal.level + 9223372036854775807 > 0 };
@id("links") permit (principal in Team::"heart", action in Action::"read", resource == Model::"old")
when { resource has owner && resource.owner.department == "care" };
"""


@pytest.mark.parametrize("policies", [GRANT, GRANT + ODD])
def test_each_action_is_asked_on_all_of_its_policies_and_as_calls_will(
    make_bundle, clock, policies
):
    snapshot = load_bundle(make_bundle(policies), clock=clock).snapshot
    assert rehearse(snapshot) == 2 * len(snapshot.schema.actions)


def test_callers_can_be_of_a_type_that_only_tokens_bring(make_bundle, clock):
    models = '[{"uid": {"type": "Model", "id": "old"}, "attrs": {"purpose": "x"}, "parents": []}]'
    snapshot = load_bundle(make_bundle(**{"entities.json": models}), clock=clock).snapshot
    actions = len(snapshot.schema.actions)
    assert rehearse(snapshot) == actions
    assert rehearse(snapshot, types=["User"]) == 2 * actions


def test_without_a_policy_or_an_entity_there_is_still_an_answer(make_bundle, clock):
    snapshot = load_bundle(make_bundle("", **{"entities.json": "[]"}), clock=clock).snapshot
    assert rehearse(snapshot) == len(snapshot.schema.actions)
    assert rehearse(snapshot, types=["No::Such", "User"]) == len(snapshot.schema.actions)
