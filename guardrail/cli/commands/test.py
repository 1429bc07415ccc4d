"""``guardrail test``: run a bundle's own tests, and say which do not hold.

Owns how a run is told, and its exit code. Refuses to call a run fine that tested nothing. The
tests ask the policies only: nothing is called, consumed or recorded.
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

if TYPE_CHECKING:
    from guardrail.bundle.assembly import Bundle
    from guardrail.testing.coverage.coverage import Coverage
    from guardrail.testing.files.cases import Suite
    from guardrail.testing.mutation.mutants import Mutation
    from guardrail.testing.run.report import Report, Result

#: Fewer tests than this are over before a bar could be read.
_LONG: Final = 2_000
_LONG_MUTANTS: Final = 100
#: Failures of which it is told why the policies decide so.
_EXPLAINED: Final = 20
T = TypeVar("T")


class RunFormat(StrEnum):
    """How a run is written: for people, for programs, or for build servers."""

    text = "text"
    json = "json"
    junit = "junit"


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the command was asked for."""

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
        typer.Option("-k", metavar="TEXT", help="Run the tests with this in their file or name."),
    ] = "",
    coverage: Annotated[
        bool,
        typer.Option(
            "--coverage",
            help="Say which scopes, clauses and obligations the tests have not tried.",
        ),
    ] = False,
    html: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write the policies' text, marked by coverage, as one HTML file."
        ),
    ] = None,
    fail_under: Annotated[
        float | None,
        typer.Option(
            metavar="PERCENT", min=0, max=100, help="Exit with 1 where the coverage is less."
        ),
    ] = None,
    mutants: Annotated[
        bool,
        typer.Option(
            "--mutants",
            help="Change the policies a little, in every way, and say what no test notices.",
        ),
    ] = False,
    jobs: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Try mutants in so many processes. By default one per core, where that pays.",
        ),
    ] = None,
    shadow: Annotated[
        bool,
        typer.Option(
            "--shadow",
            help='Run them as if policies with @mode("shadow") were enforced.',
        ),
    ] = False,
    watch: Annotated[
        bool,
        typer.Option("--watch", help="Run again whenever a file of the bundle changes."),
    ] = False,
    examples: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=0,
            max=1_000_000,
            help="Try each property on so many random requests, after those at the edges.",
        ),
    ] = 200,
    format: Annotated[
        RunFormat,
        typer.Option("--format", help="For people, for programs, or for build servers."),
    ] = RunFormat.text,
) -> None:
    """Run the tests of a bundle: tests/*_test.yaml.

    Each test asks the policies one question, or makes calls beside all that
    serves; each property asks many: what must never, or always, be decided. For
    a test that fails, the policies that decide are shown, and of a denial that
    nobody grants the grant that comes nearest. With --shadow the tests run as if
    the policies in shadow were already enforced.

    Exit code 0: all hold. 1: at least one does not, or is wrong itself, or the
    bundle does not load. 1 as well where there was no test to run: that must
    not look like tests that passed; where the coverage is under the limit; and
    where a mutant survives. 2: there is no such folder, or --format junit lacks
    its library, the extra `junit`, or nothing is in shadow. With --watch, Ctrl-C ends it with 0.

    Example: guardrail test policies/clinical_scoring
    """
    asked = _Asked(
        directory, only, coverage, html, fail_under, mutants, jobs, examples, format, shadow
    )
    if jobs is not None and not mutants:
        raise stop("--jobs says in how many processes mutants are tried: give --mutants, too.")
    if not watch:
        _run(asked)
        return
    if format is not RunFormat.text:
        raise stop("--watch is for people: leave --format out.")
    from guardrail.cli.io.watch import rerun

    rerun(directory, lambda: _run(asked))


