"""Compares the decisions of a bundle with those recorded in a journal.

It counts the calls whose decision is the same, differs, or can't be made again. Equal requests are
decided once for each period of time that the policies distinguish. A call whose request is not
known does not count as the same. A difference under the revision that made the record is listed
separately: it shows that the record is incomplete, not that a policy changed.
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
#: The slot of a time that is not recorded.
_UNDATED: Final = -1


class Slots:
    """Numbers periods of time in which the facts about the time are the same for some bundles.

    Attributes:
        is_asked: whether any policy reads the time.
    """

    __slots__ = ("_by_facts", "_is_exact", "_sources", "_times", "is_asked")

    def __init__(self, *bundles: Bundle) -> None:
        wants = [
            want
            for bundle in bundles
            for plan in bundle.snapshot.plans.values()
            for want in plan.wants
        ]
        self._sources = {want: None for want in wants if isinstance(want[0], TimeFacts)}
        self._is_exact = any("now" in names for _, names in self._sources)
        self.is_asked = bool(self._sources)
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
        except (ValueError, OverflowError, OSError):  # outside the range of datetimes
            return _UNDATED
        slot = self._by_facts.get(facts)
        if slot is None:
            slot = self._by_facts[facts] = len(self._times)
            self._times.append(ns / _NS)
        return slot

    def time(self, slot: int) -> float | None:
        """Return a time of a slot, in seconds since the epoch; ``None`` for an unknown time."""
        if slot == _UNDATED:
            return None
        return slot * _MS / _NS if self._is_exact else self._times[slot]

    def _facts(self, ns: int) -> tuple[FactValue, ...]:
        principal, resource = Principal("User", ""), Entity("", "")
        context = FactContext(Identity(principal), NO_INPUT, "", resource, ns / _NS, {})
        parts = [source.compute(names, context) for source, names in self._sources]
        return tuple([each[name] for each in parts for name in sorted(each)])


@dataclass(slots=True)
class Flip:
    """Calls whose decision differs now, in the same way.

    Attributes:
        was: the recorded decision of the example.
        now: the decision now.
        policies: the ids of the policies that decide now.
        is_own: whether the revision that decides differently is the one that made the records.
        count: how many calls.
        record: the record of one call, as an example.
        request: the request of that call.
        not_recorded: paths that are not recorded, and that no policy that can match reads.
        demands: the arguments of the obligations now, by name, as text.
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
    def changed_obligations(self) -> tuple[str, ...]:
        """The obligations whose arguments differ from the recorded ones."""
        return self.was.changed_obligations(self.now)

    @property
    def what(self) -> str:
        """How the decision differs, as text."""
        by = f" by {', '.join(self.policies)}" if self.policies else ""
        if self.was.allowed != self.now.allowed:
            if self.now.allowed:
                return f"now allowed{by}"
            return f"now denied{by}" if by else f"now denied: {self.now.code}"
        if not self.now.allowed:
            return f"now denied with {self.now.code}{by}, before with {self.was.code}"
        if self.was.obligations == self.now.obligations:
            names = ", ".join(f"{name} {self.demands[name]}" for name in self.changed_obligations)
            return f"now with other arguments of obligations: {names}"
        before = ", ".join(self.was.obligations) or "none"
        return (
            f"now with the obligations {', '.join(self.now.obligations) or 'none'}, before {before}"
        )


