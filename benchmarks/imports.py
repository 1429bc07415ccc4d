"""Importing guardrail: whole processes, against the three libraries that it stands on.

Run with ``python -m benchmarks.imports``. Each case starts an interpreter that imports and
ends, so that the time is what a command or a worker waits for. The baseline imports cedarpy,
pydantic and OpenTelemetry's API, as anybody who composes a guard by hand does.

The gate: ``import guardrail`` takes at most 1.15 times the baseline. What loads a bundle is
imported with the first guard; the second case imports that as well, and does not gate, for
there pydantic builds models, which its bare import puts off. `limits`, `jwt` and `numpy` are
in neither: they come with a quota, a token and an array.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

from benchmarks.harness import Case, main

BASELINE = "import cedarpy, pydantic, opentelemetry.trace"
GOAL = 1.15


def process(code: str) -> Callable[[], object]:
    """Return the call that runs code in a fresh interpreter; it raises where that fails."""
    return lambda: subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603


def cases() -> list[Case]:
    """Return the baseline, ours, and ours with all that a first guard imports."""
    return [
        Case(BASELINE, process(BASELINE)),
        Case("import guardrail", process("import guardrail"), BASELINE, goal=GOAL),
        Case(
            "import guardrail, and what loads a bundle",
            process("import guardrail, guardrail.bundle"),
            BASELINE,
        ),
        Case("an interpreter alone", process(""), BASELINE),
    ]


if __name__ == "__main__":
    sys.exit(main(cases(), title=str(__doc__).splitlines()[0]))
