"""Finds the test that a command line names, by its name or by FILE:LINE.

A name that several tests have, and a test that is not valid, are errors.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

import typer

from guardrail._nearest import did_you_mean, nearest
from guardrail.cli.io.terminal import complain, stop

if TYPE_CHECKING:
    from collections.abc import Sequence

    from guardrail.testing.files.cases import InvalidTest, PolicyTestCase

TestOption: TypeAlias = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="The request of a test, by its name or FILE:LINE."),
]

#: ``tests/a_test.yaml:12``, with an optional column, as in faults.
_PLACE: Final = re.compile(r"(.+\.yaml):([1-9][0-9]{0,8})(?::[0-9]+)?")


def find_test(directory: Path, text: str) -> PolicyTestCase:
    """Return the test with a name, or at a place, in the bundle in ``directory``.

    Arguments:
        directory: the bundle.
        text: the test's name, or ``FILE:LINE`` with any line of the test.

    Exits with 2 if there is none or more than one, or if it is not valid.
    """
    from guardrail.testing.files.cases import InvalidTest, read_suite

    try:
        cases = read_suite(directory).cases
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise stop(f"{directory} cannot be read: {reason}") from None
    place = _PLACE.fullmatch(text)
    if place is not None:
        matches = _at(directory, place[1], int(place[2]), cases)
    else:
        matches = [case for case in cases if case.name == text]
    if len(matches) > 1:
        complain(f"guardrail: {len(matches)} tests have this name. Choose one by its place:")
        for case in matches:
            complain(f"  --test {case.place.file}:{case.place.line}")
        raise stop("the name of the test is ambiguous. Use one of these options.")
    if not matches and place is not None:
        raise stop(f"{text}: {_why_none(place[1], cases)}")
    if not matches:
        near = nearest(text, [case.name for case in cases])
        hint = f"Did you mean {near!r}?" if near else "Give its name, or FILE:LINE."
        raise stop(f"no test of {directory} has this name. {hint}")
    (case,) = matches
    if isinstance(case, InvalidTest):
        for fault in case.faults:
            complain(str(fault).lstrip())
        raise stop("the test is not valid. Correct it.")
    return case


def _at(
    directory: Path, file: str, line: int, cases: Sequence[PolicyTestCase | InvalidTest]
) -> list[PolicyTestCase | InvalidTest]:
    """Return the test to which a line of a file belongs, in a list; an empty list for no test."""
    above = [
        case
        for case in cases
        if _is_in(case, file) and case.place.line is not None and case.place.line <= line
    ]
    last = max((case.place.line or 0 for case in above), default=0)
    there = [case for case in above if case.place.line == last]
    return [case for case in there if _belongs(directory, case, line)]


def _is_in(case: PolicyTestCase | InvalidTest, file: str) -> bool:
    return f"/{file}".endswith(f"/{case.place.file}")


def _belongs(directory: Path, case: PolicyTestCase | InvalidTest, line: int) -> bool:
    """Return whether a line belongs to a test, and not to what follows it or lies past the file.

    A line belongs to it if YAML places a value of the test there, or if it is indented like the
    test, such as the rest of a long text.
    """
    start, column = case.place.line or 1, case.place.column or 1
    document = getattr(case, "document", None)
    ends = [] if document is None else [
        place.line or 0
        for path, place in document.places.items()
        if path[: len(document.root)] == document.root
    ]  # fmt: skip
    if line <= max(ends, default=start):
        return True
    lines = (directory / case.place.file).read_text("utf-8").splitlines()[start:line]
    text = [each for each in lines if each.strip() and not each.lstrip().startswith("#")]
    indented = all(len(each) - len(each.lstrip()) >= column - 1 for each in text)
    return len(lines) == line - start and lines[-1:] == text[-1:] and indented


def _why_none(file: str, cases: Sequence[PolicyTestCase | InvalidTest]) -> str:
    files = list(dict.fromkeys(case.place.file for case in cases))
    if not any(_is_in(case, file) for case in cases):
        hint = did_you_mean(file, files, f"The files are: {', '.join(files) or 'none'}.")
        return f"FILE:LINE names no file with tests. {hint}"
    return "no test is on this line. Give FILE:LINE of a line of a test, or its name."
