"""A class of plain Python that derives from a compiled one: each of its overrides is called.

C code may call a method of a compiled class without a look at the subclass, and then an override
does nothing, with no word about it. The classes are found in the source, and shown to be heard by
calls through the compiled rooms.
"""

import ast
import importlib
import re
from array import array
from pathlib import Path

import pytest
from bundles import principal

import guardrail
from guardrail import Entity
from guardrail.testing import overriding, run_tests

ROOT = Path(guardrail.__file__).parent

POLICIES = """\
@id("grant") permit (principal, action, resource);
@id("counted") @quota("1/minute per principal.department and context.app.note.text")
@audit("principal.team.level")
forbid (principal, action == Action::"predict", resource);
"""
TESTS = """\
tests:
  - name: the second call waits
    principal:
      uid: 'User::"clara"'
      in: ['Role::"clinician"']
      attrs: {department: care, team: !entity 'Team::"heart"'}
    action: predict
    resource: Model::"tumour"
    facts: {app: {note: {text: spring}}}
    steps:
      - {expect: allow}
      - {expect: {code: quota_exceeded}}
"""


CLASS = re.compile(r"^(?:cdef )?class (\w+)", re.MULTILINE)
#: A class that derives from something. Modules without one are not parsed.
DERIVED = re.compile(r"^class \w+(?:\[.*\])?\(", re.MULTILINE)


def top_level(file):
    """Return the statements of a module."""
    return ast.parse(file.read_text()).body


def methods_of(node):
    names = (each.name for each in node.body if isinstance(each, ast.FunctionDef))
    return frozenset(name for name in names if not name.startswith("__"))


def declared():
    """Return the compiled classes, by name, each with the names of its methods."""
    found = {}
    for file in ROOT.rglob("*.px[dy]"):
        source = file.with_suffix(".py")
        body = top_level(source) if source.exists() else []
        methods = {node.name: methods_of(node) for node in body if isinstance(node, ast.ClassDef)}
        for name in CLASS.findall(file.read_text()):
            found[name] = methods.get(name, frozenset())
    return found


def across_the_border():
    """Yield each plain class that derives from a compiled one, with the methods it overrides."""
    inherited = declared()
    classes = []
    for file in ROOT.rglob("*.py"):
        if file.with_suffix(".pxd").exists() or not DERIVED.search(file.read_text()):
            continue
        body = top_level(file)
        imported = {
            alias.asname or alias.name: alias.name
            for node in body
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("guardrail")
            for alias in node.names
        }
        here = [node for node in body if isinstance(node, ast.ClassDef)]
        own = {node.name for node in here}
        classes += [(file, node, imported, own) for node in here if node.bases]
    before = -1
    found = {}
    while len(found) != before:  # until no class derives from one that was found
        before = len(found)
        for file, node, imported, own in classes:
            for base in node.bases:
                written = ast.unparse(base).partition("[")[0]
                name = imported.get(written, written.rpartition(".")[2])
                is_ours = written in imported or "." in written or (file, name) in found
                if name in inherited and (is_ours or name not in own):
                    above = inherited[name]
                    found[file, node.name] = above & methods_of(node)
                    inherited[node.name] = above
    for (file, name), overridden in found.items():
        module = ".".join(("guardrail", *file.relative_to(ROOT).with_suffix("").parts))
        for method in sorted(overridden):
            yield module, name, method


OVERRIDES = sorted(set(across_the_border()))


def test_the_classes_are_found():
    assert ("guardrail.testing.run.calls", "_TestAnswer", "value_of") in OVERRIDES
    assert ("guardrail.testing.application.observe", "_ObservingQuestion", "decide") in OVERRIDES


@pytest.mark.parametrize(("module", "name", "method"), OVERRIDES)
def test_an_override_is_called(make_bundle, make_guard, monkeypatch, module, name, method):
    cls = getattr(importlib.import_module(module), name)
    override, calls = getattr(cls, method), []

    def counting(self, *arguments, **named):
        calls.append(method)
        return override(self, *arguments, **named)

    monkeypatch.setattr(cls, method, counting)
    report = run_tests(make_bundle(POLICIES, **{"tests/a_test.yaml": TESTS}))
    guard = make_guard(POLICIES)
    predict = guard.protect(
        action="predict", resource='Model::"tumour"', input="patients",
        facts={"note": {"text": "spring"}},
    )(lambda patients: 0.5)  # fmt: skip
    row = memoryview(array("d", [1.0, 2.0, 3.0])).cast("B").cast("d", (1, 3))
    caller = principal(team=Entity("Team", "heart"))
    with guard.acting_as(caller), overriding(guard, unsafe_observe=True):
        predict(row)
    assert [result.message for result in report.results] == [""]
    assert calls
