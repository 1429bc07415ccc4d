"""Slices: the policies whose scope can match, and the entities that these can reach.

`Engine` answers as Cedar would on all policies and all entities, at a cost that grows with neither.
`guardrail.policy.engine.verdict` interprets the answer; the snapshot handles unknown entities.

A slice of policies is found once per combination of constraints that hold (see `scope_index`), and
parsed by Cedar once. A slice of entities begins at the principal, the action, the resource,
the entities that the policies name and those in facts, and follows only the paths that the slice's
policies have: following all attributes would explode on a set of members, or climb a chain of
managers. Of each entity it keeps the attributes whose names stand in these policies, and all
its ancestors as parents. What hangs on the resource alone is parsed once; per principal a few
entities are added, which copies a handful and not a hundred thousand. Callers whom the
policies can't tell apart share their answers.
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import cedarpy

from guardrail.policy.engine.principals import PreparedPrincipal, PrincipalGroups
from guardrail.policy.engine.read_sets import Access, ReadSet
from guardrail.policy.engine.scope_index import ScopeIndex, Traits
from guardrail.policy.engine.verdict import Verdict, evaluate, of_policies, request_of
from guardrail.policy.generation_cache import GenerationCache
from guardrail.policy.schema.entities import EntityStore, Entry
from guardrail.policy.schema.to_cedar import as_json
from guardrail.policy.source.parser import Body, Policy, applies_to, as_one_set
from guardrail.values import Entity

#: Kept per snapshot, in each of two generations: policies in slices, grounds, and cases.
_SLICED: Final = 200_000
_GROUNDS: Final = 4096
_CASES: Final = 8192

#: Reached, but without an entry: what is asked of it, for whoever knows the entity.
_Pending = tuple[Entity, ReadSet]


class ResourceEntities(NamedTuple):
    """What a slice's policies can reach without the principal: parsed once per resource."""

    handle: cedarpy.Entities
    pending: tuple[_Pending, ...]
    present: frozenset[Entity]
    above: frozenset[Entity]  # all that any of these is in


class Slice:
    """The policies of one action that can match, as one set, and what they can read.

    Their scopes are what has brought them here, so Cedar is asked of their bodies alone. Most
    conditions and many grants have none: they are ``settled``, and there is nothing to ask.
    """

    __slots__ = ("_keys", "access", "has_grant", "one_set", "policies", "settled", "weight")

    def __init__(
        self, policies: Sequence[Policy], accesses: Iterable[Access], sets: GenerationCache
    ) -> None:
        self.policies = tuple(policies)
        self.weight = len(policies) + 1
        open_ = [each for each in policies if each.kind == "prohibition" or each.node.clauses]
        self.settled = frozenset([each.key for each in policies]).difference(
            [each.key for each in open_]
        )
        self._keys = {f"q{number}": each.key for number, each in enumerate(open_)}
        self.one_set = _one_set([each.body for each in open_], sets)
        self.has_grant = any(policy.kind == "grant" for policy in policies)
        self.access = Access()
        for root in ("principal", "action", "resource", "context"):
            self.access.of(root)  # from here on nothing is added: threads share it
        for access in accesses:
            self.access.unite(access)

    def evaluate(
        self, entities: cedarpy.Entities, request: Mapping[str, Any], context: str
    ) -> Verdict:
        """Ask Cedar once, and say what its answer means for these policies."""
        verdict = evaluate(self.one_set, entities, request, context)
        return of_policies(verdict, self._keys, self.settled)


def _one_set(bodies: Sequence[Body], sets: GenerationCache) -> cedarpy.PolicySet:
    """Return the set of some bodies, the same one for equal ones.

    Where each tenant has the same grants on its own models, all share one: it is parsed once,
    and stays in the machine's caches however many models take turns.
    """
    key = tuple(bodies)
    one_set: cedarpy.PolicySet | None = sets.get(key)
    if one_set is None:
        one_set = as_one_set(bodies)
        sets.put(key, one_set)
    return one_set


def _weight(part: Slice) -> int:
    return part.weight


