"""The error for an output that is blocked: it has the type of the output, never a value."""

from __future__ import annotations

import sys
from typing import Any

from guardrail._ports import ObligationNotMet
from guardrail._type_names import type_name


def blocked(name: str, expected: str, output: Any, *, inside: str = "") -> ObligationNotMet:
    """Return the error for an output on which the obligation ``name`` can't be met."""
    arrived = type_name(output)
    numpy: Any = sys.modules.get("numpy")
    if numpy is not None and isinstance(output, numpy.ndarray | numpy.generic):
        dtype = output.dtype
        if str(dtype) != arrived:
            # The names of a structured type's fields are not shown.
            arrived += " of " + ("a structured type" if dtype.names else str(dtype))
    got = f"{arrived} {inside}".strip()
    return ObligationNotMet(
        f"@{name} expected {expected}; got {got}. Return one of these from the model, "
        "or exempt the caller from the condition.",
        code="output_blocked",
    )
