"""Round floats in plain Python: the reference for `_rounding.pyx`.

`round_floats` is used with ``GUARDRAIL_PURE=1``. The compiled function returns the same bits and
raises the same errors.
"""

from __future__ import annotations

import math
from typing import Any, Final, Literal

#: The accepted buffer formats (PEP 3118): 64-bit and 32-bit floats.
_FORMATS: Final = ("d", "f")
#: The most digits. Ten to this power is exact as a double, which the compiled function needs.
_LIMIT_DIGITS: Final = 15


def round_floats(buffer: Any, digits: int) -> None:
    """Round the elements of a buffer in place, each as Python's ``round`` does.

    Arguments:
        buffer: a writable, C-contiguous buffer of any shape with 64-bit or 32-bit floats in native
            byte order. The caller owns it: other holders see it change. A 32-bit float is rounded
            as a double and then narrowed.
        digits: digits after the decimal point, 0 to 15.

    NaN, infinities and the sign of zero are kept.

    Raises:
        TypeError: if it is not a buffer of such floats.
        ValueError: if ``digits`` is out of range.
        BufferError: if the buffer is not writable or not contiguous.
    """
    if not 0 <= digits <= _LIMIT_DIGITS:
        raise ValueError("expected digits from 0 to 15")
    with memoryview(buffer) as view:
        if view.readonly or not view.c_contiguous:
            raise BufferError("expected a writable buffer in C order")
        if view.format not in _FORMATS:
            raise TypeError("expected a buffer of doubles or single floats in native order")
        if view.nbytes == 0:
            return
        letter: Literal["d", "f"] = "d" if view.format == "d" else "f"
        with view.cast("B") as octets, octets.cast(letter) as elements:
            for index, element in enumerate(elements):
                if math.isfinite(element):
                    elements[index] = round(element, digits)
