"""Loads a bundle again while the old one serves, after a trial in a child process.

The trial protects the service from a parser that crashes. Only the bytes whose digest the child
process confirmed are loaded. If anything fails, the bundle that serves stays. A second bundle, the
shadow, is loaded and reloaded beside the first one. The result goes to the caller, the log and the
metrics.
"""

from __future__ import annotations

import json
import logging
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from signal import Signals
from typing import TYPE_CHECKING, Any, Final, TypeVar

from guardrail._faults import faults_of
from guardrail._ports import (
    BlockingStep,
    Clock,
    FactSource,
    IdentityProvider,
    ObligationType,
    QuotaStore,
)
from guardrail.bundle.assembly import Bundle, load_bundle
from guardrail.errors import ConfigurationError, Fault, Place
from guardrail.policy import Folder, read_folder
from guardrail.runtime.flow import settle

if TYPE_CHECKING:
    from pydantic import BaseModel

    from guardrail.detectors import DetectorKind

#: Seconds that a trial may take, by default.
TIMEOUT_S: Final = 60.0
#: The most faults in one line of the log.
_LOGGED: Final = 10
#: The most bytes of a trial's output: some ten thousand faults.
_LIMIT_OUTPUT: Final = 4 * 2**20

T = TypeVar("T")

_log: Final = logging.getLogger("guardrail.reload")


@dataclass(frozen=True, slots=True)
class Origin:
    """The folder of a bundle and the arguments of its load, kept for a reload."""

    path: Path
    clock: Clock
    facts: tuple[FactSource, ...]
    obligations: tuple[ObligationType, ...]
    models: Mapping[str, type[BaseModel]] = field(default_factory=dict)
    shadow: Path | None = None
    providers: tuple[IdentityProvider, ...] = ()
    quota_store: QuotaStore | None = None
    detectors: tuple[DetectorKind, ...] = ()

    @property
    def own(self) -> dict[str, Any]:
        """The application's own parts, as `load_bundle` takes them."""
        return {
            "own_facts": self.facts,
            "own_obligations": self.obligations,
            "own_models": self.models,
            "own_providers": self.providers,
            "own_quota_store": self.quota_store,
            "own_detectors": self.detectors,
        }

    @property
    def paths(self) -> tuple[Path, ...]:
        """All folders that are read."""
        return (self.path,) if self.shadow is None else (self.path, self.shadow)

    def load(self) -> Bundle:
        """Return the bundle of the folder, with the policies of a second bundle as its shadow.

        Raises:
            ConfigurationError: with all faults of the bundle that does not load.
        """
        bundle = self.load_one(read_folder(self.path))
        path = self.shadow
        if path is None:
            return bundle
        other = _named(path, lambda: self.load_one(read_folder(path), bundle))
        return replace(bundle, shadow=other.snapshot)

    def load_one(self, folder: Folder, held: Bundle | None = None) -> Bundle:
        """Return the bundle of the files of one folder.

        Arguments:
            folder: its files.
            held: the bundle whose quota counters and challenges it takes over.
        """
        bundle = load_bundle(
            folder,
            clock=self.clock,
            storage=None if held is None else held.storage,
            challenges=None if held is None else held.challenges,
            **self.own,
        )
        if folder.path == self.path:
            self._check_store(bundle)
        if self.shadow is not None and folder.path == self.path:
            _check_one_shadow(bundle)
        return bundle

    def _check_store(self, bundle: Bundle) -> None:
        """Raise if the application passes a quota store that the bundle does not use."""
        store = self.quota_store
        if store is not None and bundle.storage.store is not store:
            raise ConfigurationError(
                "The bundle does not use the store that `quota_store` passes. Write "
                f'`store = "{store.name}"` under [quota], or leave `quota_store` out.'
            )


def _check_one_shadow(bundle: Bundle) -> None:
    """Raise if a bundle has shadow policies that those of a second bundle would replace."""
    policies = bundle.shadow.policies if bundle.shadow is not None else ()
    message = (
        '@mode("shadow") has no effect here, because shadow= names a second bundle. '
        "Move the policy there without @mode, or omit shadow=."
    )
    faults = [
        Fault("GR115", policy.chunk.annotation("mode"), message)
        for policy in {each.text_id: each for each in policies if each.is_shadow}.values()
    ]
    if faults:
        raise ConfigurationError(faults=tuple(faults))


def _named(folder: Path, read: Callable[[], T]) -> T:
    """Return what `read` returns for a second bundle, with its folder in the places of faults."""
    try:
        return read()
    except ConfigurationError as error:
        if not error.faults:
            raise
        faults = tuple(
            replace(fault, place=replace(fault.place, file=str(folder / fault.place.file)))
            for fault in faults_of(error, Place("guardrail.toml"))
        )
    raise ConfigurationError(faults=faults)


