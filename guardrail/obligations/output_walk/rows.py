"""Decide whether a list of numbers has one score per input row, or the classes of one row.

The input decides: n numbers for n rows (n > 1) are one score per row; numbers for one row are its
classes. Any other count is neither, and an obligation that must know blocks the output.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from guardrail._ports import ObligationContext
from guardrail.values import View


def are_scores_of_rows(count: int, context: ObligationContext | None) -> bool | None:
    """Return whether some numbers are one score per row; ``None`` if they are neither.

    Arguments:
        count: how many numbers the model returned in a list.
        context: the call; ``None`` for a call without an input.
    """
    rows, is_batch = _rows_of(context.view) if context is not None else (1, False)
    if rows == 1 or not count:
        return False
    if count == rows:
        return True
    return None if is_batch else False


def _rows_of(view: View) -> tuple[int, bool]:
    """Return the number of rows of an input, and whether its first axis certainly is rows.

    An array with one axis can be the features of one row, and a list the messages of one chat.
    """
    if view.kind == "tensor":
        return view.rows, len(view.shape) > 1
    if view.kind == "table":
        return view.rows, True
    if view.kind == "list" and isinstance(view.value, list | tuple):
        entries: Any = view.value
        is_batch = all(
            isinstance(entry, list | tuple) or (isinstance(entry, Mapping) and "role" not in entry)
            for entry in entries
        )
        return len(entries), is_batch
    return 1, False
