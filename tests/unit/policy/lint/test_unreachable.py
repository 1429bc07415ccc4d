"""Policies that can't match, according to the validator and entities.json."""

from __future__ import annotations

import pytest
from weak_bundles import GRANT, HEAD, SCHEMA, SOUND, when

from guardrail._ports import SystemClock
from guardrail.bundle.assembly import load_bundle
from guardrail.errors import ConfigurationError


def scoped(scope: str, *, kind: str = "permit", clause: str = "") -> str:
    return f'@id("it") {kind} ({scope}) {clause};\n{SOUND}'


@pytest.mark.parametrize(
    "scope",
    [
        'principal in Role::"clinican", action, resource',
        'principal is User in Role::"clinican", action, resource',
        'principal, action, resource == Model::"tumor"',
        'principal, action, resource in Group::"liv"',
        'principal, action, resource in Group::"empty"',
        'principal, action, resource is Model in Group::"empty"',
        'principal, action, resource in Model::"tumor"',
    ],
)
def test_a_scope_that_no_entity_meets_is_found(find, scope):
    (found,) = find("GR501", scoped(scope))
    assert (found.policy, found.place.line) == ("it", 1)
    assert "never grants" in found.message


@pytest.mark.parametrize(
    "scope",
    [
        "principal, action, resource",
        'principal in Role::"clinician", action, resource',
        'principal == User::"clara", action, resource',
        'principal in User::"clara", action, resource',
        'principal, action, resource == Model::"tumour"',
        'principal, action, resource in Group::"live"',
        'principal, action, resource in Model::"tumour"',
        'principal is User in Role::"clinician", action, resource is Model in Group::"live"',
    ],
)
def test_a_scope_that_somebody_can_meet_is_not(find, scope):
    assert find("GR501", scoped(scope)) == []


@pytest.mark.parametrize(
    "clause",
    [
        "false",
        "1 == 2",
        "principal is Role",
        'principal == Model::"tumour"',
        'principal in Group::"live"',
        "principal has nothing",
        'action == Action::"explain"',
        "context.app.count > 1 && false",
    ],
)
def test_a_clause_that_the_schema_rules_out_is_found(find, clause):
    (found,) = find("GR501", when(clause))
    assert (found.policy, found.place.line, found.place.column) == ("it", 1, 1)


@pytest.mark.parametrize("clause", ["true", "context.app.count == 1", "principal is User"])
def test_a_clause_that_can_hold_is_not(find, clause):
    assert find("GR501", when(clause)) == []


def test_a_clause_that_errs_before_it_is_ruled_out_is_not_of_no_effect(find):
    text = when("context.app.count * 2 > 1 && false")
    assert find("GR501", text) == []
    assert len(find("GR503", text)) == 1


def test_a_prohibition_that_may_miss_a_fact_first_is_not_of_no_effect(find):
    """It denies then: who removes it allows what it stopped."""
    clause = "when { context.input.rows > 1 } when { false };"
    text = f'@id("it") forbid (principal, action == Action::"predict", resource) {clause}\n{SOUND}'
    assert find("GR501", text) == []
    (found,) = find("GR501", text.replace("forbid", "permit", 1))
    assert "never grants" in found.message


def test_unless_true_is_found(find):
    text = '@id("it") forbid (principal, action, resource) unless { true };'
    (found,) = find("GR501", f"{text}\n{SOUND}")
    assert "never forbids" in found.message


def test_a_condition_that_never_matches_demands_nothing(find):
    text = '@id("it") @round("2") forbid (principal in Role::"nobody", action, resource);'
    (found,) = find("GR501", f"{text}\n{SOUND}")
    assert "its obligation never applies" in found.message


def test_an_unreachable_condition_checks_no_input(find):
    text = GRANT + '@id("c") @input("patients") forbid (principal in Role::"x", action, resource);'
    assert len(find("GR507", text)) == 1


def test_an_enum_needs_no_entities(find):
    schema = SCHEMA.replace("entity Role in [Role];", 'entity Role enum ["clinician"];')
    files = {"schema.cedarschema": schema, "entities.json": "[]"}
    assert find("GR501", scoped('principal in Role::"clinician", action, resource'), **files) == []


def test_a_resource_of_an_enum_needs_no_entities(find):
    schema = """
    entity User; entity Model enum ["tumour"];
    action predict appliesTo { principal: [User], resource: [Model], context: {} };
    """
    text = '@id("a") permit (principal, action, resource == Model::"tumour");\n'
    text += '@id("b") permit (principal, action, resource is Model);'
    files = {"schema.cedarschema": schema, "entities.json": "[]"}
    assert find("GR501", text, **files) == []


def test_a_type_without_entities_is_no_resource(find):
    text = '@id("it") permit (principal, action, resource is Model);'
    (found,) = find("GR501", text, **{"entities.json": "[]"})
    assert "entities.json has no Model" in found.message


def test_unknown_resources_can_be_meant_where_they_are_allowed(find):
    toml = {"guardrail.toml": HEAD + '[resources]\nunknown = "allow"\n'}
    for scope in ('resource == Model::"new"', "resource is Model", 'resource in Model::"new"'):
        assert find("GR501", scoped(f"principal, action, {scope}"), **toml) == []
    assert find("GR501", scoped('principal, action, resource in Group::"new"'), **toml)


@pytest.mark.parametrize(
    "scope",
    [
        "principal is Model, action, resource",
        "principal, action, resource is User",
        'principal, action, resource in Role::"clinician"',
        'principal, action in [Action::"nope"], resource',
    ],
)
def test_a_type_that_no_action_applies_to_does_not_load(make_bundle, scope):
    files = {"schema.cedarschema": SCHEMA, "entities.json": "[]"}
    with pytest.raises(ConfigurationError) as caught:
        load_bundle(make_bundle(f'@id("it") permit ({scope});', **files), clock=SystemClock())
    assert caught.value.faults[0].code == "GR108"


# Entities in clauses


def test_a_literal_that_is_asked_something_denies_and_is_found(find):
    (found,) = find("GR502", when('User::"clara".level > 1'))
    assert "every call that evaluates it is denied" in found.message


@pytest.mark.parametrize(
    "clause",
    [
        'principal in Role::"clinican" || context.app.count > 1',
        'principal in [Role::"clinican", Role::"clinician"]',
        'resource == Model::"tumor" || context.app.count > 1',
        'Role::"clinican" in Role::"clinician" || context.app.count > 1',
    ],
)
def test_a_literal_that_entities_lack_is_found(find, clause):
    (found,) = find("GR502", when(clause))
    assert (found.policy, found.place.line) == ("it", 3)


@pytest.mark.parametrize(
    "clause",
    [
        'principal == User::"clara"',
        'principal in Role::"clinician"',
        'resource == Model::"tumour"',
        'action == Action::"predict"',
    ],
)
def test_a_literal_that_can_be_known_is_not(find, clause):
    assert find("GR502", when(clause)) == []


def test_a_literal_is_named_once_however_often_it_stands(find):
    clause = 'principal in Role::"no" || (context.app.count > 1 && principal in Role::"no")'
    assert len(find("GR502", when(clause))) == 1
