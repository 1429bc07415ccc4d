"""Arrays and scalars of numpy in outputs: which are known, and copies without attached data.

numpy is never imported here: an output can be an array only if the model has imported numpy. An
array's memory may be a view of other memory, and its dtype may have metadata and titles; a copy
made here has neither.
"""

from __future__ import annotations

import sys
from typing import Any


def numpy_kind(output: Any) -> str:
    """Return numpy's letter for the type of a plain array or scalar of numpy, else ``""``.

    Plain are exactly ``numpy.ndarray``, in any shape, and the scalars. ``?`` is returned for
    subclasses (masked arrays, matrices, memory maps), which define their own behaviour, and for
    floats of over 64 bits.
    """
    numpy: Any = sys.modules.get("numpy")
    if numpy is None:
        return ""
    if type(output) is not numpy.ndarray:
        if isinstance(output, numpy.ndarray):
            return "?"
        if not isinstance(output, numpy.generic):
            return ""
        if type(output) is not output.dtype.type:  # a subclass, which can have its own attributes
            return "?"
    dtype = output.dtype
    kind: str = dtype.kind
    return "?" if kind == "f" and dtype.itemsize > 8 else kind


def is_array(output: Any) -> bool:
    """Return whether an output is a numpy array, or of a subclass."""
    numpy: Any = sys.modules.get("numpy")
    return numpy is not None and isinstance(output, numpy.ndarray)


def is_plain_array(output: Any) -> bool:
    """Return whether an output is exactly a ``numpy.ndarray``."""
    numpy: Any = sys.modules.get("numpy")
    return numpy is not None and type(output) is numpy.ndarray


def is_number(value: Any) -> bool:
    """Return whether ``value`` is an int or a float, Python's own or numpy's; a bool is not."""
    kind = type(value)  # by identity: a metaclass can override equality
    return (
        kind is int
        or kind is float
        or (numpy_kind(value) in ("f", "i", "u") and not is_array(value))
    )


def copied(values: Any) -> Any:
    """Return a copy of an array of plain elements, without its base and without metadata.

    Every array is copied, because the model could change its content after it was returned.
    """
    import numpy as np

    if values.dtype.metadata is None:
        return np.array(values, copy=True, order="K", subok=False)
    made = np.empty_like(values, dtype=np.dtype(values.dtype.str), subok=False)
    made[...] = values  # `copy()` would keep the dtype with its metadata
    return made
