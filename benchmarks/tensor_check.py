"""What checking a tensor costs, beside numpy's composition of the same check.

Owns the cases for `guardrail._core.check_tensor`: finite, and within bounds per column.
The baseline does what one would write by hand, on bounds of the array's own dtype, which
favours it: ``isfinite(x).all() and (x >= low).all() and (x <= high).all()``.

Run ``python -m benchmarks.tensor_check [--format json]``; exit 1 where a goal is missed.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable

import numpy as np

from benchmarks.harness import Case, main
from guardrail._core import BACKEND, check_tensor

#: Shape, dtype, order of the axes in memory, and the most that we may cost of the baseline.
TENSORS: list[tuple[tuple[int, int], str, str, float | None]] = [
    ((1, 30), "float32", "C", 1 / 5),
    ((1, 30), "float64", "C", 1 / 5),
    ((30, 30), "float32", "C", None),
    ((1000, 30), "float32", "C", 1 / 1.5),
    ((1000, 30), "float64", "C", 1 / 1.5),
    ((1000, 30), "int64", "C", 1 / 1.5),
    ((1000, 30), "float32", "F", 1 / 1.5),
    ((100_000, 30), "float32", "C", 1 / 1.5),
    ((100_000, 30), "float64", "C", 1 / 1.5),
    ((100_000, 30), "float32", "F", 1 / 1.5),
    ((1000, 3000), "float32", "C", 1 / 1.5),
    ((1, 150_000), "float32", "C", None),  # one wide row: bounds cost what they check
]


def ours(values: np.ndarray, low: np.ndarray, high: np.ndarray) -> Callable[[], object]:
    view = memoryview(values)
    lows, highs = array("d", low.astype("d").tolist()), array("d", high.astype("d").tolist())
    return lambda: check_tensor(view, lows, highs, True)


def by_numpy(values: np.ndarray, low: np.ndarray, high: np.ndarray) -> Callable[[], object]:
    if values.dtype.kind == "f":
        return lambda: bool(
            np.isfinite(values).all() and (values >= low).all() and (values <= high).all()
        )
    return lambda: bool((values >= low).all() and (values <= high).all())


def cases() -> list[Case]:
    found = []
    generator = np.random.default_rng(30)
    for (rows, columns), dtype, order, goal in TENSORS:
        values = (generator.random((rows, columns)) * 9).astype(dtype, order=order)
        low, high = np.zeros(columns, dtype), np.full(columns, 10, dtype)
        high[0] = 20  # not all alike, as real columns are
        name = f"{rows} x {columns} {dtype}{' by columns' if order == 'F' else ''}"
        found.append(Case(f"numpy, {name}", by_numpy(values, low, high)))
        found.append(Case(f"check_tensor, {name}", ours(values, low, high), f"numpy, {name}", goal))
    return found


if __name__ == "__main__":
    sys.exit(main(cases(), title=f"Checking a tensor ({BACKEND} core)"))
