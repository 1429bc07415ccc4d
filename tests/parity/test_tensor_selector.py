"""The selector chooses what it was told to, and never falls back by itself."""

import os
import subprocess
import sys

import pytest

import guardrail._core as core

PURE_WAS_CHOSEN = os.environ.get("GUARDRAIL_PURE", "") not in ("", "0")
BLOCK_THE_KERNEL = "import sys; sys.modules['guardrail._core._tensor'] = None;"
REPORT = "import guardrail._core as c; print(c.BACKEND, c.check_tensor.__module__)"


def run(code, pure):
    return subprocess.run(  # noqa: S603
        [sys.executable, "-c", code],
        env={**os.environ, "GUARDRAIL_PURE": pure},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.skipif(PURE_WAS_CHOSEN, reason="GUARDRAIL_PURE is set")
def test_the_compiled_kernel_is_really_loaded():
    assert core.BACKEND == "compiled"
    assert core.check_tensor.__module__ == "guardrail._core._tensor"
    assert sys.modules["guardrail._core._tensor"].__file__.endswith((".so", ".pyd"))


def test_a_missing_kernel_is_an_error_that_says_what_to_do():
    done = run(BLOCK_THE_KERNEL + REPORT, "")
    assert done.returncode == 1
    assert "GUARDRAIL_PURE=1" in done.stderr


def test_the_twin_is_loaded_where_it_was_chosen():
    done = run(BLOCK_THE_KERNEL + REPORT, "1")
    assert done.stdout.split() == ["pure", "guardrail._core._tensor_py"]


@pytest.mark.skipif(PURE_WAS_CHOSEN, reason="GUARDRAIL_PURE is set")
def test_a_zero_chooses_nothing():
    assert run(REPORT, "0").stdout.split() == ["compiled", "guardrail._core._tensor"]


def test_the_core_imports_no_heavy_library():
    code = (
        "import sys, guardrail._core; print(sorted({'numpy', 'jwt', 'limits'} & set(sys.modules)))"
    )
    assert run(code, os.environ.get("GUARDRAIL_PURE", "")).stdout.strip() == "[]"
