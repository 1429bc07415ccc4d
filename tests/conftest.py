"""What many tests build on: small bundles in a temporary folder, a frozen clock, a recorder."""

import gc
import json
import os
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
from bundles import ENTITIES, GRANT, PATIENTS, SCHEMA
from hypothesis import HealthCheck, is_hypothesis_test, settings

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

#: The examples of a property in `make test`. `make test-long` tries as many as it declares.
SAMPLE = 20
#: Where hypothesis keeps the settings of a test. Its own pytest plugin uses the same name.
SETTINGS = "_hypothesis_internal_use_settings"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Split each property with many examples: a sample, and all examples, which are `long`."""
    if not is_hypothesis_test(metafunc.function) or any(
        metafunc.definition.get_closest_marker(name) for name in ("long", "night", "scale")
    ):
        return
    declared = getattr(metafunc.function, SETTINGS).max_examples
    if declared > 2 * SAMPLE:
        metafunc.fixturenames.append("number_of_examples")
        every = pytest.param(declared, id="all-examples", marks=pytest.mark.long)
        numbers = [pytest.param(SAMPLE, id="sample"), every]
        metafunc.parametrize("number_of_examples", numbers, indirect=True)


@pytest.fixture
def number_of_examples(request: pytest.FixtureRequest) -> int:
    """How many examples hypothesis tries: see `pytest_runtest_call`."""
    return request.param


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Run a property with the number of examples that the item is for."""
    number = getattr(getattr(item, "callspec", None), "params", {}).get("number_of_examples")
    if number is None:
        return (yield)
    test = getattr(item.obj, "__func__", item.obj)
    declared = getattr(test, SETTINGS)
    # The sample and all examples of a method run on an instance each.
    checks = {*declared.suppress_health_check, HealthCheck.differing_executors}
    chosen = settings(declared, max_examples=number, suppress_health_check=checks)
    setattr(test, SETTINGS, chosen)
    try:
        return (yield)
    finally:
        setattr(test, SETTINGS, declared)


def pytest_collection_finish() -> None:
    """Exempt what was imported and collected from garbage collection, which many tests run."""
    gc.collect()
    gc.freeze()


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
