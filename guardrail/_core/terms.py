"""What both kernels mean: their result codes, and the number formats they can read.

Owns the codes and `dtype_of`, which names a buffer's element type. Refuses to guess:
byte orders other than the machine's, text, objects, complex numbers and structures have
no name here, and so no check. `_tensor.pyx` keeps its own copy of both, for speed;
``tests/parity`` holds the copies equal.
"""

from __future__ import annotations

import sys
from typing import Final

#: Every element is acceptable.
OK: Final = 0
#: The element is NaN or infinite where finite numbers are required, or NaN within bounds.
NOT_FINITE: Final = 1
#: The element lies below its column's lower bound.
BELOW: Final = 2
#: The element lies above its column's upper bound.
ABOVE: Final = 3
#: The row of a column holds no value where one is required.
NULL: Final = 4
#: The text is none of those that are allowed.
NOT_LISTED: Final = 5
#: The text has more characters than are allowed.
TOO_LONG: Final = 6
#: The bytes are no UTF-8, the text holds a lone surrogate, or the object is no text.
NOT_TEXT: Final = 7
#: The column's buffers contradict each other at this row.
MALFORMED: Final = 8

_KINDS: Final = {
    **dict.fromkeys("efd", "float"),
    **dict.fromkeys("bhilqn", "int"),
    **dict.fromkeys("BHILQN", "uint"),
}
_PREFIXES: Final = "@=" + ("<" if sys.byteorder == "little" else ">")

#: Every element type that can be checked, by numpy's name.
DTYPES: Final = frozenset(
    {"bool"}
    | {f"float{bits}" for bits in (16, 32, 64)}
    | {f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)}
)


def dtype_of(format: str, itemsize: int) -> str:
    """Return numpy's name of a buffer's element type, or ``""`` where it is not supported.

    Arguments:
        format: the buffer's format as PEP 3118 has it, such as ``"f"`` or ``"<f"``.
        itemsize: bytes per element, which tells the sizes of a C ``long`` apart.

    >>> dtype_of("f", 4), dtype_of(">f", 4)
    ('float32', '')
    """
    code = format[1:] if format[:1] in _PREFIXES else format
    if code == "?":
        name = "bool" if itemsize == 1 else ""
    else:
        name = f"{_KINDS.get(code, '')}{8 * itemsize}"
    return name if name in DTYPES else ""
