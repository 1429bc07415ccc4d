"""One test of a bundle, named on the command line: by its name, or by where it stands.

Owns the finding. Refuses a name that several tests have, and a test that is wrong itself: what
would be told then is not what it asks.
"""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

import typer

from guardrail.cli.terminal import complain, stop

if TYPE_CHECKING:
    from collections.abc import Sequence

    from guardrail.testing.cases import Case, Unread

TestOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="Instead: what a test of the bundle asks, by its name or FILE:LINE."
    ),
]

#: ``tests/a_test.yaml:12``, and a column, as faults have it.
_PLACE: Final = re.compile(r"(.+\.yaml):([1-9][0-9]{0,8})(?::[0-9]+)?")


def named(directory: Path, text: str) -> Case:
    """Return the test of the bundle in ``directory`` that a text names.

    Arguments:
        directory: the bundle.
        text: the test's name, or ``FILE:LINE`` with any line of the test.

    Exits with 2 where there is none, or more than one, or it is not valid.
    """
    from guardrail.testing.cases import Unread, read_suite

    try:
        cases = read_suite(directory).cases
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise stop(f"{directory} cannot be read: {reason}") from None
    found = _at(text, cases) or [case for case in cases if case.name == text]
    if len(found) > 1:
        complain(f"guardrail: {len(found)} tests have this name. Name one by its place:")
        for case in found:
            complain(f"  --test {case.place.file}:{case.place.line}")
        raise stop("nothing is explained.")
    if not found:
        near = difflib.get_close_matches(text, [case.name for case in cases if case.name], n=1)
        hint = f"Did you mean {near[0]!r}?" if near else "Give its name, or FILE:LINE."
        raise stop(f"no test of {directory} is named so. {hint}")
    (case,) = found
    if isinstance(case, Unread):
        for fault in case.faults:
            complain(str(fault).lstrip())
        raise stop("the test is not valid.")
    return case


def _at(text: str, cases: Sequence[Case | Unread]) -> list[Case | Unread]:
    """Return the test that stands at a place; none where the text is no place, or none is there."""
    found = _PLACE.fullmatch(text)
    if found is None:
        return []
    file, line = found[1], int(found[2])
    above = [
        case
        for case in cases
        if f"/{file}".endswith(f"/{case.place.file}") and (case.place.line or 0) <= line
    ]
    last = max((case.place.line or 0 for case in above), default=0)
    return [case for case in above if (case.place.line or 0) == last]
