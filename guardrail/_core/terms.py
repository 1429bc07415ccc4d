"""What both kernels mean: their result codes, and the number formats they can read.

Owns the codes and `dtype_of`, which names a buffer's element type. Refuses to guess: text,
objects, complex numbers and structures have no name here, and so no check; `kind_of` says
what they are, for a message. `_tensor.pyx` keeps its own copy of the first two, for speed;
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

_KINDS: Final = {
    **dict.fromkeys("efd", "float"),
    **dict.fromkeys("bhilqn", "int"),
    **dict.fromkeys("BHILQN", "uint"),
}
_PREFIXES: Final = "@=<>!"
#: The prefixes of the byte order that is not the machine's.
_SWAPPED: Final = ">!" if sys.byteorder == "little" else "<"
#: What else a buffer may hold, by the last letter of its format; numpy's names.
_OTHERS: Final = {
    "w": "str",
    "u": "str",
    "s": "bytes",
    "p": "bytes",
    "O": "object",
    "g": "longdouble",
}

#: Every element type that can be checked, by numpy's name.
DTYPES: Final = frozenset(
    {"bool"}
    | {f"float{bits}" for bits in (16, 32, 64)}
    | {f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)}
)


def dtype_of(format: str, itemsize: int) -> str:
    """Return numpy's name of a buffer's element type, or ``""`` where it is not supported.

    The name says nothing of the byte order, as numpy's does not: see `is_swapped`.

    Arguments:
        format: the buffer's format as PEP 3118 has it, such as ``"f"`` or ``"<f"``.
        itemsize: bytes per element, which tells the sizes of a C ``long`` apart.

    >>> dtype_of("f", 4), dtype_of(">f", 4), dtype_of("3w", 12)
    ('float32', 'float32', '')
    """
    code = format[1:] if format[:1] in _PREFIXES else format
    if code == "?":
        name = "bool" if itemsize == 1 else ""
    else:
        name = f"{_KINDS.get(code, '')}{8 * itemsize}"
    return name if name in DTYPES else ""


def is_swapped(format: str) -> bool:
    """Return whether a format says that the bytes lie in the order that is not the machine's."""
    return format[:1] != "" and format[0] in _SWAPPED


def kind_of(format: str) -> str:
    """Return what a buffer holds that has no `dtype_of`, for a message.

    A structured type is not spelt out: the names of its fields may be data.

    >>> kind_of("3w"), kind_of("5s"), kind_of("Zd"), kind_of("T{i:age:}")
    ('str', 'bytes', 'complex', 'a structured type')
    """
    if "{" in format or ":" in format:
        return "a structured type"
    if "Z" in format:
        return "complex"
    return _OTHERS.get(format[-1:], "a type that is no number")
