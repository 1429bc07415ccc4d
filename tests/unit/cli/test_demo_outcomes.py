import subprocess
import sys

import numpy as np
import pytest

from guardrail.cli.demo import demo
from guardrail.cli.demo.scenes import Outcome, Scene

DENIAL = Scene("clara", "too much", lambda: None, "no_grant")
GRANT = Scene("clara", "a score", lambda: None, "allow", "g", fits=lambda output: len(output) == 1)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """The demo keeps its journal below the current folder."""
    monkeypatch.chdir(tmp_path)


def test_output_where_a_denial_was_due_does_not_hold():
    assert not Outcome(DENIAL, "allow", ("g",), output=np.ones((1, 2))).holds


def test_denial_of_another_code_does_not_hold():
    assert not Outcome(DENIAL, "prohibited").holds


def test_denial_of_another_policy_does_not_hold():
    assert not Outcome(DENIAL, "no_grant", ("p",)).holds


def test_denial_at_another_place_does_not_hold():
    assert not Outcome(DENIAL, "no_grant", path="patients[0, 0]").holds


def test_expected_denial_holds():
    assert Outcome(DENIAL, "no_grant").holds


def test_output_that_does_not_fit_does_not_hold():
    assert not Outcome(GRANT, "allow", ("g",), output=np.ones((2, 2))).holds


def test_expected_output_holds():
    assert Outcome(GRANT, "allow", ("g",), output=np.ones((1, 2))).holds


def test_cut_score_is_null_in_json():
    told = Outcome(GRANT, "allow", ("g",), output=np.array([[np.nan, 0.5]])).as_json()
    assert told["got"] == {"shape": [1, 2], "first_row": [None, 0.5]}


def test_missing_scikit_learn_exits_with_2(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    assert demo.run("text") == 2
    assert "guardrail-cedar[demo]" in capsys.readouterr().err


def test_missing_bundle_exits_with_2(tmp_path, capsys):
    assert demo.run("text", bundle=tmp_path) == 2
    assert "--bundle DIR" in capsys.readouterr().err


def test_bundle_is_found_in_the_current_folder_first(tmp_path, monkeypatch):
    folder = tmp_path / demo.BUNDLE
    folder.mkdir(parents=True)
    (folder / "guardrail.toml").touch()
    monkeypatch.chdir(tmp_path)
    assert demo.find_bundle() == demo.BUNDLE


@pytest.mark.parametrize("name", ["numpy", "sklearn", "jwt", "cryptography"])
def test_importing_the_demo_imports_nothing_heavy(name):
    code = f"import guardrail.cli.demo.demo, sys; sys.exit({name!r} in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603
