"""Selects the policies that can match a call, and the entities that these policies can reach.

`Engine` gives Cedar only these policies and entities. Cedar's answer is the same as on all policies
and entities, but its cost does not grow with their number. `guardrail.policy.engine.verdict`
interprets the answer; the snapshot handles unknown entities.

A slice of policies is found once per combination of constraints that hold (see `scope_index`), and
Cedar parses it once. The entities are collected from the principal, the action, the resource, the
entities that the policies name, and those in facts, along the paths that the slice's policies read:
following all attributes would collect whole sets of members, or chains of managers. Each entity has
only the attributes whose names appear in these policies, and all its ancestors as parents. The
entities that depend on the resource alone are parsed once; those of the principal, which are few,
are added to them. Principals that the policies can't distinguish share their answers.
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import cedarpy

from guardrail.policy.engine.principals import PreparedPrincipal, PrincipalGroups
from guardrail.policy.engine.read_sets import Access, ReadSet
from guardrail.policy.engine.scope_index import Constraints, ScopeIndex
from guardrail.policy.engine.verdict import Verdict, evaluate, of_policies, request_of
from guardrail.policy.generation_cache import GenerationCache
from guardrail.policy.schema.entities import EntityStore, Entry
from guardrail.policy.schema.to_cedar import as_json
from guardrail.policy.source.parser import Body, Policy, applies_to, as_one_set
from guardrail.values import Entity

#: Limits of the caches of a snapshot, for each of two generations.
_LIMIT_SLICED_POLICIES: Final = 200_000
_LIMIT_RESOURCES: Final = 4096
_LIMIT_REQUESTS: Final = 8192

#: An entity that was reached but has no entry, and what the policies read of it.
_Pending = tuple[Entity, ReadSet]


class ResourceEntities(NamedTuple):
    """The entities that a slice can reach without the principal, parsed once per resource."""

    handle: cedarpy.Entities
    pending: tuple[_Pending, ...]
    present: frozenset[Entity]
    ancestors: frozenset[Entity]  # of all entities in `present`


class Slice:
    """The policies of one action that can match, as one set, and what they can read.

    Their scopes hold, so Cedar evaluates only their bodies. Most conditions and many grants have
    no clauses: they are ``settled``, and need no evaluation.
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
            self.access.of(root)  # roots are not added later, because threads share it
        for access in accesses:
            self.access.unite(access)

    def evaluate(
        self, entities: cedarpy.Entities, request: Mapping[str, Any], context: str
    ) -> Verdict:
        """Evaluate these policies with Cedar once, and return the verdict on them."""
        verdict = evaluate(self.one_set, entities, request, context)
        return of_policies(verdict, self._keys, self.settled)