@dataclass(frozen=True, slots=True)
class ReloadResult:
    """The result of a successful reload.

    Attributes:
        revision: the digest of the bundle that is in use now.
        previous: the digest of the bundle before; the same if the folder has not changed.
        changed: whether another bundle is in use now.
        duration_s: seconds from reading the folder to the replacement, with the trial.
        shadow: the result for the second bundle; ``None`` if there is none.
    """

    revision: str
    previous: str
    changed: bool
    duration_s: float
    shadow: ReloadResult | None = None


class _MovedError(Exception):
    """The folder has changed since it was read."""


def reload_bundle(
    origin: Origin,
    held: Bundle,
    *,
    swap: Callable[[Bundle], None],
    count: Callable[[bool], None],
    timeout_s: float = TIMEOUT_S,
    python: str | None = None,
) -> ReloadResult:
    """Load a bundle again if its folder has changed, and replace the old one; log the result.

    A second bundle is reloaded after it, in the same steps, so that its faults do not keep the
    first one from being reloaded.

    Arguments:
        origin: the folder, and the arguments of the load.
        held: the bundle that is in use; the new one takes over its quota counters.
        swap: called with the new bundle after its trial and load.
        count: called after each reload with whether it succeeded.
        timeout_s: seconds that the trial may take.
        python: the interpreter for the trial; this process's own by default.

    Raises:
        ConfigurationError: with every fault of one bundle, which was not replaced.
    """
    serving = held

    def take(bundle: Bundle) -> None:
        nonlocal serving
        serving = bundle if origin.shadow is None else replace(bundle, shadow=held.shadow)
        swap(serving)

    again = partial(_reload_one, origin, count=count, timeout_s=timeout_s, python=python)
    result = again(origin.path, held, take)
    if origin.shadow is None or serving.shadow is None:
        return result
    beside = replace(serving, snapshot=serving.shadow)
    return replace(
        result,
        shadow=again(
            origin.shadow, beside, lambda other: swap(replace(serving, shadow=other.snapshot))
        ),
    )


def _reload_one(
    origin: Origin,
    path: Path,
    held: Bundle,
    swap: Callable[[Bundle], None],
    *,
    count: Callable[[bool], None],
    timeout_s: float,
    python: str | None,
) -> ReloadResult:
    """Reload one of the folders; ``held`` is the bundle that was loaded from it."""
    started = origin.clock.elapsed()
    previous = held.snapshot.revision
    which = "" if path == origin.path else "The shadow: "
    # A load can run code of the application, such as an obligation: `settle` catches all errors.
    bundle, failure = settle(
        BlockingStep(
            lambda: _take_over(origin, path, held, swap, timeout_s=timeout_s, python=python)
        )
    )
    if failure is not None:
        error = _as_configuration(failure)
        reason = "; ".join(str(fault) for fault in error.faults[:_LOGGED]) or error.message
        count(False)
        _log.error("%sNot reloaded, revision %s stays: %s", which, previous, reason)
        if error is failure:
            raise error
        raise error from failure
    if bundle is None:
        return ReloadResult(previous, previous, False, origin.clock.elapsed() - started)
    count(True)
    duration_s = origin.clock.elapsed() - started
    revision: str = bundle.snapshot.revision
    _log.info("%sReloaded in %.2f s: revision %s, after %s", which, duration_s, revision, previous)
    return ReloadResult(revision, previous, True, duration_s)


def _take_over(
    origin: Origin,
    path: Path,
    held: Bundle,
    swap: Callable[[Bundle], None],
    *,
    timeout_s: float,
    python: str | None,
) -> Bundle | None:
    """Return the new bundle, after the swap; ``None`` if the folder has not changed."""
    bundle = _renewed(origin, path, held, timeout_s, python)
    if bundle is not None:
        swap(bundle)
    return bundle


def _as_configuration(failure: Exception) -> ConfigurationError:
    if isinstance(failure, ConfigurationError):
        return failure
    kind = type(failure).__name__
    if isinstance(failure, OSError):
        return ConfigurationError(
            f"The bundle could not be read ({kind}). Check its files and their permissions."
        )
    return ConfigurationError(f"Loading the bundle raised {kind}. The cause is chained.")


def _renewed(
    origin: Origin, path: Path, held: Bundle, timeout_s: float, python: str | None
) -> Bundle | None:
    """Return the new bundle, tried and loaded; ``None`` if the folder has not changed."""
    if path == origin.shadow:
        return _named(path, lambda: _tried(origin, path, held, timeout_s, python))
    return _tried(origin, path, held, timeout_s, python)


def _tried(
    origin: Origin, path: Path, held: Bundle, timeout_s: float, python: str | None
) -> Bundle | None:
    for _ in range(2):  # again if the folder changed meanwhile
        folder = read_folder(path)
        if folder.revision == held.snapshot.revision:
            return None
        try:
            _try_out(folder, origin, timeout_s, python or sys.executable or "python3")
        except _MovedError:
            continue
        return origin.load_one(folder, held)
    message = (
        "The folder changed while it was read. Replace a bundle in one step, such as a rename."
    )
    raise ConfigurationError.at(Place(str(path)), "GR021", message)