@dataclass(slots=True)
class ReplayReport:
    """The result of replaying the records of a journal on a bundle.

    Attributes:
        same: how many records have the same decision.
        flips: records with a different decision, in groups, the largest first.
        unknown: how many records cannot be replayed, by the reason.
        damage: the parts of the journal that could not be read.
    """

    same: int = 0
    flips: list[Flip] = field(default_factory=list)
    unknown: Counter[str] = field(default_factory=Counter)
    damage: list[str] = field(default_factory=list)

    @property
    def records(self) -> int:
        """How many records there are."""
        return self.same + sum(flip.count for flip in self.flips) + self.unknown.total()

    @property
    def holds(self) -> bool:
        """Whether no decision differs, the journal is readable, and some record was replayed."""
        return not self.flips and not self.damage and not self.is_blind

    @property
    def is_blind(self) -> bool:
        """Whether there are records and none of them could be replayed."""
        return bool(self.unknown) and self.records == self.unknown.total()

    @property
    def summary(self) -> str:
        """The report in one line."""
        parts = [f"{self.same:,} same"]
        parts += [f"{flip.count:,} {flip.what}" for flip in self.flips if not flip.is_own]
        own = sum(flip.count for flip in self.flips if flip.is_own)
        if own:
            parts.append(f"{own:,} decided differently by the same revision")
        if self.unknown:
            parts.append(f"{self.unknown.total():,} cannot be replayed")
        return f"{self.records:,} records: {', '.join(parts)}"

    def as_json(self) -> dict[str, Any]:
        """Return the report as plain JSON data, without the explanations."""
        return {
            "records": self.records,
            "same": self.same,
            "flips": [
                {
                    "what": flip.what,
                    "count": flip.count,
                    "was": flip.was.as_json(),
                    "now": {**flip.now.as_json(), "policies": list(flip.policies)},
                    "demands_changed": list(flip.changed_obligations),
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
    """Decide the calls of a journal on a bundle, and compare the decisions with the recorded ones.

    Arguments:
        bundle: the bundle.
        calls: the calls of the journal, grouped by the slots.
        slots: the time slots of the bundle.
    """
    report = ReplayReport(damage=list(calls.damage))
    revision = bundle.snapshot.revision
    flips: dict[tuple[str, bool], Flip] = {}
    if calls.alone:
        report.unknown[ONLY_END] += calls.alone
    for group, was, recorded_request in _known_requests(
        RecordReader(bundle), calls, report.unknown
    ):
        is_own = group.record.revision == revision
        for request, decision, count in _decisions(group, recorded_request, slots, report.unknown):
            described = bundle.snapshot.describe(decision)["obligations"]
            now = outcome_of(decision, described)
            if now == was and not was.changed_obligations(now):
                report.same += count
                continue
            demands = {name: _demand_text(demand) for name, demand in described.items()}
            flip = Flip(
                was, now, decision.policies, is_own, 0, group.record, request,
                recorded_request.not_recorded, demands,
            )  # fmt: skip
            flips.setdefault((flip.what, is_own), flip).count += count
    report.flips = sorted(flips.values(), key=lambda flip: -flip.count)
    return report


def _demand_text(demand: Any) -> str:
    return "; ".join(map(str, demand)) if isinstance(demand, list) else str(demand)


def requests_of(
    old: Bundle, new: Bundle, calls: GroupedCalls, slots: Slots
) -> Iterator[tuple[Request, Request]]:
    """Yield the requests of a journal that both bundles can decide, each as both need it.

    Arguments:
        old: the old version of the bundle.
        new: the new version.
        calls: the calls of the journal, grouped by the slots.
        slots: the time slots of both bundles.
    """
    old_reader, new_reader = RecordReader(old), RecordReader(new)
    for group in calls:
        before, after = old_reader.read(group.record), new_reader.read(group.record)
        if (
            isinstance(before, UnknownRequest)
            or isinstance(after, UnknownRequest)
            or not group.count
        ):
            continue
        if not before.is_timed and not after.is_timed:
            at = group.record.started_at
            yield before.at(at), after.at(at)
            continue
        for slot in group.slots:
            time = slots.time(slot)
            if time is not None:
                yield before.at(time), after.at(time)


def _known_requests(
    reader: RecordReader, calls: Iterable[CallGroup], unknown: Counter[str]
) -> Iterator[tuple[CallGroup, ReplayOutcome, RecordedRequest]]:
    """Yield the calls whose request is known, with the recorded decision; count the others."""
    for group in calls:
        was = recorded(group.record)
        if not group.count:
            continue
        if isinstance(was, str):
            unknown[was] += group.count
            continue
        request = reader.read(group.record)
        if isinstance(request, UnknownRequest):
            unknown["; ".join(request.reasons)] += group.count
        else:
            yield group, was, request


def _decisions(
    group: CallGroup, request: RecordedRequest, slots: Slots, unknown: Counter[str]
) -> Iterator[tuple[Request, Decision, int]]:
    """Yield the decisions on the calls of a group, with the number of calls of each."""
    if not request.is_timed:
        at = group.record.started_at
        yield request.at(at), request.decide(at), group.count
        return
    for slot, count in group.slots.items():
        time = slots.time(slot)
        if time is None:
            unknown["its time is not recorded"] += count
        else:
            yield request.at(time), request.decide(time), count
