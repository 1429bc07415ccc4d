"""Importing guardrail is light: what a bundle does not use is never imported."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from bundles import GRANT, PATIENTS

#: Loaded lazily, where first used: numpy by arrays of the model's alone, `limits` by a quota store
#: that is built on it, `jwt` by an identity provider, `yaml` by a spec, the rest by the command
#: line or tests.
HEAVY = {
    "numpy", "limits", "jwt", "cryptography", "sklearn", "typer", "rich", "click", "hypothesis",
    "yaml", "redis", "requests", "pytest", "jsonschema_rs", "junitparser",
}  # fmt: skip
#: Loaded by the first guard, not with the package: what reads and checks a bundle.
LATE = {
    "cedarpy",
    "pydantic",
    "pydantic_core",
    "opentelemetry",
    "cachetools",
    "tomllib",
    "zoneinfo",
}
#: Loaded where one is started: a child process for a reload, a loop for what must wait.
STARTED = {"subprocess", "asyncio", "concurrent"}


def after(code: str, *arguments: str) -> tuple[set[str], list[str]]:
    """Run code in a fresh interpreter; return the top modules it has then, and its threads."""
    report = (
        "import json, sys, threading\n"
        "print(json.dumps([sorted({name.partition('.')[0] for name in sys.modules}),"
        " [thread.name for thread in threading.enumerate()]]))"
    )
    run = subprocess.run(  # noqa: S603
        [sys.executable, "-c", f"import sys\n{code}\n{report}", *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    modules, threads = json.loads(run.stdout)
    return set(modules), threads


def test_importing_guardrail_imports_nothing_heavy_and_starts_no_thread():
    modules, threads = after("import guardrail")
    assert "guardrail" in modules
    assert modules & (HEAVY | LATE | STARTED) == set()
    assert threads == ["MainThread"]


USE = """
from guardrail import Guard, Principal
guard = Guard.from_dir(sys.argv[1])
who = Principal("User", "clara", attrs={"department": "care"})
assert guard.protect(
    action="predict", resource='Model::"tumour"', principal=who
)(lambda patients: 1.25)(memoryview(bytearray(24)).cast("d", (1, 3))) in (1.2, 1.25)
"""
ROUND = '@id("r") @round("1") forbid (principal, action, resource);'
QUOTA = '@id("q") @quota("5/minute") forbid (principal, action, resource);'
INPUT = '@id("i") @input("patients") forbid (principal, action == Action::"predict", resource);'


@pytest.mark.parametrize(
    ("policies", "spec", "used"),
    [
        (GRANT, None, set()),
        (GRANT + ROUND, None, set()),
        (GRANT + INPUT, PATIENTS, {"yaml"}),
        (GRANT + QUOTA, None, set()),
    ],
    ids=["grant", "round", "input", "quota"],
)
def test_a_guard_imports_only_what_its_bundle_uses(make_bundle, policies, spec, used):
    folder = make_bundle(policies, **{"inputs/patients.yaml": spec})
    modules, threads = after(USE, str(folder))
    assert modules & HEAVY == used
    assert threads == ["MainThread"]
