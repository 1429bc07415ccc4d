import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from guardrail.cli.demo import demo
from guardrail.cli.demo.scenes import Scene, SceneResult

DENIAL = Scene("clara", "too much", lambda: None, "no_grant", "p", "patients[0, 0]")
GRANT = Scene("clara", "a score", lambda: None, "allow", "g", fits=lambda output: len(output) == 1)
#: What each scene expects, in every part.
DENIED = SceneResult(DENIAL, "no_grant", ("p",), "patients[0, 0]")
ALLOWED = SceneResult(GRANT, "allow", ("g",), output=np.ones((1, 2)))


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """The demo keeps its journal below the current folder."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("result", [DENIED, ALLOWED])
def test_expected_result_holds(result):
    assert result.holds


#: Each changes one part of an expected result, and only that.
UNEXPECTED = {
    "allowed": (DENIED, {"code": "allow"}),
    "denied with another code": (DENIED, {"code": "prohibited"}),
    "denied by another policy": (DENIED, {"policies": ("q",)}),
    "denied by no policy": (DENIED, {"policies": ()}),
    "denied by one policy too many": (DENIED, {"policies": ("p", "q")}),
    "denied at another place": (DENIED, {"path": "patients[0, 1]"}),
    "denied at no place": (DENIED, {"path": ""}),
    "denied instead": (ALLOWED, {"code": "no_grant"}),
    "granted by another policy": (ALLOWED, {"policies": ("q",)}),
    "another output": (ALLOWED, {"output": np.ones((2, 2))}),
}


@pytest.mark.parametrize(("expected", "change"), UNEXPECTED.values(), ids=UNEXPECTED)
def test_result_that_differs_in_one_part_does_not_hold(expected, change):
    assert not replace(expected, **change).holds


def test_cut_score_is_null_in_json():
    data = SceneResult(GRANT, "allow", ("g",), output=np.array([[np.nan, 0.5]])).as_json()
    assert data["got"] == {"shape": [1, 2], "first_row": [None, 0.5]}


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
