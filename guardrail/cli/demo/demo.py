"""Runs ``guardrail demo``: two models behind the example bundles, with many kinds of callers.

It trains a classifier on the Wisconsin breast-cancer data, guards it with
``policies/clinical_scoring`` and plays the scenes of `guardrail.cli.demo.scenes`. If
``policies/support_replies`` is beside that bundle, it also plays those of the streaming assistant
in `guardrail.cli.demo.help_desk`. Each outcome is compared with the expected one. Both guards write
one journal, which is verified and summarized at the end. The demo uses only the public API, and the
modules behind the ``journal`` commands.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from guardrail import Guard
from guardrail.cli.demo.help_desk import HelpDesk
from guardrail.cli.demo.hospital import Hospital
from guardrail.cli.demo.scenes import Scene, SceneResult, hospital_scenes, play
from guardrail.errors import ConfigurationError
from guardrail.testing import Recorder

BUNDLE: Final = Path("policies", "clinical_scoring")
#: The folder of the journal and its report.
OUTPUT: Final = Path("var", "demo")
#: The name of the assistant's bundle, beside the first one.
SUPPORT: Final = "support_replies"


def run(
    format: Literal["text", "json"], *, bundle: Path | None = None, output: Path = OUTPUT
) -> int:
    """Run the demonstration, and print the outcomes.

    Arguments:
        format: ``text`` for a table, ``json`` for one JSON object.
        bundle: the folder of the bundle; by default ``policies/clinical_scoring`` in the
            current folder, else in the checkout that contains the package.
        output: the folder for the journal and its report.

    Returns the exit code: 0 if every outcome is the expected one, 1 if not, 2 if the
    demonstration can't run (scikit-learn or the bundle is missing).
    """
    try:
        import sklearn  # noqa: F401  # the extra `demo`
    except ModuleNotFoundError:
        return _exit_with_message(
            "scikit-learn is not installed. Run: pip install 'guardrail-cedar[demo]'"
        )
    folder = find_bundle(bundle)
    if folder is None:
        return _exit_with_message(
            f"There is no bundle at {bundle or BUNDLE}. Run the demo in a checkout of guardrail, "
            "or name its folder: guardrail demo --bundle DIR"
        )
    if format == "text":  # to stderr, as the warnings
        message = "The warnings are expected: some callers have credentials that are not valid."
        print(message, file=sys.stderr, flush=True)  # noqa: T201
    started_at = time.time()
    journal = output / "journal"
    try:
        journal.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return _exit_with_message(
            f"The journal {journal} can't be written: {error.strerror}."
            " Run the demo in another folder."
        )
    with tempfile.TemporaryDirectory(prefix="guardrail-demo-") as scratch:
        copy = Path(scratch, "bundle")
        shutil.copytree(folder, copy)
        beside = folder.parent / SUPPORT
        try:
            hospital = Hospital.open(copy, journal)
            desk = HelpDesk.open(beside, journal) if (beside / "guardrail.toml").is_file() else None
        except ConfigurationError as error:
            return _exit_with_message(f"The bundle does not load.\n{error}")
        models = [
            GuardedModel(
                hospital.guard, hospital.recorder, hospital_scenes(hospital), hospital.callers()
            )
        ]
        if desk is not None:
            models.append(GuardedModel(desk.guard, desk.recorder, desk.scenes(), desk.callers()))
        for model in models:
            model.outcomes = play(model.scenes, model.callers, model.recorder)
            model.guard.close()
    report, is_whole = _summarize(output, started_at)
    accuracy = _accuracy(hospital, models[0].outcomes)
    if format == "json":
        reports = [_report(model) for model in models]
        files = {"journal": str(journal), "journal_is_whole": is_whole, "report": str(report)}
        result = {**reports[0], "accuracy": accuracy, "acts": reports[1:], **files}
        print(json.dumps(result, indent=2))  # noqa: T201
    else:
        _print_tables(models, accuracy)
        state = "whole" if is_whole else "NOT whole"
        print(f"the journal in {journal} is {state}; its report: {report}")  # noqa: T201
    holds = all(outcome.holds for model in models for outcome in model.outcomes)
    return 0 if holds and is_whole else 1


def _summarize(output: Path, since: float) -> tuple[Path, bool]:
    """Write a report on this run's calls; return its path, and whether the journal is whole."""
    from guardrail.audit.journal_read.reader import read_calls
    from guardrail.audit.journal_read.verify import verify
    from guardrail.audit.report.aggregates import Aggregates
    from guardrail.audit.report.report import to_html

    totals = Aggregates()
    for call in read_calls(
        output / "journal", report=lambda _: None
    ):  # `verify` reports damage, below
        if call.record.started_at >= since:
            totals.add(call.record)
    page = output / "report.html"
    page.write_text(to_html(totals, journal="guardrail demo", made_at=time.time()), "utf-8")
    return page.absolute(), verify(output / "journal").is_whole


