"""Cedar gets the policies that can match, and the entities that these can reach."""

import json
import threading
from itertools import product
from random import Random

import cedarpy
import pytest
from races import race
from random_bundles import load_text

from guardrail import Entity, Principal, Resource
from guardrail.policy.analysis.differential import CedarRequest, Replay
from guardrail.policy.schema.entities import Entry
from guardrail.policy.schema.schema import Schema

SCHEMA = Schema(cedarpy.Schema.from_str('entity Role enum ["guest"];'))
ANN, PLAN, VIEW = Entity("User", "ann"), Entity("Doc", "plan"), Entity("Action", "view")


def ref(kind, name):
    return {"__entity": {"type": kind, "id": name}}


def entity(kind, name, *parents, tags=None, **attrs):
    uid = {"type": kind, "id": name}
    up = [{"type": t, "id": i} for t, i in parents]
    return {"uid": uid, "attrs": attrs, "parents": up, **({"tags": tags} if tags else {})}


WORLD = [
    entity("Action", "view", ("Action", "read")),
    entity("Action", "read", ("Action", "all")),
    entity("Action", "all"),
    entity(
        "User", "ann", ("Team", "red"), boss=ref("User", "bob"), level=1, note="x",
        home={"city": "Z", "host": ref("User", "cyd")}, peers=[ref("User", "dan")],
        tags={"k": ref("User", "cyd"), "l": "text"},
    ),
    entity("User", "bob", boss=ref("User", "cyd"), level=2),
    entity("User", "cyd", boss=ref("User", "ann"), level=3),
    entity("User", "dan", level=4),
    entity("Team", "red", ("Team", "blue"), lead=ref("User", "dan")),
    entity("Team", "blue", ("Team", "green")),
    entity("Team", "green"),
    entity("Team", "big", members=[ref("User", f"u{n}") for n in range(500)]),
    *(entity("User", f"u{n}", level=n) for n in range(500)),
    entity(
        "Doc", "plan", ("Doc", "shelf"),
        owner=ref("User", "bob"), team=ref("Team", "big"), size=1,
    ),
    entity("Doc", "shelf"),
    entity("Doc", "lost", owner=ref("User", "ghost"), size=1),
]  # fmt: skip


def make(*policies, moved=None, world=WORLD):
    texts = [
        p if p.endswith(";") else f"permit (principal, action, resource) when {{ {p} }};"
        for p in policies
    ]
    handle = cedarpy.PolicySet.from_str("\n".join(texts))
    entities = cedarpy.Entities.from_json_str(json.dumps(world))
    return Replay(handle, entities, SCHEMA, moved=moved)


def case(replay, principal=ANN, resource=PLAN, action=VIEW, entry=None):
    return replay.engine.prepare(replay.subject(principal, entry), action, resource)


def given(handle):
    """Return the entities that Cedar is given: name to its attributes."""
    return {data["uid"]["id"]: sorted(data["attrs"]) for data in json.loads(str(handle))}


def names(*policies, **rest):
    return set(given(case(make(*policies), **rest).handle)) - {"view"}


@pytest.mark.parametrize(
    ("clause", "reached"),
    [
        ("true", set()),
        ("principal == resource.owner", set()),
        ("resource.owner.level > 1", {"bob"}),
        ("resource.owner has level", {"bob"}),
        ("resource.owner.boss == principal", {"bob"}),
        ("resource.owner.boss.level > 1", {"bob", "cyd"}),
        ("resource.owner.boss.boss.boss.boss.level > 1", {"bob", "cyd"}),
        ('resource.owner in Team::"red"', {"bob"}),
        ("resource.owner is User", set()),
        ('principal.home.city == "Z"', set()),
        ("principal.home.host.level > 1", {"cyd"}),
        ("principal.peers.contains(resource.owner)", set()),
        ("principal.peers.isEmpty()", set()),
        ("resource.team.members.contains(principal)", {"big"}),
        ('principal in Team::"red"', set()),
        ('User::"dan" == principal', set()),
        ('User::"dan".level > 1', {"dan"}),
        ('Team::"red".lead.level > 1', {"red", "dan"}),
        ('Team::"red" in Team::"green"', {"red"}),
        ('principal.getTag("l") == "text"', set()),
        ('principal.getTag("l").level > 1', {"cyd"}),
        ("(if true then principal.boss else resource.owner.boss).level > 1", {"bob", "cyd"}),
        ("{a: principal.boss}.a.boss.level > 1", {"bob", "cyd"}),
        ('action in Action::"all"', set()),
        ('Action::"read" in Action::"all"', {"read"}),
    ],
)
def test_only_what_the_paths_lead_to_is_given(clause, reached):
    assert names(clause) == {"ann", "plan"} | reached


