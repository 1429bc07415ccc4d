"""The obligation `quota`: a call takes from every counter that its clauses name, or from none.

It builds the keys of the counters, and denies a call whose quota is spent, or whose key has no
value. It runs before the other obligations, and after the decision: a call that policy denies takes
nothing. A call that is denied afterwards, before the model runs, gives back rows, bytes and
characters, but not the call itself. The counters are in memory, or in the store that ``[quota]``
names.

Cython compiles this file with ``obligation.pxd``; it also runs as plain Python.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

from guardrail._hooks import ArgumentChange, Stage
from guardrail._ports import (
    BlockingStep,
    ObligationContext,
    ObligationNotMet,
    QuotaCounters,
    QuotaStoreError,
)
from guardrail._type_names import a_type, type_name
from guardrail.obligations.quota.counters import ClockError, Counters, StoreFullError, Taken
from guardrail.obligations.quota.grammar import (
    Demand,
    Limit,
    counted,
    looser_arguments,
    narrowest_first,
    read_limits,
)
from guardrail.obligations.quota.storage_handle import StorageHandle
from guardrail.obligations.quota.windows import Hit
from guardrail.values import Clause, Entity, FactValue, Path, RecordAnnotations, View

#: Greater than any limit, and far enough below 2^63 that counts can be added to it.
_MOST: Final = 2**62
#: How many principals are cached with the keys of their counters.
_REMEMBERED: Final = 4096


class Quota:
    """``@quota("60/minute per principal; 5k rows/hour")``.

    Counts calls, or the rows, bytes or characters of their input. All clauses of all matching
    conditions apply, and a call takes from all of their counters atomically, or from none. A
    counter belongs to the bundle's name, the policy, the limit and the values of its keys, and so
    survives a reload.

    Arguments:
        bundle: the bundle's name.
        storage: the store, from `guardrail.obligations.quota.storage_handle.open_storage`.
    """

    __slots__ = ("_bundle", "_counters", "_hits", "_storage")

    name = "quota"
    stage = Stage.SPEND
    on_admit = True
    on_release = False
    spends = True

    def __init__(self, *, bundle: str, storage: StorageHandle) -> None:
        self._bundle = bundle
        self._storage = storage
        self._counters: Counters | None = None
        self._hits: dict[tuple[str, str, str], Hit] = {}

    def parse(self, clause: Clause) -> Demand:
        """Return the limits of one annotation; raise `ConfigurationError` at its place."""
        # at load, so that no call opens the store
        self._storage.check_opened(clause)
        self._counters = self._storage.memory_counters()
        limits = read_limits(clause, bundle=self._bundle)
        self._storage.check_strategies(clause, [limit.strategy for limit in limits])
        return limits

    def reads(self, demand: Demand) -> tuple[Path, ...]:
        """Return the paths whose values are keys, each once."""
        paths = {path for limit in demand for path in limit.keys if path.attrs}
        return tuple(sorted(paths, key=str))

    def merge(self, one: Demand, other: Demand) -> Demand:
        """Return the limits of both sides: each must pass."""
        return narrowest_first({*one, *other})

    def describe(self, demand: Demand) -> str | list[str]:
        """Return the clause, or the sorted clauses, as written in the policies."""
        texts = sorted(limit.text for limit in demand)
        return texts[0] if len(texts) == 1 else texts

    def admit(self, demand: Demand, context: ObligationContext) -> BlockingStep | None:
        """Take the call from every counter, or raise `ObligationNotMet` and take from none.

        The code is ``quota_exceeded`` if a limit is spent; the error names the policies of all
        spent limits, and has the seconds until all limits would accept this call if there were no
        other calls. It is ``obligation_failed`` if a key has no value, or one that is not a string,
        integer, boolean or entity, and ``store_unavailable`` if the store is full, or the clock
        went back or returns no valid time.
        """
        counters = self._counters
        if counters is None:
            counters = self._storage.memory_counters()
            if counters is None:
                return self._take_from_store(demand, context)
        waits: list[float] | None = None
        problem = "The quota store cannot take another counter. Try again later."
        notes = context.notes
        try:  # without `with`, which costs as much as taking the hit
            if len(demand) == 1 and demand[0].unit == "calls":
                hit = self._hit(demand[0], context)
                wait_s = counters.acquire(hit)
                if not wait_s:
                    if notes is not None:
                        notes.add(hit.counts)
                    return None
                waits = [wait_s]
            else:
                hits = [self._hit(limit, context) for limit in demand]
                taken: list[Taken] = []
                waits = counters.acquire_all(hits, taken)
                if not any(waits):
                    if notes is not None:
                        for held in hits:
                            notes.add(held.counts)
                        self._return_unused(demand, hits, taken, counters, notes)
                    return None
        except StoreFullError:
            pass
        except ClockError:
            problem = "The clock for quotas went back, or returns no valid time. Correct the clock."
        if waits is None:
            raise ObligationNotMet(problem, code="store_unavailable")
        raise _spent(demand, waits)

    def _hit(self, limit: Limit, context: ObligationContext) -> Hit:
        """Return the hit of one limit; cached by the principal if that is its only key."""
        if not limit.counts_principals:
            return _hit(limit, context)
        identity = context.identity
        principal = identity.principal
        kind, name = principal.type, principal.id
        if type(kind) is not str or type(name) is not str:
            # a subclass of `str` may compare equal and have another text
            return _hit(limit, context)
        key = (limit.prefix, kind, name)
        hit = self._hits.get(key)
        if hit is None:
            if len(self._hits) >= _REMEMBERED:
                self._hits = {}
            hit = self._hits[key] = _hit(limit, context)
        return hit

    def _take_from_store(self, demand: Demand, context: ObligationContext) -> BlockingStep | None:
        """Take the hits of a demand from an external store."""
        store = self._storage.open()
        hits = [self._hit(limit, context) for limit in demand]
        taken: list[Any] = []
        weighs = any(limit.unit != "calls" for limit in demand)

        def take() -> list[float]:
            try:
                # a copy: the store must not change what is counted
                waits: Any = store.acquire_all(list(hits), taken)
            except QuotaStoreError as error:
                problem = str(error)
            else:
                fault = _fault_of(waits, len(hits))
                if not fault and weighs and not any(waits) and len(taken) != len(hits):
                    fault = "`acquire_all` added another number of objects to `taken` than of hits"
                if not fault:
                    return [float(wait_s) for wait_s in waits]
                problem = (
                    f"The quota store `{self._storage.store.name}` is not usable: {fault}. Report "
                    "this to its author."
                )
            raise ObligationNotMet(problem, code="store_unavailable")

        def finish(waits: list[float]) -> None:
            if any(waits):
                raise _spent(demand, waits)
            notes = context.notes
            if notes is not None:
                for hit in hits:
                    notes.add(hit.counts)
                blocks = self._storage.waits
                self._return_unused(demand, hits, taken, store, notes, blocks=blocks)

        if self._storage.waits:
            return BlockingStep(take, finish)
        finish(take())
        return None

    def _return_unused(
        self,
        demand: Demand,
        hits: list[Hit],
        taken: list[Any],
        counters: Counters | QuotaCounters,
        notes: RecordAnnotations,
        *,
        blocks: bool = False,
    ) -> None:
        """Register the amounts to give back if the input is rejected: all but the call itself."""
        weighed = [
            (hit, each)
            for limit, hit, each in zip(demand, hits, taken, strict=True)
            if limit.unit != "calls"
        ]
        if weighed:
            give_back = partial(_give_back, counters, weighed)
            returned = _BlockingReturn(give_back) if blocks else give_back
            notes.returns = (*notes.returns, returned)

    def mutate(self, argument: str) -> Iterator[ArgumentChange]:
        """Yield changes of an argument that limit less."""
        return looser_arguments(argument)

    def release(self, demand: Demand, output: Any, context: ObligationContext) -> Any:  # noqa: ARG002
        """Return the output unchanged."""
        return output


class _BlockingReturn:
    """Gives back to a store that can wait: see `RecordAnnotations.returns`."""

    __slots__ = ("_give_back",)

    blocks = True

    def __init__(self, give_back: Callable[[], tuple[tuple[str, int], ...]]) -> None:
        self._give_back = give_back

    def __call__(self) -> tuple[tuple[str, int], ...]:
        return self._give_back()


def _give_back(
    counters: Counters | QuotaCounters, weighed: list[tuple[Hit, Any]]
) -> tuple[tuple[str, int], ...]:
    for _, taken in weighed:
        counters.give_back(taken)
    return tuple([count for hit, _ in weighed for count in hit.counts])


def _fault_of(waits: Any, hits: int) -> str:
    """Return what is wrong with the waits that a store returned; else an empty text."""
    if type(waits) is not list and type(waits) is not tuple:
        return f"`acquire_all` returned {a_type(waits)}, and not a list"
    if len(waits) != hits:
        return "`acquire_all` returned another number of waits than it got hits"
    for wait_s in waits:
        if type(wait_s) is int:
            is_wait = 0 <= wait_s <= _MOST
        else:
            is_wait = type(wait_s) is float and wait_s >= 0  # false for NaN
        if not is_wait:
            return f"`acquire_all` returned a wait that is no number from 0 ({type_name(wait_s)})"
    return ""


def _spent(demand: Demand, waits: list[float]) -> ObligationNotMet:
    refusing = [limit for limit, wait in zip(demand, waits, strict=True) if wait]
    wait_s = max(waits)
    if math.isinf(wait_s):
        message = f"is less than this call asks for. Send fewer {refusing[0].unit} per call."
    else:
        message = "is spent. Call again after `retry_after_s` seconds."
    return ObligationNotMet(
        f"The quota `{refusing[0].text}` {message}",
        code="quota_exceeded",
        policies=tuple(dict.fromkeys(limit.policy for limit in refusing)),
        retry_after_s=None if math.isinf(wait_s) else wait_s,
    )


def _hit(limit: Limit, context: ObligationContext) -> Hit:
    amount = 1 if limit.unit == "calls" else min(_weigh(limit, context.view), _MOST)
    key = _key(limit, context)
    return Hit(limit.strategy, key, limit.amount, limit.window_s, amount, label=limit.label)


def _weigh(limit: Limit, view: View) -> int:
    """Return the size of an input in a limit's unit; 0 if it is empty."""
    if limit.unit == "rows" and view.kind in ("tensor", "table"):
        return view.rows
    if limit.unit == "rows" and view.kind == "list":
        return len(view.value)
    if limit.unit == "rows" and view.kind in ("record", "text"):
        return 1
    if limit.unit == "bytes" and view.kind != "none":
        return view.nbytes
    if limit.unit == "chars" and view.kind == "table":
        return int(view.data.chars())
    if limit.unit == "chars" and view.kind in ("text", "list", "record"):
        return count_chars(view.value if view.data is None else view.data)
    arrived = "no input" if view.kind == "none" else f"a {view.kind}"
    raise ObligationNotMet(
        f"The quota `{limit.text}` counts {limit.unit}, and got {arrived}. Name the guarded "
        "parameter, or count calls.",
        policies=(limit.policy,),
    )


