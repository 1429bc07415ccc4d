"""The mutation runner: what it changes, how it names a survivor, and a small sample of mutants."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutation import run
from tests.mutation.operators import OPERATORS, Mutant, mutants_of
from tests.pure_checkout import ROOT, CompiledModulesError, refuse_compiled

SOURCE = '''"""A docstring."""
from __future__ import annotations

LIMIT: int = 3


def decide(value: int | None) -> bool:
    """Return "allow"."""
    if value is None or value > LIMIT:
        raise ValueError("no", "deny")
    return True
'''


def changes(source: str) -> set[tuple[str, str, str]]:
    return {(each.operator, each.line, each.becomes) for each in mutants_of("m.py", source)}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("if value is None or value > LIMIT:", "if value is None and value > LIMIT:"),
        ("if value is None or value > LIMIT:", "if value is not None or value > LIMIT:"),
        ("if value is None or value > LIMIT:", "if value is None or value >= LIMIT:"),
        ("if value is None or value > LIMIT:", "if not (value is None or value > LIMIT):"),
        ('raise ValueError("no", "deny")', "pass"),
        ('raise ValueError("no", "deny")', 'raise ValueError("no", "deny_mutated")'),
        ("return True", "return False"),
        ("LIMIT: int = 3", "LIMIT: int = 4"),
    ],
)
def test_each_decision_is_changed(before: str, after: str):
    assert (before, after) in {change[1:] for change in changes(SOURCE)}


def test_annotations_and_docstrings_are_not_changed():
    assert not [change for change in changes(SOURCE) if "def decide" in change[1]]
    assert not [change for change in changes(SOURCE) if '"""' in change[1]]


def test_names_survive_edits_elsewhere():
    moved = SOURCE.replace("LIMIT: int = 3\n", "LIMIT: int = 3\n\n\ndef other(): return 1\n")
    names = {each.name for each in mutants_of("m.py", SOURCE)}
    assert names <= {each.name for each in mutants_of("m.py", moved)}


def test_names_are_unique():
    for module in ("guardrail/runtime/flow.py", "guardrail/policy/engine/verdict.py"):
        names = [each.name for each in mutants_of(module, (ROOT / module).read_text())]
        assert len(names) == len(set(names))


@pytest.mark.parametrize("operator", OPERATORS[-5:], ids=lambda each: each.__name__)
def test_examples_of_our_operators_hold(operator):
    for example in operator.examples():
        made = {
            each.source
            for each in mutants_of("m.py", example.pre_mutation_code)
            if each.operator == operator.__name__
        }
        assert example.post_mutation_code in made


def result(outcome: str = "survived", line: str = "a == b") -> run.Result:
    mutant = Mutant("m.py", "f", "Eq_NotEq", line, "a != b", 1, "", range(1, 2))
    return run.Result(mutant, outcome)


@pytest.mark.parametrize("outcome", ["survived", "not run"])
def test_survivor_without_a_reason_fails(outcome: str):
    text, status = run.summary([result(outcome)], [], whole=True)
    assert status == 1
    assert 'line = "a == b"' in text


def test_survivor_with_a_reason_passes():
    named = [run.Named(result().mutant.name, "the same")]
    assert run.summary([result()], named, whole=True)[1] == 0


@pytest.mark.parametrize("results", [[result("killed")], [result("killed", "another line")]])
def test_entry_that_no_longer_survives_fails(results: list[run.Result]):
    named = [run.Named(result().mutant.name, "the same")]
    assert run.summary(results, named, whole=True)[1] == 1
    assert run.summary(results, named, whole=False)[1] == 0


def test_entry_without_a_reason_is_refused(tmp_path: Path):
    path = tmp_path / "survivors.toml"
    path.write_text(
        '[[survivor]]\nmodule = "m.py"\nfunction = "f"\noperator = "o"\nline = "a"\nbecomes = "b"\n'
    )
    with pytest.raises(run.RunError, match="no reason"):
        run.named_survivors(path)


def test_survivors_name_mutants_that_exist():
    names = {
        mutant.name
        for module in run.settings()
        for mutant in mutants_of(module, (ROOT / module).read_text())
    }
    assert [each.name for each in run.named_survivors() if each.name not in names] == []


def test_tests_of_the_modules_exist():
    for module, tests in run.settings().items():
        assert [path for path in (module, *tests) if not (ROOT / path).exists()] == []


def test_compiled_module_beside_a_source_is_refused(tmp_path: Path):
    (tmp_path / "guardrail/runtime").mkdir(parents=True)
    refuse_compiled(tmp_path)
    (tmp_path / "guardrail/runtime/flow.cpython-311.so").touch()
    with pytest.raises(CompiledModulesError, match="flow"):
        refuse_compiled(tmp_path)


@pytest.mark.long
def test_sample_of_mutants_is_killed():
    command = [
        sys.executable, "-m", "tests.mutation.run", "verdict", "--sample", "20", "--seed", "1",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 0, done.stdout + done.stderr