@pytest.mark.parametrize("moved", [None, ANN])
def test_of_an_entity_only_the_attributes_that_policies_name_are_given(moved):
    replay = make("principal.boss.level > resource.size", moved=moved)
    found = given(case(replay).handle)
    assert found["ann"] == ["boss", "level"]
    assert found["bob"] == ["boss", "level"]  # a name counts wherever it stands
    assert found["plan"] == ["size"]


def test_tags_are_given_only_where_a_policy_asks_for_one():
    def tags(clause):
        handle = case(make(clause)).handle
        return {data["uid"]["id"] for data in json.loads(str(handle)) if data.get("tags")}

    assert tags("principal.level > 0") == set()
    assert tags('resource.hasTag("k")') == {"ann"}


def test_all_ancestors_are_given_as_parents_and_not_as_entities():
    replay = make("true")
    found = case(replay).handle
    (ann,) = [data for data in json.loads(str(found)) if data["uid"]["id"] == "ann"]
    assert {up["id"] for up in ann["parents"]} == {"red", "blue", "green"}
    assert replay.by_slices(CedarRequest(ANN, VIEW, PLAN), replay.subject(ANN)).decision == "Allow"


def test_a_set_of_members_is_not_walked_unless_a_way_leads_through_it():
    assert "u1" not in names("resource.team.members.contains(principal)")
    assert "u1" not in names("resource.team.members == resource.team.members")


def test_a_cycle_of_attributes_ends():
    long = "principal" + ".boss" * 30 + ".level > 0"
    assert names(long) == {"ann", "plan", "bob", "cyd"}


@pytest.mark.parametrize(
    ("policies", "grants"),
    [
        (['permit (principal == User::"ann", action, resource);'], True),
        (['permit (principal == User::"bob", action, resource);'], False),
        (['permit (principal, action, resource in Doc::"shelf");'], True),
        (['permit (principal in Team::"green", action, resource);'], True),
        (['permit (principal, action in Action::"all", resource);'], True),
        (['permit (principal, action == Action::"all", resource);'], False),
        (["forbid (principal, action, resource);"], False),
        ([], False),
    ],
)
def test_a_slice_has_a_grant_or_has_none(policies, grants):
    assert case(make(*policies)).slice.has_grant is grants


def test_a_slice_holds_no_policy_that_cannot_match():
    scope = 'permit (principal == User::"u{n}", action, resource) when {{ context.n == {n} }};'
    replay = make(*(scope.format(n=n) for n in range(300)))
    part = case(replay, principal=Entity("User", "u7")).slice
    assert part.weight == 2
    assert "== 7" in str(part.one_set)
    assert len(part.one_set) == 1


def test_slices_that_differ_in_scopes_alone_share_what_is_parsed_and_keep_their_own_ids():
    grant = 'permit (principal, action, resource == Doc::"{name}") when {{ context.n == {n} }};'
    replay = make(
        grant.format(name="plan", n=1), grant.format(name="lost", n=1),
        grant.format(name="shelf", n=2),
    )  # fmt: skip
    plan, lost, shelf = (
        case(replay, resource=Entity("Doc", n)).slice for n in ("plan", "lost", "shelf")
    )
    assert plan.one_set is lost.one_set
    assert plan.one_set is not shelf.one_set
    for name in ("plan", "lost", "shelf"):
        for number in (1, 2):
            asked = CedarRequest(ANN, VIEW, Entity("Doc", name), {"n": number})
            assert replay.by_slices(asked, replay.subject(ANN)) == replay.by_cedar(asked)


