"""Principals that the policies can't distinguish share one request, and no others do.

Each clause is one way in which a policy can distinguish two principals with the same groups and
attributes. Principals that share a request also get the answer that Cedar gives on all policies.
"""

import json

import cedarpy
import pytest
from random_bundles import load_text

from guardrail import Entity, Principal
from guardrail.policy.analysis.differential import CedarRequest, Replay
from guardrail.policy.engine.principals import PrincipalGroups
from guardrail.policy.schema.entities import Entry
from guardrail.policy.schema.schema import Schema

SCHEMA = Schema(cedarpy.Schema.from_str("entity User;"))
VIEW, PLAN = Entity("Action", "view"), Entity("Doc", "plan")
RED = Entity("Team", "red")


def uid(kind, name):
    return {"type": kind, "id": name}


def entity(kind, name, *parents, **attrs):
    return {"uid": uid(kind, name), "attrs": attrs, "parents": [uid(*up) for up in parents]}


EVE = {"__entity": uid("User", "eve")}
WORLD = [
    entity("Action", "view"),
    entity("Team", "red"),
    entity("Team", "mine", ("User", "eve")),
    entity("Doc", "plan", owner=EVE, team={"__entity": uid("Team", "mine")}, size=1),
]


def told(clause, name, *, attrs=None, kinds, replay=None):
    """Return what Cedar says of a caller in the red team: on everything, and as a case."""
    attrs = {"level": 1} if attrs is None else attrs
    replay = replay or made(clause)
    entry = Entry(attrs, frozenset((RED,)), {})
    shape = tuple((key, type(value)) for key, value in attrs.items())
    kind = kinds.setdefault(shape, PrincipalGroups(entry.parents, frozenset((RED,))))
    caller = Entity("User", name)
    subject = replay.subject(caller, entry, kind=kind)
    whole = [*WORLD, entity("User", name, ("Team", "red"), **attrs)]
    asked = CedarRequest(caller, VIEW, PLAN, {"level": 1})
    truth = replay.by_cedar(asked, entities=cedarpy.Entities.from_json_str(json.dumps(whole)))
    assert replay.by_slices(asked, subject) == truth
    case = replay.engine.prepare(subject, VIEW, PLAN, may_share=True)
    return truth.decision, case


def made(clause):
    text = f"permit (principal, action, resource) when {{ {clause} }};"
    policies = cedarpy.PolicySet.from_str(text)
    return Replay(policies, cedarpy.Entities.from_json_str(json.dumps(WORLD)), SCHEMA)


@pytest.mark.parametrize(
    "clause",
    [
        "true",
        'principal in Team::"red"',
        'principal in [Team::"red", Team::"blue"]',
        "principal is User",
        'principal is User in Team::"red"',
        "principal.level == 1",
        "principal has level && principal.level < context.level + 1",
        "resource.size == 1",
        "principal.lacks == 1",
    ],
)
def test_callers_who_read_alike_are_one_case(clause):
    replay, kinds = made(clause), {}
    (eve, one), (flo, other) = (
        told(clause, name, kinds=kinds, replay=replay) for name in ("ann", "flo")
    )
    assert one is other
    assert eve == flo


@pytest.mark.parametrize(
    "clause",
    [
        'principal == User::"eve"',
        'principal in User::"eve"',
        'principal in [User::"eve", Team::"blue"]',
        'User::"eve" == principal',
        "principal == resource.owner",
        "resource.owner == principal",
        "principal in resource.owner",
        "principal is User in resource.owner",
        "[principal].contains(resource.owner)",
        "{who: principal}.who == resource.owner",
        "{who: principal} == {who: resource.owner}",
        "(if true then principal else resource) == resource.owner",
        "resource.owner.level == 1",
        'resource.owner in Team::"red"',
        'resource.team in Team::"red"',
        "resource.team in principal",
    ],
)
def test_a_caller_whom_the_policies_can_tell_apart_is_a_case_apart(clause):
    replay, kinds = made(clause), {}
    (flo, other), (eve, one) = (
        told(clause, name, kinds=kinds, replay=replay) for name in ("flo", "eve")
    )
    assert one is not other
    assert (eve, flo) == ("Allow", "Deny")
    again, _ = told(clause, "gus", kinds=kinds, replay=replay)
    assert again == "Deny"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"level": 1}, {"level": 2}),
        ({"level": 1}, {"level": True}),
        ({"level": 1}, {"level": "1"}),
        ({"level": 1}, {}),
    ],
)
def test_what_is_read_of_a_caller_makes_a_case_apart(one, other):
    clause = "principal has level && principal.level == 1"
    replay, kinds = made(clause), {}
    first = told(clause, "ann", attrs=one, kinds=kinds, replay=replay)
    second = told(clause, "flo", attrs=other, kinds=kinds, replay=replay)
    assert first[1] is not second[1]
    assert (first[0], second[0]) == ("Allow", "Deny")


def test_what_is_not_read_of_a_caller_makes_none():
    clause = "principal.level == 1"
    replay, kinds = made(clause), {}
    cases = [
        told(clause, f"u{mood}", attrs={"level": 1, "mood": mood}, kinds=kinds, replay=replay)[1]
        for mood in (1, 2, 3)
    ]
    assert cases[0] is cases[1] is cases[2]


def test_entities_in_facts_keep_callers_apart():
    replay, kinds = made("context.who == principal"), {}
    entry = Entry({}, frozenset(), {})
    kind = kinds.setdefault((), PrincipalGroups(frozenset(), frozenset()))
    decisions = []
    for name in ("flo", "eve"):
        subject = replay.subject(Entity("User", name), entry, kind=kind)
        asked = CedarRequest(subject.uid, VIEW, PLAN, {"who": EVE})
        decisions.append(replay.by_slices(asked, subject).decision)
    assert decisions == ["Deny", "Allow"]


SCOPE = 'principal in Role::"clinician", action == Action::"predict", resource'


def test_obligations_of_callers_who_share_a_case_read_their_own_values():
    text = (
        f'@id("may") permit ({SCOPE});\n'
        '@id("fair") @quota("1/minute per principal.department") '
        "forbid (principal, action, resource);\n"
    )
    snapshot = load_text(text)
    tumour, found = Entity("Model", "tumour"), []
    for name, department in (("ann", "oncology"), ("bob", "surgery"), ("ann", "oncology")):
        principal = Principal(
            "User", name, parents=[Entity("Role", "clinician")],
            attrs={"department": department},
        )  # fmt: skip
        question = snapshot.ask(principal, Entity("Action", "predict"), tumour)
        answer = question.decide({"app": {}})
        assert answer.decision.allowed
        (kind, held) = answer.pending.admits[0]
        (path,) = kind.reads(held.demand)
        found.append((answer.value_of(path), answer.cached))
    assert found == [("oncology", False), ("surgery", True), ("oncology", True)]
