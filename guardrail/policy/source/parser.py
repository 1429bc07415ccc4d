"""Parses policies into values: grants, prohibitions, conditions.

It is the second step of a load. Each policy and each template becomes a `Policy` with its kind, its
place and its parsed demands; `guardrail.policy.source.templates` fills the templates. Anything that
would silently have no effect, such as a misspelt annotation or an obligation on a permit, is an
error.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, Literal, TypeAlias

import cedarpy
from cedarpy import pst

from guardrail._documents import decode
from guardrail._faults import faults_of
from guardrail._nearest import nearest
from guardrail._plugins import at_load
from guardrail._ports import ObligationType
from guardrail.errors import ConfigurationError, Fault, Place
from guardrail.policy.source.error_advice import on_syntax
from guardrail.policy.source.lexer import PolicyChunk, Source, brief, split
from guardrail.policy.source.nesting_limits import too_deep
from guardrail.values import Clause, Entity

#: The most policies in a bundle, and the most faults that are reported.
LIMIT_POLICIES: Final = 100_000
LIMIT_FAULTS: Final = 100

#: Part of cedarpy's error for a policy that nests too deep for its syntax tree.
_NESTING: Final = "nesting exceeds"

METADATA: Final = frozenset({"id", "reason", "doc", "owner", "since", "mode"})
#: The rule for ids, as the end of a sentence.
ID_RULE: Final = "is 1 to 128 of A-Z a-z 0-9 _ . : / - and begins with none of . : / -"
ID: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:/-]{0,127}")

Kind = Literal["grant", "prohibition", "condition"]

#: The effect with which Cedar evaluates a policy, and its ``when`` and ``unless`` clauses.
Body: TypeAlias = tuple[Literal["permit", "forbid"], tuple[pst.When | pst.Unless, ...]]


@dataclass(frozen=True, slots=True)
class Policy:
    """One policy: its ``@id``, its kind, its place and its demands.

    ``key`` is the internal id (``p17``) by which a verdict names it. A link is a policy too: then
    ``template`` is the id of its template, ``link`` its own place, and ``chunk`` the template's
    text. ``is_shadow`` is true for a policy with ``@mode("shadow")``, which is evaluated but not
    enforced.
    """

    id: str
    key: str
    kind: Kind
    node: pst.Template
    chunk: PolicyChunk
    reason: str
    demands: tuple[tuple[str, Any], ...] = ()
    template: str = ""
    link: Place | None = None
    is_shadow: bool = False

    @property
    def place(self) -> Place:
        """The start of the policy; for a link, its place in ``links.yaml``."""
        return self.link or self.chunk.place

    @property
    def body(self) -> Body:
        """The effect and the clauses that Cedar evaluates after the scope has matched.

        The effect of a condition becomes ``permit``, so that Cedar names it among the reasons if
        it matches. Only this property changes an effect; `guardrail.policy.engine.verdict`
        interprets the answer accordingly. Policies that differ only in their scopes have equal
        bodies.
        """
        return ("forbid" if self.kind == "prohibition" else "permit", self.node.clauses)

    @property
    def text_id(self) -> str:
        """The id of the policy's text: the template's id for a link, else its own."""
        return self.template or self.id


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The obligations that annotations may name, and the names that are reserved for later ones."""

    obligations: Mapping[str, ObligationType]
    not_built: Collection[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ParsedPolicies:
    """The policies and the templates of all files, in order, and all faults in them."""

    policies: tuple[Policy, ...]
    templates: tuple[Policy, ...]
    faults: tuple[Fault, ...]


def read_policies(files: Iterable[tuple[str, bytes]], vocabulary: Vocabulary) -> ParsedPolicies:
    """Return the policies and templates of all files, in order, and all faults in them."""
    reader = _PolicyReader(vocabulary)
    for file, raw in files:
        try:
            reader.read(Source(file, decode(file, raw)))
        except ConfigurationError as error:
            reader.faults.extend(faults_of(error, Place(file)))
        if len(reader.faults) >= LIMIT_FAULTS:
            break
    policies, templates = tuple(reader.policies), tuple(reader.templates)
    return ParsedPolicies(policies, templates, tuple(reader.faults[:LIMIT_FAULTS]))


class _PolicyReader:
    """Collects the policies of one file after another."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self.policies: list[Policy] = []
        self.templates: list[Policy] = []
        self.faults: list[Fault] = []
        self.seen: dict[str, Policy] = {}

    def read(self, source: Source) -> None:
        """Read a file; raise `ConfigurationError` for a fault of the file as a whole."""
        most = LIMIT_POLICIES - len(self.seen)
        chunks = list(islice(split(source), most + 1))
        if len(chunks) > most:
            message = f"There are over {LIMIT_POLICIES} policies. Merge similar policies."
            raise ConfigurationError.at(chunks[-1].place, "GR005", message)
        deep = [too_deep(chunk) for chunk in chunks]
        nodes = None if any(deep) else _parse_file(source, chunks)
        for number, (chunk, fault) in enumerate(zip(chunks, deep, strict=True)):
            if len(self.faults) >= LIMIT_FAULTS:
                return
            if fault is not None:
                self.faults.append(fault)
                continue
            try:
                self._add(chunk, _parse(chunk) if nodes is None else nodes[number])
            except ConfigurationError as error:
                self.faults.extend(faults_of(error, chunk.place))

    def _add(self, chunk: PolicyChunk, node: pst.Template) -> None:
        is_template = bool(slots_of(node))
        key = f"t{len(self.templates)}" if is_template else f"p{len(self.policies)}"
        policy = _make(chunk, node, key, self.vocabulary)
        before = self.seen.setdefault(policy.id, policy)
        if before is not policy:
            raise ConfigurationError.at(
                chunk.annotation("id"), "GR105",
                f"The id {policy.id} is already used at {before.place}. Choose another id.",
            )  # fmt: skip
        (self.templates if is_template else self.policies).append(policy)


def slots_of(node: pst.Template) -> tuple[pst.SlotName, ...]:
    """Return the slots of a template; none for a policy. Cedar allows slots in scopes only."""
    scopes = (node.principal, node.resource)
    entities = (getattr(scope, "entity", None) for scope in scopes)
    return tuple(entity.name for entity in entities if isinstance(entity, pst.Slot))


def _parse_file(source: Source, chunks: Sequence[PolicyChunk]) -> list[pst.Template] | None:
    """Return the policies of a whole file, parsed at once; ``None`` if each must be parsed alone.

    That is the case if Cedar reports an error anywhere in the file, or if it does not find the
    same policies as our lexer.
    """
    try:
        tree = cedarpy.PolicySet.from_str(source.text).to_pst()
    except ValueError:
        return None
    found = {**tree.static_policies, **tree.templates}
    nodes = [found.pop(f"policy{number}", None) for number in range(len(chunks))]
    matching = [
        node
        for node, chunk in zip(nodes, chunks, strict=True)
        if node is not None and f'"{node.annotations.get("id", "")}"' in chunk.text
    ]
    return matching if len(matching) == len(chunks) and not found else None


def _complaint(text: str) -> str | None:
    try:
        cedarpy.PolicySet.from_str(text)
    except ValueError as error:
        return str(error)
    return None


def _parse(chunk: PolicyChunk) -> pst.Template:
    """Return the syntax tree of a policy; raise `ConfigurationError` if it does not parse."""
    complaint = _complaint(chunk.text)
    if complaint is not None:
        named = re.findall(r"`([^`]+)`", complaint) or re.findall(r": (\w+)$", complaint)
        place = chunk.culprit(_complaint)
        if place == chunk.source.place(chunk.tokens[-1].start) and named:
            place = chunk.mention(*named)  # an error of a later pass names only its token
        advice = on_syntax(chunk.tokens, chunk.source.offset(place), complaint)
        raise ConfigurationError.at(
            place, "GR100", f"Not Cedar: {brief(complaint)}. {advice}".rstrip()
        )
    tree, complaint = None, ""
    try:
        tree = cedarpy.PolicySet.from_str(chunk.text).to_pst()
    except ValueError as error:
        complaint = str(error)
    if tree is None and _NESTING not in complaint:  # a later pass checks arguments of functions
        place = chunk.mention(*re.findall(r"`([^`]+)`", complaint))
        raise ConfigurationError.at(place, "GR100", f"Not Cedar: {brief(complaint)}.")
    if tree is None:
        raise ConfigurationError.at(
            chunk.place, "GR102", "The policy nests too deep for Cedar's syntax tree. Split it."
        )
    nodes = [*tree.static_policies.values(), *tree.templates.values()]
    if len(nodes) != 1:
        message = "Not Cedar: expected one policy, ended by a semicolon. Correct the text."
        raise ConfigurationError.at(chunk.place, "GR100", message)
    return nodes[0]


def _make(chunk: PolicyChunk, node: pst.Template, key: str, vocabulary: Vocabulary) -> Policy:
    name = _identify(chunk, node)
    demands = _read_demands(chunk, node, name, vocabulary)
    kind: Kind = "condition" if demands else "prohibition"
    if node.effect == "permit":
        kind = "grant"
    reason = node.annotations.get("reason", "")
    is_shadow = _is_shadow(chunk, node)
    return Policy(name, key, kind, node, chunk, reason, demands, is_shadow=is_shadow)


def _is_shadow(chunk: PolicyChunk, node: pst.Template) -> bool:
    mode = node.annotations.get("mode")
    if mode is not None and mode != "shadow":
        message = (
            'The only mode is @mode("shadow"). Correct it, or remove it to enforce the policy.'
        )
        raise ConfigurationError.at(chunk.annotation("mode"), "GR109", message)
    return mode is not None


def reread(policy: Policy, text: str, vocabulary: Vocabulary) -> Policy:
    """Return a policy with another text, under the same key.

    For a link, the text replaces that of its template.

    Raises:
        ConfigurationError: if the text is not one policy, or has another id.
    """
    chunk = PolicyChunk(Source(policy.chunk.source.file, text), 0, len(text))
    other = _make(chunk, _parse(chunk), policy.key, vocabulary)
    if other.id != policy.text_id:
        message = "The text has another @id. Keep the id of the policy."
        raise ConfigurationError.at(chunk.place, "GR103", message)
    return other


def is_policy_id(text: str) -> bool:
    """Tell whether a text may be a policy's ``@id``."""
    return ID.fullmatch(text) is not None


def _identify(chunk: PolicyChunk, node: pst.Template) -> str:
    name = node.annotations.get("id")
    if name is None:
        message = 'Every policy needs an @id. Put @id("...") before it.'
        raise ConfigurationError.at(chunk.place, "GR103", message)
    if not is_policy_id(name):
        raise ConfigurationError.at(chunk.annotation("id"), "GR111", f"An @id {ID_RULE}")
    return name


def _read_demands(
    chunk: PolicyChunk, node: pst.Template, policy: str, vocabulary: Vocabulary
) -> tuple[tuple[str, Any], ...]:
    demands: dict[str, Any] = {}
    faults: list[Fault] = []
    for name, argument in node.annotations.items():
        if name in METADATA or name.startswith("x_"):
            continue
        place = chunk.annotation(name)
        obligation = vocabulary.obligations.get(name)
        if obligation is None:
            faults.append(_unknown(name, place, vocabulary))
        elif node.effect == "permit":
            message = (
                f"@{name} is on a permit, where a broader permit would make it ineffective. "
                "Put it on a forbid, which then forbids the call unless the obligation is met."
            )
            faults.append(Fault("GR106", place, message))
        else:
            try:
                demands[name] = parse_demand(obligation, Clause(policy, name, argument, place))
            except ConfigurationError as error:
                faults.extend(faults_of(error, place, code="GR109"))
    if faults:
        raise ConfigurationError(faults=tuple(faults))
    return tuple((name, demands[name]) for name in vocabulary.obligations if name in demands)


def parse_demand(obligation: ObligationType, clause: Clause, *, place: Place | None = None) -> Any:
    """Return the demand of an annotation.

    Raises `ConfigurationError` with a place for everything that `parse` raises. The place is that
    of the clause by default.
    """
    what = f"`parse` of the obligation {clause.name}"
    place = clause.place if place is None else place
    return at_load(lambda: obligation.parse(clause), what, place=place, code="GR109")


def _unknown(name: str, place: Place, vocabulary: Vocabulary) -> Fault:
    name = brief(name)
    if name in vocabulary.not_built:
        return Fault("GR004", place, f"@{name} is not built yet in this version. Remove it.")
    known = [*vocabulary.obligations, *vocabulary.not_built, *METADATA]
    near = nearest(name, known)
    hint = f"Did you mean @{near}?" if near else "Correct it, or begin your own metadata with x_."
    return Fault("GR104", place, f"@{name} is not an obligation. {hint}")


def as_one_set(bodies: Iterable[Body]) -> cedarpy.PolicySet:
    """Return a policy set with one policy per body, named by its number (``q3``).

    Its policies match every request: the caller has already checked the scopes.
    """
    nodes = {
        f"q{number}": pst.Template(
            f"q{number}", effect, pst.ScopeAny(), pst.ScopeAny(), pst.ScopeAny(), clauses,
            pst.FrozenMap(),
        )
        for number, (effect, clauses) in enumerate(bodies)
    }  # fmt: skip
    return cedarpy.PolicySet.from_pst(pst.PolicySet({}, nodes, ()))


def entity_of(uid: pst.EntityUid | pst.Slot) -> Entity:
    """Return a uid of the syntax tree as an `Entity`. Slots must be filled before."""
    if isinstance(uid, pst.Slot):
        raise TypeError("a slot is not filled")
    return Entity(str(uid.type), uid.id)


def applies_to(policy: Policy, action: Entity, groups: frozenset[Entity]) -> bool:
    """Tell whether a policy's scope can match an action, by itself or by one of its groups."""
    scope = policy.node.action
    if isinstance(scope, pst.ActionEq):
        return entity_of(scope.entity) == action
    if isinstance(scope, pst.ActionIn):
        uids = [entity_of(uid) for uid in scope.entities]
        return any(uid == action or uid in groups for uid in uids)
    return True