def _try_out(folder: Folder, origin: Origin, timeout_s: float, python: str) -> None:
    """Load and try the bundle in a child process; raise if the trial fails."""
    # Without the working directory in front (-P), and with the paths that this process has.
    command = [python, "-P", "-m", "guardrail.testing.run.reload_child", str(folder.path)]
    for source in origin.facts:
        command.append(f"--fact={source.namespace}:{','.join(sorted(source.facts))}")
    for kind in origin.obligations:
        command.append(f"--obligation={kind.name}")
    command.extend(f"--model={name}" for name in origin.models)
    command.extend(f"--provider={each.kind}:{each.takes}" for each in origin.providers)
    if origin.quota_store is not None:
        store = origin.quota_store
        command.append(f"--store={store.name}:{','.join(sorted(store.strategies))}")
    command.extend(f"--detector={kind.name}" for kind in origin.detectors)
    try:
        output, returncode = _run(command, timeout_s)
    except subprocess.TimeoutExpired:
        problem = f"took over {timeout_s:g} s. Allow more with timeout_s="
    except (OSError, ValueError) as error:
        problem = f"could not be started ({type(error).__name__}). Name a Python with python="
    else:
        faults = _read_faults(output, folder.revision) if len(output) <= _LIMIT_OUTPUT else None
        if faults is not None and (returncode == 0) == (not faults):
            if faults:
                raise ConfigurationError(faults=faults)
            return
        problem = (
            f"ended {_how(returncode)}. A load in this process would end in the same way. Correct "
            "the bundle, or restore the last one"
        )
        if len(output) > _LIMIT_OUTPUT:
            problem = (
                f"wrote over {_LIMIT_OUTPUT >> 20} MiB. Correct the first faults of the bundle"
            )
    message = f"The trial of the new bundle in a separate process {problem}."
    raise ConfigurationError.at(Place(str(folder.path)), "GR020", message)


def _run(command: Sequence[str], timeout_s: float) -> tuple[bytes, int]:
    """Run a trial; return its standard output and its exit code.

    It is killed if it writes more than `_LIMIT_OUTPUT` bytes; then more than that is returned.

    Raises:
        TimeoutExpired: if it takes longer than ``timeout_s``.
    """
    ends_at = time.monotonic() + timeout_s
    with subprocess.Popen(  # noqa: S603  no shell; the arguments are ours, or configuration
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # a traceback may hold what a fault never does
        env=_environment(),
    ) as child:
        try:
            output = _read_until(child.stdout, ends_at)
            if len(output) > _LIMIT_OUTPUT:
                child.kill()
            return output, child.wait(max(0.0, ends_at - time.monotonic()))
        finally:
            child.kill()  # does nothing to one that has ended


def _read_until(pipe: Any, ends_at: float) -> bytes:
    """Return the bytes of a pipe up to its end, the time limit or the size limit."""
    output = bytearray()
    ready = select.poll()  # `select.select` takes no handle over 1,023
    ready.register(pipe, select.POLLIN)
    while len(output) <= _LIMIT_OUTPUT:
        if not ready.poll(max(0.0, ends_at - time.monotonic()) * 1000):
            break
        piece = os.read(pipe.fileno(), 65_536)
        if not piece:
            break
        output += piece
    return bytes(output)


def _environment() -> dict[str, str]:
    """Return the environment of a trial: this process's, without its ``PYTHON...`` settings.

    ``PYTHONINSPECT``, ``PYTHONWARNINGS`` or ``PYTHONIOENCODING`` would change the output of a
    trial, or keep it from ending. It gets the import paths and the home of this process.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PYTHON") or name == "PYTHONHOME"
    }
    paths = os.pathsep.join(path for path in sys.path if isinstance(path, str) and path)
    return {**kept, "PYTHONPATH": paths}


def _read_faults(output: bytes, revision: str) -> tuple[Fault, ...] | None:
    """Return the faults in the output of a trial; ``None`` if the output can't be read."""
    try:
        report = json.loads(output.rstrip().rpartition(b"\n")[2])
        if report["revision"] != revision:
            raise _MovedError
        return tuple(_fault(**data) for data in report["faults"])
    except (ValueError, LookupError, TypeError, RecursionError):
        return None


def _fault(code: str, file: str, line: int, column: int, message: str) -> Fault:
    return Fault(str(code), Place(str(file), int(line), int(column)), str(message))


def _how(returncode: int) -> str:
    try:
        return f"by {Signals(-returncode).name}"
    except ValueError:
        return f"with exit code {returncode}"


def fault_data(fault: Fault) -> dict[str, Any]:
    """Return a fault as the trial writes it, for `_fault`."""
    place = fault.place
    return {
        "code": fault.code,
        "file": place.file,
        "line": place.line,
        "column": place.column,
        "message": fault.message,
    }