def count_chars(data: Any) -> int:
    """Return how many characters all texts in plain data have, including the keys of dicts."""
    chars = 0
    waiting = [data]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            chars += len(value)
        elif isinstance(value, dict):
            chars += sum(map(len, value))
            waiting.extend(value.values())
        elif isinstance(value, list | tuple):
            waiting.extend(value)
    return chars


def _key(limit: Limit, context: ObligationContext) -> str:
    """Return the key of a counter, which differs for different limits or values of its keys."""
    key = limit.prefix
    for path in limit.keys:
        value: FactValue
        if path.attrs:
            value = _read(limit, path, context)
        elif path.root == "principal":
            value = context.identity.principal.uid
        else:
            value = context.resource
        encoded = encode(value)
        if encoded is None:
            raise ObligationNotMet(
                f"The quota `{limit.text}` cannot count by `{path}`: expected a string, a 64-bit "
                f"integer, a boolean or an entity; got {type_name(value)}.",
                path=str(path),
                policies=(limit.policy,),
            )
        key += "/" + encoded
    return key


def _read(limit: Limit, path: Path, context: ObligationContext) -> FactValue:
    try:
        return context.value_of(path)
    except LookupError:
        pass  # raised below, so that the error has no context with the lookup's message
    raise ObligationNotMet(
        f"The quota `{limit.text}` counts by `{path}`, which this call does not have. Provide it.",
        path=str(path),
        policies=(limit.policy,),
    )


def encode(value: FactValue) -> str | None:
    """Return ``value`` as a part of a key, or ``None`` for other types.

    Different values or types give different results: ``1``, ``True``, ``"1"`` and an entity named
    ``1`` all differ, and so do any two texts, also with slashes or lone surrogates. An `Entity` and
    a `Resource` with the same uid are the same entity.
    """
    if isinstance(value, str):
        return "s" + counted(value)
    if isinstance(value, Entity):
        return "e" + counted(value.type) + counted(value.id)
    if isinstance(value, bool):
        return "b1" if value else "b0"
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return "i" + counted(str(int(value)))
    return None