class PreparedRequest(NamedTuple):
    """Who, what and on what, ready to be asked of Cedar once the context is known.

    Attributes:
        subject: who calls, or another whom the policies cannot tell from that one.
        number: tells this case from every other of its engine; part of a decision's key.
        request: what Cedar is asked, but for the context.
        unknown: whether the policies ask something of an entity that nobody knows.
        present: the entities in ``handle``; one that is added again would have to be equal to
            what Cedar has made of it, by then in all that the principal is in.
    """

    number: int
    slice: Slice
    handle: cedarpy.Entities
    subject: PreparedPrincipal
    request: Mapping[str, Any]
    unknown: bool
    present: tuple[frozenset[Entity], ...]


class _SliceRequest(NamedTuple):
    """A question of the engine, and the policies that can match it."""

    part: Slice
    subject: PreparedPrincipal
    action: Entity
    resource: Entity


class Engine:
    """Policies and entities, sliced for each question.

    Arguments:
        policies: in bundle order.
        accesses: what each policy can read, by its key.
        store: the bundle's entities.
        actions: each action that can be asked, with all the groups it is in.
    """

    __slots__ = (
        "_accesses", "_actions", "_cases", "_grounds", "_indexes", "_numbers", "_sets",
        "_shared", "_slices", "_store", "_whole",
    )  # fmt: skip

    def __init__(
        self,
        policies: Sequence[Policy],
        accesses: Mapping[str, Access],
        store: EntityStore,
        actions: Mapping[Entity, frozenset[Entity]],
    ) -> None:
        self._accesses = accesses
        self._store = store
        self._actions = actions
        self._indexes: dict[Entity, tuple[tuple[Policy, ...], ScopeIndex]] = {}
        for action, groups in actions.items():
            matching = tuple([policy for policy in policies if applies_to(policy, action, groups)])
            self._indexes[action] = (matching, ScopeIndex(matching))
        self._slices: GenerationCache = GenerationCache(_SLICED, weigh=_weight)
        self._sets: GenerationCache = GenerationCache(_SLICED, weigh=len)
        self._grounds: GenerationCache = GenerationCache(_GROUNDS)
        self._cases: GenerationCache = GenerationCache(_CASES)
        self._shared: GenerationCache = GenerationCache(_CASES)
        self._numbers = itertools.count(1)
        self._whole: Slice | None = None

    def case(
        self,
        subject: PreparedPrincipal,
        action: Entity,
        resource: Entity,
        *,
        may_share: bool = False,
    ) -> PreparedRequest:
        """Return the case of a call; the action must be one of the engine's.

        Arguments:
            subject: who calls.
            action: what is asked.
            resource: on what.
            may_share: a case of another subject will do, where the two read alike: there are
                no entities in facts, and the answer is not read for its subject.
        """
        key = (id(subject), action, resource, may_share)
        found: tuple[PreparedPrincipal, PreparedRequest] | None = self._cases.get(key)
        if found is None or found[0] is not subject:
            asked = _SliceRequest(self._slice(subject, action, resource), subject, action, resource)
            found = (subject, self._make_case(asked, may_share))
            self._cases.put(key, found)
        return found[1]

    def whole_case(
        self, subject: PreparedPrincipal, action: Entity, resource: Entity
    ) -> PreparedRequest:
        """Return a case with all policies, whatever their scopes: no call's, but to explain one."""
        part = self._whole
        if part is None:
            policies = [policy for policies, _ in self._indexes.values() for policy in policies]
            every = tuple({policy.key: policy for policy in policies}.values())
            accesses = [self._accesses[policy.key] for policy in every]
            part = self._whole = Slice(every, accesses, self._sets)
        return self._make_case(_SliceRequest(part, subject, action, resource), may_share=False)

    def _make_case(self, asked: _SliceRequest, may_share: bool) -> PreparedRequest:
        part, subject, action, resource = asked
        access = part.access
        if subject.stands or resource == subject.uid:
            walk = _EntityCollector(self, access, subject)
            walk.reach(subject.uid, access.of("principal"))
            walk.begin(action, resource)  # the bundle's own entity is another: all anew
            return self._case(asked, cedarpy.Entities.from_json_str(walk.json()), walk)
        ground = self._ground(part, action, resource)
        if subject.kind is not None and not ground.pending:
            return self._plain_case(asked, subject.kind, ground, may_share)
        walk = _EntityCollector(self, access, subject, (ground.present,))
        walk.reach(subject.uid, access.of("principal"))
        for entity, node in ground.pending:
            walk.reach(entity, node)
        handle = ground.handle.with_added_json_str(walk.json())
        return self._case(asked, handle, walk, ground.present)

    def _case(
        self,
        asked: _SliceRequest,
        handle: cedarpy.Entities,
        walk: _EntityCollector,
        *present: frozenset[Entity],
    ) -> PreparedRequest:
        part, subject, action, resource = asked
        request = request_of(subject.uid, action, resource)
        unknown = walk.asks_unknown(self._store, but=resource)
        number = next(self._numbers)
        return PreparedRequest(
            number, part, handle, subject, request, unknown, (*present, walk.found())
        )

    def _plain_case(
        self, asked: _SliceRequest, kind: PrincipalGroups, ground: ResourceEntities, may_share: bool
    ) -> PreparedRequest:
        """Return the case of a subject whose attributes lead nowhere, and to which nothing leads.

        It is all there is to add. Where the policies ask of it no more than its groups and some
        of its attributes, and not which it is, all that are alike in these are one case: Cedar
        could not tell them apart.
        """
        part, subject, action, resource = asked
        uid, access = subject.uid, part.access
        read = {name: value for name, value in subject.entry.attrs.items() if name in access.names}
        key: Hashable = None
        is_alike = not access.of("principal").is_value and uid not in access.roots
        if may_share and is_alike and uid not in ground.above:
            typed = [(name, type(value), value) for name, value in read.items()]
            key = (part, kind, resource, *typed)
            shared: PreparedRequest | None = self._shared.get(key)
            if shared is not None:
                return shared
        handle = ground.handle.with_added_json_str(_alone(uid, read, kind))
        request = request_of(uid, action, resource)
        present = (ground.present, frozenset((uid,)))
        case = PreparedRequest(next(self._numbers), part, handle, subject, request, False, present)
        if key is not None:
            self._shared.put(key, case)
        return case

    def _slice(self, subject: PreparedPrincipal, action: Entity, resource: Entity) -> Slice:
        _, index = self._indexes[action]
        uid = subject.uid
        above = subject.ancestors if resource == uid else self._store.ancestors(resource)
        is_above = uid in above
        key: Hashable = None
        if subject.kind is not None and resource != uid and not is_above and not index.names(uid):
            key = (action, subject.kind, resource)  # then its kind says all that scopes can ask
            part: Slice | None = self._slices.get(key)
            if part is not None:
                return part
        if is_above:  # what is in the caller is in all that the call puts it in
            above |= subject.ancestors
        who = index.principal_traits(uid, subject.ancestors)
        what = index.resource_traits(resource, above)
        part = self._matching(action, who, what)
        if key is not None:
            self._slices.put(key, part)
        return part

    def _matching(self, action: Entity, who: Traits, what: Traits) -> Slice:
        part: Slice | None = self._slices.get((action, who, what))
        if part is None:
            policies, index = self._indexes[action]
            numbers = index.matching(who, what)
            part = self._slices.get((action, numbers))
            if part is None:
                matching = [policies[number] for number in numbers]
                accesses = [self._accesses[policy.key] for policy in matching]
                part = Slice(matching, accesses, self._sets)
                self._slices.put((action, numbers), part)
            self._slices.put((action, who, what), part)
        return part

    def _ground(self, part: Slice, action: Entity, resource: Entity) -> ResourceEntities:
        key = (part, action, resource)
        ground: ResourceEntities | None = self._grounds.get(key)
        if ground is None:
            walk = _EntityCollector(self, part.access, None)
            walk.begin(action, resource)
            handle = cedarpy.Entities.from_json_str(walk.json())
            ground = ResourceEntities(handle, tuple(walk.pending), walk.found(), walk.above())
            self._grounds.put(key, ground)
        return ground

    def reached(
        self, case: PreparedRequest, context: Mapping[str, Any]
    ) -> tuple[cedarpy.Entities, bool]:
        """Return the case's entities with those that its policies reach through facts.

        And whether any of all these is asked something and unknown.
        """
        walk = _EntityCollector(self, case.slice.access, case.subject, case.present)
        for name, below in case.slice.access.of("context").below.items():
            if name in context:
                walk.descend(context[name], below)
        handle = case.handle.with_added_json_str(walk.json())
        return handle, case.unknown or walk.asks_unknown(self._store)

    def entry(self, entity: Entity) -> Entry | None:
        """Return what Cedar is told of an entity: of an action, its groups."""
        groups = self._actions.get(entity)
        if groups is not None:
            return Entry({}, groups, {})
        return self._store.entry(entity)

    def ancestors(self, entity: Entity) -> frozenset[Entity]:
        """Return all that an entity is in."""
        groups = self._actions.get(entity)
        return groups if groups is not None else self._store.ancestors(entity)


