"""The compiled check reads the elements and nothing beside them: the pages beside are locked."""

import os
import subprocess
import sys

import pytest

from tests.parity.conftest import PURE_WAS_CHOSEN

CODE = """
import ctypes, mmap
from array import array
import numpy as np
from guardrail._core import _tensor

PAGE = mmap.PAGESIZE
area = mmap.mmap(-1, 34 * PAGE)
start = ctypes.addressof(ctypes.c_char.from_buffer(area))
libc = ctypes.CDLL(None, use_errno=True)
for page in (0, 33):
    assert libc.mprotect(ctypes.c_void_p(start + page * PAGE), PAGE, 0) == 0
within = np.frombuffer(area, "u1")[PAGE:-PAGE]
within[:] = 0
for dtype in ("f2", "f4", "f8", "i1", "u2", "i4", "u8"):
    size = np.dtype(dtype).itemsize
    for columns in (1, 2, 3, 4, 7, 8, 30, 33, 65, 2050):
        for rows in (1, 2, 5, 9, 66, 500):
            count = rows * columns * size
            if count > len(within):
                continue
            bounds = [array("d", [0.0] * columns)] * 2
            for part in (within[:count], within[-count:]):
                values = part.view(dtype)
                for laid in (values.reshape(rows, columns), values.reshape(columns, rows).T):
                    assert _tensor.check_tensor(laid, *bounds, True) == (0, 0)
                    assert _tensor.count_bad(laid[:, ::-1][1:], *bounds, True) == 0
                    if columns > 4:
                        few = [array("d", [0.0] * (columns - 1))] * 2
                        assert _tensor.check_tensor(laid[:, 1:], *few, True) == (0, 0)
print("done")
"""


@pytest.mark.skipif(PURE_WAS_CHOSEN, reason="GUARDRAIL_PURE is set")
@pytest.mark.skipif(sys.platform != "linux", reason="locks pages as Linux does")
def test_nothing_beside_the_elements_is_read():
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", CODE],
        env={**os.environ, "GUARDRAIL_PURE": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "done"), done.stderr
