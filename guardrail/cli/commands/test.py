"""``guardrail test``: runs the tests of a bundle, and explains those that fail.

Tests make decisions, and calls of models that the test files describe. They use up no real quota
and write no journal. A run without a test fails.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

import typer

from guardrail.cli.commands.check import BundleArgument
from guardrail.cli.io.terminal import TRUTHS, complain, say, say_json, stop, stop_at
from guardrail.cli.registry import Command, HelpSection

if TYPE_CHECKING:
    from guardrail.bundle.assembly import Bundle
    from guardrail.testing.coverage.coverage import Coverage
    from guardrail.testing.files.cases import Suite
    from guardrail.testing.mutation.mutants import Mutation
    from guardrail.testing.run.report import Report, Result

#: The least numbers of tests and of mutants for which a progress bar is shown.
_MANY_TESTS: Final = 2_000
_MANY_MUTANTS: Final = 100
#: The most failures whose decisions are explained.
_EXPLAINED: Final = 20
T = TypeVar("T")


class RunFormat(StrEnum):
    """The output format of a run: for people, for programs, or for build servers."""

    text = "text"
    json = "json"
    junit = "junit"


@dataclass(frozen=True, slots=True)
class _Options:
    """The options of one run."""

    directory: Path
    only: str
    coverage: bool
    html: Path | None
    fail_under: float | None
    mutants: bool
    jobs: int | None
    examples: int
    format: RunFormat
    shadow: bool = False


def run(
    directory: BundleArgument,
    *,
    only: Annotated[
        str,
        typer.Option(
            "-k", metavar="TEXT", help="Run only tests with this text in their file or name."
        ),
    ] = "",
    coverage: Annotated[
        bool,
        typer.Option(
            "--coverage",
            help="List scopes, clauses and obligations that no test covers.",
        ),
    ] = False,
    html: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write the policies with their coverage as one HTML file."
        ),
    ] = None,
    fail_under: Annotated[
        float | None,
        typer.Option(
            metavar="PERCENT", min=0, max=100, help="Exit with 1 if the coverage is below this."
        ),
    ] = None,
    mutants: Annotated[
        bool,
        typer.Option(
            "--mutants",
            help="Make small edits to the policies, and list those that no test detects.",
        ),
    ] = False,
    jobs: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Processes for --mutants. Default: one per core, if there is enough to do.",
        ),
    ] = None,
    shadow: Annotated[
        bool,
        typer.Option(
            "--shadow",
            help='Run the tests with @mode("shadow") policies enforced.',
        ),
    ] = False,
    watch: Annotated[
        bool,
        typer.Option("--watch", help="Run again when a file of the bundle changes."),
    ] = False,
    examples: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=0,
            max=1_000_000,
            help="Random requests per property, after those at boundary values.",
        ),
    ] = 200,
    format: Annotated[
        RunFormat,
        typer.Option("--format", help="Output for people, programs or build servers."),
    ] = RunFormat.text,
) -> None:
    """Run the tests of a bundle: tests/*_test.yaml.

    A test states the decision on one request, or the outcome of calls. A property
    states a decision that no request, or every request, may get, and is checked on
    many requests. For a test that fails, the output explains the policies that
    decide; for a request without a grant, also the permit that comes nearest.

    Exit codes:

      0  every test passes; or --watch was ended by Ctrl-C
      1  a test fails or is not valid, there are no tests, the bundle does not
         load, the coverage is below --fail-under, or a mutant survives
      2  there is no such folder, the extra `junit` for --format junit is not
         installed, or the bundle has no policy in shadow for --shadow

    Examples:
      guardrail test policies/clinical_scoring
      guardrail test policies/clinical_scoring --coverage --fail-under 90
      guardrail test policies/clinical_scoring --mutants
    """
    options = _Options(
        directory, only, coverage, html, fail_under, mutants, jobs, examples, format, shadow
    )
    if jobs is not None and not mutants:
        raise stop("--jobs needs --mutants. Add it, or remove --jobs.")
    if not watch:
        _run(options)
        return
    if format is not RunFormat.text:
        raise stop("--watch prints text only. Remove --format.")
    from guardrail.cli.io.watch import rerun

    rerun(directory, lambda: _run(options))


def _run(options: _Options) -> None:  # noqa: PLR0912 - a branch per option
    """Run the tests once and print the results; exit with 1 if the run fails."""
    from guardrail import ConfigurationError
    from guardrail.testing.coverage.coverage import Coverage
    from guardrail.testing.run.suite import report, select

    if options.format is RunFormat.junit:
        _require_junit()
    try:
        bundle, suite = load(options.directory)
    except ConfigurationError as error:
        raise stop_at(error, code=1) from None
    if options.shadow:
        bundle = _enforced(bundle, options.directory)
    suite = select(suite, options.only)
    limit = options.fail_under
    is_measured = options.coverage or options.html is not None or limit is not None
    measured = Coverage(bundle.snapshot) if is_measured else None
    timed = list(_timed(_results(bundle, suite, measured, options.examples)))
    ended = report(bundle, [result for result, _ in timed], measured)
    holds = ended.holds and bool(ended.results)
    mutation = _mutate(options, bundle, suite) if options.mutants and holds else None
    if options.format is RunFormat.json:
        output = ended.as_json()
        say_json(output if mutation is None else {**output, "mutants": mutation.as_json()})
    elif options.format is RunFormat.junit:
        from guardrail.cli.io.junit import to_junit

        typer.echo(to_junit(bundle.snapshot.name, timed))
    else:
        _print_report(ended, bundle, is_whole=not options.only)
        if mutation is not None:
            _print_mutants(mutation)
    if options.mutants and not ended.holds:
        complain(
            "no mutants were tested, since tests fail on the unchanged policies. Correct them "
            "first."
        )
    if measured is not None and options.html is not None:
        _write(options.html, measured)
    if not ended.results:
        complain(_nothing(options.directory, options.only))
    is_below = limit is not None and measured is not None and measured.percent < limit
    if is_below and measured is not None:
        complain(f"the coverage is {measured.percent:.1f}%, below {limit:g}%")
    survive = mutation is not None and bool(mutation.survivors)
    if survive and mutation is not None and options.format is RunFormat.junit:
        complain(mutation.summary)
    if not holds or is_below or survive:
        raise typer.Exit(1)


def _enforced(bundle: Bundle, directory: Path) -> Bundle:
    """Return the bundle with the policies in shadow enforced; exit with 2 if it has none."""
    if bundle.shadow is None:
        raise stop(f'{directory} has no policy with @mode("shadow"). Remove --shadow.')
    return replace(bundle, snapshot=bundle.shadow, shadow=None)


def _require_junit() -> None:
    try:
        import guardrail.cli.io.junit  # noqa: F401
    except ImportError:
        pass
    else:
        return
    raise stop("--format junit needs junitparser: pip install 'guardrail-cedar[junit]'")


def _timed(results: Iterator[Result]) -> Iterator[tuple[Result, float]]:
    """Yield results with the seconds that each took."""
    start = perf_counter()
    for result in results:
        yield result, perf_counter() - start
        start = perf_counter()


def _mutate(options: _Options, bundle: Bundle, suite: Suite) -> Mutation:
    from guardrail import ConfigurationError
    from guardrail.testing.mutation.mutants import collect, count, mutate
    from guardrail.testing.mutation.parallel import jobs_for, mutate_at_once

    # Other processes load the bundle themselves, with policies in shadow not enforced.
    jobs = 1 if options.shadow else options.jobs or jobs_for(bundle, suite)
    if jobs == 1:
        ended = mutate(bundle, suite)
    else:
        ended = mutate_at_once(options.directory, bundle, suite, jobs=jobs)
    try:
        return collect(_with_progress(ended, "mutants", count(bundle), _MANY_MUTANTS))
    except ConfigurationError as error:
        raise stop_at(error, code=1) from None


def _print_mutants(mutation: Mutation) -> None:
    for each in mutation.survivors:
        edit = each.edit
        say(f"survives {edit.place} {edit.name}: {edit.what}", color="yellow")
        for line in each.diff.splitlines():
            say(f"  {line}", color={"-": "red", "+": "green"}.get(line[:1]))
        say("  a test that detects it:")
        for line in each.test.splitlines():
            say(f"  {line}")
    for unsure in mutation.untried:
        edit = unsure.edit
        say(f"not fully tried {edit.place} {edit.name}: {edit.what}", color="yellow")
        say(f"  its policy reads {', '.join(unsure.untried)}")
    is_open = mutation.survivors or mutation.untried
    say(mutation.summary, color="yellow" if is_open else "green")


def _write(file: Path, coverage: Coverage) -> None:
    from guardrail.testing.coverage.html_page import to_html

    try:
        file.write_text(to_html(coverage), "utf-8")
    except OSError as error:
        reason = error.strerror or type(error).__name__
    else:
        return
    raise stop(f"{file} cannot be written: {reason}")


def load(directory: Path) -> tuple[Bundle, Suite]:
    """Return the bundle in a folder, and its tests.

    Raises `ConfigurationError` with all faults; exits with 2 if a file can't be read.
    """
    from guardrail.bundle.assembly import load_bundle
    from guardrail.testing.application.clock import FrozenClock
    from guardrail.testing.files.cases import read_suite

    try:
        return load_bundle(directory, clock=FrozenClock()), read_suite(directory)
    except OSError as error:
        reason = error.strerror or type(error).__name__
    raise stop(f"{directory} cannot be read: {reason}")


def _results(
    bundle: Bundle, suite: Suite, coverage: Coverage | None, examples: int
) -> Iterator[Result]:
    """Run the tests and the properties."""
    from guardrail.testing.run.suite import run as run_suite

    ended = run_suite(bundle, suite, coverage, examples=examples)
    total = len(suite.cases) + len(suite.properties)
    return _with_progress(ended, "tests", total, _MANY_TESTS)


def _with_progress(items: Iterator[T], what: str, total: int, long: int) -> Iterator[T]:
    """Yield items; with many of them, and on a terminal, show a progress bar."""
    if total < long or not sys.stderr.isatty():
        yield from items
        return
    from rich.console import Console
    from rich.progress import track

    yield from track(items, what, total, console=Console(stderr=True), transient=True)


def _print_report(ended: Report, bundle: Bundle, *, is_whole: bool) -> None:
    from guardrail.testing.run.render_decision import Reasons

    reasons = Reasons(bundle.snapshot)
    explained = 0
    for result in ended.results:
        if result.outcome == "passed":
            continue
        color = "red" if result.outcome == "failed" else "yellow"
        say(f"{result.outcome} {result.place}: {result.name or 'the file'}", color=color)
        for fault in result.faults:
            # The fault of a property continues with a test to paste, whose lines are kept.
            first, *rest = str(fault).split("\n") if fault.code == "GR610" else [str(fault)]
            say(f"  {first}")
            for line in rest:
                say(line)
        if result.request is not None and explained < _EXPLAINED:
            explained += 1
            for text, value in reasons.lines(result):
                say(f"  {text}", color=TRUTHS[value])
    if not ended.results:
        return
    counts = {"failed": ended.failed, "in error": ended.errors, "passed": ended.passed}
    summary = ", ".join(
        f"{count} {name}" for name, count in counts.items() if count or name == "passed"
    )
    say(summary, color="green" if ended.holds else "red")
    if ended.coverage is not None:
        for place, lack in ended.coverage.lacks():
            say(f"  {place} {lack}", color="yellow")
        say(ended.coverage.summary)
    elif is_whole and ended.untested:
        what = f"{len(ended.untested)} of {len(ended.policies)} policies take no part in any test"
        say(f"{what}: {', '.join(ended.untested)}", color="yellow")


def _nothing(directory: Path, only: str) -> str:
    if only:
        return f"no test has {only!r} in its file or name"
    return f"{directory} has no tests. Write one: tests/NAME_test.yaml"


COMMAND: Final = Command("test", run, HelpSection.write)
