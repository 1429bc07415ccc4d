"""``guardrail doctor``: checks the installation: the compiled core, the libraries and a decision.

It writes nothing, so that it also runs where nothing can be written. A check that can't be made
counts as failed.
"""

from __future__ import annotations

import importlib
import os
import platform
import sys
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

import typer

from guardrail._version import __version__
from guardrail.cli.commands.init import template
from guardrail.cli.io.terminal import FormatOption, OutputFormat, complain, say, say_json
from guardrail.cli.launcher import CHECK, damage
from guardrail.cli.registry import Command, HelpSection

REQUIRED: Final = (
    "cedarpy", "pydantic", "limits", "pyjwt", "opentelemetry-api", "cachetools", "google-re2",
    "python-stdnum",
)  # fmt: skip
#: The packages of each extra, which may be absent.
OPTIONAL: Final = {
    "demo": ("scikit-learn", "numpy", "opentelemetry-sdk"),
    "otlp": ("opentelemetry-exporter-otlp-proto-http",),
}

_REINSTALL: Final = "Reinstall guardrail-cedar"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one check: its name, its value, and the remedy if it failed."""

    name: str
    value: str
    ok: bool = True
    advice: str = ""


def doctor(*, format: FormatOption = OutputFormat.text) -> None:
    """Check this installation.

    Shows which core is active (compiled or plain Python), how tensors are read
    and texts searched, which libraries are installed, where spans go, and whether
    a small bundle decides correctly.

    Exit codes:

      0  every check passes
      1  at least one fails; the output says what to do

    Example:
      guardrail doctor --format json
    """
    results = [
        *_machine(),
        _package(),
        *_core(),
        *_engines(),
        *_libraries(),
        _tracing(),
        _self_test(),
    ]
    ok = all(result.ok for result in results)
    if format is OutputFormat.json:
        say_json({"ok": ok, "checks": [asdict(result) for result in results]})
    else:
        width = max(len(result.name) for result in results)
        for result in results:
            mark, color = ("ok ", None) if result.ok else ("OFF", "red")
            say(f"{mark} {result.name:{width}}  {result.value}", color=color)
        for result in results:
            if not result.ok:
                complain(f"{result.name}: {result.advice}")
    raise typer.Exit(0 if ok else 1)


def _machine() -> list[CheckResult]:
    return [
        CheckResult("guardrail", __version__),
        CheckResult("python", f"{platform.python_version()} ({sys.implementation.name})"),
    ]


def _package() -> CheckResult:
    """Check whether all files of `guardrail` are ours and unchanged since the installation."""
    value, cure = damage()
    return CheckResult(CHECK, value or "all files are as installed", ok=not value, advice=cure)


def _core() -> list[CheckResult]:
    """Check whether the core is compiled. Plain Python fails unless GUARDRAIL_PURE chooses it."""
    chosen = os.environ.get("GUARDRAIL_PURE", "") not in ("", "0")
    results = []
    for name, module in (
        ("core: kernels", "guardrail._core"),
        ("core: flow", "guardrail.runtime.flow"),
    ):
        try:
            loaded = importlib.import_module(module)
        except ImportError:
            results.append(CheckResult(name, "missing", ok=False, advice=f"{_REINSTALL}."))
            continue
        is_compiled = (
            getattr(loaded, "BACKEND", "") == "compiled"
            if module.endswith("_core")
            else str(loaded.__file__).endswith((".so", ".pyd"))
        )
        advice = f"{_REINSTALL} with a C compiler, or set GUARDRAIL_PURE=1 to choose plain Python."
        results.append(
            CheckResult(name, "compiled")
            if is_compiled
            else CheckResult(name, "pure", ok=chosen, advice="" if chosen else advice)
        )
    return results


def _engines() -> list[CheckResult]:
    """Report how tensors are read and texts are searched on this machine."""
    from guardrail._core import vector_path
    from guardrail.detectors import ENGINE

    return [CheckResult("vector path", vector_path()), CheckResult("detector engine", ENGINE)]


def _libraries() -> list[CheckResult]:
    results = []
    for name in REQUIRED:
        installed = _version(name)
        advice = "" if installed else f"{_REINSTALL}: pip install guardrail-cedar."
        results.append(CheckResult(name, installed or "missing", ok=bool(installed), advice=advice))
    for extra, names in OPTIONAL.items():
        missing = [name for name in names if not _version(name)]
        value = f"no {', '.join(missing)}" if missing else "installed"
        results.append(CheckResult(f"extra: {extra}", value))
    return results


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""


def _tracing() -> CheckResult:
    """Report the tracer provider of the spans. It may be absent: applications configure it."""
    from guardrail.audit.telemetry.provider import provider_name

    return CheckResult(
        "spans go to", provider_name() or "nowhere: no OpenTelemetry SDK is configured"
    )


def _self_test() -> CheckResult:
    """Load a bundle and decide twice: once to allow, once to deny."""
    from guardrail import Entity, Guard, GuardrailError, Principal
    from guardrail._ports import SystemClock
    from guardrail.bundle.assembly import load_bundle
    from guardrail.policy import Folder

    name, advice = "self-test", f"{_REINSTALL}. If it still fails, report it with this output."
    prices = Entity("Model", "prices")
    try:
        bundle = {
            file.removeprefix("policies/"): text.encode()
            for file, text in template("self_test").items()
            if file.startswith("policies/") and not file.startswith("policies/tests/")
        }
        folder = Folder(Path("self-test"), bundle, revision="")
        guard = Guard(load_bundle(folder, clock=SystemClock()), journal=None)
        codes = [
            guard.decide(
                principal=Principal("User", "doctor", parents=parents),
                action="predict",
                resource=prices,
                facts={},
            ).code
            for parents in ([Entity("Role", "agent")], [])
        ]
    except (GuardrailError, ImportError, OSError) as error:
        return CheckResult(name, type(error).__name__, ok=False, advice=advice)
    right = codes == ["allow", "no_grant"]
    value = "one allowed, one denied, as expected" if right else f"unexpected decisions: {codes}"
    return CheckResult(name, value, ok=right, advice="" if right else advice)


COMMAND: Final = Command("doctor", doctor, HelpSection.start)
