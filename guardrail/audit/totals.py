"""What a journal comes to: counts over time, by policy, by caller, by code, and how long it took.

Owns the adding up, one record after the other, in memory that does not grow with their number.
Refuses to be exact where that would cost memory: percentiles are right within `ERROR`, and of
many callers only the busiest are told. Pure.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Final, TypeAlias

from guardrail.values import Record

#: How far a percentile may be from the truth, as a part of it.
ERROR: Final = 0.02
_STEP: Final = math.log((1 + ERROR) ** 2)
#: Durations below are taken for this, in seconds.
_LEAST_S: Final = 1e-8
#: Bars of the time line, at most.
LIMIT_BARS: Final = 120
#: Combinations of guard, action, caller's type, outcome, code and policies that are told apart.
_LIMIT_ALIKE: Final = 20_000
#: Callers that are counted at once; the others are forgotten, the rarest first.
_LIMIT_CALLERS: Final = 20_000
#: Unfinished calls that are named.
_LIMIT_NAMED: Final = 20

OUTCOMES: Final = (
    "released", "denied", "blocked", "raised", "cancelled", "abandoned", "admitted",
)  # fmt: skip
STAGES: Final = ("admit", "model", "release")


class Durations:
    """Durations, in classes of which each is a little longer than the one before.

    A percentile is the middle of its class, and so within `ERROR` of the true one.
    """

    __slots__ = ("_classes", "count", "longest_s", "sum_s")

    def __init__(self) -> None:
        self._classes: dict[int, int] = {}
        self.count = 0
        self.sum_s = 0.0
        self.longest_s = 0.0

    def add(self, seconds: float) -> None:
        """Add one duration, in seconds."""
        index = int(math.log(max(seconds, _LEAST_S) / _LEAST_S) / _STEP)
        self._classes[index] = self._classes.get(index, 0) + 1
        self.count += 1
        self.sum_s += seconds
        self.longest_s = max(self.longest_s, seconds)

    def percentile(self, part: float) -> float:
        """Return the duration below which this part of them is (0 to 1); 0 where there is none."""
        if not self.count:
            return 0.0
        rank = max(1, math.ceil(part * self.count))
        for index in sorted(self._classes):
            rank -= self._classes[index]
            if rank <= 0:
                middle = _LEAST_S * math.exp((index + 0.5) * _STEP)
                return min(middle, self.longest_s)
        return self.longest_s


class TimeLine:
    """Outcomes over time, in bars that grow wider as there come to be too many."""

    __slots__ = ("_bars", "width_s")

    def __init__(self) -> None:
        self.width_s = 2.0**-10
        self._bars: dict[int, Counter[str]] = {}

    def add(self, at: float, outcome: str) -> None:
        """Add one call, by its time in seconds since the epoch."""
        index = int(at // self.width_s)
        bar = self._bars.get(index)
        if bar is None:
            bar = self._bars[index] = Counter()
            if max(self._bars) - min(self._bars) >= LIMIT_BARS:
                bar[outcome] += 1
                self._widen()
                return
        bar[outcome] += 1

    def _widen(self) -> None:
        while max(self._bars) - min(self._bars) >= LIMIT_BARS:
            self.width_s *= 2
            wider: dict[int, Counter[str]] = {}
            for index, bar in self._bars.items():
                wider.setdefault(index >> 1, Counter()).update(bar)
            self._bars = wider

    def bars(self) -> list[tuple[float, Mapping[str, int]]]:
        """Return all bars from the first to the last, each with its time; some may be empty."""
        if not self._bars:
            return []
        first, last = min(self._bars), max(self._bars)
        none: Counter[str] = Counter()
        return [
            (index * self.width_s, self._bars.get(index, none)) for index in range(first, last + 1)
        ]


#: Guard, action, caller's type, outcome, code, policies.
_Alike: TypeAlias = tuple[str, str, str, str, str, tuple[str, ...]]
_FIELDS: Final = {"guard": 0, "action": 1, "principal_type": 2}


class Totals:
    """The sums over all records that were added.

    Attributes:
        calls: how many there were.
        first_at, last_at: the times of the first and the last, in seconds since the epoch.
        time: outcomes over time.
        durations: by stage; of calls that got so far.
        unfinished: ids of calls of which no outcome stands, some of them.
        counts: sums of all `Record.counts`, by their names.
    """

    def __init__(self) -> None:
        self.calls = 0
        self.first_at = math.inf
        self.last_at = -math.inf
        self.time = TimeLine()
        self.durations = {stage: Durations() for stage in STAGES}
        self.unfinished: list[str] = []
        self.counts: Counter[str] = Counter()
        self.cached: Counter[bool | None] = Counter()
        self.revisions: Counter[tuple[str, str, str]] = Counter()
        self._alike: Counter[_Alike] = Counter()
        self._callers: Counter[tuple[str, str]] = Counter()

    def add(self, record: Record) -> None:
        """Add one call."""
        self.calls += 1
        at, outcome = record.started_at, record.outcome
        self.first_at = min(self.first_at, at)
        self.last_at = max(self.last_at, at)
        self.time.add(at, outcome)
        alike: _Alike = (
            record.guard, record.action, record.principal_type, outcome, record.code,
            record.policies,
        )  # fmt: skip
        if alike not in self._alike and len(self._alike) >= _LIMIT_ALIKE:
            alike = ("", "", "", outcome, record.code, ())
        self._alike[alike] += 1
        self.durations["admit"].add(record.admit_s)
        if record.model_s or outcome == "released":
            self.durations["model"].add(record.model_s)
        if outcome in ("released", "blocked"):
            self.durations["release"].add(record.release_s)
        self.cached[record.cached] += 1
        if record.counts:
            for name, amount in record.counts:
                self.counts[name] += amount
        if record.principal:
            self._add_caller((record.principal_type, record.principal))
        if outcome == "admitted" and len(self.unfinished) < _LIMIT_NAMED:
            self.unfinished.append(record.decision_id)
        version = (record.guard, record.version, record.revision)
        if version in self.revisions or len(self.revisions) < _LIMIT_NAMED:
            self.revisions[version] += 1

    def _add_caller(self, caller: tuple[str, str]) -> None:
        callers = self._callers
        if caller not in callers and len(callers) >= _LIMIT_CALLERS:
            self._callers = callers = Counter(dict(callers.most_common(_LIMIT_CALLERS // 2)))
        callers[caller] += 1

    # What it comes to.

    def outcomes(self) -> dict[str, int]:
        """Return how many calls ended how, in the order of `OUTCOMES`."""
        found: Counter[str] = Counter()
        for alike, count in self._alike.items():
            found[alike[3]] += count
        return {outcome: found[outcome] for outcome in OUTCOMES if found[outcome]}

    def by(self, field: str) -> dict[str, Counter[str]]:
        """Return outcomes by a field: ``guard``, ``action``, ``principal_type``; busiest first."""
        at = _FIELDS[field]
        found: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for alike, count in self._alike.items():
            found[str(alike[at]) or "unknown"][alike[3]] += count
        return _busiest(found)

    def by_policy(self) -> dict[str, Counter[str]]:
        """Return outcomes by the policies that decided; a call counts for each of these."""
        found: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for alike, count in self._alike.items():
            for policy in alike[5]:
                found[policy][alike[3]] += count
        return _busiest(found)

    def codes(self) -> Counter[str]:
        """Return the codes of what was denied or blocked."""
        found: Counter[str] = Counter()
        for alike, count in self._alike.items():
            if alike[3] in ("denied", "blocked"):
                found[alike[4]] += count
        return found

    def counted(self, what: str) -> Counter[str]:
        """Return the counts of a kind, without it: ``quota``, ``redact``."""
        prefix = f"{what}/"
        return Counter(
            {
                name.removeprefix(prefix): amount
                for name, amount in self.counts.items()
                if name.startswith(prefix)
            }
        )

    def callers(self, most: int) -> list[tuple[str, str, int]]:
        """Return the busiest callers: type, name, calls; about, where there are very many."""
        return [(*caller, count) for caller, count in self._callers.most_common(most)]


def _busiest(found: Mapping[str, Counter[str]]) -> dict[str, Counter[str]]:
    return dict(sorted(found.items(), key=lambda item: (-item[1].total(), item[0])))