SCOPES = [
    ("principal", "action", "resource"),
    ('principal == User::"ann"', 'action == Action::"view"', 'resource == Doc::"plan"'),
    ("principal is User", 'action in [Action::"all"]', 'resource in Doc::"shelf"'),
    ('principal is User in Team::"green"', 'action in Action::"read"', "resource is Doc"),
]


@pytest.mark.parametrize("scope", SCOPES, ids=" ".join)
@pytest.mark.parametrize("effect", ["permit", "forbid"])
@pytest.mark.parametrize("clause", ["", "when { true }", "unless { false }"])
def test_a_permit_that_is_only_a_scope_is_settled_and_no_other_is(scope, effect, clause):
    part = case(make(f"{effect} ({', '.join(scope)}) {clause};")).slice
    is_settled = effect == "permit" and not clause
    assert len(part.settled) == is_settled
    assert str(part.one_set).count(effect) == (not is_settled)


@pytest.mark.parametrize(
    ("beside", "decision", "others"),
    [
        ((), "Allow", 0),
        (("permit (principal, action, resource) when { context.x };",), "Allow", 1),
        (("permit (principal, action, resource) when { !context.x };",), "Allow", 0),
        (("forbid (principal, action, resource);",), "Deny", 1),
        (("forbid (principal, action, resource) when { context.x };",), "Deny", 1),
        (("forbid (principal, action, resource) when { !context.x };",), "Allow", 0),
        (("forbid (principal, action, resource) when { context.y };",), "Allow", 0),
        (("permit (principal, action, resource) when { context.y };",), "Allow", 0),
    ],
)
def test_what_is_settled_counts_as_if_cedar_had_been_asked(beside, decision, others):
    replay = make("permit (principal, action, resource is Doc);", *beside)
    asked = CedarRequest(ANN, VIEW, PLAN, {"x": True})
    told = replay.by_slices(asked, replay.subject(ANN))
    assert told == replay.by_cedar(asked)
    assert told.decision == decision
    assert len(told.reasons) == others + (decision == "Allow")


def test_what_cedar_has_no_decision_on_is_not_lifted_by_what_is_settled():
    part = case(make("permit (principal, action, resource);", "context.x == context.x")).slice
    request = {**case(make("context.x")).request}
    verdict = part.evaluate(cedarpy.Entities.from_json_str("[]"), request, '{"x": 1.5}')
    assert (verdict.decision, verdict.reasons) == ("NoDecision", frozenset())


def test_cases_of_one_kind_share_a_slice_and_what_the_resource_reaches():
    replay = make("resource.owner.level > 1 && principal.level > 0", moved=ANN)
    new = Entry({"level": 7}, frozenset(), {})
    one = case(replay)
    other = case(replay, Entity("User", "new"), entry=new)
    assert one.slice is other.slice
    assert one.number != other.number
    assert set(given(other.handle)) == {"new", "bob", "plan", "view"}


def test_an_entity_that_nobody_knows_is_unknown_only_where_it_is_asked():
    lost = Entity("Doc", "lost")
    for clause, unknown in {
        "resource.owner.level > 1": True,
        "resource.owner has level": True,
        'resource.owner in Team::"red"': True,
        "resource.owner == principal": False,
        "resource.owner is User": False,
        "resource.size == 1": False,
        'User::"nobody" == principal': False,
        'User::"nobody".level > 1': True,
        'Role::"guest" in Team::"red"': False,  # listed by its type
        'Role::"ghost" in Team::"red"': True,
    }.items():
        assert case(make(clause), resource=lost).unknown is unknown, clause


def test_entities_in_facts_are_looked_at_like_all_others():
    replay = make('context.who.boss.level > 1 || context.who in Team::"red"')
    one = case(replay)
    handle, unknown = replay.engine.with_entities_of_facts(one, {"who": ref("User", "bob")})
    assert (set(given(handle)), unknown) == ({"ann", "plan", "view", "bob", "cyd"}, False)
    handle, unknown = replay.engine.with_entities_of_facts(one, {"who": ref("User", "ghost")})
    assert unknown
    handle, unknown = replay.engine.with_entities_of_facts(one, {"who": ref("User", "ann")})
    assert (set(given(handle)), unknown) == ({"ann", "plan", "view", "bob"}, False)


