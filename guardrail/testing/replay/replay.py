"""Turns a recorded call back into a request, and decides it on a bundle.

If a value that the policies read is not in the record, and follows neither from the bundle's
entities nor from the time of the call, the call is not decided, and the reason names the value. A
value that the schema requires but no policy reads gets a placeholder; this assumes that the
caller's attributes had the types of the schema. (`guardrail.policy.analysis.differential` replays
Cedar's own corpus.)
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from guardrail._ports import FactContext, FactSource
from guardrail.audit.pseudonyms import GROUPS, LIMIT_ITEMS, is_of_caller
from guardrail.bundle.assembly import Bundle
from guardrail.errors import ConfigurationError
from guardrail.facts import AppFacts, TimeFacts
from guardrail.policy import Question, read_uid
from guardrail.policy.analysis.replay_requirements import ReplayRequirements
from guardrail.policy.engine.read_sets import Access, ReadSet
from guardrail.policy.engine.snapshot import digest_of
from guardrail.policy.schema.schema import CedarType
from guardrail.testing.files.yaml_values import leaves
from guardrail.testing.mutation.candidate_requests import Request
from guardrail.values import (
    NO_INPUT,
    Decision,
    Entity,
    FactValue,
    Path,
    Principal,
    Record,
    vouched_for,
)

_PSEUDONYM: Final = re.compile(r"[a-z0-9]{1,16}:[0-9a-f]{32}")
#: The length in characters from which the journal may have cut a name.
_LIMIT_NAME: Final = 200
#: The codes with which a decision denies.
_DENIES: Final = frozenset((
    "no_grant", "prohibited", "evaluation_error", "unknown_entity", "undeclared_action",
    "wrong_type", "bad_fact",
))  # fmt: skip
#: Why a record without its beginning cannot be replayed.
ONLY_END: Final = "only the end of the call is in the journal"
_ANONYMOUS: Final = (
    "the caller is recorded as a pseudonym, and the decision may depend on the caller: a policy "
    "names one, or entities.json has callers"
)
#: The id of a caller whose id does not matter.
_SOMEBODY: Final = "somebody"


@dataclass(frozen=True, slots=True)
class ReplayOutcome:
    """The decision of the policies on a call, as far as a record keeps it.

    Attributes:
        allowed: whether the policies allowed the call, even if it was denied later.
        code: ``allow``, or the code of the denial.
        obligations: the names of the obligations, sorted.
        demands: the digest of each obligation's argument, by name, as in a record.
    """

    allowed: bool
    code: str
    obligations: tuple[str, ...] = ()
    demands: Mapping[str, str] = field(default_factory=dict, compare=False)

    def changed_obligations(self, other: ReplayOutcome) -> tuple[str, ...]:
        """Return the obligations that both have, with different arguments.

        Records of earlier versions have no digests of arguments; their obligations count as equal.
        """
        return tuple(
            name
            for name in self.obligations
            if name in self.demands
            and name in other.demands
            and self.demands[name] != other.demands[name]
        )

    def as_json(self) -> dict[str, Any]:
        """Return the outcome as plain JSON data."""
        decision = "allow" if self.allowed else "deny"
        return {"decision": decision, "code": self.code, "obligations": list(self.obligations)}


@dataclass(frozen=True, slots=True)
class UnknownRequest:
    """The reasons, at least one, why the request of a record is not known."""

    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """The request of a record. Every value on which its decision depends is known.

    Attributes:
        request: the request, without facts about the time.
        question: the request to the bundle, which may be refused already.
        clock: the source of facts about the time, and their names; ``None`` if no policy reads
            them.
        is_timed: whether the decision can depend on the time.
        not_recorded: paths whose values are unknown, and that no policy that can match reads.
    """

    request: Request
    question: Question
    clock: tuple[FactSource, frozenset[str]] | None = None
    is_timed: bool = False
    not_recorded: tuple[str, ...] = ()

    def at(self, now: float) -> Request:
        """Return the request with the facts of a time, in seconds since the epoch."""
        request, caller = self.request, self.request.principal
        if self.clock is None or not isinstance(caller, Principal):
            return request
        source, names = self.clock
        context = FactContext(
            vouched_for(caller), NO_INPUT, request.action.id, request.resource, now, {}
        )
        try:
            stated = source.compute(names, context)
        except (ValueError, OverflowError, OSError):  # outside the range of datetimes
            stated = {}
        return Request(
            caller, request.action, request.resource, {**request.facts, source.namespace: stated}
        )

    def decide(self, now: float) -> Decision:
        """Return the decision of the bundle at a time, in seconds since the epoch."""
        return self.question.decide(self.at(now).facts).decision


def outcome_of(decision: Decision, described: Mapping[str, Any] | None = None) -> ReplayOutcome:
    """Return the parts of a decision that a record keeps, too.

    ``described`` are its obligations as `Snapshot.describe` returns them; without them the
    arguments of obligations are not compared.
    """
    names = tuple(sorted(held.name for held in decision.obligations))
    demands = {name: digest_of(demand) for name, demand in (described or {}).items()}
    return ReplayOutcome(decision.allowed, decision.code, names, demands)


def recorded(record: Record) -> ReplayOutcome | str:
    """Return the decision of a recorded call, or the reason as text if there was none."""
    if record.cached is None and record.code == "allow":
        return ONLY_END
    if record.cached is None:
        return f"it ended before the policies were evaluated ({record.code or record.outcome})"
    if record.outcome == "denied" and record.stage == "decide" and record.code != "output_blocked":
        if record.code in _DENIES:
            return ReplayOutcome(False, record.code)
        return f"it ended while the policies were evaluated ({record.code})"
    demands = {}
    if len(record.demands) == len(record.obligations):
        demands = dict(zip(record.obligations, record.demands, strict=True))
    return ReplayOutcome(True, "allow", tuple(sorted(record.obligations)), demands)


class _MissingValue(Exception):
    """A value of a call is not known; the arguments are the reasons."""


class RecordReader:
    """Reads the requests of records, for one bundle."""

    __slots__ = ("_bundle", "_needs")

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._needs = ReplayRequirements(bundle.snapshot)

    def read(self, record: Record) -> RecordedRequest | UnknownRequest:
        """Return the request of a record, or the reasons why it is not known."""
        try:
            return self._read(record)
        except _MissingValue as missing:
            return UnknownRequest(tuple(str(reason) for reason in missing.args))

    def _read(self, record: Record) -> RecordedRequest | UnknownRequest:
        snapshot = self._bundle.snapshot
        if record.guard != snapshot.name:
            raise _MissingValue(f"it is a record of the guard {record.guard}, not {snapshot.name}")
        kind = record.principal_type
        names = (record.action, kind, record.resource_type)
        if not all(names):
            raise _MissingValue("the caller's type, the action or the resource is not recorded")
        if any(len(name) >= _LIMIT_NAME for name in names):
            raise _MissingValue("a name is so long that it may be cut")
        actions = [action for action in snapshot.plans if action.id == record.action]
        if len(actions) > 1:
            raise _MissingValue(f"several actions are called {record.action}")
        action = actions[0] if actions else Entity("Action", record.action)
        resource = Entity(record.resource_type, record.resource)
        request = Request(Principal(kind, _SOMEBODY), action, resource, {})
        if actions and (not record.resource or _PSEUDONYM.fullmatch(record.resource)):
            raise _MissingValue(
                "the resource is not an entity of the bundle, and is recorded as a pseudonym"
            )
        denied_question = self._needs.denied_question(kind, action, resource)
        if denied_question is not None:
            return RecordedRequest(request, denied_question)
        if recorded(record) == ReplayOutcome(False, record.code) and record.path.startswith(
            "principal"
        ):
            raise _MissingValue(
                "the caller did not fit the schema, and the record does not show how"
            )
        return self._read_request(record, action, resource)

    def _read_request(
        self, record: Record, action: Entity, resource: Entity
    ) -> RecordedRequest | UnknownRequest:
        """Return the request of a call whose action and resource are known."""
        snapshot, needs, kind = self._bundle.snapshot, self._needs, record.principal_type
        facts = dict(record.facts)
        caller, hidden = self._caller(record, action, resource, facts)
        plan, question = snapshot.plans[action], snapshot.ask(caller, action, resource)
        refusal, case = question.refusal, question.prepared
        if refusal is not None and refusal.code == "wrong_type":
            raise _MissingValue("the caller, as far as it is recorded, does not fit the schema")
        access = case.slice.access if case is not None else Access()
        own = snapshot.store.attrs(caller.uid)
        missing = [
            hidden.get(name, f"principal.{name} is not recorded")
            for name in needs.attributes_read(kind, action, access)
            if name in hidden or (f"principal.{name}" not in facts and name not in own)
        ]
        not_recorded = [f"principal.{name}" for name in hidden]
        node, is_timed = access.of("context"), False
        given: dict[str, dict[str, FactValue]] = {source.namespace: {} for source, _ in plan.wants}
        sources = {source.namespace: source for source, _ in plan.wants}
        for path, expected in leaves(plan.shape):
            place, *below = (str(name) for name in path)
            fact = ".".join((place, *below[:1]))
            is_read = _is_read(node, (place, *below))
            source = sources.get(place)
            if isinstance(source, TimeFacts):
                is_timed = is_timed or is_read
                continue
            try:
                value = _fact(facts, fact, below, expected, self._bundle)
            except _MissingValue as reason:
                if is_read or _is_of_others(source):
                    missing.extend(map(str, reason.args))
                not_recorded.append(f"context.{fact}")
                continue
            if value is not None:
                given[place][below[0]] = value
        if missing and refusal is None:
            raise _MissingValue(*dict.fromkeys(missing))
        clock = next((want for want in plan.wants if isinstance(want[0], TimeFacts)), None)
        request = Request(caller, action, resource, given)
        return RecordedRequest(
            request, question, clock, is_timed, tuple(dict.fromkeys(not_recorded))
        )

    def _caller(
        self, record: Record, action: Entity, resource: Entity, facts: Mapping[str, Any]
    ) -> tuple[Principal, dict[str, str]]:
        """Return the caller, and for each unknown attribute the reason why it is unknown."""
        snapshot, needs, kind = self._bundle.snapshot, self._needs, record.principal_type
        name = record.principal
        if not name or _PSEUDONYM.fullmatch(name):
            if needs.depends_on_id(kind, action, resource):
                raise _MissingValue(_ANONYMOUS)
            name = name or _SOMEBODY
        groups: Sequence[Entity] = ()
        if GROUPS in facts:
            groups = _groups(facts[GROUPS])
        elif needs.depends_on_groups(kind, action):
            raise _MissingValue(f"{GROUPS} is not recorded")
        own = snapshot.store.attrs(Entity(kind, name))
        attrs = dict(needs.placeholders(kind, action))
        for one in own:
            attrs.pop(one, None)
        hidden = {one: f"principal.{one} is not recorded" for one in attrs}
        for path, value in facts.items():
            attr = path.partition(".")[2]
            if not is_of_caller(path) or "." in attr:
                continue
            hidden.pop(attr, None)
            where = Path("principal", (attr,))
            expected = snapshot.schema.type_at(action, where)
            if expected is None:
                raise _MissingValue(f"{path} is recorded, and the schema does not declare it")
            if value is None:
                if attr in attrs:
                    raise _MissingValue(f"the caller had no {path}, and the schema requires it")
                continue
            try:
                attrs[attr] = _value(path, value, expected, self._bundle)
            except _MissingValue as reason:
                hidden[attr] = str(reason)
        return Principal(kind, name, parents=tuple(groups), attrs=attrs), hidden


def _is_of_others(source: FactSource | None) -> bool:
    """Whether a source may return values of other types than the schema's, which are denied."""
    ours = type(source).__module__.startswith("guardrail.facts.")
    return isinstance(source, AppFacts) or not ours


