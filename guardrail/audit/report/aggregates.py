"""Aggregate the calls of a journal for its report.

The aggregates are counts by time, outcome, policy, caller and code, and the durations. Memory does
not grow with the number of records. So percentiles are exact within `ERROR`, and of many callers
only the busiest are listed. The functions are pure.

Records are collected and added in batches: one at a time, they cost more than twice as much.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from operator import itemgetter
from typing import Any, Final, TypeAlias

from guardrail.audit.report.quantiles import DurationQuantiles
from guardrail.audit.report.time_buckets import Timeline
from guardrail.values import Record

#: How many records are collected before they are added.
_BATCH: Final = 4096
#: How many combinations of `_GROUP_FIELDS` are distinguished.
_LIMIT_GROUPS: Final = 20_000
#: How many callers are counted at once; beyond, the rarest are forgotten.
_LIMIT_CALLERS: Final = 20_000
#: How many names of counts are distinguished; policies choose them.
_LIMIT_COUNTS: Final = 2_000
#: How many unfinished calls, and bundles, are listed.
_LIMIT_NAMED: Final = 20

OUTCOMES: Final = (
    "released", "denied", "blocked", "raised", "cancelled", "abandoned", "admitted",
)  # fmt: skip
STAGES: Final = ("admit", "model", "release")
#: Replaces all names beyond the limit.
OTHERS: Final = "others"


def _fields(*names: str) -> itemgetter[Any]:
    return itemgetter(*map(Record._fields.index, names))


_Bundle: TypeAlias = tuple[str, str, str]
#: Guard, version, revision, action, caller's type, outcome, code, policies, whether cached.
_GroupKey: TypeAlias = tuple[str, str, str, str, str, str, str, tuple[str, ...], bool | None]
_GROUP_FIELDS: Final = _fields(
    "guard", "version", "revision", "action", "principal_type", "outcome", "code", "policies",
    "cached",
)  # fmt: skip
_PLACES: Final = {"guard": 0, "action": 3, "principal_type": 4}
_OUTCOME: Final = 5
_CODE: Final = 6
_POLICIES: Final = 7
_CACHED: Final = 8
#: Time, outcome, counts, the durations of the stages.
_MEASURES: Final = _fields("started_at", "outcome", "counts", "admit_s", "model_s", "release_s")
_CALLER: Final = _fields("principal_type", "principal")


class Aggregates:
    """The aggregates of all records that were added."""

    def __init__(self) -> None:
        self._waiting: list[Record] = []
        self._calls = 0
        self._time = Timeline()
        self._durations = {stage: DurationQuantiles() for stage in STAGES}
        self._unfinished: list[str] = []
        self._counts: Counter[str] = Counter()
        self._groups: Counter[_GroupKey] = Counter()
        self._callers: Counter[tuple[str, str]] = Counter()
        self._forgets = False

    def add(self, record: Record) -> None:
        """Add one call."""
        waiting = self._waiting
        waiting.append(record)
        if len(waiting) >= _BATCH:
            self._fold()

    def _fold(self) -> None:
        """Add the collected records."""
        records = self._waiting
        if not records:
            return
        self._waiting = []
        self._calls += len(records)
        times, outcomes, counts, admit, model, release = zip(*map(_MEASURES, records), strict=True)
        self._time.add(times, outcomes)
        self._durations["admit"].add(admit)
        # A stage that a call did not reach has no duration, and is not counted.
        self._durations["model"].add(
            [took for took, how in zip(model, outcomes, strict=True) if took or how == "released"]
        )
        self._durations["release"].add(
            [took for took, how in zip(release, outcomes, strict=True) if how in _ENDED]
        )
        self._fold_groups(Counter(map(_GROUP_FIELDS, records)))
        self._fold_counts(Counter(filter(None, counts)))
        self._fold_callers(Counter([_CALLER(one) for one in records if one.principal]))
        if "admitted" in outcomes and len(self._unfinished) < _LIMIT_NAMED:
            named = [one.decision_id for one in records if one.outcome == "admitted"]
            self._unfinished = (self._unfinished + named)[:_LIMIT_NAMED]

    def _fold_groups(self, found: Counter[_GroupKey]) -> None:
        known = self._groups
        for group, count in found.items():
            if group in known or len(known) < _LIMIT_GROUPS:
                known[group] += count
            else:  # callers choose some of these texts, but not outcomes and codes
                known[("", "", "", "", "", group[_OUTCOME], group[_CODE], (), None)] += count

    def _fold_counts(self, found: Counter[tuple[tuple[str, int], ...]]) -> None:
        known = self._counts
        for counts, times in found.items():
            for name, amount in counts:
                if name in known or len(known) < _LIMIT_COUNTS:
                    known[name] += amount * times
                else:
                    known[f"{name.partition('/')[0]}/{OTHERS}"] += amount * times

    def _fold_callers(self, found: Counter[tuple[str, str]]) -> None:
        self._callers.update(found)
        if len(self._callers) > _LIMIT_CALLERS:
            self._callers = Counter(dict(self._callers.most_common(_LIMIT_CALLERS // 2)))
            self._forgets = True

    # Results.

    @property
    def calls(self) -> int:
        """How many calls there were."""
        return self._calls + len(self._waiting)

    @property
    def time(self) -> Timeline:
        """Outcomes over time."""
        self._fold()
        return self._time

    @property
    def durations(self) -> Mapping[str, DurationQuantiles]:
        """The durations of each of `STAGES`, for the calls that reached it."""
        self._fold()
        return self._durations

    @property
    def unfinished(self) -> list[str]:
        """The ids of some of the calls without an outcome."""
        self._fold()
        return self._unfinished

    @property
    def is_exact_of_callers(self) -> bool:
        """Whether no caller was forgotten; else the counts of callers are lower bounds."""
        self._fold()
        return not self._forgets

    def outcomes(self) -> dict[str, int]:
        """Return the number of calls by outcome, in the order of `OUTCOMES`."""
        self._fold()
        found: Counter[str] = Counter()
        for group, count in self._groups.items():
            found[group[_OUTCOME]] += count
        return {outcome: found[outcome] for outcome in OUTCOMES if found[outcome]}

    def by(self, field: str) -> dict[str, Counter[str]]:
        """Return outcomes by a field: ``guard``, ``action``, ``principal_type``; busiest first."""
        self._fold()
        at = _PLACES[field]
        found: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for group, count in self._groups.items():
            found[str(group[at]) or "unknown"][group[_OUTCOME]] += count
        return _busiest(found)

    def by_policy(self) -> dict[str, Counter[str]]:
        """Return outcomes by deciding policy; a call counts for each of its policies."""
        self._fold()
        found: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for group, count in self._groups.items():
            for policy in group[_POLICIES]:
                found[policy][group[_OUTCOME]] += count
        return _busiest(found)

    def codes(self) -> Counter[str]:
        """Return the codes of denied and blocked calls."""
        self._fold()
        found: Counter[str] = Counter()
        for group, count in self._groups.items():
            if group[_OUTCOME] in ("denied", "blocked"):
                found[group[_CODE]] += count
        return found

    def bundles(self) -> Counter[_Bundle]:
        """Return the calls by guard, version and revision of the bundle; only the busiest."""
        self._fold()
        found: Counter[_Bundle] = Counter()
        for (guard, version, revision, *_), count in self._groups.items():
            found[guard, version, revision] += count
        return Counter(dict(found.most_common(_LIMIT_NAMED)))

    def cached(self) -> Counter[bool | None]:
        """Return the calls by whether the decision was cached.

        ``None`` if there was no decision.
        """
        self._fold()
        found: Counter[bool | None] = Counter()
        for group, count in self._groups.items():
            found[group[_CACHED]] += count
        return found

    def counted(self, what: str) -> Counter[str]:
        """Return the sums of a kind of counts, by their names without the prefix.

        Arguments:
            what: the prefix in `Record.counts`: ``quota``, ``redact``, ``shadow``, ``unrecorded``.
        """
        self._fold()
        prefix = f"{what}/"
        return Counter(
            {
                name.removeprefix(prefix): amount
                for name, amount in self._counts.items()
                if name.startswith(prefix)
            }
        )

    def callers(self, most: int) -> list[tuple[str, str, int]]:
        """Return the busiest callers: type, name, calls. See `is_exact_of_callers`."""
        self._fold()
        return [(*caller, count) for caller, count in self._callers.most_common(most)]


#: The outcomes of calls that reached the release.
_ENDED: Final = frozenset(("released", "blocked"))


def _busiest(found: Mapping[str, Counter[str]]) -> dict[str, Counter[str]]:
    return dict(sorted(found.items(), key=lambda item: (-item[1].total(), item[0])))
