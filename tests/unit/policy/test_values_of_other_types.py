"""A value that the schema would read as another type than Cedar evaluates is denied.

Validation reads a text as a decimal, or a dict as an entity, if the schema declares that type. The
evaluation gets no schema and does not. With such a value, a `forbid` that compares it would not
match, without an error.
"""

from datetime import UTC, datetime
from ipaddress import ip_address

import pytest
from bundles import GRANT, principal

from guardrail import Entity, Principal

ON = {"action": "predict", "resource": 'Model::"tumour"'}
SCHEMA = """
entity Team; entity Role;
entity User in [Role] {
  department: String, score?: decimal, ip?: ipaddr, at?: datetime, team?: Team,
  teams?: Set<Team>, deep?: { score: decimal },
};
entity Model;
action predict appliesTo { principal: [User], resource: [Model], context: {
  app: { teams?: Set<Team>, records?: Set<{ score: decimal }> },
} };
"""
ENTITIES = """[
\t{"uid": {"type": "Model", "id": "tumour"}, "attrs": {}, "parents": []},
\t{"uid": {"type": "Role", "id": "clinician"}, "attrs": {}, "parents": []},
\t{"uid": {"type": "Team", "id": "heart"}, "attrs": {}, "parents": []}
]"""
HEART = {"type": "Team", "id": "heart"}
FORBIDS = {
    "score": 'principal.score == decimal("1.5")',
    "ip": 'principal.ip == ip("10.0.0.1")',
    "at": 'principal.at == datetime("2024-01-01")',
    "team": 'principal.team == Team::"heart"',
    "teams": 'principal.teams.contains(Team::"heart")',
    "deep": 'principal.deep.score == decimal("1.5")',
}


@pytest.fixture
def make(make_guard):
    def make(clause):
        forbid = f'@id("no") forbid (principal, action, resource) when {{ {clause} }};'
        files = {"schema.cedarschema": SCHEMA, "entities.json": ENTITIES}
        return make_guard(GRANT + forbid, **files)

    return make


@pytest.mark.parametrize(
    ("name", "honest", "posing"),
    [
        ("score", 1.5, "1.5"),
        ("ip", ip_address("10.0.0.1"), "10.0.0.1"),
        ("at", datetime(2024, 1, 1, tzinfo=UTC), "2024-01-01"),
        ("team", Entity("Team", "heart"), HEART),
        ("teams", [Entity("Team", "heart")], [HEART]),
        ("deep", {"score": 1.5}, {"score": "1.5"}),
    ],
)
def test_an_attribute_that_poses_never_slips_past_a_forbid(make, name, honest, posing):
    guard = make(f"principal has {name} && {FORBIDS[name]}")
    denied = guard.decide(principal=principal(**{name: honest}), **ON)
    assert (denied.code, denied.policies) == ("prohibited", ("no",))
    posed = guard.decide(principal=principal(**{name: posing}), **ON)
    assert (posed.allowed, posed.code) == (False, "wrong_type")
    assert guard.decide(principal=principal(), **ON).allowed


def test_a_set_in_another_order_is_the_same_value(make_guard):
    entities = ENTITIES.replace(
        "\n]",
        ',\n\t{"uid": {"type": "User", "id": "carl"}, "parents": [], "attrs":'
        ' {"department": "care", "teams": [{"type": "Team", "id": "heart"},'
        ' {"type": "Team", "id": "lung"}]}}\n]',
    ).replace("\n]", ',\n\t{"uid": {"type": "Team", "id": "lung"}, "attrs": {}, "parents": []}\n]')
    guard = make_guard(GRANT, **{"schema.cedarschema": SCHEMA, "entities.json": entities})
    teams = [Entity("Team", "lung"), Entity("Team", "heart")]
    for order in (teams, teams[::-1]):
        same = Principal("User", "carl", attrs={"teams": order})
        assert guard.decide(principal=same, **ON).allowed
    other = Principal("User", "carl", attrs={"teams": teams[:1]})
    assert guard.decide(principal=other, **ON).code == "wrong_type"


def test_many_parents_fit_in_any_order(make_guard):
    schema = SCHEMA.replace("entity Role;", 'entity Role enum ["a", "b", "c", "d", "e", "f"];')
    policies = '@id("g") permit (principal in Role::"f", action, resource);'
    entities = ENTITIES.replace(
        '\t{"uid": {"type": "Role", "id": "clinician"}, "attrs": {}, "parents": []},\n', ""
    )
    guard = make_guard(policies, **{"schema.cedarschema": schema, "entities.json": entities})
    for count in range(20):  # each under a name of its own, for what is known is not asked again
        parents = [Entity("Role", name) for name in "abcdef"]
        who = Principal("User", f"user-{count}", parents=parents, attrs={"department": "x"})
        assert guard.decide(principal=who, **ON).allowed


def test_an_element_that_poses_never_slips_past_a_forbid(make):
    guard = make('context.app has teams && context.app.teams.contains(Team::"heart")')

    def ask(teams):
        return guard.decide(principal=principal(), facts={"app": {"teams": teams}}, **ON)

    assert ask([Entity("Team", "heart")]).code == "prohibited"
    assert ask([]).allowed
    for posing in ([HEART], ["heart"], ['Team::"heart"'], [{"__entity": HEART}]):
        assert ask(posing).code == "bad_fact"
    assert ask([Entity("Team", "none")]).code == "unknown_entity"
    assert ask([Entity("Model", "tumour")]).code == "bad_fact"


def test_a_set_of_records_is_denied_until_its_elements_can_be_typed(make):
    guard = make('context.app has records && context.app.records.contains({score: decimal("1.5")})')
    for records in ([{"score": "1.5"}], [{"score": 1.5}], [{"scope": 1}]):
        decision = guard.decide(principal=principal(), facts={"app": {"records": records}}, **ON)
        assert (decision.allowed, decision.code) == (False, "bad_fact")
