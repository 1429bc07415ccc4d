"""What ships keeps the house rules: names, docstrings, handlers, no hidden state."""

from __future__ import annotations

import ast
import importlib
import inspect
import pydoc
import re
import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

import guardrail

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "guardrail"
#: The template is the user's from the start, and keeps no rules but its own.
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if "template" not in path.parts)
#: The public names of each public module. All others are internal. A change of this table is a
#: decision: whoever uses the name must change, so it goes to `CHANGELOG.md` and `docs/api.md`.
PUBLIC = {
    "guardrail": {
        "ActingAs", "ConfigurationError", "Decision", "Denied", "Enforcement", "Entity",
        "FactValue", "Fault", "Guard", "GuardUnavailable", "GuardrailError", "InputRejected",
        "NotAuthenticated", "NotAuthorized", "OutputBlocked", "Peer", "Place", "Principal",
        "ProtectDecorator", "QuotaExceeded", "Record", "ReloadResult", "Resource", "Watcher",
        "__version__",
    },
    "guardrail.extensions": {
        "Appraised", "ArgumentChange", "Authenticator", "AuthenticatorBase", "BlockingStep",
        "BundleSources", "Carrier", "CarryingObligation", "Clause", "Clock", "ConfigurationError",
        "DetectorKind", "Entity", "Evidence", "FactContext", "FactSource", "FactSourceBase",
        "FactValue", "Fault", "Finding", "Identity", "IdentityProvider", "IdentityProviderBase",
        "KeysNeeded", "MutableObligation", "NotAuthenticated", "Obligation", "ObligationBase",
        "ObligationContext", "ObligationNotMet", "ObligationType", "Path", "Peer", "Place",
        "Principal", "PrincipalIds", "ProviderContext", "ProviderSettings", "QuotaCounters",
        "QuotaHit", "QuotaStore", "QuotaStoreBase", "QuotaStoreError", "QuotaStoreSettings",
        "Reading", "Record", "RecordAnnotations", "Section", "SettingsTable", "Sink", "SinkBase",
        "SpendingObligation", "Stage", "StreamingObligation", "SystemClock", "TextFilter", "View",
    },
    "guardrail.integrations.asgi": {"IdentityMiddleware", "Scope"},
    "guardrail.integrations.http": {"ProblemResponse", "problem_response"},
    "guardrail.testing": {
        "FrozenClock", "LetThrough", "Recorder", "Report", "Request", "Result", "always",
        "denied", "never", "overriding", "requests", "run_tests",
    },
    "guardrail.testing.contracts": {
        "DetectorKindContract", "FactSourceContract", "IdentityProviderContract",
        "ObligationContract", "QuotaStoreContract", "shown",
    },
}  # fmt: skip
DOCUMENTED = PUBLIC["guardrail"]
#: Only these may catch everything: the flow, which makes a denial of it; the trail, for which
#: each sink is foreign code; deferred spans, whose thread must outlive a processor's error; the
#: launcher, for which another distribution's `guardrail` is foreign code; and at load the import of
#: a plug-in.
CATCH_EXCEPTION = {
    "runtime/call.py", "runtime/flow.py", "audit/fan_out.py", "audit/telemetry/deferred_spans.py",
    "cli/launcher/__init__.py", "_plugins.py", "identity/plugin_results.py",
    "obligations/quota/storage_handle.py",
}  # fmt: skip
#: And these what interrupts: the drivers pass it on, after the call has its record; and the
#: thread of a detector kind, whose caller raises in its place.
CATCH_ALL = CATCH_EXCEPTION | {"runtime/drivers.py", "detectors/model_kinds.py"}

Documentable = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def named(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), str(path))


def faults(found: Callable[[Path], object]) -> dict[str, object]:
    """Return what is found in each module in which something is found, by the module's name."""
    by_name = {named(path): found(path) for path in MODULES}
    return {name: each for name, each in by_name.items() if each}


def test_the_modules_are_found():
    assert len(MODULES) > 300


@pytest.mark.parametrize("name", PUBLIC)
def test_the_public_names_are_exactly_the_documented_ones(name):
    module = importlib.import_module(name)
    assert sorted(module.__all__) == sorted(PUBLIC[name])
    page = (ROOT / "docs" / "api.md").read_text("utf-8")
    section = page.partition(f"## `{name}`\n")[2].partition("\n## ")[0]
    for each in PUBLIC[name]:
        assert hasattr(module, each)
        assert name == "guardrail.extensions" or f"`{each}`" in section, (
            f"docs/api.md does not list {name}.{each}"
        )


