"""Findings about what policies leave out: grants, checks of inputs, quotas."""

from __future__ import annotations

import pytest
from weak_bundles import CONDITIONS, GRANT, SCHEMA, SOUND

EVERY = '@id("grant") permit (principal, action, resource);\n'
QUOTA = '@id("q") @quota("60/minute") forbid ({});\n'


def test_a_bundle_without_a_policy_grants_nothing(find):
    (found,) = find("GR506", "")
    assert "every call is denied" in found.message


def test_a_grant_that_can_never_match_is_none(find):
    text = '@id("grant") permit (principal in Role::"nobody", action, resource);\n'
    assert len(find("GR506", text + CONDITIONS)) == 1


def test_an_action_without_input_needs_no_check(find):
    text = '@id("g") permit (principal, action == Action::"explain", resource);\n'
    assert find("GR507", text) == []


def test_an_action_that_nobody_may_call_needs_no_check(find):
    text = '@id("g") permit (principal, action == Action::"explain", resource);\n'
    assert find("GR507", text) == []
    (found,) = find("GR507", GRANT)
    assert 'Action::"predict"' in found.message


def test_a_condition_on_another_action_checks_no_input(find):
    text = '@id("c") @input("patients") forbid (principal, action == Action::"explain", resource);'
    assert len(find("GR507", GRANT + text)) == 1
    assert find("GR507", GRANT + text.replace("explain", "predict")) == []


def test_actions_of_namespaces_and_quoted_names_have_their_places(find):
    schema = """\
namespace Care {
  entity Nurse; entity Chart;
  action "score it", other appliesTo {
    principal: [Nurse], resource: [Chart], context: { input: guardrail::TensorInput } };
}
entity User; entity Model;
action last appliesTo {
  principal: [User], resource: [Model], context: { input: guardrail::TensorInput } };
"""
    files = {"schema.cedarschema": schema, "entities.json": "[]"}
    found = find("GR507", EVERY, **files)
    assert [str(finding.place) for finding in found] == [
        "schema.cedarschema:3:10",
        "schema.cedarschema:3:22",
        "schema.cedarschema:7:8",
    ]


@pytest.mark.parametrize(
    ("grant", "quota"),
    [
        ("principal, action, resource", "principal, action, resource"),
        ("principal, action, resource", "principal is User, action, resource is Model"),
        ('principal in Role::"clinician", action, resource', "principal, action, resource"),
        (
            'principal in Role::"clinician", action, resource',
            'principal in Role::"clinician", action, resource',
        ),
        (
            'principal is User in Role::"clinician", action, resource',
            'principal in Role::"clinician", action, resource',
        ),
        (
            'principal, action, resource == Model::"tumour"',
            'principal, action, resource in Group::"live"',
        ),
        (
            'principal, action, resource == Model::"tumour"',
            "principal, action, resource is Model",
        ),
        (
            'principal, action == Action::"predict", resource',
            'principal, action in [Action::"predict"], resource',
        ),
        (
            'principal, action, resource == Model::"tumour"',
            'principal is User, action, resource is Model in Group::"live"',
        ),
    ],
)
def test_a_quota_whose_scope_covers_the_grant_counts(find, grant, quota):
    text = f'@id("grant") permit ({grant});\n' + QUOTA.format(quota)
    assert find("GR508", text) == []


@pytest.mark.parametrize(
    ("grant", "quota"),
    [
        ("principal, action, resource", 'principal in Role::"clinician", action, resource'),
        ("principal, action, resource", 'principal == User::"clara", action, resource'),
        ("principal, action, resource", 'principal, action, resource == Model::"tumour"'),
        ("principal is User, action, resource", 'principal in Role::"clinician", action, resource'),
        (
            'principal == User::"clara", action, resource',
            'principal == User::"carl", action, resource',
        ),
        (
            'principal, action, resource == Model::"tumour"',
            'principal, action, resource in Group::"empty"',
        ),
        ("principal, action, resource", 'principal, action == Action::"predict", resource'),
    ],
)
def test_a_quota_that_leaves_some_of_the_grant_out_does_not(find, grant, quota):
    text = f'@id("grant") permit ({grant});\n' + QUOTA.format(quota)
    (found,) = find("GR508", text)
    assert (found.policy, str(found.place)) == ("grant", "policies.cedar:1:1")


def test_only_the_actions_left_open_are_named(find):
    text = EVERY + QUOTA.format('principal, action == Action::"predict", resource')
    (found,) = find("GR508", text)
    assert 'Action::"explain"' in found.message
    assert 'Action::"predict"' not in found.message


def test_an_exemption_by_unless_is_meant(find):
    exempt = QUOTA.format("principal, action, resource").replace(
        ";", ' unless { principal in Role::"clinician" };'
    )
    assert find("GR508", GRANT + exempt) == []


def test_a_type_covers_only_where_it_is_the_only_one(find):
    schema = SCHEMA.replace("entity User", "entity Bot in [Role];\nentity User")
    schema = schema.replace("principal: [User]", "principal: [User, Bot]")
    text = EVERY + QUOTA.format("principal is User, action, resource")
    assert len(find("GR508", text, **{"schema.cedarschema": schema})) == 1
    assert find("GR508", text) == []


def test_quotas_within_an_hour_are_no_long_windows(find):
    for window, count in (("second", 0), ("hour", 0), ("day", 1), ("30d", 1)):
        assert len(find("GR521", SOUND.replace("60/minute", f"60/{window}"))) == count
