"""`guardrail demo`: a real classifier behind the shipped bundle, asked by all sorts of callers.

Owns the demonstration: it trains a model on the Wisconsin breast-cancer data, guards it by
``policies/clinical_scoring``, plays every scene of `guardrail.cli.scenes`, and compares what
came of it with what should. Refuses to pass when one outcome is another than expected. It
stands above the public API and uses nothing below it.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal

from guardrail.cli.hospital import Hospital
from guardrail.cli.scenes import Outcome, play
from guardrail.errors import ConfigurationError

BUNDLE: Final = Path("policies", "clinical_scoring")


def run(format: Literal["text", "json"], *, bundle: Path | None = None) -> int:
    """Run the demonstration and print what happened.

    Arguments:
        format: ``text`` for a table, ``json`` for one JSON object.
        bundle: the folder of the bundle; by default ``policies/clinical_scoring`` in the
            current folder, else in the checkout that the package stands in.

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
    with tempfile.TemporaryDirectory(prefix="guardrail-demo-") as scratch:
        copy = Path(scratch, "bundle")
        shutil.copytree(folder, copy)
        try:
            hospital = Hospital.open(copy)
        except ConfigurationError as error:
            return _unable(f"The bundle at {folder} does not load.\n{error}")
        outcomes = play(hospital)
    accuracy = _accuracy(hospital, outcomes)
    if format == "json":
        print(json.dumps(_report(hospital, outcomes, accuracy), indent=2))  # noqa: T201
    else:
        _print_table(hospital, outcomes, accuracy)
    return 0 if all(outcome.holds for outcome in outcomes) else 1


def find_bundle(bundle: Path | None = None) -> Path | None:
    """Return the folder of the demo's bundle, or ``None`` where there is none.

    The policies are no part of the wheel: an installed guardrail finds them in the current
    folder, a checkout also beside the package.
    """
    beside_the_package = Path(__file__).resolve().parents[2]
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


def _report(hospital: Hospital, outcomes: Sequence[Outcome], accuracy: float) -> dict[str, Any]:
    guard = hospital.guard
    return {
        "bundle": guard.name,
        "version": guard.version,
        "revision": guard.revision,
        "backend": hospital.tape.records[-1].backend,
        "records": len(hospital.tape.records),
        "accuracy": accuracy,
        "calls": [outcome.as_json() for outcome in outcomes],
    }


def _print_table(hospital: Hospital, outcomes: Sequence[Outcome], accuracy: float) -> None:
    from rich import box
    from rich.console import Console
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
    guard, tape = hospital.guard, hospital.tape
    held = sum(outcome.holds for outcome in outcomes)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    console.print(table)
    console.print(
        f"{guard.name} {guard.version}, revision {guard.revision[:12]}, "
        f"{tape.records[-1].backend} core, {len(tape.records)} records: one per call"
    )
    console.print(f"accuracy {accuracy:.1%} on held-out patients, through the guard, as auditor")
    console.print(f"{held} of {len(outcomes)} outcomes as expected")
