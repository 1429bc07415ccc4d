"""The vocabulary of both cores: result codes, number formats, and the layout of a journal's frames.

`dtype_of` names a buffer's element type. Text, objects, complex numbers and structures have no
dtype here, and so can't be checked; `kind_of` names them in a message. `_tensor.pyx` has its own
copy of the result codes and formats, for speed; ``tests/parity`` checks that the copies are equal.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Mapping
from typing import Final

#: Every element is acceptable.
OK: Final = 0
#: The element is NaN or infinite where finite numbers are required, or NaN within bounds.
NOT_FINITE: Final = 1
#: The element is below its column's lower bound.
BELOW: Final = 2
#: The element is above its column's upper bound.
ABOVE: Final = 3
#: The row of a column is null, but a value is required.
NULL: Final = 4
#: The text is not one of those that are allowed.
NOT_LISTED: Final = 5
#: The text has more characters than are allowed.
TOO_LONG: Final = 6
#: The bytes are not UTF-8, the text has a lone surrogate, or the object is not text.
NOT_TEXT: Final = 7
#: The column's buffers contradict each other at this row.
MALFORMED: Final = 8

#: Added to the code of a bad item of a list.
IN_LIST: Final = 16

#: The head of a frame (the body's length, the frame's number and kind), and the check at its end.
FRAME_HEAD: Final = struct.Struct("<IQB")
FRAME_CHECK: Final = struct.Struct("<I")

_KINDS: Final = {
    **dict.fromkeys("efd", "float"),
    **dict.fromkeys("bhilqn", "int"),
    **dict.fromkeys("BHILQN", "uint"),
}
_PREFIXES: Final = "@=<>!"
#: The prefixes of the non-native byte order.
_SWAPPED: Final = ">!" if sys.byteorder == "little" else "<"
#: Other element types, by the last letter of the format; numpy's names.
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
    """Return numpy's name of a buffer's element type, or ``""`` if it is not supported.

    The name does not state the byte order, as numpy's does not: see `is_swapped`.

    Arguments:
        format: the buffer's format (PEP 3118), such as ``"f"`` or ``"<f"``.
        itemsize: bytes per element, which distinguishes the sizes of a C ``long``.

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
    """Return whether a format states the non-native byte order."""
    return format[:1] != "" and format[0] in _SWAPPED


def kind_of(format: str) -> str:
    """Return the element type of a buffer that has no `dtype_of`, for a message.

    A structured type is not described: the names of its fields may be data.

    >>> kind_of("3w"), kind_of("5s"), kind_of("Zd"), kind_of("T{i:age:}")
    ('str', 'bytes', 'complex', 'a structured type')
    """
    if "{" in format or ":" in format:
        return "a structured type"
    if "Z" in format:
        return "complex"
    return _OTHERS.get(format[-1:], "a type that is no number")


# The result codes of `_nested` for plain data, beside `OK`.

#: Containers nest deeper than allowed.
TOO_DEEP: Final = 1
#: The data is larger than allowed, as UTF-8.
TOO_LARGE: Final = 2
#: There are more keys and values than allowed.
TOO_MANY: Final = 3
#: An integer has more digits than Python converts to text.
HUGE_INTEGER: Final = 4
#: A value is not plain data: its type is not exactly one of JSON's.
NOT_PLAIN: Final = 5
#: A key is not text that UTF-8 can encode.
NOT_A_NAME: Final = 6

#: The most bits of an integer: Python converts at most 4,300 digits to text.
LIMIT_INTEGER_BITS: Final = 14_000

#: Classes of characters, one bit each: see `CHARACTERS`.
CONTROL: Final = 1
BIDI: Final = 2
TAG: Final = 4
SURROGATE: Final = 8
ZERO_WIDTH: Final = 16

#: The characters of each class, as inclusive ranges. Controls are Unicode's category Cc without
#: tab, newline and return; ``bidi`` is the property Bidi_Control; tags are the whole block;
#: zero-width characters are the property Default_Ignorable_Code_Point without the other classes:
#: among them joiners, variation selectors and fillers. (Unicode 16, DerivedCoreProperties)
CHARACTERS: Final[Mapping[int, tuple[tuple[int, int], ...]]] = {
    CONTROL: ((0x00, 0x08), (0x0B, 0x0C), (0x0E, 0x1F), (0x7F, 0x9F)),
    BIDI: ((0x61C, 0x61C), (0x200E, 0x200F), (0x202A, 0x202E), (0x2066, 0x2069)),
    TAG: ((0xE0000, 0xE007F),),
    SURROGATE: ((0xD800, 0xDFFF),),
    ZERO_WIDTH: (
        (0xAD, 0xAD), (0x34F, 0x34F), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F),
        (0x200B, 0x200D), (0x2060, 0x2065), (0x206A, 0x206F), (0x3164, 0x3164),
        (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF), (0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8),
        (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A), (0xE0080, 0xE0FFF),
    ),
}  # fmt: skip