def _run(asked: _Asked) -> None:  # noqa: PLR0912 - a branch per option
    """Run the tests once, tell how they ended, and exit with 1 where that is not well."""
    from guardrail import ConfigurationError
    from guardrail.testing.coverage.coverage import Coverage
    from guardrail.testing.run.suite import report, select

    if asked.format is RunFormat.junit:
        _require_junit()
    try:
        bundle, suite = load(asked.directory)
    except ConfigurationError as error:
        raise stop_at(error, code=1) from None
    if asked.shadow:
        bundle = _enforced(bundle, asked.directory)
    suite = select(suite, asked.only)
    limit = asked.fail_under
    is_asked = asked.coverage or asked.html is not None or limit is not None
    tried = Coverage(bundle.snapshot) if is_asked else None
    timed = list(_timed(_results(bundle, suite, tried, asked.examples)))
    ended = report(bundle, [result for result, _ in timed], tried)
    holds = ended.holds and bool(ended.results)
    mutation = _mutate(asked, bundle, suite) if asked.mutants and holds else None
    if asked.format is RunFormat.json:
        told = ended.as_json()
        say_json(told if mutation is None else {**told, "mutants": mutation.as_json()})
    elif asked.format is RunFormat.junit:
        from guardrail.cli.io.junit import to_junit

        typer.echo(to_junit(bundle.snapshot.name, timed))
    else:
        _tell(ended, bundle, is_whole=not asked.only)
        if mutation is not None:
            _tell_mutants(mutation)
    if asked.mutants and not ended.holds:
        complain("no mutants were made: the tests do not hold on the policies as they are")
    if tried is not None and asked.html is not None:
        _write(asked.html, tried)
    if not ended.results:
        complain(_nothing(asked.directory, asked.only))
    is_little = limit is not None and tried is not None and tried.percent < limit
    if is_little and tried is not None:
        complain(f"the coverage is {tried.percent:.1f}%, under {limit:g}%")
    survive = mutation is not None and bool(mutation.survivors)
    if survive and mutation is not None and asked.format is RunFormat.junit:
        complain(mutation.summary)
    if not holds or is_little or survive:
        raise typer.Exit(1)


def _enforced(bundle: Bundle, directory: Path) -> Bundle:
    """Return the bundle with the policies in shadow enforced; stop where it has none."""
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
    """Yield results with the seconds that each took to come."""
    start = perf_counter()
    for result in results:
        yield result, perf_counter() - start
        start = perf_counter()


def _mutate(asked: _Asked, bundle: Bundle, suite: Suite) -> Mutation:
    from guardrail import ConfigurationError
    from guardrail.testing.mutation.mutants import collect, count, mutate
    from guardrail.testing.mutation.parallel import jobs_for, mutate_at_once

    # Other processes load the bundle themselves, and as it is served.
    jobs = 1 if asked.shadow else asked.jobs or jobs_for(bundle, suite)
    if jobs == 1:
        ended = mutate(bundle, suite)
    else:
        ended = mutate_at_once(asked.directory, bundle, suite, jobs=jobs)
    try:
        return collect(_shown(ended, "mutants", count(bundle), _LONG_MUTANTS))
    except ConfigurationError as error:
        raise stop_at(error, code=1) from None


def _tell_mutants(mutation: Mutation) -> None:
    for each in mutation.survivors:
        edit = each.edit
        say(f"survives {edit.place} {edit.name}: {edit.what}", color="yellow")
        for line in each.diff.splitlines():
            say(f"  {line}", color={"-": "red", "+": "green"}.get(line[:1]))
        say("  a test that would notice:")
        for line in each.test.splitlines():
            say(f"  {line}")
    for unsure in mutation.untried:
        edit = unsure.edit
        say(f"not tried in full {edit.place} {edit.name}: {edit.what}", color="yellow")
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

    Raises `ConfigurationError` with every fault; exits with 2 where a file can't be read.
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
    return _shown(ended, "tests", total, _LONG)


def _shown(items: Iterator[T], what: str, total: int, long: int) -> Iterator[T]:
    """Yield items; where there are many, and somebody looks on, show how far it is."""
    if total < long or not sys.stderr.isatty():
        yield from items
        return
    from rich.console import Console
    from rich.progress import track

    yield from track(items, what, total, console=Console(stderr=True), transient=True)


def _tell(ended: Report, bundle: Bundle, *, is_whole: bool) -> None:
    from guardrail.testing.run.render_decision import Reasons

    reasons = Reasons(bundle.snapshot)
    explained = 0
    for result in ended.results:
        if result.outcome == "passed":
            continue
        color = "red" if result.outcome == "failed" else "yellow"
        say(f"{result.outcome} {result.place}: {result.name or 'the file'}", color=color)
        for fault in result.faults:
            # Of a property the rest is a test to paste; of any other message a line is one line.
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
        what = f"{len(ended.untested)} of {len(ended.policies)} policies had a part in no test"
        say(f"{what}: {', '.join(ended.untested)}", color="yellow")


def _nothing(directory: Path, only: str) -> str:
    if only:
        return f"no test has {only!r} in its file or name"
    return f"{directory} has no tests. Write one: tests/NAME_test.yaml"
