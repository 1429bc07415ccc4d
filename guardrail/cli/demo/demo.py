"""`guardrail demo`: two models behind the shipped bundles, asked by all sorts of callers.

Owns the demonstration. First it trains a classifier on the Wisconsin breast-cancer data, guards it
by ``policies/clinical_scoring`` and plays every scene of `guardrail.cli.demo.scenes`; then, where
``policies/support_replies`` stands beside it, those of the assistant of
`guardrail.cli.demo.help_desk`, which streams. It compares what came of each with what should.
Refuses to pass when one outcome is another than expected. Both guards keep one journal, of which a
report is made at the end. It stands above the public API, and uses nothing below it but what the
``journal`` commands use.
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
from guardrail.cli.demo.scenes import Outcome, Scene, hospital_scenes, play
from guardrail.errors import ConfigurationError
from guardrail.testing import Recorder

BUNDLE: Final = Path("policies", "clinical_scoring")
#: Where the journal and its report are kept.
KEPT: Final = Path("var", "demo")
#: The second act's bundle, by its name beside the first one's.
SUPPORT: Final = "support_replies"


def run(format: Literal["text", "json"], *, bundle: Path | None = None, kept: Path = KEPT) -> int:
    """Run the demonstration and print what happened.

    Arguments:
        format: ``text`` for a table, ``json`` for one JSON object.
        bundle: the folder of the bundle; by default ``policies/clinical_scoring`` in the
            current folder, else in the checkout that the package stands in.
        kept: the folder for the journal and its report.

    Returns the exit code: 0 if every outcome is the expected one, 1 if not, 2 where the
    demonstration could not run (scikit-learn or the bundle is missing).
    """
    try:
        import sklearn  # noqa: F401  # the extra `demo`
    except ModuleNotFoundError:
        return _unable("The demo needs scikit-learn: pip install 'guardrail-cedar[demo]'")
    folder = find_bundle(bundle)
    if folder is None:
        return _unable(
            f"No bundle at {bundle or BUNDLE}. Run the demo in a checkout of guardrail, "
            "or name the folder: guardrail demo --bundle DIR"
        )
    started_at = time.time()
    journal = kept / "journal"
    try:
        journal.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return _unable(f"The journal can't be kept in {journal}: {error.strerror}.")
    with tempfile.TemporaryDirectory(prefix="guardrail-demo-") as scratch:
        copy = Path(scratch, "bundle")
        shutil.copytree(folder, copy)
        beside = folder.parent / SUPPORT
        try:
            hospital = Hospital.open(copy, journal)
            desk = HelpDesk.open(beside, journal) if (beside / "guardrail.toml").is_file() else None
        except ConfigurationError as error:
            return _unable(f"The bundle does not load.\n{error}")
        acts = [Act(hospital.guard, hospital.tape, hospital_scenes(hospital), hospital.callers())]
        if desk is not None:
            acts.append(Act(desk.guard, desk.tape, desk.scenes(), desk.callers()))
        for act in acts:
            act.outcomes = play(act.scenes, act.callers, act.tape)
            act.guard.close()
    report, is_whole = _look_back(kept, started_at)
    accuracy = _accuracy(hospital, acts[0].outcomes)
    if format == "json":
        reports = [_report(act) for act in acts]
        kept_as = {"journal": str(journal), "journal_is_whole": is_whole, "report": str(report)}
        told = {**reports[0], "accuracy": accuracy, "acts": reports[1:], **kept_as}
        print(json.dumps(told, indent=2))  # noqa: T201
    else:
        _print_tables(acts, accuracy)
        state = "whole" if is_whole else "NOT whole"
        print(f"the journal in {journal} is {state}; its report: {report}")  # noqa: T201
    holds = all(outcome.holds for act in acts for outcome in act.outcomes)
    return 0 if holds and is_whole else 1


def _look_back(kept: Path, since: float) -> tuple[Path, bool]:
    """Examine the journal, and write the report of this run's calls; return its path."""
    from guardrail.audit.journal_read.reader import read_calls
    from guardrail.audit.journal_read.verify import verify
    from guardrail.audit.report.aggregates import Aggregates
    from guardrail.audit.report.report import to_html

    totals = Aggregates()
    for call in read_calls(kept / "journal", report=lambda _: None):  # `verify` says it, below
        if call.record.started_at >= since:
            totals.add(call.record)
    page = kept / "report.html"
    page.write_text(to_html(totals, journal="guardrail demo", made_at=time.time()), "utf-8")
    return page.absolute(), verify(kept / "journal").is_whole


@dataclass(slots=True)
class Act:
    """One guard with those who call it, what they ask, and what came of it."""

    guard: Guard
    tape: Recorder
    scenes: list[Scene]
    callers: Mapping[str, Callable[[], AbstractContextManager[Any]]]
    outcomes: list[Outcome] = field(default_factory=list)


def find_bundle(bundle: Path | None = None) -> Path | None:
    """Return the folder of the demo's bundle, or ``None`` where there is none.

    The policies are no part of the wheel: an installed guardrail finds them in the current
    folder, a checkout also beside the package.
    """
    beside_the_package = Path(__file__).resolve().parents[3]
    places = [bundle] if bundle else [BUNDLE, beside_the_package / BUNDLE]
    return next((place for place in places if (place / "guardrail.toml").is_file()), None)


def _unable(message: str) -> int:
    print(message, file=sys.stderr)  # noqa: T201
    return 2


def _accuracy(hospital: Hospital, outcomes: Sequence[Outcome]) -> float:
    """Return the share of right diagnoses in what the auditor got; NaN if that was nothing."""
    for outcome in outcomes:
        if outcome.scene.who == "auditor" and outcome.is_allowed:
            return float((outcome.output.argmax(axis=1) == hospital.diagnoses).mean())
    return float("nan")


def _report(act: Act) -> dict[str, Any]:
    guard, records = act.guard, act.tape.records
    return {
        "bundle": guard.name,
        "version": guard.version,
        "revision": guard.revision,
        "backend": records[-1].backend,
        "records": len(records),
        "calls": [outcome.as_json() for outcome in act.outcomes],
    }


def _print_tables(acts: Sequence[Act], accuracy: float) -> None:
    from rich.console import Console

    console = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 120)
    for act in acts:
        console.print(_table(act.outcomes))
        guard, records = act.guard, act.tape.records
        console.print(
            f"{guard.name} {guard.version}, revision {guard.revision[:12]}, "
            f"{records[-1].backend} core, {len(records)} records: one per call"
        )
    console.print(f"accuracy {accuracy:.1%} on held-out patients, through the guard, as auditor")
    outcomes = [outcome for act in acts for outcome in act.outcomes]
    held = sum(outcome.holds for outcome in outcomes)
    console.print(f"{held} of {len(outcomes)} outcomes as expected")


def _table(outcomes: Sequence[Outcome]) -> Any:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("who", "asks", "outcome", "because of", "gets"):
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
