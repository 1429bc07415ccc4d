"""Runs a command again at each change of a bundle: ``guardrail test --watch``.

Ctrl-C ends it. A bundle with faults does not: the faults are shown, and it waits for the next
change. `guardrail.bundle.watch` detects the changes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import typer
from rich.console import Console

from guardrail._ports import BlockingStep
from guardrail.bundle.watch import Watcher
from guardrail.cli.io.terminal import remark
from guardrail.runtime.flow import settle

#: The seconds between two checks of the folder; short, since a person waits.
_INTERVAL_S: Final = 0.3


def rerun(directory: Path, run: Callable[[], None]) -> None:
    """Call ``run`` now, and again at each change of the folder, until Ctrl-C.

    ``run`` ends in `typer.Exit` or returns; anything else that it raises ends the watch.
    """
    broken: list[Exception] = []

    def again() -> None:
        Console().clear()  # has an effect on a terminal only
        _, fault = settle(BlockingStep(run))
        if fault is not None and not isinstance(fault, typer.Exit):
            broken.append(fault)
        remark(f"watching {directory}; Ctrl-C ends")

    watcher = Watcher((directory,), again, interval_s=_INTERVAL_S)
    try:
        while not broken:
            watcher.check()
            time.sleep(_INTERVAL_S)
    except KeyboardInterrupt:
        return
    raise broken[0]