def test_the_docs_import_documented_names_only():
    page = (ROOT / "docs" / "api.md").read_text("utf-8")
    documented = {
        part.partition("`")[0]: set(re.findall(r"^\| `(\w+)`", part, re.MULTILINE))
        for part in page.split("\n## `")[1:]
    }
    documented["guardrail.extensions"] = PUBLIC["guardrail.extensions"]
    for file in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        if file.name == "fuzzing.md":  # for those who change guardrail
            continue
        for block in re.findall(r"^```python\n(.*?)^```", file.read_text("utf-8"), re.M | re.S):
            for module, names in re.findall(
                r"^\s*from (guardrail[\w.]*) import (\([^)]*\)|.*)", block, re.MULTILINE
            ):
                for name in re.findall(r"\w+", names.partition("#")[0]):
                    assert name in documented.get(module, ()), (
                        f"{file.name} imports {module}.{name}, which docs/api.md does not list"
                    )


def test_the_public_names_are_sorted_as_a_reader_expects():
    assert sorted(guardrail.__all__) == guardrail.__all__


def test_dir_and_help_show_the_public_names_only():
    assert set(dir(guardrail)) == DOCUMENTED
    assert {name for name, _ in inspect.getmembers(guardrail)} == DOCUMENTED
    text = pydoc.plain(pydoc.render_doc(guardrail))
    for name in DOCUMENTED - {"FactValue", "__version__"}:
        assert f"class {name}" in text
    assert "annotations" not in text.partition("DATA\n")[2].partition("FILE\n")[0].split()


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Guardian'"):
        _ = guardrail.Guardian  # type: ignore[attr-defined]


def returned(method: object) -> set[str]:
    """Return the names in the annotation of what a method returns."""
    tree = ast.parse(str(inspect.signature(method).return_annotation), mode="eval")
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def test_what_the_methods_of_a_guard_return_is_public():
    python = {"Any", "None", "bool", "dict", "float", "int", "str", "tuple"}
    for name, method in inspect.getmembers(guardrail.Guard, callable):
        if not name.startswith("_"):
            assert returned(method) <= DOCUMENTED | python, name
    assert returned(guardrail.Guard.reload) == {"ReloadResult"}


ROOMS = [
    "_core", "audit", "bundle", "cli", "detectors", "facts", "identity", "obligations", "policy",
    "runtime",
]  # fmt: skip


@pytest.mark.parametrize("room", ROOMS)
def test_an_internal_package_says_so(room):
    text = ast.get_docstring(parsed(PACKAGE / room / "__init__.py"))
    assert text is not None
    assert text.splitlines()[-1] == "Internal: applications import nothing from here."


def test_importing_everything_brings_the_public_names_and_no_others():
    namespace: dict[str, object] = {}
    exec("from guardrail import *", namespace)  # noqa: S102
    assert namespace.keys() - {"__builtins__"} == DOCUMENTED


def test_every_denial_is_a_public_class_and_stands_in_the_documentation():
    text = (ROOT / "docs" / "codes.md").read_text("utf-8")
    stack = [guardrail.Denied]
    while stack:
        kind = stack.pop()
        stack.extend(kind.__subclasses__())
        assert getattr(guardrail, kind.__name__) is kind
        assert f"`{kind.__name__}`" in text or kind is guardrail.Denied


def test_types_ship():
    assert (PACKAGE / "py.typed").is_file()
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert "py.typed" in settings["tool"]["setuptools"]["package-data"]["guardrail"]


def public(body: list[ast.stmt], within: str = "") -> Iterator[tuple[str, Documentable]]:
    """Yield the public classes, functions and methods, but not what stands in functions."""
    for node in body:
        if not isinstance(node, Documentable) or node.name.startswith(("_", "test_")):
            continue  # the tests of a contract have claims for names
        if any("overload" in ast.unparse(mark) for mark in node.decorator_list):
            continue
        yield f"{within}{node.name}", node
        if isinstance(node, ast.ClassDef):
            yield from public(node.body, f"{within}{node.name}.")


def bare(path: Path) -> list[str]:
    """Return what has no docstring: the module, and its public names."""
    tree = parsed(path)
    names = [name for name, node in public(tree.body) if not ast.get_docstring(node)]
    return names if ast.get_docstring(tree) else ["the module", *names]


def test_every_module_and_public_name_has_a_docstring():
    assert faults(bare) == {}


