"""Shadow policies are read and checked like others, and never affect a decision."""

import pytest
from bundles import GRANT, principal

from guardrail import ConfigurationError, Entity, Resource
from guardrail.bundle.assembly import load_bundle
from guardrail.testing import FrozenClock

ASK = (principal(), Entity("Action", "predict"), Resource("Model", "tumour"))
SHADOW = '@id("never") @mode("shadow") forbid (principal, action, resource);\n'
READS = (
    '@id("late") @mode("shadow") forbid (principal, action == Action::"predict", resource)\n'
    "when { context.time.hour > 5 };\n"
)
TEMPLATE = '@id("gone") @mode("shadow") forbid (principal, action, resource == ?resource);\n'

OWN_PLACE = (
    "entity User; entity Model;\n"
    "action predict appliesTo "
    "{ principal: [User], resource: [Model], context: { x: { y: Bool } } };\n"
)


@pytest.fixture
def loaded(make_bundle):
    """Return a function that loads a bundle: its two snapshots."""

    def make(policies, **files):
        bundle = load_bundle(make_bundle(policies, **files), clock=FrozenClock())
        return bundle.snapshot, bundle.shadow

    return make


def ids(snapshot):
    return [policy.id for policy in snapshot.policies]


def test_a_bundle_without_policies_in_shadow_has_one_snapshot(loaded):
    live, shadow = loaded(GRANT)
    assert ids(live) == ["grant"]
    assert shadow is None


def test_the_live_snapshot_has_no_policy_in_shadow_and_the_other_all(loaded):
    live, shadow = loaded(SHADOW + GRANT)
    assert (ids(live), ids(shadow)) == (["grant"], ["never", "grant"])
    assert live.revision == shadow.revision
    assert live.ask(*ASK).decide({}).decision.allowed
    assert shadow.ask(*ASK).decide({}).decision.policies == ("never",)


def test_what_only_policies_in_shadow_read_is_in_no_live_plan(loaded):
    live, shadow = loaded(GRANT + READS)
    assert live.ask(*ASK).wants == ()
    assert [(source.namespace, names) for source, names in shadow.ask(*ASK).wants] == [
        ("time", {"hour"})
    ]


def test_the_links_of_a_template_in_shadow_are_in_shadow(loaded):
    links = "- {template: gone, id: gone-tumour, resource: 'Model::\"tumour\"'}\n"
    live, shadow = loaded(GRANT + TEMPLATE, **{"links.yaml": links})
    assert (ids(live), ids(shadow)) == (["grant"], ["grant", "gone-tumour"])


def test_a_fact_that_nobody_provides_is_a_fault_in_shadow_too(make_bundle):
    files = {"schema.cedarschema": OWN_PLACE, "entities.json": "[]"}
    reads = '@id("h") @mode("shadow") forbid (principal, action, resource) when { context.x.y };'
    with pytest.raises(ConfigurationError) as caught:
        load_bundle(make_bundle(GRANT + reads, **files), clock=FrozenClock())
    assert [fault.code for fault in caught.value.faults] == ["GR110"]
