"""All that a call needs is imported when the bundle is loaded.

A child that is forked while another thread imports a module waits for that module for ever: its
lock is held by a thread that the child does not have.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from bundles import GRANT, SCHEMA

TESTS = Path(__file__).parents[1]
SCRIPT = """
import asyncio, os, sys

import jwt
import numpy as np

from bundles import principal
from guardrail import Guard
from guardrail.testing import FrozenClock

library = __import__(sys.argv[2]) if sys.argv[2] in ("pandas", "polars", "pyarrow") else None
value = {
    "tensor": lambda: np.ones((2, 3)),
    "record": lambda: {"a": 1.0},
    "text": lambda: "write to clara@example.org",
    "dict": lambda: {"a": np.ones(2), "b": np.array(["x", "y"], object)},
    "pandas": lambda: library.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]}),
    "polars": lambda: library.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]}),
    "pyarrow": lambda: library.table({"a": [1.0, 2.0], "b": ["x", "y"]}),
}[sys.argv[2]]()
claims = {"iss": "i", "aud": "a", "sub": "clara", "exp": 2_000_000_000, "department": "care"}
token = jwt.encode(claims, os.environ["SECRET"], algorithm="HS256")
guard = Guard.from_dir(sys.argv[1], clock=FrozenClock(1_900_000_000.0))
on = {"action": "predict", "resource": 'Model::"tumour"', "input": "value"}


@guard.protect(**on)
def predict(value):
    return 0.123


@guard.protect(**on)
async def predict_later(value):
    return 0.123


async def main():
    async with guard.acting_as(token=token):
        return await predict_later(value)

asyncio.run(asyncio.sleep(0))
before = set(sys.modules)
with guard.acting_as(token=token):
    assert predict(value) == 0.1
assert asyncio.run(main()) == 0.1
print(sorted(set(sys.modules) - before))
"""
TOML = """\
[bundle]
name = "small"
version = "1"
[audit]
journal = "{journal}"
[identity.issuer]
type = "jwt"
issuer = "i"
audience = "a"
algorithms = ["HS256"]
secret_env = "SECRET"
principal = {{ type = "User", id = "sub", attrs = {{ department = "department" }} }}
"""
POLICIES = (
    GRANT
    + '@id("q") @quota("10 calls/hour per principal") @round("1") '
    + 'forbid (principal, action == Action::"predict", resource);\n'
)
TABLES = {"dict", "pandas", "polars", "pyarrow"}


@pytest.mark.parametrize("kind", ["tensor", "record", "text", *sorted(TABLES)])
def test_a_first_call_imports_nothing(make_bundle, tmp_path, kind):
    view = {"tensor": "Tensor", "record": "Record", "text": "Text"}.get(kind, "Table")
    fact = "context.input.bytes > 1000"
    files = {}
    policies = POLICIES
    if kind == "text":
        fact = 'context.input.findings.contains("card")'
    elif kind in TABLES:
        files["inputs/table.yaml"] = (
            "kind: table\ncolumns:\n  a: {type: float64}\n  b: {type: string}\n"
        )
        policies += (
            '@id("in") @input("table") forbid (principal, action == Action::"predict", resource);\n'
        )
    policies += (
        f'@id("f") forbid (principal, action == Action::"predict", resource) when {{ {fact} }};'
    )
    folder = make_bundle(
        policies,
        **{
            "guardrail.toml": TOML.format(journal=tmp_path / "journal"),
            "schema.cedarschema": SCHEMA.replace(
                "guardrail::TensorInput", f"guardrail::{view}Input"
            ),
            **files,
        },
    )
    script = tmp_path / "first.py"
    script.write_text(SCRIPT)
    path = f"{TESTS.parent}{os.pathsep}{TESTS}"
    ran = subprocess.run(  # noqa: S603
        [sys.executable, script, folder, kind],
        env=os.environ | {"SECRET": "s" * 40, "PYTHONPATH": path},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout.replace("'", '"')) == []
