"""Compares the decisions of a bundle with those recorded in a journal.

It counts the calls that are decided alike, differently, or not at all. Each different request is
decided once for each period of time that its policies distinguish. A call without a known request
is not counted as the same. A difference under the revision that made the record is listed
separately: it shows an incomplete record and no changed policy.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from guardrail._ports import FactContext
from guardrail.audit.journal_read.grouped_calls import CallGroup, GroupedCalls
from guardrail.bundle.assembly import Bundle
from guardrail.facts import TimeFacts
from guardrail.testing.mutation.candidate_requests import Request
from guardrail.testing.replay.replay import (
    ONLY_END,
    RecordedRequest,
    RecordReader,
    ReplayOutcome,
    UnknownRequest,
    outcome_of,
    recorded,
)
from guardrail.values import NO_INPUT, Decision, Entity, FactValue, Identity, Principal, Record

_NS: Final = 1_000_000_000
_MS: Final = 1_000_000
#: The slot of a time that is none.
_UNDATED: Final = -1


class Slots:
    """Times that the policies of some bundles can't tell apart, by number.

    Attributes:
        is_asked: whether any policy asks for the time.
    """

    __slots__ = ("_asked", "_by_facts", "_is_exact", "_times", "is_asked")

    def __init__(self, *bundles: Bundle) -> None:
        wants = [
            want
            for bundle in bundles
            for plan in bundle.snapshot.plans.values()
            for want in plan.wants
        ]
        self._asked = {want: None for want in wants if isinstance(want[0], TimeFacts)}
        self._is_exact = any("now" in names for _, names in self._asked)
        self.is_asked = bool(self._asked)
        self._by_facts: dict[tuple[FactValue, ...], int] = {}
        self._times: list[float] = []

    def __call__(self, ns: int) -> int:
        """Return the slot of a time in nanoseconds."""
        if ns <= 0:
            return _UNDATED
        if self._is_exact:
            return ns // _MS
        try:
            facts = self._facts(ns)
        except (ValueError, OverflowError, OSError):  # no time of any calendar
            return _UNDATED
        slot = self._by_facts.get(facts)
        if slot is None:
            slot = self._by_facts[facts] = len(self._times)
            self._times.append(ns / _NS)
        return slot

    def time(self, slot: int) -> float | None:
        """Return a time of a slot, in seconds since the epoch; ``None`` where it is none."""
        if slot == _UNDATED:
            return None
        return slot * _MS / _NS if self._is_exact else self._times[slot]

    def _facts(self, ns: int) -> tuple[FactValue, ...]:
        nobody, nothing = Principal("User", ""), Entity("", "")
        context = FactContext(Identity(nobody), NO_INPUT, "", nothing, ns / _NS, {})
        parts = [source.compute(names, context) for source, names in self._asked]
        return tuple([each[name] for each in parts for name in sorted(each)])


@dataclass(slots=True)
class Flip:
    """Calls on which it is decided otherwise now, as the same words tell.

    Attributes:
        was: what was decided then, on the one that stands for them.
        now: what is decided now.
        policies: the ids of those that decide now.
        is_own: whether the very revision that made the records decides otherwise.
        count: how many calls.
        record: one of them.
        request: which request that was.
        not_recorded: paths that are not recorded, and that no policy reads which can match.
        demands: what is demanded now, by obligation, in words.
    """

    was: ReplayOutcome
    now: ReplayOutcome
    policies: tuple[str, ...]
    is_own: bool
    count: int
    record: Record
    request: Request
    not_recorded: tuple[str, ...]
    demands: Mapping[str, str] = field(default_factory=dict)

    @property
    def otherwise(self) -> tuple[str, ...]:
        """The obligations that demand something else than they did."""
        return self.was.otherwise(self.now)

    @property
    def what(self) -> str:
        """How it is decided otherwise, in words."""
        by = f" by {', '.join(self.policies)}" if self.policies else ""
        if self.was.allowed != self.now.allowed:
            if self.now.allowed:
                return f"now allowed{by}"
            return f"now denied{by}" if by else f"now denied: {self.now.code}"
        if not self.now.allowed:
            return f"now denied with {self.now.code}{by}, before with {self.was.code}"
        if self.was.obligations == self.now.obligations:
            names = ", ".join(f"{name} {self.demands[name]}" for name in self.otherwise)
            return f"now to meet {names}, before with another demand"
        then = ", ".join(self.was.obligations) or "nothing"
        return f"now to meet {', '.join(self.now.obligations) or 'nothing'}, before {then}"


@dataclass(slots=True)
class ReplayReport:
    """What became of the records of a journal on a bundle.

    Attributes:
        same: how many are decided as they were.
        flips: those that are not, in groups, the largest first.
        unknown: how many cannot be replayed, by the reason.
        damage: what of the journal could not be read.
    """

    same: int = 0
    flips: list[Flip] = field(default_factory=list)
    unknown: Counter[str] = field(default_factory=Counter)
    damage: list[str] = field(default_factory=list)

    @property
    def records(self) -> int:
        """How many there are."""
        return self.same + sum(flip.count for flip in self.flips) + self.unknown.total()

    @property
    def holds(self) -> bool:
        """Whether nothing flips, the journal could be read, and not all of it is unknown."""
        return not self.flips and not self.damage and not self.is_blind

    @property
    def is_blind(self) -> bool:
        """Whether there are records, and none of them could be replayed: that shows nothing."""
        return bool(self.unknown) and self.records == self.unknown.total()

    @property
    def summary(self) -> str:
        """The whole in one line."""
        parts = [f"{self.same:,} same"]
        parts += [f"{flip.count:,} {flip.what}" for flip in self.flips if not flip.is_own]
        own = sum(flip.count for flip in self.flips if flip.is_own)
        if own:
            parts.append(f"{own:,} otherwise than this very revision decided")
        if self.unknown:
            parts.append(f"{self.unknown.total():,} cannot be replayed")
        return f"{self.records:,} records: {', '.join(parts)}"

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON data, without the explanations."""
        return {
            "records": self.records,
            "same": self.same,
            "flips": [
                {
                    "what": flip.what,
                    "count": flip.count,
                    "was": flip.was.as_json(),
                    "now": {**flip.now.as_json(), "policies": list(flip.policies)},
                    "demands_changed": list(flip.otherwise),
                    "own_revision": flip.is_own,
                    "example": flip.record.decision_id,
                    "not_recorded": list(flip.not_recorded),
                }
                for flip in self.flips
            ],
            "unknown": [
                {"reason": reason, "count": count} for reason, count in self.unknown.most_common()
            ],
            "damage": self.damage,
        }


