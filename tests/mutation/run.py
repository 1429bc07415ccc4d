"""Changes the modules that decide and release, one place at a time: ``make mutants``.

A changed module is a mutant. A test must fail for each, or `survivors.toml` names the mutant and
the reason why it is harmless. Everything runs in a copy of the checkout, and a mutant exists only
in the memory of a process that is forked for it: no file ever holds one.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from tests.mutation.operators import Mutant, mutants_of

ROOT: Final = Path(__file__).resolve().parents[2]
HERE: Final = Path(__file__).resolve().parent
MARKS: Final = "not long and not night and not scale"
#: Imported once, before the forks. Nothing here starts a thread.
PRELOADED: Final = (
    "numpy", "pydantic", "cedarpy", "cryptography.x509", "jwt", "limits", "re2", "ruamel.yaml",
    "opentelemetry.sdk.trace", "pandas", "cachetools", "asyncio", "unittest.mock", "rich.console",
    "typer",
)  # fmt: skip
#: A mutant has three times the seconds of its tests, and so many more.
GRACE_S: Final = 30.0
#: The tests of a statement that run first; most mutants fail one of them.
FIRST: Final = 25


@dataclass(frozen=True, slots=True)
class Baseline:
    """The tests of the unchanged modules: their seconds, and the lines that each runs."""

    seconds: Mapping[str, float]
    #: For each module and line, the tests that run it; "" stands for its import.
    tests_of: Mapping[str, Mapping[int, frozenset[str]]]


@dataclass(slots=True)
class Result:
    """The outcome of one mutant: "killed", "survived", "timeout", or "not run" by any test."""

    mutant: Mutant
    outcome: str = "survived"
    killer: str = ""


@dataclass(frozen=True, slots=True)
class Named:
    """A survivor that `survivors.toml` names."""

    name: tuple[str, str, str, str, str, int]
    reason: str


@dataclass(slots=True)
class Job:
    """A mutant, and the tests that are still to run against it."""

    mutant: Mutant
    rounds: list[list[str]]
    seconds: float = 0.0


class RunError(Exception):
    """The run can't start, or its tests fail without any change."""


def settings(path: Path = HERE / "modules.toml") -> dict[str, list[str]]:
    """Return the tests of each module."""
    return {name: table["tests"] for name, table in tomllib.loads(path.read_text()).items()}


def named_survivors(path: Path = HERE / "survivors.toml") -> list[Named]:
    """Return the survivors that have a reason."""
    named = []
    for entry in tomllib.loads(path.read_text()).get("survivor", []):
        reason = entry.get("reason", "").strip()
        if not reason:
            raise RunError(f"{path.name}: the survivor {entry.get('line')!r} has no reason.")
        name = (
            entry["module"], entry["function"], entry["operator"], entry["line"],
            entry["becomes"], entry.get("occurrence", 1),
        )  # fmt: skip
        named.append(Named(name, reason))
    return named


def refuse_compiled(root: Path) -> None:
    """Fail if a compiled module lies beside the sources: its mutants would never run."""
    compiled = sorted(path.relative_to(root) for path in root.glob("guardrail/**/*.so"))
    if compiled:
        raise RunError(
            f"{compiled[0]} and {len(compiled) - 1} other compiled modules lie beside the sources, "
            "and would run instead of the mutants. Work in a checkout with the plain-Python build "
            "(CONTRIBUTING.md), or delete them."
        )


def copy_checkout(root: Path, target: Path) -> None:
    """Copy the files of a checkout, without what git ignores."""
    git = shutil.which("git") or "git"
    command = [git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=root, check=True, capture_output=True)  # noqa: S603
    for name in listed.stdout.decode().split("\0"):
        source = root / name
        if name and source.is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name)
    if (root / "guardrail").is_dir() and not (target / "guardrail").is_dir():
        raise RunError("git lists no files of guardrail/. Run this in a checkout.")


# What runs in the forked processes.


