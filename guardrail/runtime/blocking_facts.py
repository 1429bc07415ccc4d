"""The facts whose sources block, as a model does, in a call that runs on an event loop.

`guardrail.runtime.flow` returns one `BlockingStep` for all of them. The sources get a copy of the
input and of the application's facts, because other tasks can change the originals meanwhile. Before
the model starts, the flow compares the originals with what the sources read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from guardrail._ports import FactContext, FactSource, PolicyQuestion
from guardrail.values import FactValue, View

#: Fact sources, each with the names of the facts to compute.
Wanted: TypeAlias = "Sequence[tuple[FactSource, frozenset[str]]]"
#: Facts by the namespace of their source.
Facts: TypeAlias = "dict[str, Mapping[str, FactValue]]"


class AppFactsRead(Mapping[str, FactValue]):
    """A copy of the application's facts, which remembers what was read of it."""

    __slots__ = ("_facts", "_is_read_whole", "_read")

    def __init__(self, facts: Mapping[str, FactValue]) -> None:
        self._facts: dict[str, Any] = {name: _copied(value) for name, value in facts.items()}
        self._read: set[str] = set()
        self._is_read_whole = False

    def __getitem__(self, name: str) -> FactValue:
        self._read.add(name)
        value: FactValue = self._facts[name]
        return value

    def __iter__(self) -> Iterator[str]:
        self._is_read_whole = True
        return iter(self._facts)

    def __len__(self) -> int:
        self._is_read_whole = True
        return len(self._facts)

    def is_same(self, facts: Mapping[str, FactValue]) -> bool:
        """Return whether other facts have the same values, as far as they were read."""
        names = {*self._facts, *facts} if self._is_read_whole else self._read
        return all(
            (name in facts) == (name in self._facts)
            and (name not in facts or _is_equal(self._facts[name], facts[name]))
            for name in names
        )


@dataclass(frozen=True)
class ComputedFacts:
    """What sources that block have computed for a call, and from what.

    Attributes:
        app: the application's facts that they read.
        facts: their facts.
    """

    app: AppFactsRead
    facts: Facts


@dataclass(frozen=True)
class ShadowFacts:
    """What sources that block have computed for the shadow of a call.

    Attributes:
        question: the question of the shadow, which is asked once per call.
        facts: the facts that the call itself did not need; or the error of a source.
    """

    question: PolicyQuestion
    facts: Facts | BaseException


def copy_context(context: FactContext) -> tuple[FactContext, AppFactsRead]:
    """Return a context that no other task can change, and the application's facts in it."""
    app = AppFactsRead(context.app)
    copy = FactContext(
        context.identity,
        _copy_view(context.view),
        context.action,
        context.resource,
        context.now,
        app,
    )
    return copy, app


def compute(wanted: Wanted, context: FactContext) -> Facts:
    """Return the facts of some sources."""
    return {source.namespace: source.compute(names, context) for source, names in wanted}


def _copy_view(view: View) -> View:
    """Return a view whose plain data is a copy. Tensors and tables are read where they are."""
    if view.kind not in ("list", "record"):
        return view
    value, data = view.value, view.data
    if data is None:
        value = _copied(value)
    else:
        data = _copied(data)
    return View(view.kind, view.name, value, view.buffer, view.shape, view.dtype, view.nbytes, data)


def _copied(value: Any) -> Any:
    """Return a copy of plain data. Any other object is not copied."""
    kind: Any = type(value)
    if kind is dict:
        return {name: _copied(each) for name, each in value.items()}
    if kind is list:
        return [_copied(each) for each in value]
    if kind is tuple:
        return tuple([_copied(each) for each in value])
    return set(value) if kind is set else value


def _is_equal(one: FactValue, other: FactValue) -> bool:
    return type(one) is type(other) and bool(one == other)