def _is_read(node: ReadSet, path: tuple[str, ...]) -> bool:
    """Whether a set of paths contains this path, a parent of it, or a path below it."""
    for name in path:
        if node.whole or not node.below:
            return node.whole or node.is_member or node.tags is not None
        if name not in node.below:
            return False
        node = node.below[name]
    return True


def _fact(
    facts: Mapping[str, Any], name: str, below: Sequence[str], expected: Any, bundle: Bundle
) -> FactValue:
    """Return the fact at a path; ``None`` if the call had none."""
    if name not in facts:
        raise _MissingValue(f"context.{name} is not recorded")
    value = facts[name]
    if value is None:
        return None
    if len(below) != 1:
        raise _MissingValue(f"context.{name} is a record, and its content is not recorded")
    return _value(f"context.{name}", value, expected, bundle)


def _groups(stated: Any) -> list[Entity]:
    """Return the groups that a record names."""
    if not isinstance(stated, list) or len(stated) >= LIMIT_ITEMS:
        raise _MissingValue(f"{GROUPS} has so many groups that some may not be recorded")
    groups = []
    for text in stated:
        try:
            group = read_uid(text)
        except ConfigurationError:
            group = None
        if group is None or str(group) != text:
            raise _MissingValue(
                f"{GROUPS} has a group that is not in the bundle, and is recorded as a pseudonym"
            )
        groups.append(group)
    return groups


