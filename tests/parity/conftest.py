"""Every test here runs over both kernels: the compiled one and its plain-Python twin."""

import os

import pytest

from guardrail._core import _tensor_py

PURE_WAS_CHOSEN = os.environ.get("GUARDRAIL_PURE", "") not in ("", "0")


def kernels():
    chosen = [pytest.param(_tensor_py, id="pure")]
    if not PURE_WAS_CHOSEN:
        from guardrail._core import _tensor

        chosen.append(pytest.param(_tensor, id="compiled"))
    return chosen


@pytest.fixture(params=kernels())
def tensor_kernel(request):
    """One kernel after the other."""
    return request.param


@pytest.fixture
def check_tensor(tensor_kernel):
    return tensor_kernel.check_tensor


@pytest.fixture
def count_bad(tensor_kernel):
    return tensor_kernel.count_bad
