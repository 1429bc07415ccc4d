"""Tries properties on requests: first at boundary values, then on random ones.

The random requests are the same in each run. A counterexample is simplified and written as a test
to paste. A property for which no request was tried fails.

Requests that lack a fact that the schema requires are tried only if a property asks for it: a
missing fact makes a policy err, and that grants nothing. hypothesis draws the random requests, and
is imported only if there are some.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, islice
from pathlib import Path as FilePath
from typing import Any, Final

from guardrail._documents import Document
from guardrail.bundle.assembly import Bundle
from guardrail.errors import ConfigurationError, Fault, Place
from guardrail.guard import Guard
from guardrail.policy import Snapshot
from guardrail.testing.files.cases import PolicyTestCase, Suite
from guardrail.testing.files.render_test import as_test
from guardrail.testing.files.yaml_values import leaves
from guardrail.testing.mutation.candidate_requests import Request, decided, requests
from guardrail.testing.properties.claims import read_condition
from guardrail.testing.properties.conditions import UNFIT, Condition, at
from guardrail.testing.properties.domains import Domain, World
from guardrail.testing.properties.format import Checked, InvalidProperty, Property
from guardrail.testing.properties.narrowing import narrowed
from guardrail.testing.properties.shrinking import simplest
from guardrail.testing.properties.value_conditions import ABSENT
from guardrail.testing.run.report import Result
from guardrail.testing.run.resolve_bundle import bundle_of, suite_of
from guardrail.testing.run.runner import Runner
from guardrail.values import Entity, Path

#: Random requests that a property is tried on, unless somebody says how many.
EXAMPLES: Final = 200
#: Requests at the edges of a property of its own, and of those that all share, at most.
_LIMIT_OWN: Final = 2_000
_LIMIT_SHARED: Final = 5_000

#: Says whether a request is meant, where a condition is not enough.
Meant = Callable[[Request], bool]


def run_properties(bundle: Bundle, suite: Suite, *, examples: int = EXAMPLES) -> Iterator[Result]:
    """Yield how the properties of a suite end.

    Arguments:
        bundle: whose policies they are about.
        suite: the properties, and the tests whose requests are tried, too.
        examples: how many random requests each is tried on, after those at the edges.
    """
    checker = Checker(bundle, suite, examples=examples)
    for stated in suite.properties:
        if isinstance(stated, InvalidProperty):
            yield Result(stated.name, stated.place, "error", stated.faults)
        else:
            yield checker.check(stated)


@dataclass(frozen=True, slots=True)
class _BoundProperty:
    """A property, read against a bundle."""

    when: Condition
    claim: Condition
    is_never: bool
    meant: Meant | None

    def breaks(
        self, request: Request, description: Mapping[str, Any], snapshot: Snapshot
    ) -> tuple[bool, bool]:
        """Return whether a request is one of those meant, and whether it breaks the property."""
        is_unfit = description["code"] in UNFIT
        if is_unfit and not (self.when.names_unfit or self.claim.names_unfit):
            return False, False
        if not self.when.holds(request, description, snapshot):
            return False, False
        if self.meant is not None and not self.meant(request):
            return False, False
        return True, self.claim.holds(request, description, snapshot) == self.is_never


class Checker:
    """Checks properties of one bundle.

    Arguments:
        bundle: whose policies they are about.
        suite: its tests: what they ask is tried, too.
        examples: how many random requests are tried.
    """

    def __init__(self, bundle: Bundle, suite: Suite, *, examples: int = EXAMPLES) -> None:
        self._bundle = bundle
        self._snapshot = bundle.snapshot
        self._suite = suite
        self._examples = examples
        self._worlds: dict[bool, World] = {}

    def check(self, stated: Property, meant: Meant | None = None) -> Result:
        """Return how a property ends; ``meant`` says of which requests it is, beside ``when``."""
        world = self._world(is_missing=stated.is_missing)
        faults: list[Fault] = []
        conditions: list[Condition] = []
        for document in (stated.when, stated.claim):
            try:
                conditions.append(read_condition(document, world))
            except ConfigurationError as error:
                faults.extend(error.faults)
        if faults:
            return Result(stated.name, stated.place, "error", tuple(faults))
        when, claim = conditions
        return self._try(stated, _BoundProperty(when, claim, stated.is_never, meant), world)

    def _world(self, *, is_missing: bool) -> World:
        world = self._worlds.get(is_missing)
        if world is None:
            world = self._worlds[is_missing] = World(self._snapshot, missing=is_missing)
        return world

    def _try(self, stated: Property, asked: _BoundProperty, world: World) -> Result:
        domains = narrowed(world, asked.when)
        trying = _Trial(asked, self._snapshot)
        found = self._at_edges(stated, asked, trying, domains)
        if found is None and self._examples:
            try:
                found = self._at_random(asked, world, trying)
            except ImportError:
                message = (
                    "Random requests need hypothesis. Install guardrail-cedar[properties], or try "
                    "those at boundary values alone: --examples 0."
                )
                fault = Fault("GR612", stated.place, message)
                return Result(stated.name, stated.place, "error", (fault,))
        if found is not None:
            return self._broken(stated, simplest(found, domains, trying.breaks))
        if not trying.tried:
            message = (
                "No request was found of which it says something, so nothing was tried. Widen "
                "`when`, or have a test ask such a request."
            )
            fault = Fault("GR611", stated.place, message)
            return Result(stated.name, stated.place, "error", (fault,))
        return Result(stated.name, stated.place, "passed")

    def _at_edges(
        self, stated: Property, asked: _BoundProperty, trying: _Trial, domains: Sequence[Domain]
    ) -> Request | None:
        """Return the first request at the edges that breaks a property.

        First of those that its own condition has, then of those that all properties share.
        """
        own = chain.from_iterable(domain.edges() for domain in domains)
        for request in islice(own, _LIMIT_OWN):
            if asked.when.asks(request, self._snapshot) and trying.breaks(request):
                return request
        for request, description in self._shared:
            if not (stated.is_missing or self._is_whole(request, asked.when)):
                continue
            if trying.breaks(request, description):
                return request
        return None

    @cached_property
    def _shared(self) -> list[tuple[Request, Mapping[str, Any]]]:
        """The requests of the tests, and those that the search finds around them; decided."""
        runner, world = Runner(self._bundle), self._world(is_missing=False)
        known = [
            request
            for case in self._suite.cases
            if isinstance(case, PolicyTestCase)
            for request in runner.requests(case)
        ]
        known += [
            request
            for domain in world.domains
            if domain.is_possible
            for request in domain.callers()
        ]
        found = list(requests(self._snapshot, known, world.edges))
        if len(found) > _LIMIT_SHARED:
            chance = random.Random(0)  # noqa: S311  no secret: the same ones each time
            rest = sorted(chance.sample(range(len(known), len(found)), _LIMIT_SHARED))
            found = [*known, *(found[number] for number in rest)]
        return [(request, decided(self._snapshot, request)) for request in found]

    @cached_property
    def _demanded(self) -> dict[Entity, tuple[tuple[str, ...], ...]]:
        """The facts of each action that are read, and that the schema demands."""
        schema = self._snapshot.schema
        return {
            action: tuple(
                names
                for names in (tuple(map(str, path)) for path, _ in leaves(plan.shape))
                if schema.demands(action, Path("context", names))
            )
            for action, plan in self._snapshot.plans.items()
        }

    def _is_whole(self, request: Request, when: Condition) -> bool:
        """Tell whether a request has what the schema demands, or lacks what it is to lack."""
        lacking = {path.attrs for path, test in when.facts if test.missing}
        return not any(
            at(request.facts, path[:1]) is ABSENT or at(request.facts, path) is ABSENT
            for path in self._demanded.get(request.action, ())
            if path not in lacking
        )

    def _at_random(self, asked: _BoundProperty, world: World, trying: _Trial) -> Request | None:
        """Return a random request that breaks it, as it is drawn: made simple later."""
        from hypothesis import Phase, find, settings
        from hypothesis.errors import NoSuchExample, Unsatisfiable

        from guardrail.testing.properties.strategies import of_condition

        strategy = of_condition(world, asked.when)
        if strategy is None:
            return None
        how = settings(
            max_examples=self._examples, database=None, deadline=None, derandomize=True,
            phases=(Phase.generate,),
        )  # fmt: skip
        try:
            return find(strategy, trying.breaks, settings=how)
        except (NoSuchExample, Unsatisfiable):
            return None

    def _broken(self, stated: Property, request: Request) -> Result:
        snapshot = self._snapshot
        question = snapshot.ask(request.principal, request.action, request.resource)
        decision = question.decide({"app": {}, **request.facts}).decision
        description = snapshot.describe(decision)
        keys = ["code", "policies", *(["obligations"] if description["obligations"] else [])]
        keys += ["errors"] if description["errors"] else []
        test = as_test(snapshot, request, description, name=f"shows: {stated.name}", keys=keys)
        what = "There is a request on which it does, and it never should"
        if not stated.is_never:
            what = "There is a request on which it does not, and it always should"
        lines = "\n".join(f"  {line}" for line in test.splitlines())
        message = f"{what}. Here as a test, which expects what is decided now:\n{lines}"
        fault = Fault("GR610", stated.place, message)
        return Result(stated.name, stated.place, "failed", (fault,), decision, request)


class _Trial:
    """Tries requests, and counts those of which the property says something."""

    __slots__ = ("_asked", "_snapshot", "tried")

    def __init__(self, asked: _BoundProperty, snapshot: Snapshot) -> None:
        self._asked = asked
        self._snapshot = snapshot
        self.tried = 0

    def breaks(self, request: Request, description: Mapping[str, Any] | None = None) -> bool:
        """Return whether a request breaks the property; give its decision if it is known."""
        description = description if description is not None else decided(self._snapshot, request)
        is_meant, breaks = self._asked.breaks(request, description, self._snapshot)
        self.tried += is_meant
        return breaks


# For tests in Python.


def never(
    bundle: str | FilePath | Bundle | Guard,
    *,
    when: Mapping[str, Any] | Meant | None = None,
    missing: bool = False,
    examples: int = EXAMPLES,
    **claim: Any,
) -> None:
    """Assert that no request shows something: ``never(bundle, allow=True, when={...})``.

    Arguments:
        bundle: its folder, or itself loaded, or a guard that serves it.
        when: of which requests, as under ``when`` of a property in YAML; or a function that says
            so of a `Request`.
        missing: whether requests are tried, too, that leave out what the schema demands.
        examples: how many random requests are tried, after those at the edges.
        claim: what must not be: ``allow``, ``code``, ``policies``, ``obligations``, ``errors``,
            ``principal``, ``action``, ``resource``, ``facts``; all of it together.

    Raises:
        AssertionError: with a request that shows it, as a test; or because nothing was tried.
        ConfigurationError: where the bundle does not load, or has not what is named.
    """
    __tracebackhide__ = True
    _assert(bundle, claim, when, is_never=True, missing=missing, examples=examples)


def always(
    bundle: str | FilePath | Bundle | Guard,
    *,
    when: Mapping[str, Any] | Meant | None = None,
    missing: bool = False,
    examples: int = EXAMPLES,
    **claim: Any,
) -> None:
    """Assert that all requests show something: arguments and errors as of `never`.

    ``always(bundle, obligations=["round"], when={"principal": {...}, "allow": True})`` is what
    ``implies`` says in YAML.
    """
    __tracebackhide__ = True
    _assert(bundle, claim, when, is_never=False, missing=missing, examples=examples)


def _assert(
    bundle: str | FilePath | Bundle | Guard,
    claim: Mapping[str, Any],
    when: Mapping[str, Any] | Meant | None,
    *,
    is_never: bool,
    missing: bool,
    examples: int,
) -> None:
    __tracebackhide__ = True
    name = "never" if is_never else "always"
    document = Document(name, dict(claim))
    document.parse(Checked)
    condition = None if when is None or callable(when) else Document("when", dict(when))
    stated = Property(name, Place(name), condition, document, is_never, missing)
    checker = Checker(bundle_of(bundle), suite_of(bundle), examples=examples)
    result = checker.check(stated, when if callable(when) else None)
    if result.outcome == "passed":
        return
    codes = {fault.code for fault in result.faults}
    if codes <= {"GR610", "GR611"}:
        raise AssertionError(result.message)
    raise ConfigurationError(faults=result.faults)
