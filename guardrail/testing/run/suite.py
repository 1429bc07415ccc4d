"""Runs all tests and properties of a bundle, for the command line, reloads and pytest.

Tests run first, then properties. `guardrail.testing.run.runner` runs one test, and
`guardrail.testing.properties` checks one property.
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
    """Run the policy tests of the bundle in a folder, and return the report.

    Arguments:
        path: the folder that holds ``guardrail.toml``.
        bundle: the loaded bundle; by default it is loaded from the folder.
        only: run only tests with this text in their file or name, ignoring upper and lower case.
        coverage: measure which parts of the policies the tests cover.
        examples: how many random requests each property is tried on, after boundary values.
        facts: the application's own fact sources, as for `Guard.from_dir`.
        obligations: its own obligation types.
        providers: its own kinds of identity providers.
        quota_store: its own quota store; tests count in memory nevertheless.

    Raises:
        ConfigurationError: if the bundle does not load. Faults of the test files are in the
            report.
        OSError: if a file can't be read.
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
    covered = Coverage(bundle.snapshot) if coverage else None
    return report(bundle, run(bundle, suite, covered, examples=examples), covered)


def select(suite: Suite, only: str) -> Suite:
    """Return the tests with a text in their file or name, ignoring upper and lower case.

    A file that can't be read stays, since it may hold such tests.
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
    """Run tests one by one, then properties; add what the tests cover to ``coverage``."""
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