def _one_set(bodies: Sequence[Body], sets: GenerationCache) -> cedarpy.PolicySet:
    """Return the policy set of some bodies, cached.

    If each tenant has the same grants on its own models, all of them share one set. It is parsed
    once, and stays in the processor's caches even if many models are called in turn.
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
    """A principal, an action and a resource, ready for an evaluation once the context is known.

    Attributes:
        number: identifies the request in its engine; part of a decision's key.
        slice: the policies that can match.
        handle: the entities that these can reach.
        subject: the principal, or another one that the policies can't distinguish from it.
        request: the request to Cedar, without the context.
        unknown: whether the policies read an attribute or the groups of an unknown entity.
        present: the entities in ``handle``, which must not be added again: Cedar rejects a second
            entity of the same uid unless both are equal.
    """

    number: int
    slice: Slice
    handle: cedarpy.Entities
    subject: PreparedPrincipal
    request: Mapping[str, Any]
    unknown: bool
    present: tuple[frozenset[Entity], ...]


class _SlicedRequest(NamedTuple):
    """A principal, an action and a resource, and the policies that can match them."""

    part: Slice
    subject: PreparedPrincipal
    action: Entity
    resource: Entity


class Engine:
    """Prepares requests: selects the policies and the entities for each.

    Arguments:
        policies: the policies, in bundle order.
        accesses: what each policy can read, by the policy's key.
        store: the bundle's entities.
        actions: each action that a call can have, with all the groups that it is in.
    """

    __slots__ = (
        "_accesses",
        "_actions",
        "_indexes",
        "_numbers",
        "_requests",
        "_resource_entities",
        "_sets",
        "_shared_requests",
        "_slices",
        "_store",
        "_whole",
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
        self._slices: GenerationCache = GenerationCache(_LIMIT_SLICED_POLICIES, weigh=_weight)
        self._sets: GenerationCache = GenerationCache(_LIMIT_SLICED_POLICIES, weigh=len)
        self._resource_entities: GenerationCache = GenerationCache(_LIMIT_RESOURCES)
        self._requests: GenerationCache = GenerationCache(_LIMIT_REQUESTS)
        self._shared_requests: GenerationCache = GenerationCache(_LIMIT_REQUESTS)
        self._numbers = itertools.count(1)
        self._whole: Slice | None = None

    def prepare(
        self,
        subject: PreparedPrincipal,
        action: Entity,
        resource: Entity,
        *,
        may_share: bool = False,
    ) -> PreparedRequest:
        """Return the prepared request of a call; the action must be one of the engine's.

        Arguments:
            subject: the principal.
            action: the action.
            resource: the resource.
            may_share: whether the request of another principal may be returned, if the policies
                can't distinguish the two. Facts must then contain no entities.
        """
        key = (id(subject), action, resource, may_share)
        cached: tuple[PreparedPrincipal, PreparedRequest] | None = self._requests.get(key)
        if cached is None or cached[0] is not subject:
            sliced = _SlicedRequest(
                self._slice(subject, action, resource), subject, action, resource
            )
            cached = (subject, self._make_request(sliced, may_share))
            self._requests.put(key, cached)
        return cached[1]

    def prepare_with_all_policies(
        self, subject: PreparedPrincipal, action: Entity, resource: Entity
    ) -> PreparedRequest:
        """Return a request with all policies, whatever their scopes; for explanations only."""
        part = self._whole
        if part is None:
            policies = [policy for policies, _ in self._indexes.values() for policy in policies]
            every = tuple({policy.key: policy for policy in policies}.values())
            accesses = [self._accesses[policy.key] for policy in every]
            part = self._whole = Slice(every, accesses, self._sets)
        return self._make_request(_SlicedRequest(part, subject, action, resource), may_share=False)

    def _make_request(self, sliced: _SlicedRequest, may_share: bool) -> PreparedRequest:
        part, subject, action, resource = sliced
        access = part.access
        if subject.is_in_bundle or resource == subject.uid:
            collector = _EntityCollector(self, access, subject)
            collector.collect(subject.uid, access.of("principal"))
            collector.collect_roots(action, resource)  # nothing parsed can be reused
            return self._finish_request(
                sliced, cedarpy.Entities.from_json_str(collector.json()), collector
            )
        resource_entities = self._entities_of_resource(part, action, resource)
        if subject.kind is not None and not resource_entities.pending:
            return self._plain_request(sliced, subject.kind, resource_entities, may_share)
        collector = _EntityCollector(self, access, subject, (resource_entities.present,))
        collector.collect(subject.uid, access.of("principal"))
        for entity, node in resource_entities.pending:
            collector.collect(entity, node)
        handle = resource_entities.handle.with_added_json_str(collector.json())
        return self._finish_request(sliced, handle, collector, resource_entities.present)

    def _finish_request(
        self,
        sliced: _SlicedRequest,
        handle: cedarpy.Entities,
        collector: _EntityCollector,
        *present: frozenset[Entity],
    ) -> PreparedRequest:
        part, subject, action, resource = sliced
        request = request_of(subject.uid, action, resource)
        unknown = collector.needs_unknown_entity(self._store, but=resource)
        number = next(self._numbers)
        return PreparedRequest(
            number, part, handle, subject, request, unknown, (*present, collector.entities())
        )

    def _plain_request(
        self,
        sliced: _SlicedRequest,
        kind: PrincipalGroups,
        resource_entities: ResourceEntities,
        may_share: bool,
    ) -> PreparedRequest:
        """Return the request of a principal whose attributes contain no entities.

        The principal is the only entity to add. If the policies read only its groups and some of
        its attributes, but not its id, then principals that are equal in these share one request:
        Cedar can't distinguish them.
        """
        part, subject, action, resource = sliced
        uid, access = subject.uid, part.access
        read = {name: value for name, value in subject.entry.attrs.items() if name in access.names}
        key: Hashable = None
        is_interchangeable = not access.of("principal").is_value and uid not in access.roots
        if may_share and is_interchangeable and uid not in resource_entities.ancestors:
            typed = [(name, type(value), value) for name, value in read.items()]
            key = (part, kind, resource, *typed)
            shared: PreparedRequest | None = self._shared_requests.get(key)
            if shared is not None:
                return shared
        handle = resource_entities.handle.with_added_json_str(
            _plain_principal_json(uid, read, kind)
        )
        request = request_of(uid, action, resource)
        present = (resource_entities.present, frozenset((uid,)))
        prepared = PreparedRequest(
            next(self._numbers), part, handle, subject, request, False, present
        )
        if key is not None:
            self._shared_requests.put(key, prepared)
        return prepared

    def _slice(self, subject: PreparedPrincipal, action: Entity, resource: Entity) -> Slice:
        _, index = self._indexes[action]
        uid = subject.uid
        ancestors = subject.ancestors if resource == uid else self._store.ancestors(resource)
        is_above = uid in ancestors
        key: Hashable = None
        if subject.kind is not None and resource != uid and not is_above and not index.names(uid):
            key = (action, subject.kind, resource)  # then scopes depend on its kind only
            part: Slice | None = self._slices.get(key)
            if part is not None:
                return part
        if is_above:  # the resource is in the principal, so in its groups too
            ancestors |= subject.ancestors
        who = index.principal_constraints(uid, subject.ancestors)
        what = index.resource_constraints(resource, ancestors)
        part = self._matching(action, who, what)
        if key is not None:
            self._slices.put(key, part)
        return part

    def _matching(self, action: Entity, who: Constraints, what: Constraints) -> Slice:
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

    def _entities_of_resource(
        self, part: Slice, action: Entity, resource: Entity
    ) -> ResourceEntities:
        key = (part, action, resource)
        resource_entities: ResourceEntities | None = self._resource_entities.get(key)
        if resource_entities is None:
            collector = _EntityCollector(self, part.access, None)
            collector.collect_roots(action, resource)
            handle = cedarpy.Entities.from_json_str(collector.json())
            resource_entities = ResourceEntities(
                handle, tuple(collector.pending), collector.entities(), collector.ancestors()
            )
            self._resource_entities.put(key, resource_entities)
        return resource_entities

    def with_entities_of_facts(
        self, prepared: PreparedRequest, context: Mapping[str, Any]
    ) -> tuple[cedarpy.Entities, bool]:
        """Return a request's entities with those that its policies reach through facts.

        Also returns whether the policies read anything of an unknown entity.
        """
        collector = _EntityCollector(
            self, prepared.slice.access, prepared.subject, prepared.present
        )
        for name, below in prepared.slice.access.of("context").below.items():
            if name in context:
                collector.follow(context[name], below)
        handle = prepared.handle.with_added_json_str(collector.json())
        return handle, prepared.unknown or collector.needs_unknown_entity(self._store)

    def entry(self, entity: Entity) -> Entry | None:
        """Return the entry of an entity; for an action, an entry with its groups."""
        groups = self._actions.get(entity)
        if groups is not None:
            return Entry({}, groups, {})
        return self._store.entry(entity)

    def ancestors(self, entity: Entity) -> frozenset[Entity]:
        """Return all groups that an entity is in."""
        groups = self._actions.get(entity)
        return groups if groups is not None else self._store.ancestors(entity)


def _plain_principal_json(uid: Entity, attrs: Mapping[str, Any], kind: PrincipalGroups) -> str:
    """Return a principal of plain values as Cedar's JSON."""
    text = as_json({"uid": {"type": uid.type, "id": uid.id}, "attrs": attrs})
    return f'[{text[:-1]},"parents":{kind.groups}}}]'


