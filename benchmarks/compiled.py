"""What each compiled module is worth: whole calls with it, and with its plain source instead.

Run with ``python -m benchmarks.compiled``; names of modules as arguments limit the run. For each
compiled module a child process loads its plain source (and that of the compiled modules that need
its C declarations, which can't be compiled without it), and the same calls are made as in a child
with everything compiled. The scenarios are whole calls: the traffic of `benchmarks.traffic` with
both bundles, a chat of messages with redacted records, and calls after the caches were evicted.
A module that makes no scenario at least 2 % slower by its absence has no reason to be compiled.

Time is the CPU time of the process; the value of a scenario is the least of its blocks, and
everything compiled is measured anew for each few modules, so that a slow second of the machine
falls on both.
"""

from __future__ import annotations

import argparse
import importlib.abc
import importlib.machinery
import importlib.util
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib.machinery import ModuleSpec
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Final

ROOT: Final = Path(__file__).parents[1]
#: The least slow-down, as a share of a call, for which a module is compiled.
WORTH: Final = 0.02
BLOCK: Final = 1_000
#: Modules that are compared with one measurement of everything compiled.
PER_BASELINE: Final = 3


class Plain(importlib.abc.MetaPathFinder):
    """Finds the plain source of some modules that are also compiled.

    Arguments:
        names: the full names of the modules.
    """

    def __init__(self, names: frozenset[str]) -> None:
        self._names = names

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        """Return the spec of a module's source; ``None`` for other modules."""
        if fullname not in self._names:
            return None
        file = ROOT / (fullname.replace(".", "/") + ".py")
        if not file.exists():  # a kernel, which has its twin beside it
            file = ROOT / (fullname.replace(".", "/") + "_py.py")
        loader = importlib.machinery.SourceFileLoader(fullname, str(file))
        return importlib.util.spec_from_loader(fullname, loader)


def compiled_modules() -> dict[str, frozenset[str]]:
    """Return all compiled modules, each with the compiled modules that need its declarations."""
    declared = {
        ".".join(path.with_suffix("").relative_to(ROOT).parts): path
        for path in [*ROOT.glob("guardrail/**/*.pxd"), *ROOT.glob("guardrail/_core/*.pyx")]
    }
    needs: dict[str, set[str]] = {name: set() for name in declared}
    for name, path in declared.items():
        text = path.read_text()
        for suffix in (".pxd", ".pyx"):
            if path.with_suffix(suffix).exists():
                text += path.with_suffix(suffix).read_text()
        for found in re.findall(r"^from (guardrail[\w.]*) cimport", text, re.MULTILINE):
            needs.setdefault(found, set()).add(name)
    closed = {}
    for name in needs:
        seen, todo = {name}, [name]
        while todo:
            for one in needs.get(todo.pop(), ()):
                if one not in seen:
                    seen.add(one)
                    todo.append(one)
        closed[name] = frozenset(seen - {name})
    return closed