def left_over(path: Path) -> list[str]:
    """Return the assertions, by their lines, and the notes that the author left."""
    asserts = [str(node.lineno) for node in ast.walk(parsed(path)) if isinstance(node, ast.Assert)]
    text = path.read_text("utf-8")
    return asserts + [word for word in ("TODO", "FIXME", "XXX", "HACK") if word in text]


def test_no_assert_and_no_note_to_self_ships():
    assert faults(left_over) == {}


def caught(tree: ast.Module) -> set[str]:
    """Return which of the widest exceptions the handlers of a module catch."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            leaves = ast.walk(node.type or ast.Name("bare"))
            names |= {leaf.id for leaf in leaves if isinstance(leaf, ast.Name)}
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("suppress"):
            names |= {leaf.id for leaf in node.args if isinstance(leaf, ast.Name)}
    return names & {"Exception", "BaseException", "bare"}


def caught_without_leave(path: Path) -> set[str]:
    allowed = set()
    if named(path) in CATCH_EXCEPTION:
        allowed.add("Exception")
    if named(path) in CATCH_ALL:
        allowed.add("BaseException")
    return caught(parsed(path)) - allowed


def test_only_the_flow_and_the_trail_catch_everything():
    assert faults(caught_without_leave) == {}


# Hidden state.

MUTABLE = {"list", "dict", "set", "bytearray", "defaultdict", "deque", "Counter", "OrderedDict"}
DISPLAYS = (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)
MUTATORS = {
    "append", "extend", "insert", "remove", "pop", "popitem", "clear", "update", "setdefault",
    "add", "discard", "sort", "reverse", "appendleft", "popleft",
}  # fmt: skip


def is_mutable(value: ast.expr | None) -> bool:
    if isinstance(value, ast.Call):
        name = ast.unparse(value.func).rpartition(".")[2]
        return name in MUTABLE or name.endswith("Cache")
    return isinstance(value, DISPLAYS)


def state(tree: ast.Module) -> set[str]:
    """Return what in a module could remember from one call to the next, as sentences.

    A mutable value at module level must be `Final`, and nothing may change it afterwards;
    no function declares a ``global``; a memory of results has a bound.
    """
    found: set[str] = set()
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.Assign):
            targets = [target.id for target in node.targets if isinstance(target, ast.Name)]
            names.update(targets)
            if is_mutable(node.value):
                found.update(f"{name} is mutable" for name in targets if name != "__all__")
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
            if is_mutable(node.value) and "Final" not in ast.unparse(node.annotation):
                found.add(f"{node.target.id} is mutable")
    for node in ast.walk(tree):
        if isinstance(node, ast.Global):
            found.add(f"{', '.join(node.names)} declared global")
        elif isinstance(node, ast.Attribute | ast.Subscript):
            if isinstance(node.ctx, ast.Store | ast.Del) and _is(node.value, names):
                found.add(f"{ast.unparse(node)} is set")
            elif getattr(node, "attr", "") in MUTATORS and _is(node.value, names):
                found.add(f"{ast.unparse(node)} is called")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            marks = {ast.unparse(mark).rpartition("functools.")[2] for mark in node.decorator_list}
            if marks & {"cache", "lru_cache", "lru_cache()", "lru_cache(maxsize=None)"}:
                found.add(f"{node.name} remembers without a bound")
    return found


def _is(node: ast.expr, names: set[str]) -> bool:
    return isinstance(node, ast.Name) and node.id in names


def test_no_module_holds_state():
    """But in context variables, which are `Final` and set through their own methods."""
    assert faults(lambda path: state(parsed(path))) == {}


@pytest.mark.parametrize(
    "source",
    [
        "seen = {}",
        "seen: dict[str, int] = dict()",
        "_cache = LRUCache(5)",
        "_seen: Final = {}\ndef f(key):\n    _seen[key] = 1",
        "_seen: Final = set()\ndef f(key):\n    _seen.add(key)",
        "count = 0\ndef f():\n    global count\n    count += 1",
        "@functools.cache\ndef f(key): ...",
        "@lru_cache(maxsize=None)\ndef f(key): ...",
    ],
)
def test_state_is_found(source):
    assert state(ast.parse(source)) != set()


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("try: ...\nexcept Exception: ...", {"Exception"}),
        ("try: ...\nexcept (ValueError, BaseException): ...", {"BaseException"}),
        ("try: ...\nexcept: ...", {"bare"}),
        ("with contextlib.suppress(Exception): ...", {"Exception"}),
        ("try: ...\nexcept ValueError: ...", set()),
    ],
)
def test_a_handler_of_everything_is_found(source, found):
    assert caught(ast.parse(source)) == found
