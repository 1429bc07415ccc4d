"""What many tests build on: small bundles in a temporary folder, a frozen clock, a recorder."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bundles import ENTITIES, GRANT, PATIENTS, SCHEMA
from hypothesis import HealthCheck, settings

from guardrail import Guard
from guardrail.testing import FrozenClock, Recorder

# A shared machine stalls: time is no property. Where a change is to land, the examples are
# the same each time; elsewhere every run tries others.
settings.register_profile(
    "guardrail",
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("guardrail")


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock(1_700_000_000.0)


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def make_bundle(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a bundle: policies, and other files by name."""

    def make(policies: str = GRANT, **files: str | None) -> Path:
        contents: dict[str, str | None] = {
            "guardrail.toml": '[bundle]\nname = "small"\nversion = "1.0.0"\n',
            "schema.cedarschema": SCHEMA,
            "policies.cedar": policies,
            "entities.json": json.dumps(ENTITIES),
            "inputs/patients.yaml": PATIENTS,
            **files,
        }
        folder = tmp_path / "bundle"
        for name, text in contents.items():
            if text is not None:
                path = folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
        return folder

    return make


@pytest.fixture
def make_guard(
    make_bundle: Callable[..., Path], clock: FrozenClock, recorder: Recorder
) -> Callable[..., Guard]:
    """Return a function that writes a bundle and loads its guard, recorded and frozen."""

    def make(policies: str = GRANT, *, options: Any = None, **files: str | None) -> Guard:
        folder = make_bundle(policies, **files)
        chosen = {"clock": clock, "sinks": (recorder,), **(options or {})}
        return Guard.from_dir(folder, **chosen)

    return make


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Where a change is to land, what was skipped was not shown: that fails the run."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") and reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
