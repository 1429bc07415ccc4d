"""Exports a bundle's policies as plain Cedar, for Cedar's own tools.

The text is one file, and the answers on it are Cedar's: a condition is a forbid, whatever its
obligation, and a policy whose evaluation errs is skipped. A guard must never use this, because it
would allow what must be denied. Only `guardrail.testing` imports it.
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
from guardrail.policy.schema.literal_context import in_python, spelt_out
from guardrail.policy.schema.to_cedar import BadFact, scan
from guardrail.policy.source.parser import Policy
from guardrail.values import Entity, FactValue, Principal


class PlainCedar:
    """The policies of one snapshot, for Cedar alone.

    Attributes:
        text: all of them as one text; a link stands there as a policy of its own.
    """

    __slots__ = ("_handle", "_ids", "_snapshot", "text")

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self.text = "\n\n".join(_written(policy) for policy in snapshot.policies) + "\n"
        self._handle = cedarpy.PolicySet.from_str(self.text)
        tree = self._handle.to_pst()
        self._ids = {name: node.annotations["id"] for name, node in tree.static_policies.items()}

    def ask(self, inquiry: CedarRequest, entities: cedarpy.Entities) -> CedarAnswer:
        """Return what Cedar says of a request: policies by their ``@id``."""
        request = request_of(inquiry.principal, inquiry.action, inquiry.resource)
        result = cedarpy.is_authorized(
            {**request, "context": json.dumps(inquiry.context)}, self._handle, entities
        )
        return CedarAnswer(
            result.decision.value,
            frozenset(self._ids.get(name, name) for name in result.diagnostics.reasons),
            frozenset(self._ids.get(name, name) for name in erred_of(result.diagnostics.errors)),
        )

    def entities(self, data: list[Any]) -> cedarpy.Entities | None:
        """Return entities in Cedar's JSON; ``None`` where they don't fit the bundle's schema."""
        try:
            return cedarpy.Entities.from_json_str(json.dumps(data), self._snapshot.schema.handle)
        except ValueError:
            return None

    def inquiry(
        self, principal: Entity, action: Entity, resource: Entity, context: Mapping[str, Any]
    ) -> CedarRequest:
        """Return a request whose context stands in Cedar's JSON, in its short form or not."""
        spelt = spelt_out(context, self._snapshot.schema, action)
        return CedarRequest(principal, action, resource, spelt)

    def put(
        self,
        principal: Principal | Entity,
        action: Entity,
        resource: Entity,
        facts: Mapping[str, Mapping[str, FactValue]],
    ) -> tuple[CedarRequest, list[dict[str, Any]]]:
        """Return a question to the guard as a request to Cedar, and the entities for it.

        Arguments:
            principal: who calls, as for `Snapshot.ask`.
            action: what is done.
            resource: on what.
            facts: as for `Question.decide`.

        Raises:
            ConfigurationError: where Cedar can't be given it; the message says why.
        """
        snapshot = self._snapshot
        plan = snapshot.plans.get(action)
        if plan is None:
            raise ConfigurationError("the schema has no such action")
        store = snapshot.store
        known: dict[Entity, Any] = {uid: store.entry(uid) for uid in store}
        uid = principal
        try:
            if isinstance(principal, Principal):  # else whoever the bundle has, or has not
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

    def among(self, entities: cedarpy.Entities) -> Snapshot:
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


def guarded(snapshot: Snapshot, inquiry: CedarRequest) -> Answer | None:
    """Return what a guard answers to a request; ``None`` where no call has such a context."""
    try:
        facts: Any = in_python(inquiry.context)
    except (ValueError, OverflowError):
        return None
    question = snapshot.ask(inquiry.principal, inquiry.action, inquiry.resource)
    return question.decide({"app": {}, **facts})  # every call has that place


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
    """Return a policy's text; that of a link is its template's, filled, under its own id."""
    if not policy.template:
        return policy.chunk.text
    annotations = pst.FrozenMap({**policy.node.annotations, "id": policy.id})
    node = replace(policy.node, id=policy.key, annotations=annotations)
    return str(cedarpy.PolicySet.from_pst(pst.PolicySet({}, {policy.key: node}, ())))
