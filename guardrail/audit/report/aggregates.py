"""What a journal comes to: counts over time, by policy, by caller, by code, and how long it took.

Owns the adding up, in memory that does not grow with the number of records. Refuses to be exact
where that would cost memory: percentiles are right within `ERROR`, and of many callers only the
busiest are told. Pure.

Records wait, and are added up by the thousand: one at a time they cost more than twice as much.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from operator import itemgetter
from typing import Any, Final, TypeAlias

from guardrail.audit.report.quantiles import Durations
from guardrail.audit.report.time_buckets import TimeLine
from guardrail.values import Record

#: Records that wait to be added up.
_BATCH: Final = 4096
#: Combinations of the `_ALIKE` fields that are told apart.
_LIMIT_ALIKE: Final = 20_000
#: Callers that are counted at once; the others are forgotten, the rarest first.
_LIMIT_CALLERS: Final = 20_000
#: Names of counts that are told apart; policies choose them.
_LIMIT_COUNTS: Final = 2_000
#: Unfinished calls, and bundles, that are named.
_LIMIT_NAMED: Final = 20

OUTCOMES: Final = (
    "released", "denied", "blocked", "raised", "cancelled", "abandoned", "admitted",
)  # fmt: skip
STAGES: Final = ("admit", "model", "release")
#: What stands for all names that came after there were too many.
OTHERS: Final = "others"


def _fields(*names: str) -> itemgetter[Any]:
    return itemgetter(*map(Record._fields.index, names))


_Bundle: TypeAlias = tuple[str, str, str]
#: Guard, version, revision, action, caller's type, outcome, code, policies, whether cached.
_Alike: TypeAlias = tuple[str, str, str, str, str, str, str, tuple[str, ...], bool | None]
_ALIKE: Final = _fields(
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


class Totals:
    """The sums over all records that were added."""

    def __init__(self) -> None:
        self._waiting: list[Record] = []
        self._calls = 0
        self._time = TimeLine()
        self._durations = {stage: Durations() for stage in STAGES}
        self._unfinished: list[str] = []
        self._counts: Counter[str] = Counter()
        self._alike: Counter[_Alike] = Counter()
        self._callers: Counter[tuple[str, str]] = Counter()
        self._forgets = False

    def add(self, record: Record) -> None:
        """Add one call."""
        waiting = self._waiting
        waiting.append(record)
        if len(waiting) >= _BATCH:
            self._fold()

    def _fold(self) -> None:
        """Add up what waits."""
        records = self._waiting
        if not records:
            return
        self._waiting = []
        self._calls += len(records)
        times, outcomes, counts, admit, model, release = zip(*map(_MEASURES, records), strict=True)
        self._time.add(times, outcomes)
        self._durations["admit"].add(admit)
        # A stage that a call did not reach took no time, and is not counted.
        self._durations["model"].add(
            [took for took, how in zip(model, outcomes, strict=True) if took or how == "released"]
        )
        self._durations["release"].add(
            [took for took, how in zip(release, outcomes, strict=True) if how in _ENDED]
        )
        self._fold_alike(Counter(map(_ALIKE, records)))
        self._fold_counts(Counter(filter(None, counts)))
        self._fold_callers(Counter([_CALLER(one) for one in records if one.principal]))
        if "admitted" in outcomes and len(self._unfinished) < _LIMIT_NAMED:
            named = [one.decision_id for one in records if one.outcome == "admitted"]
            self._unfinished = (self._unfinished + named)[:_LIMIT_NAMED]

    def _fold_alike(self, found: Counter[_Alike]) -> None:
        known = self._alike
        for alike, count in found.items():
            if alike in known or len(known) < _LIMIT_ALIKE:
                known[alike] += count
            else:  # callers choose some of these texts; outcomes and codes are ours
                known[("", "", "", "", "", alike[_OUTCOME], alike[_CODE], (), None)] += count

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

    # What it comes to.

    @property
    def calls(self) -> int:
        """How many calls there were."""
        return self._calls + len(self._waiting)

    @property
    def time(self) -> TimeLine:
        """Outcomes over time."""
        self._fold()
        return self._time

    @property
    def durations(self) -> Mapping[str, Durations]:
        """How long each of `STAGES` took, of the calls that got so far."""
        self._fold()
        return self._durations

    @property
    def unfinished(self) -> list[str]:
        """The ids of calls of which no outcome stands, some of them."""
        self._fold()
        return self._unfinished

    @property
    def is_exact_of_callers(self) -> bool:
        """Whether no caller was forgotten; else their counts are the least there can have been."""
        self._fold()
        return not self._forgets

    def outcomes(self) -> dict[str, int]:
        """Return how many calls ended how, in the order of `OUTCOMES`."""
        self._fold()
        found: Counter[str] = Counter()
        for alike, count in self._alike.items():
            found[alike[_OUTCOME]] += count
        return {outcome: found[outcome] for outcome in OUTCOMES if found[outcome]}

    def by(self, field: str) -> dict[str, Counter[str]]:
        """Return outcomes by a field: ``guard``, ``action``, ``principal_type``; busiest first."""
        self._fold()
        at = _PLACES[field]
        found: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for alike, count in self._alike.items():
            found[str(alike[at]) or "unknown"][alike[_OUTCOME]] += count
        return _busiest(found)

    def by_policy(self) -> dict[str, Counter[str]]:
        """Return outcomes by the policies that decided; a call counts for each of these."""
        self._fold()
        found: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for alike, count in self._alike.items():
            for policy in alike[_POLICIES]:
                found[policy][alike[_OUTCOME]] += count
        return _busiest(found)

    def codes(self) -> Counter[str]:
        """Return the codes of what was denied or blocked."""
        self._fold()
        found: Counter[str] = Counter()
        for alike, count in self._alike.items():
            if alike[_OUTCOME] in ("denied", "blocked"):
                found[alike[_CODE]] += count
        return found

    def bundles(self) -> Counter[_Bundle]:
        """Return the calls by guard, version and revision of its bundle; the busiest of them."""
        self._fold()
        found: Counter[_Bundle] = Counter()
        for (guard, version, revision, *_), count in self._alike.items():
            found[guard, version, revision] += count
        return Counter(dict(found.most_common(_LIMIT_NAMED)))

    def cached(self) -> Counter[bool | None]:
        """Return how many decisions had been made before; ``None`` where nothing was decided."""
        self._fold()
        found: Counter[bool | None] = Counter()
        for alike, count in self._alike.items():
            found[alike[_CACHED]] += count
        return found

    def counted(self, what: str) -> Counter[str]:
        """Return the sums of a kind of counts, by their names without it.

        Arguments:
            what: ``quota``, ``redact``, ``shadow``, ``unrecorded``: what the names in
                `Record.counts` begin with.
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


#: How calls ended that came to the release.
_ENDED: Final = frozenset(("released", "blocked"))


def _busiest(found: Mapping[str, Counter[str]]) -> dict[str, Counter[str]]:
    return dict(sorted(found.items(), key=lambda item: (-item[1].total(), item[0])))