@dataclass(slots=True)
class GuardedModel:
    """One guard with its callers, its scenes and their outcomes."""

    guard: Guard
    recorder: Recorder
    scenes: list[Scene]
    callers: Mapping[str, Callable[[], AbstractContextManager[Any]]]
    outcomes: list[SceneResult] = field(default_factory=list)


def find_bundle(bundle: Path | None = None) -> Path | None:
    """Return the folder of the demo's bundle, or ``None``.

    The wheel does not contain the policies: an installed guardrail looks in the current folder,
    a checkout also beside the package.
    """
    beside_the_package = Path(__file__).resolve().parents[3]
    places = [bundle] if bundle else [BUNDLE, beside_the_package / BUNDLE]
    return next((place for place in places if (place / "guardrail.toml").is_file()), None)


def _exit_with_message(message: str) -> int:
    print(message, file=sys.stderr)  # noqa: T201
    return 2


def _accuracy(hospital: Hospital, outcomes: Sequence[SceneResult]) -> float:
    """Return the share of correct diagnoses in the auditor's scores; NaN if there are none."""
    for outcome in outcomes:
        if outcome.scene.who == "auditor" and outcome.is_allowed:
            return float((outcome.output.argmax(axis=1) == hospital.diagnoses).mean())
    return float("nan")


def _report(model: GuardedModel) -> dict[str, Any]:
    guard, records = model.guard, model.recorder.records
    return {
        "bundle": guard.name,
        "version": guard.version,
        "revision": guard.revision,
        "backend": records[-1].backend,
        "records": len(records),
        "calls": [outcome.as_json() for outcome in model.outcomes],
    }


def _print_tables(models: Sequence[GuardedModel], accuracy: float) -> None:
    from rich.console import Console

    console = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 120)
    for model in models:
        console.print(_table(model.outcomes))
        guard, records = model.guard, model.recorder.records
        console.print(
            f"{guard.name} {guard.version}, revision {guard.revision[:12]}, "
            f"{records[-1].backend} core, {len(records)} records: one per call"
        )
    console.print(f"accuracy {accuracy:.1%} on held-out patients, through the guard, as auditor")
    outcomes = [outcome for model in models for outcome in model.outcomes]
    held = sum(outcome.holds for outcome in outcomes)
    console.print(f"{held} of {len(outcomes)} outcomes as expected")


def _table(outcomes: Sequence[SceneResult]) -> Any:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("caller", "request", "outcome", "policies", "result"):
        table.add_column(heading, overflow="fold")
    for outcome in outcomes:
        if not outcome.holds:
            style, word = "bold red", f"{outcome.code}: expected {outcome.scene.code}"
        elif outcome.is_allowed:
            style, word = "green", "allowed"
        else:
            style, word = "yellow", outcome.code
        scene = outcome.scene
        because = ", ".join(outcome.policies)
        cells = (scene.who, scene.asks, Text(word, style), because, outcome.gets)
        table.add_row(*(cell if isinstance(cell, Text) else Text(cell) for cell in cells))
    return table
