"""Runs all fuzz targets for a bounded time: ``make fuzz``.

Each target gets an even share of the time, two run beside each other. A target runs twice:
over the sources, instrumented, to find new inputs; then over the compiled modules, once per
input that was found. What crashes is written to ``build/fuzz/``; new inputs live in a
temporary folder, and the tree is never changed.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests.fuzz.harness import CORPUS, ROOT, targets

FOUND = ROOT / "build" / "fuzz"
FLAGS = ("-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1")
#: A process is given so much more than its share before it is ended: it starts, and stops.
GRACE_S = 120.0
#: Imports and the seeds take their time; less than this finds nothing.
LEAST_S = 5
_RUNS = re.compile(r"stat::number_of_executed_units:\s*([0-9]+)")
_CRASH = re.compile(r"Test unit written to (\S+)")


@dataclass(slots=True)
class Result:
    """What came of one target."""

    target: str
    runs: int = 0
    found: int = 0
    seconds: float = 0.0
    failures: list[str] = field(default_factory=list)


def run_target(name: str, *, seconds: int, corpora: Path) -> Result:
    """Fuzz one target over the sources, and run what was found over the compiled modules."""
    result = Result(name)
    start = time.monotonic()
    new = corpora / name
    new.mkdir(parents=True)
    seeds = [str(CORPUS / name)] if (CORPUS / name).is_dir() else []
    folders = [str(new), *seeds]
    _run(result, "source", [f"-max_total_time={seconds}", *folders], seconds)
    result.found = sum(1 for _ in new.iterdir())
    _run(result, "compiled", ["-runs=0", *folders], seconds)
    result.seconds = time.monotonic() - start
    return result


def _run(result: Result, mode: str, arguments: Sequence[str], seconds: int) -> None:
    prefix = FOUND / f"{result.target}-"
    command = ["-m", f"tests.fuzz.fuzz_{result.target}"]
    environ = {**os.environ, "GUARDRAIL_FUZZ": mode, "GUARDRAIL_FUZZ_PATIENCE": "5"}
    log = FOUND / f"{result.target}-{mode}.log"
    with log.open("w") as stream:
        try:
            code = subprocess.run(  # noqa: S603
                [sys.executable, *command, *FLAGS, f"-artifact_prefix={prefix}", *arguments],
                cwd=ROOT,
                env=environ,
                stdout=stream,
                stderr=subprocess.STDOUT,
                timeout=seconds + GRACE_S,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            code = -1
    text = log.read_text(errors="replace")
    result.runs += sum(map(int, _RUNS.findall(text)[-1:]))
    if code == 0:
        return
    written = _CRASH.findall(text)
    if not written:
        result.failures.append(f"ended with {code}: see {log.relative_to(ROOT)}")
    for path in written:
        python = Path(sys.executable)
        shown = python.relative_to(ROOT) if python.is_relative_to(ROOT) else python
        file = Path(path).relative_to(ROOT)
        result.failures.append(f"GUARDRAIL_FUZZ={mode} {shown} {' '.join(command)} {file}")


def _print(results: Sequence[Result]) -> None:
    print(f"{'target':16} {'seconds':>8} {'runs':>10} {'new inputs':>11}  outcome")
    for result in results:
        numbers = f"{result.seconds:8.0f} {result.runs:10,} {result.found:11,}"
        print(f"{result.target:16} {numbers}  {'crashed' if result.failures else 'ok'}")
    for result in results:
        for failure in result.failures:
            print(f"\n{result.target}: {failure}")


def main() -> int:
    """Run what the command line asks for; return 1 where any target crashed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=int, default=600, help="for all targets together")
    parser.add_argument("--jobs", type=int, default=2, help="targets beside each other")
    parser.add_argument("names", nargs="*", help="the targets; all of them by default")
    options = parser.parse_args()
    names = options.names or targets()
    unknown = set(names).difference(targets())
    if unknown:
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    share = max(LEAST_S, options.seconds * options.jobs // len(names))
    FOUND.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="guardrail-fuzz-") as corpora:
        work = partial(run_target, seconds=share, corpora=Path(corpora))
        with ThreadPoolExecutor(options.jobs) as pool:
            results = list(pool.map(work, names))
    _print(results)
    return 1 if any(result.failures for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
