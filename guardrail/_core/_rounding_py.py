"""Rounding in plain Python: the definition that the compiled kernel is held to.

Owns `round_floats` where ``GUARDRAIL_PURE=1`` chooses it. Refuses nothing that the compiled
one accepts, and the other way round: same numbers to the bit, same error.
"""

from __future__ import annotations

import math
from typing import Any, Final, Literal

#: The formats that are rounded, as PEP 3118 writes them: doubles and single floats.
_FORMATS: Final = ("d", "f")
#: The most digits; ten to this power is a double exactly, as the compiled kernel needs it.
_LIMIT_DIGITS: Final = 15


def round_floats(buffer: Any, digits: int) -> None:
    """Round the elements of a buffer where they lie, each as Python's ``round`` does.

    Arguments:
        buffer: doubles or single floats in the machine's byte order, contiguous in C order
            and writable; of any shape. It is the caller's own: whoever else holds it sees
            it change. A single float is rounded as the double it is, and then narrowed.
        digits: digits after the point, 0 to 15.

    NaN and infinities stay as they are; so does the sign of a zero.

    Raises:
        TypeError: not a buffer, or not of such floats.
        ValueError: digits out of range.
        BufferError: the buffer is not writable, or not contiguous.
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
