"""Runs all tests and properties of a bundle, for the command line, reloads and pytest.

Tests run first, then properties. `guardrail.testing.run.runner` runs one test, and
`guardrail.testing.properties` tries one property.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path as FilePath

from guardrail._ports import FactSource, IdentityProvider, ObligationType, QuotaStore
from guardrail.bundle.assembly import Bundle, load_bundle
from guardrail.testing.application.clock import FrozenClock
from guardrail.testing.coverage.coverage import Coverage
from guardrail.testing.files.cases import InvalidTest, Suite, read_suite
from guardrail.testing.files.fact_values import undeclared, unknown_names
from guardrail.testing.properties.check import EXAMPLES, run_properties
from guardrail.testing.run.report import Report, Result
from guardrail.testing.run.runner import Runner


def run_tests(
    path: str | FilePath,
    *,
    bundle: Bundle | None = None,
    only: str = "",
    coverage: bool = False,
    examples: int = EXAMPLES,
    facts: Sequence[FactSource] = (),
    obligations: Sequence[ObligationType] = (),
    providers: Sequence[IdentityProvider] = (),
    quota_store: QuotaStore | None = None,
) -> Report:
    """Run the policy tests of the bundle in a folder, and return how they ended.

    Arguments:
        path: the folder that holds ``guardrail.toml``.
        bundle: the bundle, where it is loaded already; else it is loaded from the folder.
        only: run the tests that have this text in their file or name, in any case.
        coverage: say in the report what the tests have tried of the policies.
        examples: how many random requests each property is tried on, after those at the edges.
        facts: the application's own fact sources, as for `Guard.from_dir`.
        obligations: its own obligation types.
        providers: its own kinds of identity providers.
        quota_store: its own quota store; the tests count in memory all the same.

    Raises:
        ConfigurationError: where the bundle does not load. Faults of the test files are in
            the report.
        OSError: where a file can't be read.
    """
    folder = FilePath(path)
    if bundle is None:
        bundle = load_bundle(
            folder,
            clock=FrozenClock(),
            own_facts=facts,
            own_obligations=obligations,
            own_providers=providers,
            own_quota_store=quota_store,
        )
    suite = select(read_suite(folder), only)
    tried = Coverage(bundle.snapshot) if coverage else None
    return report(bundle, run(bundle, suite, tried, examples=examples), tried)


def select(suite: Suite, only: str) -> Suite:
    """Return the tests that have a text in their file or name, in any case.

    A file that can't be read stays: who knows which tests it holds.
    """
    sought = only.casefold()
    cases = tuple(
        case
        for case in suite.cases
        if not case.name or sought in f"{case.place.file} {case.name}".casefold()
    )
    properties = tuple(
        each
        for each in suite.properties
        if not each.name or sought in f"{each.place.file} {each.name}".casefold()
    )
    return Suite(cases, suite.given, properties, suite.unused)


def report(bundle: Bundle, results: Iterable[Result], coverage: Coverage | None = None) -> Report:
    """Return the report of these results."""
    policies = tuple(policy.id for policy in bundle.snapshot.policies)
    return Report(tuple(results), policies, coverage)


def run(
    bundle: Bundle, suite: Suite, coverage: Coverage | None = None, *, examples: int = EXAMPLES
) -> Iterator[Result]:
    """Run tests one by one, then properties; count what tests try, where somebody wants to know."""
    run_case = Runner(bundle, coverage).run
    for document in suite.given:
        faults = undeclared(document, bundle.snapshot, bundle.snapshot.plans)
        if faults:
            yield Result("", document.at(), "error", faults)
    for document in suite.unused:
        faults = unknown_names(document, bundle.snapshot)
        if faults:
            yield Result("", document.at(), "error", faults)
    for case in suite.cases:
        if isinstance(case, InvalidTest):
            yield Result(case.name, case.place, "error", case.faults)
        else:
            yield run_case(case)
    yield from run_properties(bundle, suite, examples=examples)
