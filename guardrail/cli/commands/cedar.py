"""``guardrail cedar``: tests exchanged with Cedar's own tools.

Owns how the two commands are told. Refuses to pass off Cedar's answer as a guard's: where they
differ, both are said.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from guardrail.cli.commands.check import BundleArgument
from guardrail.cli.io.terminal import (
    Format,
    FormatOption,
    complain,
    remark,
    say,
    say_json,
    stop,
    stop_at,
)

if TYPE_CHECKING:
    from guardrail.testing.cedar.run_tests import CedarResult

cedar = typer.Typer(
    name="cedar",
    no_args_is_help=True,
    help="Exchange tests with Cedar's own tools.",
    epilog="Example: guardrail cedar export policies/clinical_scoring build/cedar",
)


@cedar.command("run-tests")
def run_tests(
    directory: BundleArgument,
    tests: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            exists=True,
            dir_okay=False,
            show_default=False,
            help="Tests as JSON: what `cedar run-tests --tests` takes.",
        ),
    ],
    *,
    format: FormatOption = Format.text,
) -> None:
    """Run tests of Cedar's own form on a bundle's policies.

    As `cedar run-tests` does: a test holds where Cedar itself, on the policies
    as they stand and the test's own entities, decides as it says, for its
    reasons and with as many errors. Where a guard decides otherwise, that is
    said too: to Cedar a condition is a forbid, and a policy that errs nothing.

    Exit code 0: all hold. 1: at least one does not, or is wrong itself, or
    there is none; or the bundle does not load. 2: the file is none of tests.

    Example: guardrail cedar run-tests policies/clinical_scoring tests.json
    """
    from guardrail import ConfigurationError
    from guardrail.cli.commands.test import load
    from guardrail.testing.cedar.run_tests import run_cedar_tests

    try:
        bundle, _ = load(directory)
    except ConfigurationError as error:
        raise stop_at(error, code=1) from None
    try:
        results = list(run_cedar_tests(bundle, tests))
    except ConfigurationError as error:
        raise stop_at(error, code=2) from None
    except OSError as error:
        raise stop(f"{tests} cannot be read: {error.strerror or type(error).__name__}") from None
    counts = Counter(each.result.outcome for each in results)
    if format is Format.json:
        say_json(
            {
                "passed": counts["passed"],
                "failed": counts["failed"],
                "errors": counts["error"],
                "tests": [each.as_json() for each in results],
            }
        )
    else:
        _tell(results, counts)
    if not results:
        complain(f"{tests} has no tests")
    if counts["passed"] < len(results) or not results:
        raise typer.Exit(1)


def _tell(results: list[CedarResult], counts: Counter[Any]) -> None:
    from guardrail.testing.run.render_decision import sentence

    differ = 0
    for each in results:
        result = each.result
        if result.outcome != "passed":
            color = "red" if result.outcome == "failed" else "yellow"
            say(f"{result.outcome} {result.place}: {result.name or 'unnamed'}", color=color)
            for fault in result.faults:
                say(f"  {fault}")
        if each.differs and each.guard is not None and each.snapshot is not None:
            differ += 1
            if result.outcome == "passed":
                say(f"passed {result.place}: {result.name or 'unnamed'}")
            obligations = each.snapshot.describe(each.guard)["obligations"]
            say(f"  a guard decides: {sentence(each.guard, obligations)}", color="yellow")
    named = {"failed": "failed", "error": "in error", "passed": "passed"}
    summary = ", ".join(
        f"{counts[outcome]} {word}"
        for outcome, word in named.items()
        if counts[outcome] or outcome == "passed"
    )
    more = f"; a guard decides {differ} otherwise than Cedar" if differ else ""
    say(f"{summary}{more}", color="green" if counts["passed"] == len(results) else "red")


@cedar.command("export")
def export(
    directory: BundleArgument,
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER",
            file_okay=False,
            show_default=False,
            help="Where policies.cedar and tests.json are written, over what stands there.",
        ),
    ],
) -> None:
    """Write a bundle's policies and tests for Cedar's own tools.

    Two files: policies.cedar, all policies as one text, links filled; and
    tests.json, what each test asks and how Cedar itself decides it. Then:

      cedar run-tests --policies FOLDER/policies.cedar --tests FOLDER/tests.json

    What Cedar decides is not always what a guard does: to Cedar a condition is
    a forbid. How many tests that concerns is said, and which it can't be asked.

    Exit code 0: they were written. 1: the bundle does not load, or there is no
    test that could be written. 2: they can't be written.

    Example: guardrail cedar export policies/clinical_scoring build/cedar
    """
    from guardrail import ConfigurationError
    from guardrail.cli.commands.test import load
    from guardrail.testing.cedar.run_tests import export as made_of

    try:
        made = made_of(*load(directory))
    except ConfigurationError as error:
        raise stop_at(error, code=1) from None
    for place, why in made.left_out:
        complain(f"{place} is left out: {why}.")
    if not made.tests:
        raise stop("there is no test to write.", code=1)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "policies.cedar").write_text(made.policies, "utf-8")
        text = json.dumps(made.tests, indent=2, ensure_ascii=False, allow_nan=False)
        (folder / "tests.json").write_text(f"{text}\n", "utf-8")
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise stop(f"{folder} cannot be written: {reason}") from None
    say(f"{folder}: {len(made.tests)} tests", color="green")
    if made.otherwise:
        count = len(made.otherwise)
        remark(
            f"{count} of them Cedar decides otherwise than a guard: to Cedar a condition is a "
            "forbid, and an error is nothing."
        )
