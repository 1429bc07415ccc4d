"""Checks properties on requests: first on boundary values, then on random requests.

The random requests are the same in each run. A counterexample is simplified and written as a test
to paste. A property for which no request was tried fails.

Requests without a fact that the schema requires are tried only for properties with ``missing:
true``, since the policies that read the fact can't be evaluated, and the request is denied.
hypothesis generates the random requests, and is imported only if there are any.
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
from guardrail._faults import faults_of
from guardrail.bundle.assembly import Bundle
from guardrail.errors import ConfigurationError, Fault, Place
from guardrail.guard import Guard
from guardrail.policy import Snapshot
from guardrail.testing.files.cases import PolicyTestCase, Suite
from guardrail.testing.files.render_test import as_test
from guardrail.testing.files.yaml_values import leaves
from guardrail.testing.mutation.candidate_requests import Request, decided, requests
from guardrail.testing.properties.claims import read_condition
from guardrail.testing.properties.conditions import INVALID_REQUEST_CODES, Condition, at
from guardrail.testing.properties.domains import Domain, World
from guardrail.testing.properties.format import Checked, InvalidProperty, Property
from guardrail.testing.properties.narrowing import narrowed
from guardrail.testing.properties.shrinking import simplest
from guardrail.testing.properties.value_conditions import ABSENT
from guardrail.testing.run.report import Result
from guardrail.testing.run.resolve_bundle import bundle_of, suite_of
from guardrail.testing.run.runner import Runner
from guardrail.values import Entity, Path

#: The number of random requests per property, by default.
EXAMPLES: Final = 200
#: The most requests at boundary values: of one property's own domains, and shared by all.
_LIMIT_OWN: Final = 2_000
_LIMIT_SHARED: Final = 5_000

#: Whether a property applies to a request, where a condition is not enough.
RequestFilter = Callable[[Request], bool]


def run_properties(bundle: Bundle, suite: Suite, *, examples: int = EXAMPLES) -> Iterator[Result]:
    """Yield the result of each property of a suite.

    Arguments:
        bundle: the bundle with the policies.
        suite: the properties, and the tests whose requests are tried, too.
        examples: how many random requests each property is tried on, after boundary values.
    """
    checker = Checker(bundle, suite, examples=examples)
    for stated in suite.properties:
        if isinstance(stated, InvalidProperty):
            yield Result(stated.name, stated.place, "error", stated.faults)
        else:
            yield checker.check(stated)


@dataclass(frozen=True, slots=True)
class _BoundProperty:
    """A property whose names were checked against a bundle."""

    when: Condition
    claim: Condition
    is_never: bool
    applies: RequestFilter | None

    def breaks(
        self, request: Request, description: Mapping[str, Any], snapshot: Snapshot
    ) -> tuple[bool, bool]:
        """Return whether the property applies to a request, and whether the request breaks it."""
        is_invalid = description["code"] in INVALID_REQUEST_CODES
        if is_invalid and not (self.when.names_invalid or self.claim.names_invalid):
            return False, False
        if not self.when.holds(request, description, snapshot):
            return False, False
        if self.applies is not None and not self.applies(request):
            return False, False
        return True, self.claim.holds(request, description, snapshot) == self.is_never


class Checker:
    """Checks properties of one bundle.

    Arguments:
        bundle: the bundle with the policies.
        suite: its tests, whose requests are tried, too.
        examples: how many random requests are tried.
    """

    def __init__(self, bundle: Bundle, suite: Suite, *, examples: int = EXAMPLES) -> None:
        self._bundle = bundle
        self._snapshot = bundle.snapshot
        self._suite = suite
        self._examples = examples
        self._worlds: dict[bool, World] = {}

    def check(self, stated: Property, applies: RequestFilter | None = None) -> Result:
        """Check a property; ``applies`` restricts it to requests, in addition to ``when``."""
        world = self._world(is_missing=stated.is_missing)
        faults: list[Fault] = []
        conditions: list[Condition] = []
        for document in (stated.when, stated.claim):
            try:
                conditions.append(read_condition(document, world))
            except ConfigurationError as error:
                faults.extend(faults_of(error, stated.place))
        if faults:
            return Result(stated.name, stated.place, "error", tuple(faults))
        when, claim = conditions
        return self._try(stated, _BoundProperty(when, claim, stated.is_never, applies), world)

    def _world(self, *, is_missing: bool) -> World:
        world = self._worlds.get(is_missing)
        if world is None:
            world = self._worlds[is_missing] = World(self._snapshot, missing=is_missing)
        return world

    def _try(self, stated: Property, bound: _BoundProperty, world: World) -> Result:
        domains = narrowed(world, bound.when)
        trial = _Trial(bound, self._snapshot)
        counterexample = self._at_boundaries(stated, bound, trial, domains)
        if counterexample is None and self._examples:
            try:
                counterexample = self._at_random(bound, world, trial)
            except ImportError:
                message = (
                    "Random requests need hypothesis. Install guardrail-cedar[properties], or try "
                    "boundary values only, with --examples 0."
                )
                fault = Fault("GR612", stated.place, message)
                return Result(stated.name, stated.place, "error", (fault,))
        if counterexample is not None:
            return self._broken(stated, simplest(counterexample, domains, trial.breaks))
        if not trial.tried:
            message = (
                "The property applies to no request that was found, so nothing was tried. Widen "
                "`when`, or add a test with such a request."
            )
            fault = Fault("GR611", stated.place, message)
            return Result(stated.name, stated.place, "error", (fault,))
        return Result(stated.name, stated.place, "passed")

    def _at_boundaries(
        self, stated: Property, bound: _BoundProperty, trial: _Trial, domains: Sequence[Domain]
    ) -> Request | None:
        """Return the first request at boundary values that breaks a property.

        Requests of the property's own domains come first, then those that all properties share.
        """
        own = chain.from_iterable(domain.boundary_requests() for domain in domains)
        for request in islice(own, _LIMIT_OWN):
            if bound.when.matches(request, self._snapshot) and trial.breaks(request):
                return request
        for request, description in self._shared:
            if not (stated.is_missing or self._is_complete(request, bound.when)):
                continue
            if trial.breaks(request, description):
                return request
        return None

    @cached_property
    def _shared(self) -> list[tuple[Request, Mapping[str, Any]]]:
        """The requests of the tests and variations of them, with the decision on each."""
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
        candidates = list(requests(self._snapshot, known, world.boundaries))
        if len(candidates) > _LIMIT_SHARED:
            generator = random.Random(0)  # noqa: S311  not for secrets: the same values each time
            rest = sorted(generator.sample(range(len(known), len(candidates)), _LIMIT_SHARED))
            candidates = [*known, *(candidates[number] for number in rest)]
        return [(request, decided(self._snapshot, request)) for request in candidates]

    @cached_property
    def _demanded(self) -> dict[Entity, tuple[tuple[str, ...], ...]]:
        """The facts of each action that the policies read and the schema requires."""
        schema = self._snapshot.schema
        return {
            action: tuple(
                names
                for names in (tuple(map(str, path)) for path, _ in leaves(plan.shape))
                if schema.demands(action, Path("context", names))
            )
            for action, plan in self._snapshot.plans.items()
        }

    def _is_complete(self, request: Request, when: Condition) -> bool:
        """Whether a request has all required facts, except those that ``when`` marks missing."""
        lacking = {path.attrs for path, test in when.facts if test.missing}
        return not any(
            at(request.facts, path[:1]) is ABSENT or at(request.facts, path) is ABSENT
            for path in self._demanded.get(request.action, ())
            if path not in lacking
        )

    def _at_random(self, bound: _BoundProperty, world: World, trial: _Trial) -> Request | None:
        """Return a random request that breaks a property, not yet simplified."""
        from hypothesis import Phase, find, settings
        from hypothesis.errors import NoSuchExample, Unsatisfiable

        from guardrail.testing.properties.strategies import of_condition

        strategy = of_condition(world, bound.when)
        if strategy is None:
            return None
        how = settings(
            max_examples=self._examples, database=None, deadline=None, derandomize=True,
            phases=(Phase.generate,),
        )  # fmt: skip
        try:
            return find(strategy, trial.breaks, settings=how)
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
        what = "A request meets the claim, which no request should meet"
        if not stated.is_never:
            what = "A request does not meet the claim, which every request should meet"
        lines = "\n".join(f"  {line}" for line in test.splitlines())
        message = f"{what}. Here it is as a test that expects the present decision:\n{lines}"
        fault = Fault("GR610", stated.place, message)
        return Result(stated.name, stated.place, "failed", (fault,), decision, request)


class _Trial:
    """Tries requests, and counts those to which the property applies."""

    __slots__ = ("_property", "_snapshot", "tried")

    def __init__(self, bound: _BoundProperty, snapshot: Snapshot) -> None:
        self._property = bound
        self._snapshot = snapshot
        self.tried = 0

    def breaks(self, request: Request, description: Mapping[str, Any] | None = None) -> bool:
        """Return whether a request breaks the property; pass the decision if it is known."""
        description = description if description is not None else decided(self._snapshot, request)
        applies, breaks = self._property.breaks(request, description, self._snapshot)
        self.tried += applies
        return breaks


# For tests in Python.


def never(
    bundle: str | FilePath | Bundle | Guard,
    *,
    when: Mapping[str, Any] | RequestFilter | None = None,
    missing: bool = False,
    examples: int = EXAMPLES,
    **claim: Any,
) -> None:
    """Assert that no request meets a claim: ``never(bundle, allow=True, when={...})``.

    Arguments:
        bundle: the folder of the bundle, a loaded bundle, or a guard.
        when: the requests to which the claim applies, as under ``when`` of a property in YAML; or
            a function that takes a `Request` and returns whether the claim applies.
        missing: also try requests without facts that the schema requires.
        examples: how many random requests are tried, after boundary values.
        claim: the claim: ``allow``, ``code``, ``policies``, ``obligations``, ``errors``,
            ``principal``, ``action``, ``resource``, ``facts``. A request meets it if all of these
            match.

    Raises:
        AssertionError: if a request meets the claim, with the request as a test; or if no request
            was tried.
        ConfigurationError: if the bundle does not load, or lacks a name in the claim.
    """
    __tracebackhide__ = True
    _assert(bundle, claim, when, is_never=True, missing=missing, examples=examples)


def always(
    bundle: str | FilePath | Bundle | Guard,
    *,
    when: Mapping[str, Any] | RequestFilter | None = None,
    missing: bool = False,
    examples: int = EXAMPLES,
    **claim: Any,
) -> None:
    """Assert that all requests meet a claim. Arguments and errors are those of `never`.

    ``always(bundle, obligations=["round"], when={"principal": {...}, "allow": True})`` is
    ``implies`` in YAML.
    """
    __tracebackhide__ = True
    _assert(bundle, claim, when, is_never=False, missing=missing, examples=examples)


def _assert(
    bundle: str | FilePath | Bundle | Guard,
    claim: Mapping[str, Any],
    when: Mapping[str, Any] | RequestFilter | None,
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
