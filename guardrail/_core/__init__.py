"""The core: code that reads buffers, scalars and records on a call, compiled and in plain Python.

The compiled module is used unless the environment sets ``GUARDRAIL_PURE`` to anything but ``""`` or
``"0"``. An install without the compiled module fails here unless that variable is set, so that
nobody runs a slower guard by accident. This package imports nothing else of guardrail, and keeps no
object that was passed to it.

Internal: applications import nothing from here.
"""

from __future__ import annotations

import os
from typing import Final

from guardrail._core.terms import (
    ABOVE,
    BELOW,
    DTYPES,
    MALFORMED,
    NOT_FINITE,
    NOT_LISTED,
    NOT_TEXT,
    NULL,
    OK,
    TOO_LONG,
    dtype_of,
    is_swapped,
    kind_of,
)

_NOT_BUILT: Final = (
    "guardrail's compiled core is not built. Build it (`pip install -e .`), or choose the"
    " plain-Python core: set GUARDRAIL_PURE=1."
)
_IS_PURE: Final = os.environ.get("GUARDRAIL_PURE", "") not in ("", "0")

if _IS_PURE:
    from guardrail._core._codes_py import check_codes, check_objects, measure_objects
    from guardrail._core._column_py import check_nulls, check_numbers
    from guardrail._core._entity_py import Entity
    from guardrail._core._nested_py import find_character, measure
    from guardrail._core._record_py import as_record
    from guardrail._core._rounding_py import round_floats
    from guardrail._core._select_py import keep_largest, label_rows
    from guardrail._core._tensor_py import check_tensor, count_bad, vector_path
    from guardrail._core._view_py import View, look
    from guardrail._core._words_py import (
        Choices,
        check_text,
        check_views,
        measure_text,
        measure_views,
    )
else:
    try:
        from guardrail._core._codes import check_codes, check_objects, measure_objects
        from guardrail._core._column import check_nulls, check_numbers
        from guardrail._core._entity import Entity
        from guardrail._core._nested import find_character, measure
        from guardrail._core._record import as_record
        from guardrail._core._rounding import round_floats
        from guardrail._core._select import keep_largest, label_rows
        from guardrail._core._tensor import check_tensor, count_bad, vector_path
        from guardrail._core._view import View, look
        from guardrail._core._words import (
            Choices,
            check_text,
            check_views,
            measure_text,
            measure_views,
        )
    except ModuleNotFoundError:  # a module that exists and fails to load raises its own error
        raise ImportError(_NOT_BUILT) from None

# Compiled modules hold objects of these classes in C, so with them the compiled class is used
# whatever GUARDRAIL_PURE says: the plain-Python class is a different type to C. None of these
# classes decides anything about a call.
try:
    from guardrail._core._gate import Gate
    from guardrail._core._layout import Layout, Run
    from guardrail._core._tape import Tape, crc_of
except ModuleNotFoundError:
    if not _IS_PURE:
        raise ImportError(_NOT_BUILT) from None
    from guardrail._core._gate_py import Gate
    from guardrail._core._layout_py import Layout, Run
    from guardrail._core._tape_py import Tape, crc_of

BACKEND: Final = "pure" if _IS_PURE else "compiled"

__all__ = [
    "ABOVE",
    "BACKEND",
    "BELOW",
    "DTYPES",
    "MALFORMED",
    "NOT_FINITE",
    "NOT_LISTED",
    "NOT_TEXT",
    "NULL",
    "OK",
    "TOO_LONG",
    "Choices",
    "Entity",
    "Gate",
    "Layout",
    "Run",
    "Tape",
    "View",
    "as_record",
    "check_codes",
    "check_nulls",
    "check_numbers",
    "check_objects",
    "check_tensor",
    "check_text",
    "check_views",
    "count_bad",
    "crc_of",
    "dtype_of",
    "find_character",
    "is_swapped",
    "keep_largest",
    "kind_of",
    "label_rows",
    "look",
    "measure",
    "measure_objects",
    "measure_text",
    "measure_views",
    "round_floats",
    "vector_path",
]  # fmt: skip
