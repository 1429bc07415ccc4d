"""A policy that reads `context.app` as a whole gets everything that the application passed."""

import pytest
from bundles import GRANT

from guardrail import NotAuthorized, Principal

SCHEMA = """
entity User { department: String }; entity Role; entity Model { about: { purpose: String } };
action predict appliesTo {
  principal: [User], resource: [Model], context: { app: { purpose: String } },
};
"""
ENTITIES = """[
  {"uid": {"type": "Model", "id": "tumour"}, "attrs": {"about": {"purpose": "care"}}, "parents": []}
]"""


@pytest.fixture
def call(make_guard):
    def call(policies, facts):
        files = {"schema.cedarschema": SCHEMA, "entities.json": ENTITIES}
        guard = make_guard(policies, **files)
        who = Principal("User", "clara", attrs={"department": "care"})
        protected = guard.protect(
            action="predict", resource='Model::"tumour"', principal=who, facts=facts
        )(lambda: "ran")
        return protected()

    return call


@pytest.mark.parametrize("read", ["context.app", '[context.app].contains({purpose: "sale"})'])
def test_a_prohibition_on_all_that_was_passed_denies(call, read):
    clause = f'{read} == {{purpose: "sale"}}' if read == "context.app" else read
    policies = GRANT + f'@id("no") forbid (principal, action, resource) when {{ {clause} }};'
    with pytest.raises(NotAuthorized) as caught:
        call(policies, {"purpose": "sale"})
    assert caught.value.code == "prohibited"
    assert call(policies, {"purpose": "care"}) == "ran"


def test_a_grant_on_all_that_was_passed_allows(call):
    policies = (
        '@id("g") permit (principal, action, resource) when { context.app == resource.about };'
    )
    assert call(policies, {"purpose": "care"}) == "ran"
    for facts in ({"purpose": "sale"}, {}, {"purpose": "care", "more": 1}, {"purpose": 1}):
        with pytest.raises(NotAuthorized):
            call(policies, facts)


def test_what_the_schema_lacks_is_denied_where_all_is_read(call):
    policies = GRANT + '@id("w") forbid (principal, action, resource) when { context == context };'
    with pytest.raises(NotAuthorized) as caught:
        call(policies, {"purpose": "care", "more": 1})
    assert caught.value.code == "bad_fact"
