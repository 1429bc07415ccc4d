"""The scope index leaves out the policies that can't match, and no others."""

import cedarpy
import pytest

from guardrail import Entity
from guardrail.policy.analysis.differential import policies_of
from guardrail.policy.engine.scope_index import ScopeIndex

ANN, BOB = Entity("User", "ann"), Entity("User", "bob")
STAFF, BOARD = Entity("Team", "staff"), Entity("Team", "board")
PLAN, SHELF = Entity("Doc", "plan"), Entity("Doc", "shelf")


def found(scopes, principal=ANN, above=(), resource=PLAN, around=()):
    text = "".join(f"permit ({who}, action, {what});" for who, what in scopes)
    index = ScopeIndex(policies_of(cedarpy.PolicySet.from_str(text)))
    who = index.principal_constraints(principal, frozenset(above))
    what = index.resource_constraints(resource, frozenset(around))
    return index.matching(who, what)


@pytest.mark.parametrize(
    ("scope", "above", "is_found"),
    [
        ("principal", (), True),
        ('principal == User::"ann"', (), True),
        ('principal == User::"bob"', (), False),
        ('principal == Team::"ann"', (), False),
        ('principal == Team::"staff"', (STAFF,), False),
        ('principal in User::"ann"', (), True),
        ('principal in User::"bob"', (), False),
        ('principal in Team::"staff"', (STAFF,), True),
        ('principal in Team::"staff"', (BOARD, STAFF), True),
        ('principal in Team::"staff"', (BOARD,), False),
        ('principal in Team::"staff"', (), False),
        ("principal is User", (), True),
        ("principal is Team", (STAFF,), False),
        ('principal is User in Team::"staff"', (STAFF,), True),
        ('principal is User in User::"ann"', (), True),
        ('principal is User in Team::"staff"', (), False),
        ('principal is Robot in Team::"staff"', (STAFF,), False),
    ],
)
def test_a_principals_constraint_holds_or_not(scope, above, is_found):
    assert found([(scope, "resource")], above=above) == ((0,) if is_found else ())
    mirrored = scope.replace("principal", "resource").replace("User", "Doc").replace("ann", "plan")
    around = [Entity(up.type.replace("User", "Doc"), up.id) for up in above]
    assert found([("principal", mirrored)], around=around) == ((0,) if is_found else ())


def test_both_sides_must_hold():
    scopes = [
        ('principal == User::"ann"', 'resource == Doc::"plan"'),
        ('principal == User::"bob"', 'resource == Doc::"plan"'),
        ('principal == User::"ann"', 'resource == Doc::"shelf"'),
        ("principal", 'resource in Doc::"shelf"'),
        ('principal in Team::"staff"', "resource is Doc"),
    ]
    assert found(scopes) == (0,)
    assert found(scopes, above=(STAFF,), around=(SHELF,)) == (0, 3, 4)
    assert found(scopes, principal=BOB, resource=SHELF) == (3,)


def test_each_policy_is_found_once_and_in_order():
    scopes = [
        ('principal in Team::"staff"', "resource"),
        ("principal", "resource"),
        ('principal in Team::"board"', "resource is Doc"),
        ('principal in Team::"staff"', "resource"),
        ("principal is User", 'resource in Doc::"plan"'),
    ] * 3
    assert found(scopes, above=(STAFF, BOARD)) == tuple(range(15))


def test_many_groups_and_few_are_looked_for_alike():
    groups = [Entity("Team", f"t{number}") for number in range(50)]
    named = [(f'principal in Team::"t{number}"', "resource") for number in range(0, 50, 5)]
    assert found(named, above=groups) == tuple(range(10))  # fewer named than it is in
    assert found(named, above=groups[:6]) == (0, 1)  # more
    assert found(named, above=groups[1:5]) == ()


def test_without_policies_nothing_is_found():
    assert found([]) == ()
