"""Exports a bundle's policies as plain Cedar, for Cedar's own tools.

The policies become one text, with Cedar's own semantics: a condition is a forbid, whatever its
obligation, and a policy whose evaluation errs is skipped. Only `guardrail.testing` may import this,
because Cedar's semantics can allow what a guard denies.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import cedarpy
from cedarpy import pst

from guardrail.errors import ConfigurationError, Denied
from guardrail.policy.analysis.differential import CedarAnswer, CedarRequest, erred_of
from guardrail.policy.engine.read_sets import access_of
from guardrail.policy.engine.snapshot import Answer, Snapshot
from guardrail.policy.engine.verdict import request_of
from guardrail.policy.schema.entities import EntityStore, Entry, index
from guardrail.policy.schema.literal_context import explicit_context, to_python
from guardrail.policy.schema.to_cedar import BadFact, scan
from guardrail.policy.source.parser import Policy
from guardrail.values import Entity, FactValue, Principal


class PlainCedar:
    """The policies of one snapshot as plain Cedar.

    Attributes:
        text: all policies as one text; each link is a policy of its own.
    """

    __slots__ = ("_handle", "_ids", "_snapshot", "text")

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self.text = "\n\n".join(_written(policy) for policy in snapshot.policies) + "\n"
        self._handle = cedarpy.PolicySet.from_str(self.text)
        tree = self._handle.to_pst()
        self._ids = {name: node.annotations["id"] for name, node in tree.static_policies.items()}

    def ask(self, request: CedarRequest, entities: cedarpy.Entities) -> CedarAnswer:
        """Return Cedar's answer to a request; policies are named by their ``@id``."""
        uids = request_of(request.principal, request.action, request.resource)
        result = cedarpy.is_authorized(
            {**uids, "context": json.dumps(request.context)}, self._handle, entities
        )
        return CedarAnswer(
            result.decision.value,
            frozenset(self._ids.get(name, name) for name in result.diagnostics.reasons),
            frozenset(self._ids.get(name, name) for name in erred_of(result.diagnostics.errors)),
        )

    def entities(self, data: list[Any]) -> cedarpy.Entities | None:
        """Return entities from Cedar's JSON; ``None`` if they do not fit the bundle's schema."""
        try:
            return cedarpy.Entities.from_json_str(json.dumps(data), self._snapshot.schema.handle)
        except ValueError:
            return None

    def request(
        self, principal: Entity, action: Entity, resource: Entity, context: Mapping[str, Any]
    ) -> CedarRequest:
        """Return a request for a context in Cedar's JSON, in the short or the explicit form."""
        explicit = explicit_context(context, self._snapshot.schema, action)
        return CedarRequest(principal, action, resource, explicit)

    def to_request(
        self,
        principal: Principal | Entity,
        action: Entity,
        resource: Entity,
        facts: Mapping[str, Mapping[str, FactValue]],
    ) -> tuple[CedarRequest, list[dict[str, Any]]]:
        """Return a request to the guard as a request to Cedar, with its entities.

        Arguments:
            principal: the principal, as for `Snapshot.ask`.
            action: the action.
            resource: the resource.
            facts: as for `Question.decide`.

        Raises:
            ConfigurationError: if it can't be passed to Cedar; the message says why.
        """
        snapshot = self._snapshot
        plan = snapshot.plans.get(action)
        if plan is None:
            raise ConfigurationError("the schema has no such action")
        store = snapshot.store
        known: dict[Entity, Any] = {uid: store.entry(uid) for uid in store}
        uid = principal
        try:
            if isinstance(principal, Principal):  # otherwise an entity, known or not
                subject = snapshot._principals.of(principal)
                uid = subject.uid
                known[uid] = subject.entry
            scan(facts.get("app", {}), "context.app")
            context = snapshot._context(plan, facts, is_plain=False)
        except (Denied, BadFact) as error:
            message = error.message
        else:
            entities = [_entity(each, entry) for each, entry in sorted(known.items())]
            return CedarRequest(Entity(uid.type, uid.id), action, resource, context), entities
        raise ConfigurationError(message)

    def with_entities(self, entities: cedarpy.Entities) -> Snapshot:
        """Return the snapshot with these entities instead of the bundle's."""
        snapshot = self._snapshot
        return Snapshot(
            name=snapshot.name,
            version=snapshot.version,
            revision=snapshot.revision,
            policies=snapshot.policies,
            accesses={policy.key: access_of(policy) for policy in snapshot.policies},
            schema=snapshot.schema,
            store=EntityStore(snapshot.schema, index(entities)),
            plans=snapshot.plans,
            obligations=snapshot.obligations,
            allow_unknown_resources=snapshot._allow_unknown_resources,
        )


def answer_of_guard(snapshot: Snapshot, request: CedarRequest) -> Answer | None:
    """Return a guard's answer to a request; ``None`` if no call can have its context."""
    try:
        facts: Any = to_python(request.context)
    except (ValueError, OverflowError):
        return None
    question = snapshot.ask(request.principal, request.action, request.resource)
    return question.decide({"app": {}, **facts})  # every call has this namespace


def _uid(entity: Entity) -> dict[str, str]:
    return {"type": entity.type, "id": entity.id}


def _entity(uid: Entity, entry: Entry) -> dict[str, Any]:
    data = {
        "uid": _uid(uid),
        "attrs": dict(entry.attrs),
        "parents": [_uid(up) for up in sorted(entry.parents)],
    }
    return {**data, "tags": dict(entry.tags)} if entry.tags else data


def _written(policy: Policy) -> str:
    """Return a policy's text; for a link, the filled template with the link's id."""
    if not policy.template:
        return policy.chunk.text
    annotations = pst.FrozenMap({**policy.node.annotations, "id": policy.id})
    node = replace(policy.node, id=policy.key, annotations=annotations)
    return str(cedarpy.PolicySet.from_pst(pst.PolicySet({}, {policy.key: node}, ())))
