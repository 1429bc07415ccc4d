"""How an obligation refuses an output: the message has the type of the output, never a value."""

from __future__ import annotations

import sys
from typing import Any, Final

from guardrail._ports import ObligationNotMet

_LIMIT_NAME: Final = 64


def _named(kind: str) -> str:
    """Return the name of a type; not of one that was made of data."""
    return kind if kind.isidentifier() and len(kind) <= _LIMIT_NAME else "an object"


def blocked(name: str, expected: str, output: Any, *, inside: str = "") -> ObligationNotMet:
    """Return the refusal of an output with which the obligation ``name`` can't be met."""
    arrived = _named(type(output).__name__)
    numpy: Any = sys.modules.get("numpy")
    if numpy is not None and isinstance(output, numpy.ndarray | numpy.generic):
        dtype = output.dtype
        if str(dtype) != arrived:
            # The names of a structured type's fields are the model's business.
            arrived += " of " + ("a structured type" if dtype.names else str(dtype))
    got = f"{arrived} {inside}".strip()
    return ObligationNotMet(
        f"@{name} expected {expected}; got {got}. Return one of these from the model, "
        "or exempt the caller from the condition.",
        code="output_blocked",
    )
