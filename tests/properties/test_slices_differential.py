"""Slices decide as Cedar does on everything: decision, deciding policies, policies that erred.

The reference is cedarpy on all policies, all entities and the whole context. The slices get the
policies whose scope can match, the entities that these reach, and what they read of the context.
The raw semantics are compared, so that an error that Cedar only names is no excuse.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from random import Random
from typing import Any

import cedarpy
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from random_worlds import ACTIONS, DOCS, FOLDERS, USERS, World, context, entity, seeded, world

from guardrail import Entity
from guardrail.policy.analysis.differential import CedarRequest, Replay
from guardrail.policy.engine.principals import PrincipalGroups
from guardrail.policy.schema.entities import index
from guardrail.policy.schema.schema import Schema

#: Each world is asked 72 requests.
DEFAULT, LONG, NIGHT = 200, 600, 4000

SCHEMA = Schema(cedarpy.Schema.from_str("entity User;"))
#: What a token says: texts, whole numbers and truths.
PLAIN = (("level", (1, 2)), ("name", ("a", "ab*")), ("admin", (True, False)), ("other", (1, 2)))
RESOURCES = [Entity("Doc", name) for name in DOCS] + [Entity("Folder", name) for name in FOLDERS]


def entities(data: Any) -> cedarpy.Entities:
    return cedarpy.Entities.from_json_str(json.dumps(list(data)))


def policies(made: World) -> cedarpy.PolicySet:
    handle = cedarpy.PolicySet.from_str(made.policies)
    return handle.with_linked_batch(list(made.links)) if made.links else handle


def inquiries(random: Random, principal: Entity) -> Iterator[CedarRequest]:
    contexts = [context(random) for _ in range(3)]
    for action in random.sample(tuple(ACTIONS), 2):
        for resource in [*random.sample(RESOURCES, 3), Entity("Folder", "lost"), principal][:4]:
            asked = random.choice(contexts)
            yield CedarRequest(principal, Entity("Action", action), resource, asked)


def compare(made: World, random: Random) -> Counter[str]:
    """Ask a world's requests in each of the ways a principal comes to be known."""
    handle, everything = policies(made), entities(made.entities)
    standing = Replay(handle, everything, SCHEMA)
    seen: Counter[str] = Counter()

    def check(
        replay: Replay, asked: CedarRequest, entry: Any, whole: cedarpy.Entities, kind: Any = None
    ) -> None:
        truth = standing.by_cedar(asked, entities=whole)
        told = replay.by_slices(asked, replay.subject(asked.principal, entry, kind=kind))
        assert told == truth, (made, asked)
        seen[truth.decision + (" with errors" if truth.errors else "")] += 1
        seen["cases"] += 1

    stands = [Entity("User", name) for name in random.sample(USERS, 2)]
    for uid in (*stands, Entity("User", "ghost")):  # the bundle's own, or nobody's
        for asked in inquiries(random, uid):
            check(standing, asked, None, everything)
    for uid in stands:  # the same world, but this one is added by the call
        moved = Replay(handle, everything, SCHEMA, moved=uid)
        for asked in inquiries(random, uid):
            check(moved, asked, None, everything)
    for name in (stands[0].id, "eve"):  # more is said of this one, or somebody is new
        uid = {"type": "User", "id": name}
        new = entity(random, "User", "ann") | {"uid": uid}
        own = [data for data in made.entities if data["uid"] == uid]
        new["parents"] += [up for data in own for up in data["parents"]]
        whole = entities([new, *(data for data in made.entities if data["uid"] != uid)])
        (entry,) = index(entities([new])).values()
        for asked in inquiries(random, Entity("User", name)):
            check(standing, asked, entry, whole)
    # Several who look alike, some of whom a policy names, or an entity is in.
    parents = entity(random, "User", "ann")["parents"]
    kinds: dict[Any, PrincipalGroups] = {}
    there = {data["uid"]["id"] for data in made.entities if data["uid"]["type"] == "User"}
    absent = [name for name in USERS if name not in there]
    alike = ["eve", "ghost", *absent, "flo"]
    random.shuffle(alike)
    for asked in [*inquiries(random, Entity("User", "eve"))][:4]:
        plain = {key: each for key, each in asked.context.items() if type(each) in (str, int, bool)}
        for name in alike[:4]:
            uid = Entity("User", name)
            attrs = {key: random.choice(values) for key, values in PLAIN if random.random() < 0.8}
            new = {"uid": {"type": "User", "id": name}, "attrs": attrs, "parents": parents}
            (entry,) = index(entities([new])).values()
            shape = tuple((attr, type(value)) for attr, value in attrs.items())
            kind = PrincipalGroups(entry.parents, standing.store.closure(entry.parents))
            resource = uid if asked.resource == asked.principal else asked.resource
            own = replace(asked, principal=uid, resource=resource, context=plain)
            check(
                standing, own, entry, entities([new, *made.entities]), kinds.setdefault(shape, kind)
            )
    return seen


@settings(max_examples=DEFAULT)
@given(st.integers(0, 2**64 - 1), st.integers(1, 14))
def test_slices_decide_as_all_policies_and_all_entities(seed, most):
    random = seeded(seed)
    for what in compare(world(random, most=most), random):
        event(what)


@pytest.mark.parametrize(
    "worlds",
    [pytest.param(LONG, marks=pytest.mark.long), pytest.param(NIGHT, marks=pytest.mark.night)],
)
def test_slices_decide_as_everything_over_many_requests(worlds):
    seen: Counter[str] = Counter()
    for seed in range(worlds):
        random = seeded(seed)
        seen += compare(world(random, most=14), random)
    assert seen["cases"] >= 25 * worlds
    kinds = seen["Allow"], seen["Allow with errors"], seen["Deny with errors"]
    assert min(kinds) > 2.5 * worlds
