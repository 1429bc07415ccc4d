"""`protect` keeps types: for the checkers (`samples.py`), and at run time for who asks hints."""

from __future__ import annotations

import importlib.util
import inspect
import subprocess
import sys
import typing
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SAMPLES = Path(__file__).with_name("samples.py")
CHECKERS = {"mypy": ("--strict",), "pyright": ()}


def check(checker: str, file: Path) -> subprocess.CompletedProcess[str]:
    pytest.importorskip(checker, reason=f"{checker} is not installed; `make lint` installs it")
    return subprocess.run(  # noqa: S603
        [sys.executable, "-m", checker, *CHECKERS[checker], str(file)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("checker", CHECKERS)
def test_the_samples_have_the_types_that_they_claim(checker):
    outcome = check(checker, SAMPLES)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


@pytest.mark.parametrize("checker", CHECKERS)
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("(function([1.0], scale=2, top=\"x\"), Scores)", "(function([1.0], top=\"x\"), int)"),
        ("many(1, \"a\", \"b\", c=1.0)", "many(\"a\", \"b\", c=1.0)"),
        ("many(1, 2)  # type", "many(1, \"a\")  # type"),
    ],
    ids=["another type", "a wrong call", "an ignore without need"],
)  # fmt: skip
def test_a_sample_that_is_wrong_is_found(tmp_path, checker, before, after):
    text = SAMPLES.read_text("utf-8")
    assert before in text
    wrong = tmp_path / "wrong.py"
    wrong.write_text(text.replace(before, after), "utf-8")
    outcome = check(checker, wrong)
    assert outcome.returncode == 1
    assert outcome.stdout.count("error:") == 1, outcome.stdout


# At run time. The types are known in the functions' own module alone.

MODULE = """
from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Iterator


class Rows: ...
class Scores: ...


def function(rows: Rows, *, top: int = 1) -> Scores: ...
async def coroutine(rows: Rows, *, top: int = 1) -> Scores: ...
def generator(rows: Rows) -> Iterator[Scores]: yield Scores()
async def async_generator(rows: Rows) -> AsyncIterator[Scores]: yield Scores()


class Model:
    def method(self, rows: Rows) -> Scores: ...
    async def amethod(self, rows: Rows) -> Scores: ...
    @staticmethod
    def static(rows: Rows) -> Scores: ...
    @classmethod
    def klass(cls, rows: Rows) -> Scores: ...
    def __call__(self, rows: Rows) -> Scores: ...


@functools.wraps(function)
def wrapping(*args, **kwargs): return function(*args, **kwargs)


partial = functools.partial(function, top=2)
"""


@pytest.fixture
def home(tmp_path):
    """Return a module of its own, with functions of every kind."""
    path = tmp_path / "home_of_types.py"
    path.write_text(MODULE, "utf-8")
    spec = importlib.util.spec_from_file_location("home_of_types", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def protect(make_guard):
    return make_guard().protect(action="predict", resource='Model::"tumour"', input="rows")


@pytest.mark.parametrize(
    "name", ["function", "coroutine", "generator", "async_generator", "wrapping"]
)
def test_hints_of_a_function_resolve_in_its_own_module(home, protect, name):
    function = getattr(home, name)
    protected = protect(function)
    hints = typing.get_type_hints(protected)
    assert hints == typing.get_type_hints(function)
    assert hints["rows"] is home.Rows
    assert inspect.signature(protected) == inspect.signature(function)
    assert inspect.signature(protected, eval_str=True).parameters["rows"].annotation is home.Rows
    assert inspect.get_annotations(protected, eval_str=True) == hints


@pytest.mark.parametrize("name", ["method", "amethod", "static", "klass"])
def test_hints_of_a_method_resolve_on_the_class_and_on_the_object(home, protect, name):
    class Guarded(home.Model):
        pass

    setattr(Guarded, name, protect(vars(home.Model)[name]))
    for owner in (Guarded, Guarded()):
        hints = typing.get_type_hints(getattr(owner, name))
        assert hints == {"rows": home.Rows, "return": home.Scores}
    assert inspect.signature(getattr(Guarded(), name)) == inspect.signature(
        getattr(home.Model(), name)
    )


def test_hints_of_a_bound_method_a_callable_and_a_partial_resolve(home, protect):
    model = home.Model()
    for thing, source in ((model.method, model.method), (model, home.Model.__call__)):
        assert typing.get_type_hints(protect(thing)) == typing.get_type_hints(source)
    protected = protect(home.partial)
    assert typing.get_type_hints(protected)["rows"] is home.Rows
    assert inspect.signature(protected) == inspect.signature(home.partial)
