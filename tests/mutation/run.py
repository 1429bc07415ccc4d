"""Changes the modules that decide and release, one place at a time: ``make mutants``.

A changed module is a mutant. A test must fail for each, or `survivors.toml` names the mutant and
the reason why it is harmless. Everything runs in a copy of the checkout, and a mutant exists only
in the memory of a process that is forked for it: no file ever holds one.

pytest collects the tests once. For each mutant of a function, a fork of that process gives the
function its changed code, and runs the tests. A mutant of a statement that runs on import needs a
fork that imports everything again, which is slower.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import pickle
import random
import shutil
import signal
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from tests.mutation.operators import Mutant, mutants_of
from tests.pure_checkout import ROOT, CompiledModulesError, copy_checkout, environment

HERE: Final = Path(__file__).resolve().parent
MARKS: Final = "not long and not night and not scale"
#: Imported once, before the forks. Nothing here starts a thread.
PRELOADED: Final = (
    "numpy", "pydantic", "cedarpy", "cryptography.x509", "jwt", "limits", "re2", "ruamel.yaml",
    "opentelemetry.sdk.trace", "pandas", "cachetools", "asyncio", "unittest.mock", "rich.console",
    "typer",
)  # fmt: skip
#: A mutant has ten times the seconds of its tests, and so many more.
GRACE_S: Final = 30.0
#: The tests of one mutant take at most so much processor time without a change: the fastest ones.
LIMIT_S: Final = 20.0


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


_PR_SET_PDEATHSIG: Final = 1
#: The standard error of the first process: forks write theirs into a file.
_PROGRESS: Final = os.fdopen(os.dup(2), "w", buffering=1)


class RunError(Exception):
    """The run can't start, or its tests fail without any change."""


def settings(path: Path = HERE / "modules.toml") -> dict[str, list[str]]:
    """Return the tests of each module."""
    return {name: table["tests"] for name, table in tomllib.loads(path.read_text()).items()}