def test_what_lies_in_the_caller_is_in_all_that_the_call_puts_it_in():
    """A resource below the caller, and parents that only the call says: a forbid must fire."""
    world = [*WORLD, entity("Doc", "mine", ("User", "new")), entity("Doc", "ours", ("Doc", "mine"))]
    replay = make(
        "permit (principal, action, resource);",
        'forbid (principal, action, resource in Team::"frozen");',
        "forbid (principal, action, resource) when { context.doc in Team::\"frozen\" };",
        world=world,
    )  # fmt: skip
    new = Entity("User", "new")
    frozen = Entry({}, frozenset((Entity("Team", "frozen"),)), {})
    plain = {"doc": ref("Doc", "plan")}
    for entry, denied in ((frozen, True), (Entry({}, frozenset(), {}), False)):
        for name in ("mine", "ours"):
            subject = replay.subject(new, entry)
            inside = CedarRequest(new, VIEW, Entity("Doc", name), plain)
            assert (replay.by_slices(inside, subject).decision == "Deny") is denied
            for resource in (PLAN, Entity("Doc", name)):
                in_fact = CedarRequest(new, VIEW, resource, {"doc": ref("Doc", name)})
                assert (replay.by_slices(in_fact, subject).decision == "Deny") is denied


def test_the_caller_as_the_resource_is_the_caller():
    replay = make('resource.level == 9 && resource in Team::"new"', moved=ANN)
    entry = Entry({"level": 9}, frozenset((Entity("Team", "new"),)), {})
    told = replay.by_slices(CedarRequest(ANN, VIEW, ANN), replay.subject(ANN, entry))
    assert told.decision == "Allow"
    told = replay.by_slices(CedarRequest(ANN, VIEW, ANN), replay.subject(ANN))
    assert told.decision == "Deny"


POLICIES = """
@id("open") permit (principal, action, resource);
@id("team") forbid (principal in Team::"heart", action == Action::"predict", resource);
@id("owned") forbid (principal, action, resource) when { resource has owner && resource.owner.department == "care" };
@id("many") forbid (principal, action == Action::"explain", resource) when { context.input.rows > 5 };
@id("sum") forbid (principal, action, resource == Model::"old") when { context.input.bytes + 1 > 0 };
"""  # noqa: E501


def test_eight_threads_are_told_what_one_is_told():
    callers = [
        Principal("User", f"u{n}", parents=parents, attrs={"department": "x", "level": n})
        for n in range(6)
        for parents in ((), (Entity("Team", "heart"),))
    ]
    facts = [
        {"app": {}, "input": {"rows": rows, "bytes": bytes_, "features": 1}}
        for rows, bytes_ in product((1, 9), (1, 2**63 - 1))
    ]
    models = [Resource("Model", name) for name in ("tumour", "old", "owned", "haunted", "none")]
    actions = [Entity("Action", name) for name in ("predict", "explain", "summarize", "read")]
    asked = list(product(callers, actions, models, facts))

    def ask(snapshot, who, action, what, given_):
        answer = snapshot.ask(who, action, what).decide(given_)
        assert answer.question.resource in (what, None)
        return answer.decision

    alone = load_text(POLICIES)
    truth = [ask(alone, *one) for one in asked]
    assert {told.code for told in truth} >= {
        "allow",
        "prohibited",
        "evaluation_error",
        "unknown_entity",
    }
    shared, wrong = load_text(POLICIES), []
    start = threading.Barrier(8)

    def work(seed):
        order = list(range(len(asked)))
        if seed % 2:  # half of them in the same order, all at once
            Random(seed).shuffle(order)  # noqa: S311 - an order to be had again
        start.wait()
        for number in order:
            who, action, what, given_ = asked[number]
            # the same principal, or one that says the same
            same = (
                who
                if seed % 3
                else Principal(who.type, who.id, parents=who.parents, attrs=who.attrs)
            )
            told = ask(shared, same, action, what, given_)
            if told != truth[number]:
                wrong.append((asked[number], told))

    race(work, 8)
    assert wrong == []
    assert shared.hits > shared.misses