def _alone(uid: Entity, attrs: Mapping[str, Any], kind: PrincipalGroups) -> str:
    """Return a principal of plain values as Cedar's JSON."""
    text = as_json({"uid": {"type": uid.type, "id": uid.id}, "attrs": attrs})
    return f'[{text[:-1]},"parents":{kind.groups}}}]'


class _EntityCollector:
    """One gathering of entities along the paths of a slice.

    ``pending`` are entities that were reached, are asked something, and have no entry.
    """

    __slots__ = ("_access", "_engine", "_found", "_present", "_seen", "_subject", "pending")

    def __init__(
        self,
        engine: Engine,
        access: Access,
        subject: PreparedPrincipal | None,
        present: tuple[frozenset[Entity], ...] = (),
    ) -> None:
        self._engine = engine
        self._access = access
        self._subject = subject
        self._present = present  # in the handle already
        self._found: dict[Entity, dict[str, Any]] = {}
        self._seen: set[tuple[Entity, int]] = set()
        self.pending: list[_Pending] = []

    def begin(self, action: Entity, resource: Entity) -> None:
        """Gather what can be reached from all roots but the principal."""
        for root, node in self._access.roots.items():
            if isinstance(root, Entity) and node.asks_entity:  # a comparison needs no entry
                self.reach(root, node)
        self.reach(action, self._access.of("action"))
        self.reach(resource, self._access.of("resource"))

    def asks_unknown(self, store: EntityStore, *, but: Entity | None = None) -> bool:
        """Tell whether something is asked of an entity that nobody knows."""
        return any(
            node.asks_entity and entity != but and not store.knows(entity)
            for entity, node in self.pending
        )

    def reach(self, entity: Entity, node: ReadSet) -> None:
        """Gather an entity and all that the paths below ``node`` lead to."""
        if (entity, id(node)) in self._seen:
            return
        self._seen.add((entity, id(node)))
        subject = self._subject
        if subject is not None and entity == subject.uid:
            entry: Entry | None = subject.entry
            ancestors = subject.ancestors
        else:
            entry = self._engine.entry(entity)
            ancestors = self._engine.ancestors(entity)
        if entry is None:
            self.pending.append((entity, node))
            return
        if entity not in self._found and not any(entity in known for known in self._present):
            self._found[entity] = self._entity(entity, entry, ancestors)
        for name, below in node.below.items():
            if name in entry.attrs:
                self.descend(entry.attrs[name], below)
        if node.tags is not None:
            for value in entry.tags.values():
                self.descend(value, node.tags)

    def descend(self, value: Any, node: ReadSet) -> None:
        """Go on below a value: an entity is followed, a record searched, all else an end."""
        if not isinstance(value, dict) or not node.asks_entity:
            return
        if "__entity" in value:
            uid = value["__entity"]
            self.reach(Entity(uid["type"], uid["id"]), node)
        elif "__extn" not in value:
            for name, below in node.below.items():
                if name in value:
                    self.descend(value[name], below)

    def _entity(self, entity: Entity, entry: Entry, ancestors: Iterable[Entity]) -> dict[str, Any]:
        names = self._access.names
        data: dict[str, Any] = {
            "uid": {"type": entity.type, "id": entity.id},
            "attrs": {name: value for name, value in entry.attrs.items() if name in names},
            "parents": [{"type": up.type, "id": up.id} for up in ancestors],
        }
        if entry.tags and self._access.reads_tags:
            data["tags"] = entry.tags
        return data

    def found(self) -> frozenset[Entity]:
        """Return which entities were gathered."""
        return frozenset(self._found)

    def above(self) -> frozenset[Entity]:
        """Return all that any entity gathered is in."""
        return frozenset[Entity]().union(*map(self._engine.ancestors, self._found))

    def json(self) -> str:
        """Return what was gathered, as Cedar's JSON."""
        return as_json(list(self._found.values()))
