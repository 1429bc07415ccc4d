"""``guardrail test``: run a bundle's own tests, and say which do not hold.

Owns how a run is told, and its exit code. Refuses to call a run fine that tested nothing. The
tests ask the policies only: nothing is called, consumed or recorded.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

import typer

from guardrail.cli.check import BundleArgument
from guardrail.cli.terminal import Format, FormatOption, complain, say, say_json, stop, stop_at

if TYPE_CHECKING:
    from guardrail.bundle import Bundle
    from guardrail.testing.cases import Suite
    from guardrail.testing.coverage import Coverage
    from guardrail.testing.mutants import Mutation
    from guardrail.testing.report import Report, Result

#: Fewer tests than this are over before a bar could be read.
_LONG: Final = 2_000
_LONG_MUTANTS: Final = 100
T = TypeVar("T")


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
    format: FormatOption = Format.text,
) -> None:
    """Run the tests of a bundle: tests/*_test.yaml.

    Each test asks the policies one question. Nothing runs, nothing is consumed.

    Exit code 0: all hold. 1: at least one does not, or is wrong itself, or the
    bundle does not load. 1 as well where there was no test to run: that must
    not look like tests that passed; where the coverage is under the limit; and
    where a mutant survives. 2: there is no such folder.

    Example: guardrail test policies/clinical_scoring
    """
    from guardrail import ConfigurationError
    from guardrail.testing.coverage import Coverage
    from guardrail.testing.runner import report, select

    try:
        bundle, suite = load(directory)
    except ConfigurationError as error:
        raise stop_at(error, code=1) from None
    suite = select(suite, only)
    is_asked = coverage or html is not None or fail_under is not None
    tried = Coverage(bundle.snapshot) if is_asked else None
    ended = report(bundle, _results(bundle, suite, tried), tried)
    mutation = _mutate(bundle, suite) if mutants and ended.holds and ended.results else None
    if format is Format.json:
        told = ended.as_json()
        say_json(told if mutation is None else {**told, "mutants": mutation.as_json()})
    else:
        _tell(ended, bundle, is_whole=not only)
        if mutation is not None:
            _tell_mutants(mutation)
    if mutants and not ended.holds:
        complain("no mutants were made: the tests do not hold on the policies as they are")
    if tried is not None and html is not None:
        _write(html, tried)
    if not ended.results:
        complain(_nothing(directory, only))
    is_little = fail_under is not None and tried is not None and tried.percent < fail_under
    if is_little and tried is not None:
        complain(f"the coverage is {tried.percent:.1f}%, under {fail_under:g}%")
    survive = mutation is not None and bool(mutation.survivors)
    if not ended.results or not ended.holds or is_little or survive:
        raise typer.Exit(1)


def _mutate(bundle: Bundle, suite: Suite) -> Mutation:
    from guardrail.testing.mutants import collect, count, mutate

    return collect(_shown(mutate(bundle, suite), "mutants", count(bundle), _LONG_MUTANTS))


def _tell_mutants(mutation: Mutation) -> None:
    for each in mutation.survivors:
        place = each.edit.policy.chunk.source.place(each.edit.span[0])
        say(f"survives {place} {each.edit.policy.id}: {each.edit.what}", color="yellow")
        for line in each.diff.splitlines():
            say(f"  {line}", color={"-": "red", "+": "green"}.get(line[:1]))
        say("  a test that would notice:")
        for line in each.test.splitlines():
            say(f"  {line}")
    say(mutation.summary, color="yellow" if mutation.survivors else "green")


def _write(file: Path, coverage: Coverage) -> None:
    from guardrail.testing.coverage_page import to_html

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
    from guardrail.bundle import load_bundle
    from guardrail.testing.cases import read_suite
    from guardrail.testing.clock import FrozenClock

    try:
        return load_bundle(directory, clock=FrozenClock()), read_suite(directory)
    except OSError as error:
        reason = error.strerror or type(error).__name__
    raise stop(f"{directory} cannot be read: {reason}")


def _results(bundle: Bundle, suite: Suite, coverage: Coverage | None) -> Iterator[Result]:
    """Run the tests."""
    from guardrail.testing import runner

    return _shown(runner.run(bundle, suite, coverage), "tests", len(suite.cases), _LONG)


def _shown(items: Iterator[T], what: str, total: int, long: int) -> Iterator[T]:
    """Yield items; where there are many, and somebody looks on, show how far it is."""
    if total < long or not sys.stderr.isatty():
        yield from items
        return
    from rich.console import Console
    from rich.progress import track

    yield from track(items, what, total, console=Console(stderr=True), transient=True)


def _tell(ended: Report, bundle: Bundle, *, is_whole: bool) -> None:
    from guardrail.cli.decide import sentence

    for result in ended.results:
        if result.outcome == "passed":
            continue
        color = "red" if result.outcome == "failed" else "yellow"
        say(f"{result.outcome} {result.place}: {result.name or 'the file'}", color=color)
        for fault in result.faults:
            say(f"  {fault}")
        if result.decision is not None:
            told = bundle.snapshot.describe(result.decision)
            say(f"  decided: {sentence(result.decision, told['obligations'])}")
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
