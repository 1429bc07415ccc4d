"""The OpenTelemetry metrics of a guard that do not belong to one call's record.

These are cache hits and misses (``guardrail.decision.cache.hits`` and ``.misses``), decisions by
shadows (``guardrail.shadow.evaluations``), reloads of a bundle by outcome
(``guardrail.policy.reloads``), and failed authentication by code
(``guardrail.authentication.failures``). Beside these attributes, a metric has only the guard's
name: never a caller or a policy. Only the OpenTelemetry API is used; without an SDK nothing is
counted. The cache counts for itself, and is read when the metrics are collected.
"""

from __future__ import annotations

import threading
import weakref
from collections import Counter
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider, Observation


class Metrics:
    """The metrics of one guard.

    Arguments:
        guard: the guard's name, on every metric. Guards with the same name are counted together.
        meter_provider: the provider of the instruments; the global one if ``None``, even if it is
            set later.
    """

    def __init__(self, guard: str, *, meter_provider: MeterProvider | None = None) -> None:
        self.guard = guard
        self._lock = threading.Lock()
        self._read: Callable[[], tuple[int, int]] = _nothing
        self._before = (0, 0)
        self._read_shadow: Callable[[], int] | None = None
        self._shadow_before: int | None = None
        self._instruments = _instruments(meter_provider)
        self._instruments.add(self)

    def observe_cache(self, read: Callable[[], tuple[int, int]]) -> None:
        """Report a cache's counts from now on, added to those of the cache before it.

        Arguments:
            read: returns the hits and the misses so far of one cache; called on the thread that
                collects metrics.
        """
        with self._lock:
            hits, misses = self._read()
            self._before = (self._before[0] + hits, self._before[1] + misses)
            self._read = read

    def cache_counts(self) -> tuple[int, int]:
        """Return the hits and the misses so far, of all observed caches."""
        with self._lock:
            hits, misses = self._read()
            return self._before[0] + hits, self._before[1] + misses

    def observe_shadow(self, read: Callable[[], int] | None) -> None:
        """Report the evaluations of a shadow from now on, added to those of the shadow before it.

        Arguments:
            read: returns the evaluations so far; ``None`` if there is no shadow any more.
        """
        with self._lock:
            self._shadow_before = self._shadow_count()
            self._read_shadow = read

    def shadow_count(self) -> int | None:
        """Return the evaluations of shadows so far; ``None`` if there never was one."""
        with self._lock:
            return self._shadow_count()

    def _shadow_count(self) -> int | None:
        if self._read_shadow is None:
            return self._shadow_before
        return (self._shadow_before or 0) + self._read_shadow()

    def count_failed_authentication(self, code: str) -> None:
        """Count a failed authentication, by its code."""
        named = {"guardrail.guard.name": self.guard, "guardrail.decision.reason": code}
        self._instruments.refusals.add(1, named)

    def count_reload(self, ok: bool) -> None:
        """Count a reload: a successful one, or one that failed and changed nothing."""
        self._instruments.reloads.add(1, _named(self.guard, "ok" if ok else "failed"))


class _GuardInstruments:
    """The instruments of one provider, for all guards.

    The SDK keeps the callbacks of the first caller that makes an instrument with a name, and
    silently drops those of all others. So all guards share the instruments.
    """

    def __init__(self, meter_provider: MeterProvider | None) -> None:
        from opentelemetry.metrics import get_meter

        self._lock = threading.Lock()
        self._guards: weakref.WeakSet[Metrics] = weakref.WeakSet()
        meter = get_meter("guardrail", meter_provider=meter_provider)
        self.reloads = meter.create_counter(
            "guardrail.policy.reloads",
            unit="{reload}",
            description="Reloads of a bundle, by outcome.",
        )
        self.refusals = meter.create_counter(
            "guardrail.authentication.failures",
            unit="{attempt}",
            description="Credentials that did not hold, by code; recorded or not.",
        )
        for index, (name, what) in enumerate(
            (("hits", "Decisions found in the cache."), ("misses", "Decisions that Cedar made."))
        ):
            meter.create_observable_counter(
                f"guardrail.decision.cache.{name}",
                callbacks=[self._observer(index)],
                unit="{decision}",
                description=what,
            )
        meter.create_observable_counter(
            "guardrail.shadow.evaluations",
            callbacks=[self._observe_shadows],
            unit="{decision}",
            description="Decisions of shadows, beside those that stand.",
        )

    def add(self, metrics: Metrics) -> None:
        """Report a guard's counts for as long as it is referenced."""
        with self._lock:
            self._guards.add(metrics)

    def _observer(self, index: int) -> Callable[[Any], Iterable[Observation]]:
        def observe(options: Any) -> Iterable[Observation]:  # noqa: ARG001
            return self._observed(lambda metrics: metrics.cache_counts()[index])

        return observe

    def _observe_shadows(self, options: Any) -> Iterable[Observation]:  # noqa: ARG002
        return self._observed(Metrics.shadow_count)

    def _observed(self, count: Callable[[Metrics], int | None]) -> list[Observation]:
        """Return the observations by guard name, without guards that count nothing."""
        from opentelemetry.metrics import Observation

        with self._lock:
            guards = list(self._guards)
        counts: Counter[str] = Counter()
        for metrics in guards:
            counted = count(metrics)
            if counted is not None:
                counts[metrics.guard] += counted
        return [Observation(each, _named(guard)) for guard, each in counts.items()]


@lru_cache(maxsize=16)
def _instruments(meter_provider: MeterProvider | None) -> _GuardInstruments:
    return _GuardInstruments(meter_provider)


def _named(guard: str, outcome: str = "") -> dict[str, str]:
    names = {"guardrail.guard.name": guard, "guardrail.reload.outcome": outcome}
    return {name: value for name, value in names.items() if value}


def _nothing() -> tuple[int, int]:
    return 0, 0
