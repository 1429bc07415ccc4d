"""``guardrail cedar``: exchanges tests with Cedar's own command line.

Cedar's decision and a guard's can differ, since Cedar knows no obligations. Where they differ, the
commands show both.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from guardrail.cli.commands.check import BundleArgument
from guardrail.cli.io.terminal import (
    FormatOption,
    OutputFormat,
    complain,
    remark,
    say,
    say_json,
    stop,
    stop_at,
)
from guardrail.cli.registry import Command, CommandGroup

if TYPE_CHECKING:
    from guardrail.testing.cedar.run_tests import CedarResult


def run_tests(
    directory: BundleArgument,
    tests: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            exists=True,
            dir_okay=False,
            show_default=False,
            help="The tests, in the JSON format of `cedar run-tests --tests`.",
        ),
    ],
    *,
    format: FormatOption = OutputFormat.text,
) -> None:
    """Run tests in Cedar's own format on a bundle.

    A test passes if Cedar itself returns the decision, the reasons and the number
    of errors that the test expects, on the bundle's policies and the test's own
    entities. A guard can decide differently: for Cedar a condition is a forbid,
    and a policy with an error is ignored. Such differences are shown.

    Exit codes:

      0  all tests pass
      1  a test fails or is not valid, there are no tests, or the bundle does
         not load
      2  the file of tests can't be read

    Example:
      guardrail cedar run-tests policies/clinical_scoring tests.json
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
    if format is OutputFormat.json:
        say_json(
            {
                "passed": counts["passed"],
                "failed": counts["failed"],
                "errors": counts["error"],
                "tests": [each.as_json() for each in results],
            }
        )
    else:
        _print_results(results, counts)
    if not results:
        complain(f"{tests} has no tests")
    if counts["passed"] < len(results) or not results:
        raise typer.Exit(1)


def _print_results(results: list[CedarResult], counts: Counter[Any]) -> None:
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
    more = f"; a guard decides {differ} differently from Cedar" if differ else ""
    say(f"{summary}{more}", color="green" if counts["passed"] == len(results) else "red")


def export(
    directory: BundleArgument,
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER",
            file_okay=False,
            show_default=False,
            help="The folder for policies.cedar and tests.json; existing ones are overwritten.",
        ),
    ],
) -> None:
    """Write a bundle's policies and tests for Cedar's tools.

    FOLDER/policies.cedar gets all policies as one text, with links filled in.
    FOLDER/tests.json gets the request of each test and the decision that Cedar
    itself makes. Run them:

      cedar run-tests --policies FOLDER/policies.cedar --tests FOLDER/tests.json

    Cedar's decision is not always a guard's: for Cedar a condition is a forbid.
    The command counts the tests for which they differ, and names those that
    can't be exported.

    Exit codes:

      0  the files were written
      1  the bundle does not load, or no test can be exported
      2  the files can't be written

    Example:
      guardrail cedar export policies/clinical_scoring build/cedar
    """
    from guardrail import ConfigurationError
    from guardrail.cli.commands.test import load
    from guardrail.testing.cedar.run_tests import export as export_tests

    try:
        exported = export_tests(*load(directory))
    except ConfigurationError as error:
        raise stop_at(error, code=1) from None
    for place, why in exported.left_out:
        complain(f"{place} is left out: {why}.")
    if not exported.tests:
        raise stop("there is no test to export. Write one: tests/NAME_test.yaml", code=1)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "policies.cedar").write_text(exported.policies, "utf-8")
        text = json.dumps(exported.tests, indent=2, ensure_ascii=False, allow_nan=False)
        (folder / "tests.json").write_text(f"{text}\n", "utf-8")
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise stop(f"{folder} cannot be written: {reason}") from None
    say(f"{folder}: {len(exported.tests)} tests", color="green")
    if exported.differing:
        count = len(exported.differing)
        remark(
            f"Cedar decides {count} of them differently from a guard: for Cedar a condition is a "
            "forbid, and a policy with an error is ignored."
        )


COMMAND: Final = CommandGroup(
    "cedar",
    help="Exchange tests with Cedar's own command line.",
    example="guardrail cedar export policies/clinical_scoring build/cedar",
    commands=(Command("run-tests", run_tests), Command("export", export)),
)