def above(name: str, closed: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """Return the modules whose declarations a module needs, and what needs those."""
    needed = {other for other, needing in closed.items() if name in needing}
    return frozenset(needed.union(*[closed[other] for other in needed]) - {name})


def scenarios(folder: Path) -> dict[str, Callable[[], float]]:
    """Return each scenario: a function that makes a block of calls and returns its CPU seconds."""
    import numpy as np

    from benchmarks import traffic
    from guardrail import Guard, Principal

    options = argparse.Namespace(calls=8 * BLOCK, callers=8 * BLOCK, seed=1, spans=False)
    start = time.time() - traffic.DAY_S / 2
    found: dict[str, Callable[[], float]] = {}

    def play(scene: traffic.Scene) -> Callable[[], float]:
        run, position = scene.stacks[traffic.OURS], iter(range(0, len(scene.calls), BLOCK))

        def block() -> float:
            first = next(position)
            calls = scene.calls[first : first + BLOCK]
            started = time.process_time()
            for call in calls:
                scene.clock.at = call.at
                with suppress(*traffic.REFUSED):
                    run(call)
            scene.guard.flush()
            return (time.process_time() - started) / BLOCK

        return block

    scoring = traffic.scoring_scene(folder, options, start)
    found["scoring traffic"] = play(scoring)
    found["prompt traffic"] = play(traffic.reply_scene(folder, options, start))

    guard = Guard.from_dir(records_bundle(folder / "records"), journal=folder / "records-journal")
    answer = {
        "choices": [{"text": "Write to a@b.example", "score": 0.123456, "note": "internal"}],
        "usage": {"tokens": 12, "cost": 0.000123},
    }
    guarded = guard.protect(action="chat", resource='Model::"chat"', input="messages")(
        lambda messages: answer  # noqa: ARG005
    )
    who = Principal("User", "clara")

    def records() -> float:
        started = time.process_time()
        with guard.acting_as(who):
            for number in range(BLOCK):
                guarded([{"role": "user", "content": f"question {number} about a late parcel"}])
        guard.flush()
        return (time.process_time() - started) / BLOCK

    found["records"] = records
    buffer = np.ones((96 << 20) // 8)
    hot = scoring.guard.protect(action="predict", resource='Model::"tumour"', input="patients")(
        traffic.score
    )
    one = next(call for call in scoring.calls if call.role == "auditor")

    def cold() -> float:
        times = []
        with scoring.guard.acting_as(token=one.credential):
            for _ in range(60):
                buffer.sum()
                started = time.process_time()
                hot(one.value)
                times.append(time.process_time() - started)
        return median(times)

    found["cold"] = cold
    return found


def records_bundle(folder: Path) -> Path:
    """Write a bundle of a chat whose answers are records, and return its folder."""
    folder.mkdir()
    (folder / "guardrail.toml").write_text('[bundle]\nname = "records"\nversion = "1.0.0"\n')
    (folder / "schema.cedarschema").write_text(
        "entity User; entity Model;\n"
        "action chat appliesTo { principal: [User], resource: [Model],\n"
        "  context: { input: guardrail::MessagesInput } };\n"
    )
    (folder / "policies.cedar").write_text(
        '@id("all") permit (principal, action, resource);\n'
        '@id("i") @input("chat") forbid (principal, action, resource);\n'
        '@id("m") @mask("note") forbid (principal, action, resource);\n'
        '@id("r") @round("3") forbid (principal, action, resource);\n'
        '@id("c") @redact("contacts as label") forbid (principal, action, resource);\n'
        '@id("q") @quota("1000000/second per principal") forbid (principal, action, resource);\n'
    )
    (folder / "entities.json").write_text(
        '[{"uid": {"type": "Model", "id": "chat"}, "attrs": {}, "parents": []}]'
    )
    (folder / "inputs").mkdir()
    (folder / "inputs" / "chat.yaml").write_text("kind: messages\nroles: [user, assistant]\n")
    return folder


def child(plain: Sequence[str]) -> None:
    """Measure all scenarios with some modules plain, and print seconds per call by scenario."""
    sys.meta_path.insert(0, Plain(frozenset(plain)))
    least: dict[str, float] = {}
    with TemporaryDirectory() as folder:
        for name, block in scenarios(Path(folder)).items():
            block()
            least[name] = min(block() for _ in range(5))
    print(json.dumps(least))
    sys.stdout.flush()


def measure(plain: Sequence[str]) -> Mapping[str, float]:
    """Return what a child measured."""
    command = [sys.executable, "-m", "benchmarks.compiled", "--child", *plain]
    done = subprocess.run(  # noqa: S603  our own arguments
        command, capture_output=True, text=True, check=False, cwd=ROOT
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-600:])
    seconds: Mapping[str, float] = json.loads(done.stdout.splitlines()[-1])
    return seconds


def run() -> int:
    """Measure everything, print a line per module, and return the exit code."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("modules", nargs="*")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.modules)
        return 0
    closed = compiled_modules()
    names = options.modules or sorted(closed, key=lambda name: (len(closed[name]), name))
    rows: dict[str, dict[str, list[float]]] = {name: {} for name in names}
    for number in range(options.rounds):
        full: Mapping[str, float] = {}
        for position, name in enumerate(names):
            if position % PER_BASELINE == 0:
                full = measure([])
            try:
                less = measure([name, *sorted(closed[name])])
            except RuntimeError:  # its plain source can't read private fields of compiled classes
                closed[name] |= above(name, closed)
                less = measure([name, *sorted(closed[name])])
            for scenario, seconds in full.items():
                rows[name].setdefault(scenario, []).append(less[scenario] / seconds - 1)
            print(f"round {number + 1}: {name}", file=sys.stderr, flush=True)
    for name in names:
        shares = {scenario: median(found) for scenario, found in rows[name].items()}
        worth = "worth it" if max(shares.values()) >= WORTH else "NOT WORTH IT"
        line = ", ".join(f"{scenario} {share:+.1%}" for scenario, share in shares.items())
        print(f"{name} (with {len(closed[name])} more): {worth}: {line}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(run())
