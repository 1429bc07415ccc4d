"""Makes policies from templates: each link fills the slots of one template.

It runs at load, after the schema is read. The slots are filled in the syntax tree, so a linked
policy is like any other policy, with its template's annotations, its own id and its own place. A
template without a link and a link without a template are errors, because they would silently have
no effect. An entity that the schema does not allow in a slot is an error too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from cedarpy import pst

from guardrail._faults import faults_of
from guardrail._nearest import did_you_mean
from guardrail.errors import ConfigurationError, Fault, Place
from guardrail.policy.schema.schema import Schema, read_uid
from guardrail.policy.source.links import Link
from guardrail.policy.source.parser import (
    LIMIT_FAULTS,
    ParsedPolicies,
    Policy,
    Vocabulary,
    parse_demand,
    slots_of,
)
from guardrail.policy.source.validation import complaints
from guardrail.values import Clause, Entity

#: A uid that can be read without Cedar's parser: names, and an id without an escape.
_UID: Final = re.compile(
    r'([A-Za-z_]\w*+(?:::[A-Za-z_]\w*+)*+)::"([^"\\\x00-\x1f\x7f]*+)"', re.ASCII
)
_LIMIT_UID: Final = 4096


def fill(
    written: ParsedPolicies, links: Sequence[Link], vocabulary: Vocabulary
) -> tuple[tuple[Policy, ...], list[Fault]]:
    """Return the policies that the links make, in order, and all faults in them."""
    filler = _Filler(written, vocabulary)
    for link in links:
        if len(filler.faults) >= LIMIT_FAULTS:
            break
        try:
            filler.add(link)
        except ConfigurationError as error:
            filler.faults.extend(faults_of(error, link.place, code="GR109"))
    return tuple(filler.policies), filler.faults


def refilled(link: Policy, template: Policy, vocabulary: Vocabulary) -> Policy:
    """Return a linked policy for another text of its template, with the slots filled as before.

    Raises `ConfigurationError` if an obligation of the text does not accept the id of the link.
    """
    node = template.node
    sides = ((node.principal, link.node.principal), (node.resource, link.node.resource))
    principal, resource = (
        _filled(scope, getattr(before, "entity", None) if _is_open(scope) else None)
        for scope, before in sides
    )
    obligations = vocabulary.obligations
    demands = tuple(
        (
            name,
            parse_demand(obligations[name], Clause(link.id, name, argument, template.chunk.place)),
        )
        for name, argument in ((name, node.annotations[name]) for name, _ in template.demands)
    )
    return replace(
        template, id=link.id, key=link.key, template=link.template, link=link.link,
        node=replace(node, principal=principal, resource=resource), demands=demands,
    )  # fmt: skip


def _is_open(scope: pst.PrincipalOrResourceConstraint) -> bool:
    """Tell whether a scope has a slot."""
    return isinstance(getattr(scope, "entity", None), pst.Slot)


def unlinked(templates: Iterable[Policy], links: Iterable[Link]) -> list[Fault]:
    """Return a fault for each template that no link names."""
    named = {link.template for link in links}
    message = "No link in links.yaml fills this template, so it has no effect. Add a link."
    return [
        Fault("GR107", template.chunk.mention("?principal", "?resource"), message)
        for template in templates
        if template.id not in named
    ]


def unfit(linked: Sequence[Policy], schema: Schema) -> list[Fault]:
    """Return a fault for each link whose entities the schema does not allow in the slots.

    The template was already validated with everything that could fill it, so only the scope is
    validated here. Links that fill a template with entities of the same types are validated once;
    of an ``enum``, the id counts too.
    """
    alike: dict[tuple[object, ...], list[Policy]] = {}
    for policy in linked:
        scopes = (policy.node.principal, policy.node.resource)
        kinds = tuple(_kind(scope, schema) for scope in scopes)
        alike.setdefault((policy.template, *kinds), []).append(policy)
    groups = list(alike.values())
    found = complaints([group[0].node for group in groups], schema)
    faults = [
        Fault("GR108", policy.place, f"{policy.id}: {found[number]}.")
        for number in sorted(found)
        for policy in groups[number]
    ]
    return faults[:LIMIT_FAULTS]


def _kind(scope: pst.PrincipalOrResourceConstraint, schema: Schema) -> object:
    uid = getattr(scope, "entity", None)
    if not isinstance(uid, pst.EntityUid):
        return None
    return uid if schema.is_enum_type(str(uid.type)) else uid.type


class _Filler:
    """Makes policies from templates and links, one after another."""

    def __init__(self, written: ParsedPolicies, vocabulary: Vocabulary) -> None:
        self.policies: list[Policy] = []
        self.faults: list[Fault] = []
        self._first = len(written.policies)
        self._vocabulary = vocabulary
        self._templates = {template.id: template for template in written.templates}
        self._taken = {policy.id: policy for policy in (*written.policies, *written.templates)}
        # A template with a fault is missing here; that is not a fault of its links.
        self._are_all = not written.faults
        self._clauses: dict[str, list[Clause]] = {}
        self._uids = _Uids()

    def add(self, link: Link) -> None:
        """Make the policy of one link; raise `ConfigurationError` if the link has a fault."""
        template = self._templates.get(link.template)
        if template is None:
            if self._are_all:
                raise ConfigurationError.at(link.place, "GR112", self._unknown(link.template))
            return
        before = self._taken.get(link.id)
        if before is not None:
            message = f"The id {link.id} is already used at {before.place}. Choose another id."
            raise ConfigurationError.at(link.place, "GR105", message)
        slots = slots_of(template.node)
        if link.fills.keys() != set(slots):
            wanted = " and ".join(slots)
            message = f"{template.id} has a slot for {wanted}. Give a value for exactly these."
            raise ConfigurationError.at(link.place, "GR113", message)
        policy = replace(
            template,
            id=link.id,
            key=f"p{self._first + len(self.policies)}",
            node=self._node(template.node, link),
            demands=self._demands(template, link.id, link.place),
            template=template.id,
            link=link.place,
        )
        self._taken[link.id] = policy
        self.policies.append(policy)

    def _unknown(self, name: str) -> str:
        hint = did_you_mean(name, self._templates, "Give the @id of a policy with a slot.")
        return f"There is no template of this name. {hint}"

    def _node(self, node: pst.Template, link: Link) -> pst.Template:
        uids = {name: self._uid(name, link) for name in link.fills}
        return replace(
            node,
            principal=_filled(node.principal, uids.get("principal")),
            resource=_filled(node.resource, uids.get("resource")),
        )

    def _uid(self, name: str, link: Link) -> pst.EntityUid:
        uid = self._uids.read(link.fills[name])
        if uid is None:
            message = f'`{name}`: expected the uid of an entity, such as Team::"acme".'
            raise ConfigurationError.at(link.place, "GR114", message)
        return uid

    def _demands(
        self, template: Policy, policy: str, place: Place
    ) -> tuple[tuple[str, object], ...]:
        """Parse the annotations for this policy: obligations keep their state by its id."""
        clauses = self._clauses.get(template.id)
        if clauses is None:
            annotations, chunk = template.node.annotations, template.chunk
            clauses = self._clauses[template.id] = [
                Clause(policy, name, annotations[name], chunk.annotation(name))
                for name, _ in template.demands
            ]
        obligations = self._vocabulary.obligations
        return tuple(
            (
                clause.name,
                parse_demand(obligations[clause.name], replace(clause, policy=policy), place=place),
            )
            for clause in clauses
        )


def _filled(
    scope: pst.PrincipalOrResourceConstraint, uid: pst.EntityUid | None
) -> pst.PrincipalOrResourceConstraint:
    if uid is None or isinstance(scope, pst.ScopeAny | pst.ScopeIs):
        return scope
    return replace(scope, entity=uid)


class _Uids:
    """Reads uids with as few calls of Cedar's parser as possible: one per type."""

    def __init__(self) -> None:
        self._types: dict[str, bool] = {}

    def read(self, text: str) -> pst.EntityUid | None:
        """Return the uid that a text names; ``None`` if it is not a uid."""
        found = _UID.fullmatch(text) if len(text) <= _LIMIT_UID else None
        entity = Entity(found[1], found[2]) if found is not None else _read_uid(text)
        if entity is None or not self._is_type(entity.type):
            return None
        *namespace, basename = entity.type.split("::")
        return pst.EntityUid(pst.EntityType(basename, tuple(namespace)), entity.id)

    def _is_type(self, name: str) -> bool:
        """Tell whether Cedar accepts a name as that of a type: some words are reserved."""
        known = self._types.get(name)
        if known is None:
            known = self._types[name] = _read_uid(f'{name}::"x"') is not None
        return known


def _read_uid(text: str) -> Entity | None:
    try:
        return read_uid(text)
    except ConfigurationError:
        return None