class _EntityCollector:
    """Collects entities along the paths that a slice reads.

    ``pending`` are the entities that were reached but have no entry.
    """

    __slots__ = ("_access", "_collected", "_engine", "_present", "_subject", "_visited", "pending")

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
        self._present = present  # already in the handle
        self._collected: dict[Entity, dict[str, Any]] = {}
        self._visited: set[tuple[Entity, int]] = set()
        self.pending: list[_Pending] = []

    def collect_roots(self, action: Entity, resource: Entity) -> None:
        """Collect the entities that can be reached from all roots except the principal."""
        for root, node in self._access.roots.items():
            if isinstance(root, Entity) and node.reads_entity:  # a comparison needs no entry
                self.collect(root, node)
        self.collect(action, self._access.of("action"))
        self.collect(resource, self._access.of("resource"))

    def needs_unknown_entity(self, store: EntityStore, *, but: Entity | None = None) -> bool:
        """Tell whether the policies read anything of an unknown entity."""
        return any(
            node.reads_entity and entity != but and not store.knows(entity)
            for entity, node in self.pending
        )

    def collect(self, entity: Entity, node: ReadSet) -> None:
        """Collect an entity and those that the paths below ``node`` lead to."""
        if (entity, id(node)) in self._visited:
            return
        self._visited.add((entity, id(node)))
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
        if entity not in self._collected and not any(entity in known for known in self._present):
            self._collected[entity] = self._entity(entity, entry, ancestors)
        for name, below in node.below.items():
            if name in entry.attrs:
                self.follow(entry.attrs[name], below)
        if node.tags is not None:
            for value in entry.tags.values():
                self.follow(value, node.tags)

    def follow(self, value: Any, node: ReadSet) -> None:
        """Collect the entity that a value is, or the entities in a record, along the paths."""
        if not isinstance(value, dict) or not node.reads_entity:
            return
        if "__entity" in value:
            uid = value["__entity"]
            self.collect(Entity(uid["type"], uid["id"]), node)
        elif "__extn" not in value:
            for name, below in node.below.items():
                if name in value:
                    self.follow(value[name], below)

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

    def entities(self) -> frozenset[Entity]:
        """Return the collected entities."""
        return frozenset(self._collected)

    def ancestors(self) -> frozenset[Entity]:
        """Return all groups of the collected entities."""
        return frozenset[Entity]().union(*map(self._engine.ancestors, self._collected))

    def json(self) -> str:
        """Return the collected entities as Cedar's JSON."""
        return as_json(list(self._collected.values()))