def replay(bundle: Bundle, calls: GroupedCalls, slots: Slots) -> ReplayReport:
    """Decide the calls of a journal on a bundle, and return how that compares.

    Arguments:
        bundle: the candidate.
        calls: of the journal, by these slots.
        slots: of the bundle.
    """
    found = ReplayReport(damage=list(calls.damage))
    revision = bundle.snapshot.revision
    flips: dict[tuple[str, bool], Flip] = {}
    if calls.alone:
        found.unknown[ONLY_END] += calls.alone
    for alike, was, recalled in _recalled(RecordReader(bundle), calls, found.unknown):
        is_own = alike.record.revision == revision
        for request, decision, count in _decided(alike, recalled, slots, found.unknown):
            described = bundle.snapshot.describe(decision)["obligations"]
            now = outcome_of(decision, described)
            if now == was and not was.otherwise(now):
                found.same += count
                continue
            demands = {name: _told(demand) for name, demand in described.items()}
            flip = Flip(
                was, now, decision.policies, is_own, 0, alike.record, request,
                recalled.not_recorded, demands,
            )  # fmt: skip
            flips.setdefault((flip.what, is_own), flip).count += count
    found.flips = sorted(flips.values(), key=lambda flip: -flip.count)
    return found


def _told(demand: Any) -> str:
    return "; ".join(map(str, demand)) if isinstance(demand, list) else str(demand)


def requests_of(
    old: Bundle, new: Bundle, calls: GroupedCalls, slots: Slots
) -> Iterator[tuple[Request, Request]]:
    """Yield the requests of a journal that both bundles can decide: as each of them sees it.

    Arguments:
        old: the bundle as it was.
        new: the bundle as it is to be.
        calls: of the journal, by these slots.
        slots: of both bundles.
    """
    one, other = RecordReader(old), RecordReader(new)
    for alike in calls:
        before, after = one.recall(alike.record), other.recall(alike.record)
        if (
            isinstance(before, UnknownRequest)
            or isinstance(after, UnknownRequest)
            or not alike.count
        ):
            continue
        if not before.is_timed and not after.is_timed:
            at = alike.record.started_at
            yield before.at(at), after.at(at)
            continue
        for slot in alike.slots:
            time = slots.time(slot)
            if time is not None:
                yield before.at(time), after.at(time)


def _recalled(
    recaller: RecordReader, calls: Iterable[CallGroup], unknown: Counter[str]
) -> Iterator[tuple[CallGroup, ReplayOutcome, RecordedRequest]]:
    """Yield the calls whose request is known, and what was decided; count the others."""
    for alike in calls:
        was = recorded(alike.record)
        if not alike.count:
            continue
        if isinstance(was, str):
            unknown[was] += alike.count
            continue
        recalled = recaller.recall(alike.record)
        if isinstance(recalled, UnknownRequest):
            unknown["; ".join(recalled.reasons)] += alike.count
        else:
            yield alike, was, recalled


def _decided(
    alike: CallGroup, recalled: RecordedRequest, slots: Slots, unknown: Counter[str]
) -> Iterator[tuple[Request, Decision, int]]:
    """Yield what is decided on calls that are alike, and on how many of them."""
    if not recalled.is_timed:
        at = alike.record.started_at
        yield recalled.at(at), recalled.decide(at), alike.count
        return
    for slot, count in alike.slots.items():
        time = slots.time(slot)
        if time is None:
            unknown["its time is not recorded"] += count
        else:
            yield recalled.at(time), recalled.decide(time), count
