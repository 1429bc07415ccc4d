"""The flow is compiled as it stands: the file, run as plain Python, behaves the same."""

import importlib.util
import os
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES, SourceFileLoader
from pathlib import Path

import pytest

import guardrail
import guardrail.flow

SOURCE = Path(guardrail.__file__).parent / "flow.py"
PURE = os.environ.get("GUARDRAIL_PURE", "") not in ("", "0")


def test_the_compiled_flow_really_loaded():
    compiled = any(guardrail.flow.__file__.endswith(suffix) for suffix in EXTENSION_SUFFIXES)
    assert compiled or PURE


def test_both_flows_have_the_same_names():
    loader = SourceFileLoader("guardrail_flow_twin", str(SOURCE))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    twin = importlib.util.module_from_spec(spec)
    loader.exec_module(twin)

    def public(module):
        return {name for name in vars(module) if not name.startswith("__")} - {"annotations"}

    cimported = {"Target"}  # in flow.pxd: to the compiled flow a C type, and no name
    assert public(twin) - cimported <= public(guardrail.flow)


# The whole guard once more, with the flow loaded from its source: the tests of the flow run
# in a process of their own, in which only this one import is turned.
RUN = """
import importlib.util, sys
from importlib.machinery import SourceFileLoader
import importlib.abc

class Source(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "guardrail.flow":
            return importlib.util.spec_from_loader(name, SourceFileLoader(name, sys.argv[1]))
        return None

sys.meta_path.insert(0, Source())
import guardrail.flow
assert guardrail.flow.__file__.endswith("flow.py"), guardrail.flow.__file__
import pytest
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "-p", "no:xdist", *sys.argv[2:]]))
"""


@pytest.mark.skipif(PURE, reason="the flow is plain Python already")
def test_the_tests_of_the_guard_pass_on_the_plain_flow():
    root = Path(__file__).parents[2]
    result = subprocess.run(  # noqa: S603
        [sys.executable, "-c", RUN, str(SOURCE), "tests/unit/guard"],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stdout[-3000:]
    assert " passed" in result.stdout
