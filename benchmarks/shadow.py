"""What a shadow costs: the warm guarded call of `benchmarks.guarded_call`, looked on at.

Owns four guards on its bundle: without a shadow; with a policy in shadow that does not match;
with one that does, so that each call is recorded as a difference; and with a second bundle, the
same once more. Timed in the thread's own CPU time.

Run ``python -m benchmarks.shadow [--format json]``; exit 1 where a goal is missed.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
import tempfile
from pathlib import Path
from time import thread_time

from benchmarks.guarded_call import BUNDLE, SECRET, predict, signed_in, tracer_provider
from benchmarks.harness import Case, main
from guardrail import Guard

NONE = "without a shadow"
POLICY = '@id("aside") @mode("shadow") forbid (principal, action, resource)'


def case(folder: Path, name: str, policy: str = "", *, shadow: Path | None = None) -> Case:
    """Return the call under a copy of the bundle with one more policy, or beside another one."""
    copy = folder / name.replace(" ", "_")
    shutil.copytree(BUNDLE, copy)
    with (copy / "access.cedar").open("a") as file:
        file.write(policy)
    guard = Guard.from_dir(copy, tracer_provider=tracer_provider(), journal=None, shadow=shadow)
    decided = guard.protect(action="predict", resource='Model::"tumour"', input="patients")(predict)
    baseline, goal = ("", None) if name == NONE else (NONE, 2.0)
    return Case(name, signed_in(guard, decided), baseline, goal=goal, drain=guard.flush)


def run() -> int:
    """Measure everything, print it, and return the exit code."""
    logging.getLogger("opentelemetry").setLevel(logging.ERROR)  # a full queue drops, by design
    os.environ["GUARDRAIL_BENCH_SECRET"] = SECRET
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cases = [
            case(folder, NONE),
            case(folder, "a policy in shadow that agrees", f"{POLICY} when {{ 1 > 2 }};\n"),
            case(folder, "a policy in shadow that differs", f"{POLICY};\n"),
            case(folder, "a second bundle that agrees", shadow=BUNDLE),
        ]
        return main(cases, title=str(__doc__).splitlines()[0], clock=thread_time)


if __name__ == "__main__":
    sys.exit(run())