def unreviewed(path: Path = HERE / "modules.toml") -> frozenset[str]:
    """Return the modules whose survivors are only counted."""
    tables = tomllib.loads(path.read_text())
    return frozenset(name for name, table in tables.items() if not table.get("is_reviewed", True))


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
    """A plug-in of pytest: the failures of the tests, and the processor time of each."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.failed: list[str] = []

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed:
            self.failed.append(report.nodeid)


_OPTIONS: Final = (
    "-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", "-m", MARKS, "--no-header", "--tb=no",
)  # fmt: skip


def _import_mutant(mutant: Mutant, tests: Sequence[str], told: Path) -> int:
    """Run the tests in a process that has not imported guardrail yet."""
    import pytest

    sys.dont_write_bytecode = True
    name = mutant.module.removesuffix(".py").replace("/", ".")
    sys.meta_path.insert(0, _MutantFinder(name, Path(mutant.module).resolve(), mutant.source))
    chosen = _Chosen(tests)
    files = sorted({test.partition("::")[0] for test in tests})
    code = pytest.main([*_OPTIONS, *files], plugins=[chosen])
    told.write_text(chosen.failed)
    if code in (0, 1):  # tests/conftest.py fails a run that skips tests: no mutant is killed by it
        return 1 if chosen.failed else 0
    return int(code)


def _run_items(items: Sequence[Any], config: Any) -> str:
    """Run collected tests until one fails; return its name."""
    chosen = _Chosen(())
    config.pluginmanager.register(chosen)
    for item, following in zip(items, [*items[1:], None], strict=True):
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if chosen.failed:
            break
    return chosen.failed


def put_in(mutant: Mutant) -> None:
    """Give a loaded function the code of a mutant. Raises `LookupError` if that is impossible."""
    module = importlib.import_module(mutant.module.removesuffix(".py").replace("/", "."))
    code = compile(mutant.source, str(module.__file__), "exec")
    owner: Any = module
    for name in mutant.function.split("."):
        found = [each for each in code.co_consts if getattr(each, "co_name", None) == name]
        if len(found) != 1:
            raise LookupError(mutant.function)
        code, owner = found[0], vars(owner)[name]
        if isinstance(owner, type):
            continue
        function = getattr(owner, "fget", None) or getattr(owner, "__func__", owner)
        function = getattr(function, "__wrapped__", function)
        try:
            function.__code__ = code  # nested functions are constants of it
        except (AttributeError, ValueError):
            raise LookupError(mutant.function) from None
        return
    raise LookupError(mutant.function)


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
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # ends with its parent
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


class Session:
    """A plug-in of pytest: runs the tests for each mutant instead of once, in forks."""

    def __init__(
        self, folder: Path, modules: Mapping[str, Sequence[str]], mutants: Sequence[Mutant]
    ) -> None:
        self._folder, self._modules, self._mutants = folder, modules, mutants
        self.workers = 2
        self.fault = ""
        self.later: list[tuple[Result, list[str]]] = []
        self.results: list[Result] = []
        self._killers: dict[str, int] = {}

    def pytest_runtestloop(self, session: Any) -> bool:
        try:
            self._run({item.nodeid: item for item in session.items}, session.config)
        except RunError as error:
            self.fault = str(error)
        return True

    def _run(self, items: Mapping[str, Any], config: Any) -> None:
        if "polars-0" in {
            path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")
        }:
            raise RunError(
                "A test module uses polars on import. Its threads do not exist in a fork, and the "
                "tests would wait for ever. Build the frames in the tests, or leave the file "
                "out of tests/mutation/modules.toml."
            )
        baseline = self._baseline(items, config)
        self.results = [Result(mutant) for mutant in self._mutants]
        start, done = time.monotonic(), 0

        def make(result: Result, tests: list[str], told: Path) -> Callable[[], int]:
            def run() -> int:
                os.environ["PYTEST_DEBUG_TEMPROOT"] = str(told.parent)
                config.pluginmanager.unregister(name="terminalreporter")
                try:
                    put_in(result.mutant)
                except LookupError:
                    return 75
                told.write_text(_run_items([items[test] for test in tests], config))
                return 1 if told.read_text() else 0

            return run

        waiting = []
        for result in reversed(self.results):
            tests = self._tests(result.mutant, baseline)
            if not tests:
                result.outcome = "not run"
            elif result.mutant.lines:
                waiting.append((result, tests))
            else:
                self.later.append((result, tests))
        running: list[tuple[Result, list[str], _Fork, Path]] = []
        try:
            while waiting or running:
                while waiting and len(running) < self.workers:
                    result, tests = waiting.pop()
                    tests.sort(
                        key=lambda test: (-self._killers.get(test, 0), baseline.seconds[test])
                    )
                    folder = Path(tempfile.mkdtemp(dir=self._folder))
                    told, limit = folder / "failed", sum(baseline.seconds[t] for t in tests)
                    fork = _Fork(
                        make(result, tests, told), folder / "log", limit_s=10 * limit + GRACE_S
                    )
                    running.append((result, tests, fork, told))
                time.sleep(0.01)
                for entry in list(running):
                    result, tests, fork, told = entry
                    status = fork.poll()
                    if status is None:
                        continue
                    running.remove(entry)
                    if status == 75:
                        self.later.append((result, tests))
                    else:
                        _settle(result, status, told)
                        self._killers[result.killer] = self._killers.get(result.killer, 0) + 1
                        if result.outcome == "survived" or done % 50 == 0:
                            _progress(done, len(self._mutants), start, result)
                    done += 1
                    shutil.rmtree(told.parent, ignore_errors=True)
        finally:
            for _, _, fork, _ in running:
                fork.end()
        self.later = [
            (result, sorted(tests, key=lambda t: (-self._killers.get(t, 0), baseline.seconds[t])))
            for result, tests in self.later
        ]

    def _baseline(self, items: Mapping[str, Any], config: Any) -> Baseline:
        """Run the tests without a change: their seconds, and the lines that each runs."""
        told, modules = self._folder / "baseline.json", list(self._modules)

        def run() -> int:
            import coverage

            os.environ["PYTEST_DEBUG_TEMPROOT"] = str(self._folder)
            config.pluginmanager.unregister(name="terminalreporter")
            here = Path.cwd()
            measuring = coverage.Coverage(
                config_file=False,
                data_file=str(told) + ".coverage",
                include=[str(here / name) for name in modules],
            )
            measured = _Measured()
            config.pluginmanager.register(measured)
            measuring.start()
            tests = list(items.values())
            for item, following in zip(tests, [*tests[1:], None], strict=True):
                measuring.switch_context(item.nodeid)
                began = time.process_time()  # another load of the machine chooses the same tests
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
                measured.seconds[item.nodeid] = time.process_time() - began
            measuring.stop()
            found = measuring.get_data()
            lines = {
                name: {
                    line: sorted(set(contexts))
                    for line, contexts in found.contexts_by_lineno(str(here / name)).items()
                }
                for name in modules
            }
            told.write_text(
                json.dumps({"seconds": measured.seconds, "failed": measured.failed, "lines": lines})
            )
            return 0

        log, start = self._folder / "baseline.log", time.monotonic()
        if _Fork(run, log, limit_s=3600).wait() or not told.is_file():
            raise RunError(f"The tests did not run without a change:\n{_end_of(log)}")
        found = json.loads(told.read_text())
        for name in found["failed"]:
            print(f"left out, because it fails without a change: {name}", file=_PROGRESS)
        seconds = {t: s for t, s in found["seconds"].items() if t not in found["failed"]}
        print(
            f"{len(self._mutants)} mutants, {len(seconds)} tests "
            f"({time.monotonic() - start:.0f} s without a change)",
            file=_PROGRESS,
            flush=True,
        )
        return Baseline(
            seconds,
            {
                module: {int(line): frozenset(names) for line, names in lines.items()}
                for module, lines in found["lines"].items()
            },
        )

    def _tests(self, mutant: Mutant, baseline: Baseline) -> list[str]:
        """Choose the tests: those of the statement, or all of the module if it runs on import."""
        seconds = baseline.seconds
        mine = [test for test in seconds if _lies_in(test, self._modules[mutant.module])]
        if mutant.lines:
            by_line = baseline.tests_of[mutant.module]
            found = {test for line in mutant.lines for test in by_line.get(line, ())}
            mine = [test for test in mine if test in found]
        chosen, total = [], 0.0
        for test in sorted(mine, key=seconds.__getitem__):
            total += seconds[test]
            if chosen and total > LIMIT_S:
                break
            chosen.append(test)
        return chosen


def _settle(result: Result, status: int, told: Path) -> None:
    result.outcome = {0: "survived", -1: "timeout"}.get(status, "killed")
    # pytest ends with 2 to 4 if a mutant breaks the import of a test file or of conftest.py.
    if status not in (-1, 0, 1, 2, 3, 4) or (status == 0 and not told.is_file()):
        raise RunError(f"A test run ended with {status}:\n{_end_of(told.with_name('log'))}")
    result.killer = told.read_text() if told.is_file() else ""


def _progress(done: int, total: int, start: float, result: Result) -> None:
    mutant = result.mutant
    print(
        f"[{done}/{total}, {time.monotonic() - start:.0f} s] {result.outcome}: {mutant.module} "
        f"{mutant.function}: {mutant.line} -> {mutant.becomes}",
        file=_PROGRESS,
        flush=True,
    )


def _run_later(
    later: Sequence[tuple[Result, list[str]]], folder: Path, workers: int
) -> None:  # fmt: skip
    """Test the mutants of statements that run on import."""
    waiting, running = list(later), []
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                result, tests = waiting.pop()
                here = Path(tempfile.mkdtemp(dir=folder))
                run = partial(_import_mutant, result.mutant, tests, here / "failed")
                limit = 10 * LIMIT_S + GRACE_S
                running.append((result, _Fork(run, here / "log", limit_s=limit), here / "failed"))
            time.sleep(0.05)
            for entry in list(running):
                result, fork, told = entry
                status = fork.poll()
                if status is not None:
                    running.remove(entry)
                    _settle(result, status, told)
    finally:
        for _, fork, _ in running:
            fork.end()


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


def _in_fork(
    folder: Path, modules: Mapping[str, Sequence[str]], mutants: Sequence[Mutant], workers: int
) -> list[Result]:
    """Run a session of pytest in a fork, so that this process never imports guardrail."""
    told = folder / "results.pickle"
    tests = sorted({test for listed in modules.values() for test in listed})

    def collect() -> int:
        import pytest

        session = Session(folder, modules, mutants)
        session.workers = workers
        code = pytest.main([*_OPTIONS, "-s", *tests], plugins=[session])
        import guardrail

        if Path(guardrail.__file__).resolve().parents[1] != Path.cwd().resolve():
            session.fault = f"guardrail was imported from {guardrail.__file__}, not from the copy."
        told.write_bytes(pickle.dumps((session.fault, session.results, session.later)))
        return int(code)

    sys.stdout.flush()
    log = folder / "session.log"
    _Fork(collect, log, limit_s=24 * 3600).wait()
    if not told.is_file():
        raise RunError(f"The tests could not be collected:\n{_end_of(log)}")
    fault, results, later = pickle.loads(told.read_bytes())
    if fault or not results:
        raise RunError(fault or f"No mutants were run:\n{_end_of(log)}")
    _run_later(later, folder, workers)
    return list(results)


def summary(
    results: Sequence[Result],
    named: Sequence[Named],
    *,
    whole: bool,
    counted: Container[str] = frozenset(),
) -> tuple[str, int]:
    """Return the report of a run and its exit status: 1 if a survivor has no reason."""
    reasons = {each.name for each in named}
    out = [f"{'module':52} {'mutants':>7} {'killed':>7} {'survived':>8} {'named':>6}"]
    unnamed: list[Result] = []
    for module in dict.fromkeys(result.mutant.module for result in results):
        of_module = [result for result in results if result.mutant.module == module]
        alive = [result for result in of_module if result.outcome in ("survived", "not run")]
        known = [result for result in alive if result.mutant.name in reasons]
        if module not in counted:
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
    again: Path | None = None,
) -> tuple[list[Result], bool]:
    """Test the mutants of modules, or a sample; return the results, and whether it was all."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="guardrail-mutants-") as name:
        checkout = Path(name, "checkout")
        copy_checkout(checkout)
        os.environ.update(environment(checkout))
        os.environ["CI"] = "1"  # hypothesis tries the same examples each time
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
            if again is not None:
                rows = json.loads(again.read_text())
                alive = {tuple(row[:6]) for row in rows if row[6] in ("survived", "not run")}
                mutants = [mutant for mutant in mutants if mutant.name in alive]
            if sample is not None and sample < len(mutants):
                chosen = random.Random(seed).sample(range(len(mutants)), sample)  # noqa: S311
                mutants = [mutants[number] for number in sorted(chosen)]
            _preload()
            results = _in_fork(Path(name), modules, mutants, workers)
            return results, sample is None and not function and again is None
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
    parser.add_argument("--again", type=Path, help="only the survivors of a file of --json")
    options = parser.parse_args(arguments)
    again = options.again.resolve() if options.again is not None else None
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
            again=again,
        )
    except (RunError, CompiledModulesError) as error:
        print(error, file=sys.stderr)
        return 2
    text, status = summary(results, named, whole=whole, counted=unreviewed())
    print(text)
    print(f"\n{time.monotonic() - start:.0f} s")
    if options.json is not None:
        rows = [[*r.mutant.name, r.outcome, r.killer] for r in results]
        options.json.write_text(json.dumps(rows, indent=1))
    return status


if __name__ == "__main__":
    sys.exit(main())
