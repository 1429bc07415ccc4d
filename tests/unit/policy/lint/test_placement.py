"""Clauses that only repeat what a scope could express."""

from __future__ import annotations

import pytest
from weak_bundles import SOUND


def written(scope: str, clause: str, *, kind: str = "permit") -> str:
    return f'@id("it") {kind} ({scope}) {clause};\n{SOUND}'


@pytest.mark.parametrize(
    "clause",
    [
        'when { resource == Model::"tumour" }',
        'when { Model::"tumour" == resource }',
        'when { resource in Group::"live" }',
        'when { resource is Model in Group::"live" }',
        'when { principal in Role::"clinician" }',
        "when { principal is User }",
        'when { action == Action::"predict" }',
        'when { action in [Action::"predict"] }',
        'when { principal has level && resource == Model::"tumour" && true }',
        'when { principal has level } when { resource == Model::"tumour" }',
    ],
)
def test_a_constraint_in_a_clause_is_found(find, clause):
    (found,) = find("GR509", written("principal, action, resource", clause))
    assert found.policy == "it"
    assert "scope" in found.message


@pytest.mark.parametrize(
    "clause",
    [
        'unless { resource == Model::"tumour" }',
        'when { resource == Model::"tumour" || principal has level }',
        'when { !(resource == Model::"tumour") }',
        'when { resource != Model::"tumour" }',
        'when { principal in [Role::"clinician"] }',
        "when { principal in principal }",
        'when { if principal has level then resource == Model::"tumour" else true }',
    ],
)
def test_a_clause_that_says_more_is_not(find, clause):
    assert find("GR509", written("principal, action, resource", clause)) == []


def test_a_scope_that_is_taken_can_hold_no_more(find):
    scope = 'principal in Role::"clinician", action == Action::"predict", resource in Group::"live"'
    clause = 'when { principal == User::"clara" && resource == Model::"tumour" }'
    assert find("GR509", written(scope, clause)) == []


def test_a_scope_by_type_can_name_an_entity_instead(find):
    scope = "principal, action, resource is Model"
    assert len(find("GR509", written(scope, 'when { resource == Model::"tumour" }'))) == 1
    assert find("GR509", written(scope, "when { resource is Model }")) == []


def test_each_variable_is_told_once_at_its_place(find):
    clause = (
        'when { resource == Model::"tumour" && resource in Group::"live" && principal is User }'
    )
    found = find("GR509", written("principal, action, resource", clause))
    start = len('@id("it") permit (principal, action, resource) ')
    assert [finding.place.column for finding in found] == [
        start + clause.index("resource") + 1,
        start + clause.index("principal") + 1,
    ]