class _MutantFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module from a text instead of its file."""

    def __init__(self, name: str, path: Path, source: str) -> None:
        self._name, self._path, self._source = name, path, source

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> Any:
        if fullname != self._name:
            return None
        return importlib.util.spec_from_file_location(fullname, self._path, loader=self)

    def create_module(self, spec: Any) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        code = compile(self._source, str(self._path), "exec")
        exec(code, module.__dict__)  # noqa: S102  the mutant

    def get_filename(self, fullname: str) -> str:
        return str(self._path)


class _Chosen:
    """A plug-in of pytest: runs the chosen tests, in their order, and keeps the first failure."""

    def __init__(self, tests: Sequence[str]) -> None:
        self._order = {test: number for number, test in enumerate(tests)}
        self.failed = ""

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        kept = [item for item in items if item.nodeid in self._order]
        items[:] = sorted(kept, key=lambda item: self._order[item.nodeid])

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed and not self.failed:
            self.failed = report.nodeid


class _Measured:
    """A plug-in of pytest: the seconds of each test, and its lines as a context of coverage."""

    def __init__(self, coverage: Any) -> None:
        self._coverage = coverage
        self.seconds: dict[str, float] = {}
        self.failed: list[str] = []

    def pytest_runtest_logstart(self, nodeid: str, location: Any) -> None:
        self._coverage.switch_context(nodeid)

    def pytest_runtest_logfinish(self, nodeid: str, location: Any) -> None:
        self._coverage.switch_context("")

    def pytest_runtest_logreport(self, report: Any) -> None:
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0.0) + report.duration
        if report.failed:
            self.failed.append(report.nodeid)


_OPTIONS: Final = ("-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", "-m", MARKS)


def _test_mutant(mutant: Mutant, tests: Sequence[str], told: Path) -> int:
    import pytest

    sys.dont_write_bytecode = True
    name = mutant.module.removesuffix(".py").replace("/", ".")
    sys.meta_path.insert(0, _MutantFinder(name, Path(mutant.module).resolve(), mutant.source))
    chosen = _Chosen(tests)
    files = sorted({test.partition("::")[0] for test in tests})
    code = pytest.main([*_OPTIONS, "--no-header", "--tb=no", *files], plugins=[chosen])
    told.write_text(chosen.failed)
    return int(code)


def _measure(modules: Sequence[str], tests: Sequence[str], told: Path) -> int:
    import coverage
    import pytest

    data = str(told) + ".coverage"
    measuring = coverage.Coverage(data_file=data, include=[f"{Path.cwd()}/{m}" for m in modules])
    measuring.start()
    measured = _Measured(measuring)
    code = pytest.main([*_OPTIONS, "--tb=short", *tests], plugins=[measured])
    measuring.stop()
    import guardrail

    if Path(guardrail.__file__).resolve().parents[1] != Path.cwd().resolve():
        measured.failed.append(f"guardrail was imported from {guardrail.__file__}")
    found = measuring.get_data()
    lines = {}
    for module in modules:
        by_line = found.contexts_by_lineno(str(Path.cwd() / module))
        lines[module] = {line: sorted(set(contexts)) for line, contexts in by_line.items()}
    told.write_text(
        json.dumps({"seconds": measured.seconds, "failed": measured.failed, "lines": lines})
    )
    return int(code)


class _Fork:
    """A forked process that runs a function; it ends with the status that this returns."""

    def __init__(self, run: Callable[[], int], log: Path, *, limit_s: float) -> None:
        self._ends_at = time.monotonic() + limit_s
        sys.stdout.flush()
        sys.stderr.flush()
        self._process = os.fork()
        if self._process == 0:
            self._run(run, log)

    def _run(self, run: Callable[[], int], log: Path) -> None:
        status = 70
        try:
            os.setsid()
            stream = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(stream, 1)
            os.dup2(stream, 2)
            status = run()
        except BaseException as error:
            os.write(2, repr(error).encode())
        finally:
            os._exit(status)

    def poll(self) -> int | None:
        """Return the status, -1 after the limit, or ``None`` while the process runs."""
        process, status = os.waitpid(self._process, os.WNOHANG)
        if process:
            return os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else 70
        if time.monotonic() < self._ends_at:
            return None
        self.end()
        return -1

    def end(self) -> None:
        """End the process, and what it has started."""
        try:
            os.killpg(self._process, signal.SIGKILL)
        except ProcessLookupError:
            os.kill(self._process, signal.SIGKILL)
        os.waitpid(self._process, 0)

    def wait(self) -> int:
        while (status := self.poll()) is None:
            time.sleep(0.05)
        return status


# The run.


@dataclass(slots=True)
class Runner:
    """Runs mutants in a copy of the checkout, which is the current folder."""

    folder: Path
    workers: int = 2
    report: Callable[[str], None] = print
    killers: dict[str, int] = field(default_factory=dict)

    def baseline(self, modules: Mapping[str, Sequence[str]]) -> Baseline:
        """Run the tests on the unchanged modules."""
        tests = sorted({test for listed in modules.values() for test in listed})
        told, log = self.folder / "baseline.json", self.folder / "baseline.log"
        status = _Fork(
            lambda: _measure(list(modules), tests, told), log, limit_s=3600
        ).wait()  # fmt: skip
        if not told.is_file():
            raise RunError(f"The tests did not run without a change:\n{_end_of(log)}")
        found = json.loads(told.read_text())
        if status or found["failed"]:
            raise RunError(
                "Tests fail without any change; repair them first: "
                f"{', '.join(found['failed'])}\n{_end_of(log)}"
            )
        return Baseline(
            found["seconds"],
            {
                module: {int(line): frozenset(names) for line, names in lines.items()}
                for module, lines in found["lines"].items()
            },
        )

    def run(
        self, mutants: Sequence[Mutant], modules: Mapping[str, Sequence[str]], baseline: Baseline
    ) -> list[Result]:
        """Test each mutant; return the results in the order of the mutants."""
        results = {id(mutant): Result(mutant) for mutant in mutants}
        waiting = []
        for mutant in reversed(mutants):
            job = self._job(mutant, modules[mutant.module], baseline)
            if job.rounds:
                waiting.append(job)
            else:
                results[id(mutant)].outcome = "not run"
        running: list[tuple[Job, _Fork, Path]] = []
        number = 0
        try:
            while waiting or running:
                while waiting and len(running) < self.workers:
                    job, number = waiting.pop(), number + 1
                    told = self.folder / f"{number}.txt"
                    running.append((job, self._start(job, told, baseline), told))
                time.sleep(0.02)
                for entry in list(running):
                    job, fork, told = entry
                    status = fork.poll()
                    if status is None:
                        continue
                    running.remove(entry)
                    del job.rounds[0]
                    if status == 0 and job.rounds:
                        waiting.append(job)
                        continue
                    result = results[id(job.mutant)]
                    result.outcome = {0: "survived", -1: "timeout"}.get(status, "killed")
                    if status == 5 or (status not in (-1, 0, 1, 2, 3) and not told.is_file()):
                        raise RunError(f"A test run failed:\n{_end_of(told.with_suffix('.log'))}")
                    result.killer = told.read_text() if told.is_file() else ""
                    self.killers[result.killer] = self.killers.get(result.killer, 0) + 1
        finally:
            for _, fork, _ in running:
                fork.end()
        return list(results.values())

    def _job(self, mutant: Mutant, paths: Sequence[str], baseline: Baseline) -> Job:
        """Choose the tests: those of the statement, or all of the module if it runs on import."""
        mine = [test for test in baseline.seconds if _lies_in(test, paths)]
        if mutant.lines:
            by_line = baseline.tests_of[mutant.module]
            found = {test for line in mutant.lines for test in by_line.get(line, ())}
            if not found:
                return Job(mutant, [])
            mine = [test for test in mine if test in found] or mine
        return Job(mutant, [mine])

    def _start(self, job: Job, told: Path, baseline: Baseline) -> _Fork:
        tests, seconds = job.rounds[0], baseline.seconds
        if len(job.rounds) == 1 and len(tests) > FIRST and not job.seconds:
            # Tests that killed others first, then the fast ones.
            tests.sort(key=lambda test: (-self.killers.get(test, 0), seconds[test]))
            first = self._first(tests)
            rest = [test for test in tests if test not in set(first)]
            job.rounds = [first, rest] if rest else [first]
        job.seconds = sum(seconds[test] for test in job.rounds[0])
        chosen = job.rounds[0]
        return _Fork(
            lambda: _test_mutant(job.mutant, chosen, told),
            told.with_suffix(".log"),
            limit_s=3 * job.seconds + GRACE_S,
        )

    @staticmethod
    def _first(tests: Sequence[str]) -> list[str]:
        """Return the first tests, of four files at most: collecting a file costs time, too."""
        files: list[str] = []
        first = []
        for test in tests:
            file = test.partition("::")[0]
            if file not in files and len(files) < 4:
                files.append(file)
            if file in files:
                first.append(test)
            if len(first) == FIRST:
                break
        return first


def _lies_in(test: str, paths: Iterable[str]) -> bool:
    file = test.partition("::")[0]
    return any(file == path or file.startswith(f"{path}/") for path in paths)


def _end_of(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-30:]) if log.is_file() else ""


def _preload() -> None:
    for name in (*PRELOADED, "pytest", "_pytest.assertion.rewrite", "coverage"):
        try:
            importlib.import_module(name)
        except ImportError:
            continue


def summary(results: Sequence[Result], named: Sequence[Named], *, whole: bool) -> tuple[str, int]:
    """Return the report of a run and its exit status: 1 if a survivor has no reason."""
    reasons = {each.name for each in named}
    out = [f"{'module':52} {'mutants':>7} {'killed':>7} {'survived':>8} {'named':>6}"]
    unnamed: list[Result] = []
    for module in dict.fromkeys(result.mutant.module for result in results):
        of_module = [result for result in results if result.mutant.module == module]
        alive = [result for result in of_module if result.outcome in ("survived", "not run")]
        known = [result for result in alive if result.mutant.name in reasons]
        unnamed += [result for result in alive if result.mutant.name not in reasons]
        out.append(
            f"{module:52} {len(of_module):7} {len(of_module) - len(alive):7} {len(alive):8} "
            f"{len(known):6}"
        )
    for result in unnamed:
        out.append("\n" + _entry(result))
    stale = []
    if whole:
        alive_names = {r.mutant.name for r in results if r.outcome in ("survived", "not run")}
        modules = {result.mutant.module for result in results}
        stale = [n for n in named if n.name[0] in modules and n.name not in alive_names]
        for each in stale:
            out.append(
                f"\nsurvivors.toml names a mutant that is killed, or no longer exists; delete it: "
                f"{each.name[0]}: {each.name[3]} -> {each.name[4]}"
            )
    if unnamed:
        out.append(
            f"\n{len(unnamed)} survivors have no reason. Write a test that fails for each, or add "
            "the entry to tests/mutation/survivors.toml with the reason why it is harmless."
        )
    return "\n".join(out), 1 if unnamed or stale else 0


def _entry(result: Result) -> str:
    mutant = result.mutant
    lines = [
        "[[survivor]]" + ("  # no test runs this statement" * (result.outcome == "not run")),
        f"module = {json.dumps(mutant.module)}",
        f"function = {json.dumps(mutant.function)}",
        f"operator = {json.dumps(mutant.operator)}",
        f"line = {json.dumps(mutant.line)}",
        f"becomes = {json.dumps(mutant.becomes)}",
    ]
    if mutant.occurrence > 1:
        lines.append(f"occurrence = {mutant.occurrence}")
    return "\n".join([*lines, 'reason = ""'])


def run(
    modules: Mapping[str, Sequence[str]],
    *,
    sample: int | None = None,
    seed: int = 0,
    workers: int = 2,
    function: str = "",
) -> tuple[list[Result], bool]:
    """Test the mutants of modules, or a sample; return the results, and whether it was all."""
    refuse_compiled(ROOT)
    os.environ.update(GUARDRAIL_PURE="1", CI="1")  # hypothesis tries the same examples each time
    before = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="guardrail-mutants-") as name:
        checkout = Path(name, "checkout")
        copy_checkout(ROOT, checkout)
        os.chdir(checkout)
        path = list(sys.path)
        # The copy comes first, before this checkout: also for the processes of the tests.
        sys.path[:] = [str(checkout), *(each for each in path if Path(each or ".") != ROOT)]
        try:
            mutants = [
                mutant
                for module in modules
                for mutant in mutants_of(module, Path(module).read_text())
                if mutant.function.startswith(function)
            ]
            if sample is not None and sample < len(mutants):
                chosen = random.Random(seed).sample(range(len(mutants)), sample)  # noqa: S311
                mutants = [mutants[number] for number in sorted(chosen)]
            _preload()
            runner = Runner(Path(name), workers)
            start = time.monotonic()
            baseline = runner.baseline(modules)
            print(
                f"{len(mutants)} mutants, {len(baseline.seconds)} tests "
                f"({time.monotonic() - start:.0f} s without a change)",
                flush=True,
            )
            return runner.run(mutants, modules, baseline), sample is None and not function
        finally:
            os.chdir(before)
            sys.path[:] = path


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modules", nargs="*", help="files or names of modules; default: all")
    parser.add_argument("--sample", type=int, help="test so many mutants, chosen at random")
    parser.add_argument("--seed", type=int, default=0, help="seed of the sample")
    parser.add_argument("--workers", type=int, default=min(os.cpu_count() or 1, 8))
    parser.add_argument("--function", default="", help="only mutants in functions that start so")
    parser.add_argument("--json", type=Path, help="write each mutant and its outcome to this file")
    options = parser.parse_args(arguments)
    known = settings()
    modules = {
        name: tests
        for name, tests in known.items()
        if not options.modules
        or any(each in (name, Path(name).stem, Path(name).name) for each in options.modules)
    }
    if not modules:
        parser.error(f"no such module; there are {', '.join(known)}")
    start = time.monotonic()
    try:
        named = named_survivors()
        results, whole = run(
            modules,
            sample=options.sample,
            seed=options.seed,
            workers=options.workers,
            function=options.function,
        )
    except RunError as error:
        print(error, file=sys.stderr)
        return 2
    text, status = summary(results, named, whole=whole)
    print(text)
    print(f"\n{time.monotonic() - start:.0f} s")
    if options.json is not None:
        rows = [[*r.mutant.name, r.outcome, r.killer] for r in results]
        options.json.write_text(json.dumps(rows, indent=1))
    return status


if __name__ == "__main__":
    sys.exit(main())
