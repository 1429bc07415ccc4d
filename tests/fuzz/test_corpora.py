"""Every seed and every regression of every fuzz target, run without a fuzzer."""

import os

import pytest

from tests.fuzz import harness

FILES = [
    pytest.param(name, path, id=f"{name}/{path.name}")
    for name in harness.targets()
    for path in harness.corpus(name)
]


def target(name):
    """Return a target; what holds twins side by side needs both."""
    try:
        return harness.target(name)
    except ModuleNotFoundError:
        if os.environ.get("GUARDRAIL_PURE", "") in ("", "0"):
            raise
        pytest.skip("GUARDRAIL_PURE is set: there is one kernel")


@pytest.mark.parametrize(("name", "path"), FILES)
def test_a_target_holds_on_its_corpus(name, path):
    target(name)(path.read_bytes())


@pytest.mark.parametrize("name", harness.targets())
def test_a_target_holds_on_next_to_nothing(name):
    for data in (b"", b"\0", b"\xff" * 64):
        target(name)(data)


@pytest.mark.parametrize("name", harness.targets())
def test_a_target_has_seeds(name):
    assert harness.corpus(name)


def test_a_corpus_has_a_target():
    assert {path.name for path in harness.CORPUS.iterdir()} <= set(harness.targets())


def test_an_input_that_takes_too_long_is_found(monkeypatch):
    monkeypatch.setattr(harness, "LIMIT_S", -1.0)
    with pytest.raises(harness.TooSlow, match="3 bytes took"):
        harness.bounded(lambda _: None)(b"abc")
