"""Answers requests in Cedar's own format in three ways, for differential tests.

`Replay` has policies, entities and a schema without a bundle. It answers a request with Cedar on
all of them; with Cedar on our slices, by Cedar's own semantics (errors are only reported, and
entities may be unknown); and with a snapshot, which fails closed. Only `guardrail.testing` may
import this, because Cedar's semantics can allow what a guard denies.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple

import cedarpy
from cedarpy import pst

from guardrail._documents import decode
from guardrail._ports import FactContext
from guardrail.errors import ConfigurationError
from guardrail.policy.engine.plan import make_plans
from guardrail.policy.engine.principals import PreparedPrincipal, PrincipalGroups
from guardrail.policy.engine.read_sets import ReadSet, access_of
from guardrail.policy.engine.slices import Engine
from guardrail.policy.engine.snapshot import Answer, Snapshot
from guardrail.policy.engine.verdict import request_of
from guardrail.policy.schema.entities import EntityStore, Entry, index
from guardrail.policy.schema.schema import Schema, read_schema
from guardrail.policy.source.lexer import PolicyChunk, Source, split
from guardrail.policy.source.nesting_limits import too_deep
from guardrail.policy.source.parser import Policy, Vocabulary
from guardrail.values import Entity, FactValue

_ERRED: Final = re.compile(r"(?:^|: )(?:error )?while evaluating policy `([^`]*)`")
#: The number of arguments of Cedar's functions; for methods, the receiver counts too.
_ARGUMENTS: Final = {
    **dict.fromkeys(("decimal", "ip", "datetime", "duration"), 1),
    **dict.fromkeys(("isIpv4", "isIpv6", "isLoopback", "isMulticast", "toDate", "toTime"), 1),
    **dict.fromkeys(("toMilliseconds", "toSeconds", "toMinutes", "toHours", "toDays"), 1),
    **dict.fromkeys(("lessThan", "lessThanOrEqual", "greaterThan", "greaterThanOrEqual"), 2),
    **dict.fromkeys(("isInRange", "offset", "durationSince"), 2),
}
_NOTHING: Final = Entry({}, frozenset(), {})


class CedarAnswer(NamedTuple):
    """The answer to one request: the decision, the deciding policies, and those that erred."""

    decision: str
    reasons: frozenset[str]
    errors: frozenset[str]


@dataclass(frozen=True, slots=True)
class CedarRequest:
    """One request, with its context in Cedar's explicit JSON."""

    principal: Entity
    action: Entity
    resource: Entity
    context: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class _Anything:
    """A fact source for one name of the context, whose facts come from the request."""

    namespace: str
    facts: frozenset[str] = frozenset()

    def compute(self, names: frozenset[str], context: FactContext) -> Mapping[str, FactValue]:  # noqa: ARG002
        """Compute nothing: the request has the facts."""
        return {}


