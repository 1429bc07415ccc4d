"""Only one module reads the faults of an error: otherwise an error without faults could be lost."""

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "guardrail"

#: Modules that read the faults of an error in another way, and handle an error without faults.
OTHERS = {
    "_faults.py",
    "bundle/reload.py",  # raises it again, or logs its message
    "cli/io/terminal.py",  # prints its message
    "testing/contracts.py",  # counts them
    "testing/plugin.py",  # prints its message
}


def readers(tree: ast.AST) -> Iterator[int]:
    """Yield the lines that read `faults` of a caught exception or of an argument that is one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler) and node.name:
            names = {node.name}
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names = {
                each.arg
                for each in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
                if each.annotation is not None
                and "ConfigurationError" in ast.unparse(each.annotation)
            }
        else:
            continue
        for below in ast.walk(node):
            if (
                isinstance(below, ast.Attribute)
                and below.attr == "faults"
                and isinstance(below.value, ast.Name)
                and below.value.id in names
            ):
                yield below.lineno


def test_only_one_module_gathers_the_faults_of_errors():
    found = {
        f"{name}:{line}"
        for path in PACKAGE.rglob("*.py")
        if (name := path.relative_to(PACKAGE).as_posix()) not in OTHERS
        for line in readers(ast.parse(path.read_text("utf-8")))
    }
    assert found == set(), "use `guardrail._faults.faults_of`"


def test_a_module_that_gathers_faults_is_found():
    text = "try:\n    f()\nexcept ConfigurationError as error:\n    faults += error.faults\n"
    assert list(readers(ast.parse(text))) == [4]
    text = "def f(error: ConfigurationError) -> None:\n    return error.faults\n"
    assert list(readers(ast.parse(text))) == [2]