def _value(path: str, stated: Any, expected: CedarType, bundle: Bundle) -> FactValue:
    """Return a recorded value as the type that the schema declares."""
    if isinstance(expected, tuple):
        if not isinstance(stated, list):
            raise _MissingValue(f"{path} is not recorded as a set")
        if len(stated) >= LIMIT_ITEMS:
            raise _MissingValue(f"{path} has so many items that some may not be recorded")
        return tuple(_value(path, item, expected[1], bundle) for item in stated)
    if isinstance(stated, str) and _PSEUDONYM.fullmatch(stated):
        raise _MissingValue(f"{path} is recorded as a pseudonym")
    read = _READ.get(expected)
    value: FactValue = None
    if expected == "Entity" and isinstance(stated, str):
        value = _entity(stated, bundle)
    elif read is not None:
        try:
            value = read(stated)
        except (ValueError, OverflowError, InvalidOperation):
            value = None
    if value is None:
        raise _MissingValue(f"{path} is recorded in a form from which its value can't be read")
    return value


def _entity(stated: str, bundle: Bundle) -> Entity | None:
    """Return the entity that a text names, if it can name only one and the bundle has it."""
    names = stated.split("::")
    schema, store = bundle.snapshot.schema, bundle.snapshot.store
    entities = [
        Entity("::".join(names[:at]), "::".join(names[at:]))
        for at in range(1, len(names))
        if schema.declares("::".join(names[:at]))
    ]
    return entities[0] if len(entities) == 1 and store.knows(entities[0]) else None


def _long(stated: Any) -> int | None:
    return stated if type(stated) is int else None


def _bool(stated: Any) -> bool | None:
    return stated if type(stated) is bool else None


def _text(stated: Any) -> str | None:
    return stated if type(stated) is str else None


def _decimal(stated: Any) -> FactValue:
    if type(stated) is str:
        return Decimal(stated)
    return stated if type(stated) in (int, float) else None


def _datetime(stated: Any) -> datetime | None:
    at = datetime.fromisoformat(stated) if type(stated) is str else None
    return at if at is not None and at.tzinfo is not None else None


def _duration(stated: Any) -> timedelta | None:
    return timedelta(seconds=stated) if type(stated) in (int, float) else None


def _address(stated: Any) -> FactValue:
    if type(stated) is not str:
        return None
    return ipaddress.ip_network(stated) if "/" in stated else ipaddress.ip_address(stated)


_READ: Final[Mapping[Any, Any]] = {
    "Bool": _bool, "Long": _long, "String": _text, "decimal": _decimal, "datetime": _datetime,
    "duration": _duration, "ipaddr": _address,
}  # fmt: skip