class Replay:
    """Policies and entities that can be evaluated in several ways.

    Arguments:
        policies: the policies, with templates and links.
        readable: an equivalent set if Cedar's tree can't hold ``policies``: see `ParsedInputs`.
        entities: all entities, with the actions and their groups.
        schema: the schema.
        actions: further actions that requests have.
        moved: a principal that is left out of the entities; `subject` returns it as a principal
            that a call adds.
    """

    def __init__(
        self,
        policies: cedarpy.PolicySet,
        entities: cedarpy.Entities,
        schema: Schema,
        *,
        readable: cedarpy.PolicySet | None = None,
        actions: Iterable[Entity] = (),
        moved: Entity | None = None,
    ) -> None:
        self._full = policies
        self._entities = entities
        self._schema = schema
        entries = index(entities)
        self._moved = entries.pop(moved, None) if moved is not None else None
        self.store = EntityStore(schema, entries)
        self.policies = policies_of(policies if readable is None else readable)
        self._ids = {policy.key: policy.id for policy in self.policies}
        names = {policy.id for policy in self.policies}
        #: Cedar's own ids by the value of ``@id``, for test cases that name policies by it.
        self.annotated = {
            policy.node.annotations["id"]: policy.id
            for policy in self.policies
            if policy.node.annotations.get("id", policy.id) not in names
        }
        self._accesses = {policy.key: access_of(policy) for policy in self.policies}
        self.engine = Engine(
            self.policies, self._accesses, self.store, _actions(self.store, actions)
        )

    def by_cedar(
        self,
        request: CedarRequest,
        *,
        entities: cedarpy.Entities | None = None,
        schema: cedarpy.Schema | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> CedarAnswer:
        """Return Cedar's answer on all policies and entities, without any code of guardrail.

        Arguments:
            request: the request.
            entities: other entities than those of the replay.
            schema: the schema by which Cedar reads the context and validates the request.
            context: the original context, instead of the explicit one.
        """
        context_data = request.context if context is None else context
        result = cedarpy.is_authorized(
            {
                **request_of(request.principal, request.action, request.resource),
                "context": json.dumps(context_data),
            },
            self._full,
            self._entities if entities is None else entities,
            schema,
        )
        return CedarAnswer(
            result.decision.value,
            frozenset(result.diagnostics.reasons),
            frozenset(erred_of(result.diagnostics.errors)),
        )

    def subject(
        self, uid: Entity, entry: Entry | None = None, *, kind: PrincipalGroups | None = None
    ) -> PreparedPrincipal:
        """Return a principal: an entity of the replay, the moved one, or one with a given entry.

        An unknown principal gets an empty entry, which changes only the text of Cedar's errors. A
        principal with a ``kind`` must have only plain values; it shares cached results with others
        of this kind.
        """
        own = self.store.entry(uid)
        if entry is None:
            entry = own or (self._moved if self._moved is not None else _NOTHING)
        above = self.store.closure(entry.parents)
        return PreparedPrincipal(uid, entry, above, is_in_bundle=own is not None, kind=kind)

    def by_slices(self, request: CedarRequest, subject: PreparedPrincipal) -> CedarAnswer:
        """Return Cedar's answer on the slices, with only the context that the policies read."""
        may_share = "__entity" not in json.dumps(request.context)
        prepared = self.engine.prepare(
            subject, request.action, request.resource, may_share=may_share
        )
        context = _projected(request.context, prepared.slice.access.of("context"))
        text = json.dumps(context)
        handle = prepared.handle
        if "__entity" in text:
            handle, _ = self.engine.with_entities_of_facts(prepared, context)
        verdict = prepared.slice.evaluate(handle, prepared.request, text)
        return CedarAnswer(
            verdict.decision,
            frozenset(self._ids.get(key, key) for key in verdict.reasons),
            frozenset(self._ids.get(key, key) for key in verdict.errors)
            | (frozenset({""}) if verdict.lost else frozenset()),
        )

    def snapshot(self, names: Iterable[str]) -> Snapshot:
        """Return a snapshot of the policies, which have no obligations.

        Arguments:
            names: all names in the contexts of the requests.
        """
        read = {name for access in self._accesses.values() for name in access.of("context").below}
        plans, _ = make_plans(
            self.policies,
            self._accesses,
            self._schema,
            Vocabulary({}),
            [_Anything(name) for name in sorted(read.union(names))],
        )
        return Snapshot(
            name="replay",
            version="1",
            revision="replay",
            policies=self.policies,
            accesses=self._accesses,
            schema=self._schema,
            store=self.store,
            plans=plans,
            obligations={},
        )


def erred_of(complaints: Iterable[str]) -> list[str]:
    """Return the policy that each of Cedar's errors names; an empty text if it names none."""
    named = [_ERRED.search(text) for text in complaints]
    return [found[1] if found else "" for found in named]


def ask(snapshot: Snapshot, request: CedarRequest, facts: Mapping[str, FactValue]) -> Answer:
    """Return a snapshot's answer to a request; ``facts`` is the context in Python values."""
    question = snapshot.ask(request.principal, request.action, request.resource)
    return question.decide(facts)


class ParsedInputs(NamedTuple):
    """The parsed files of a test case; ``validates`` tells whether the policies fit the schema.

    Cedar parses a function call with a wrong number of arguments, but its tree can't hold it. In
    ``readable``, such calls are replaced by an expression that errs in the same way.
    """

    policies: cedarpy.PolicySet
    readable: cedarpy.PolicySet
    entities: cedarpy.Entities
    schema: Schema
    validates: bool


def read(
    policies: tuple[str, bytes], entities: tuple[str, bytes], schema: tuple[str, bytes]
) -> ParsedInputs | None:
    """Return the parsed files of a test case; each is given as its name and its bytes.

    Policies and the schema may be in Cedar's own format or in JSON. ``None`` if a policy nests
    deeper than a bundle allows. Raises `ConfigurationError` if a file can't be read.
    """
    shape = _read_schema(*schema)
    written = _read_policies(*policies)
    if written is None:
        return None
    handle, readable, text = written
    name, raw = entities
    try:
        known = cedarpy.Entities.from_json_str(decode(name, raw), shape.handle)
    except ValueError:
        known = None
    if known is None:
        raise ConfigurationError(
            f"{name}: the entities are not JSON that fits the schema. Correct it."
        )
    valid = cedarpy.validate_policies(text, shape.handle).validation_passed
    return ParsedInputs(handle, readable, known, shape, valid)


def _read_schema(file: str, raw: bytes) -> Schema:
    text = decode(file, raw)
    if not text.lstrip().startswith("{"):
        return read_schema(file, raw)
    try:
        handle = cedarpy.Schema.from_json_str(text)
    except ValueError:
        handle = None
    if handle is None:
        raise ConfigurationError(f"{file}: the schema is not a JSON schema of Cedar. Correct it.")
    return Schema(handle)


def _read_policies(
    file: str, raw: bytes
) -> tuple[cedarpy.PolicySet, cedarpy.PolicySet, str] | None:
    """Return the policies, an equivalent set that fits a tree, and the text for the validator.

    ``None`` if they nest too deep.
    """
    text = decode(file, raw)
    is_json = text.lstrip().startswith("{")
    if not is_json and any(too_deep(chunk) for chunk in split(Source(file, text))):
        return None
    try:
        read_as = cedarpy.PolicySet.from_json_str if is_json else cedarpy.PolicySet.from_str
        handle = read_as(text)
    except ValueError:
        handle = None
    if handle is None:
        raise ConfigurationError(f"{file}: the policies are not Cedar. Correct them.")
    readable = handle
    try:
        handle.to_pst()
    except ValueError:
        data = json.loads(text if is_json else cedarpy.policies_to_json_str(text))
        readable = cedarpy.PolicySet.from_json_str(json.dumps(_erring(data)))
        try:
            readable.to_pst()
        except ValueError:
            return None
    return handle, readable, str(handle) if is_json else text


def _erring(data: Any) -> Any:
    """Return policies in JSON; each call with a wrong number of arguments becomes one that errs.

    Cedar reports the wrong number when it evaluates the call; an invalid decimal errs then, too.
    """
    if isinstance(data, list):
        return [_erring(item) for item in data]
    if not isinstance(data, dict):
        return data
    if len(data) == 1:
        ((name, value),) = data.items()
        if name == "Value":
            return data
        if isinstance(value, list) and len(value) != _ARGUMENTS.get(name, len(value)):
            return {"decimal": [{"Value": ""}]}
    return {name: _erring(value) for name, value in data.items()}


def policies_of(policies: cedarpy.PolicySet) -> tuple[Policy, ...]:
    """Return Cedar policies as `Policy` objects, with links filled; templates are left out.

    Their ids are Cedar's own (``policy0``, or that of a link), and they have no obligations.
    """
    tree = policies.to_pst()
    nodes = dict(tree.static_policies)
    for link in tree.template_links:
        template = tree.templates[link.template_id]
        nodes[link.new_id] = replace(
            template,
            principal=_filled(template.principal, link.values),
            resource=_filled(template.resource, link.values),
        )
    nowhere = PolicyChunk(Source("policies", ""), 0, 0)
    return tuple(
        Policy(
            id=name,
            key=f"p{number}",
            kind="grant" if node.effect == "permit" else "prohibition",
            node=node,
            chunk=nowhere,
            reason="",
        )
        for number, (name, node) in enumerate(nodes.items())
    )


def _filled(
    scope: pst.PrincipalOrResourceConstraint, values: Mapping[pst.SlotName, pst.EntityUid]
) -> pst.PrincipalOrResourceConstraint:
    if isinstance(scope, pst.ScopeEq | pst.ScopeIn | pst.ScopeIsIn) and isinstance(
        scope.entity, pst.Slot
    ):
        return replace(scope, entity=values[scope.entity.name])
    return scope


def _actions(store: EntityStore, more: Iterable[Entity]) -> dict[Entity, frozenset[Entity]]:
    known = [uid for uid in store if uid.type.rpartition("::")[2] == "Action"]
    return {uid: store.ancestors(uid) for uid in (*known, *more)}


def _projected(value: Any, node: ReadSet) -> Any:
    """Return only the part of a context that is read, so that read sets are tested too."""
    if node.whole or not isinstance(value, Mapping) or "__entity" in value:
        return value
    return {
        name: _projected(value[name], below) if below.below else value[name]
        for name, below in node.below.items()
        if name in value
    }
