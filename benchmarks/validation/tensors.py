"""What the kernels over arrays cost, beside numpy's compositions and the machine's own speed.

Owns the cases for `guardrail._core.check_tensor` (finite, and within bounds per column), for
`keep_largest` and for `label_rows`. The baseline of each does what one would write by hand; for
the check, on bounds of the array's own dtype, which favours it: ``isfinite(x).all() and
(x >= low).all() and (x <= high).all()``. The second baseline of the check is a sum over the same
bytes, as fast as the machine reads: from memory, and in a cache that holds them. Refuses to
compare with what does less: a label is the largest number's, as numpy's is not beside a NaN.

Run ``python -m benchmarks.validation.tensors [--format json]``; exit 1 where a goal is missed.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from benchmarks.harness import Case, Row, measure, read_options, report
from guardrail._core import BACKEND, check_tensor, keep_largest, label_rows

#: Shape, dtype, how it lies, the most that we may cost of numpy, and of the sum.
TENSORS: list[tuple[tuple[int, int], str, str, float | None, float | None]] = [
    ((1, 30), "float32", "", 1 / 12, None),
    ((1, 30), "float64", "", 1 / 12, None),
    ((30, 30), "float32", "", 1 / 12, None),
    ((1000, 30), "float32", "", 1 / 6, 1 / 0.45),
    ((1000, 30), "float64", "", 1 / 5, 1 / 0.45),
    ((100_000, 30), "float32", "", 1 / 6, 1 / 0.45),
    ((100_000, 30), "float64", "", 1 / 5, 1 / 0.45),
    ((1_000_000, 30), "float32", "", 1 / 6, 1 / 0.7),
    ((500_000, 30), "float64", "", 1 / 5, 1 / 0.7),
    ((1000, 30), "int64", "", 1 / 3, None),
    ((1000, 30), "uint8", "", 1 / 3, None),
    ((1000, 30), "float16", "", 1 / 12, None),
    ((1000, 30), "float32", "by columns", 1 / 3, None),
    ((100_000, 30), "float32", "by columns", 1 / 3, None),
    ((100_000, 30), "float32", "each second row", 1 / 5, None),
    ((1000, 30), "float64", "swapped", None, None),
    ((1000, 3000), "float32", "", 1 / 4, None),
    ((1, 150_000), "float32", "", None, None),  # bounds are four times what they check
]

#: Shape of the scores, and how many are kept; 0 stands for labels.
SELECTIONS: list[tuple[tuple[int, int], int, float | None]] = [
    ((1, 2), 1, 1 / 8),
    ((1, 1000), 5, 1 / 3),
    ((1000, 10), 1, 1 / 5),
    ((1000, 10), 5, 1 / 2),
    ((1000, 1000), 5, 1 / 1.5),
    ((1000, 1000), 100, 1 / 1.5),
    ((1, 2), 0, 1 / 5),
    ((1000, 10), 0, 1 / 1.5),
    ((1000, 1000), 0, 1 / 1.5),
]


def laid_out(values: Any, how: str) -> Any:
    """Return the same numbers as they lie in another array."""
    if how == "by columns":
        return np.asfortranarray(values)
    if how == "each second row":
        return np.repeat(values, 2, axis=0)[::2]
    if how == "swapped":
        return values.astype(values.dtype.newbyteorder())
    return values


def by_numpy(values: Any, low: Any, high: Any) -> Callable[[], object]:
    if values.dtype.kind == "f":
        return lambda: bool(
            np.isfinite(values).all() and (values >= low).all() and (values <= high).all()
        )
    return lambda: bool((values >= low).all() and (values <= high).all())


def check_cases() -> list[Case]:
    """Return the checks, each beside numpy, and beside the sum where a goal is set on it."""
    from guardrail._core import _tensor

    found = []
    generator = np.random.default_rng(30)
    for (rows, columns), dtype, how, of_numpy, of_sum in TENSORS:
        values = laid_out((generator.random((rows, columns)) * 9).astype(dtype), how)
        low, high = np.zeros(columns, dtype), np.full(columns, 10, dtype)
        high[0] = 20  # not all alike, as real columns are
        lows, highs = array("d", low.astype("d").tolist()), array("d", high.astype("d").tolist())
        check = partial(check_tensor, memoryview(values), lows, highs, True)
        name = f"{rows} x {columns} {dtype} {how}".strip()
        found.append(Case(f"numpy, {name}", by_numpy(values, low, high)))
        found.append(Case(f"check_tensor, {name}", check, f"numpy, {name}", of_numpy))
        if of_sum is not None and BACKEND == "compiled":
            read = partial(_tensor._sum_words, memoryview(values))
            found.append(Case(f"sum, {name}", read))
            found.append(Case(f"check_tensor again, {name}", check, f"sum, {name}", of_sum))
    return found


def cut_by_numpy(values: Any, kept: int) -> Any:
    """Return the rows with all but their largest entries cut, ties to the lowest index."""
    length = values.shape[-1]
    is_nan = np.isnan(values)
    ranked = np.where(is_nan, -np.inf, values)
    least = np.partition(ranked, length - kept, axis=-1)[..., length - kept, None]
    above = ranked > least
    level = (ranked == least) & ~is_nan
    room = kept - above.sum(axis=-1, keepdims=True)
    is_kept = above | (level & (level.cumsum(axis=-1) <= room))
    return np.where(is_kept, values, np.nan).astype(values.dtype, copy=False)


def labels_by_numpy(values: Any) -> Any:
    """Return the index of the largest number of each row, or -1."""
    is_nan = np.isnan(values)
    labels = np.where(is_nan, -np.inf, values).argmax(axis=-1)
    # a row whose largest is minus infinity may begin with a NaN
    is_first = ~np.take_along_axis(is_nan, labels[..., None], axis=-1)[..., 0]
    return np.where(is_first, labels, np.where(is_nan.all(axis=-1), -1, is_nan.argmin(axis=-1)))


def cut(values: Any, kept: int) -> Any:
    copied = values.copy()
    keep_largest(copied, kept)
    return copied


def selection_cases() -> list[Case]:
    """Return top-k and labels, each beside numpy's composition with the same result."""
    found = []
    generator = np.random.default_rng(5)
    for (rows, columns), kept, goal in SELECTIONS:
        values = generator.random((rows, columns))
        what = f"top {kept}" if kept else "label"
        numpy = partial(cut_by_numpy, values, kept) if kept else partial(labels_by_numpy, values)
        ours = partial(cut, values, kept) if kept else partial(label_rows, values)
        name = f"{what} of {rows} x {columns} float64"
        found.append(Case(f"numpy, {name}", numpy))
        found.append(Case(name, ours, f"numpy, {name}", goal))
    return found


def rows(rounds: int) -> list[Row]:
    """Measure all cases, one kind after the other."""
    return measure(check_cases(), rounds=rounds) + measure(selection_cases(), rounds=rounds)


if __name__ == "__main__":
    TITLE = f"Checking tensors and selecting from them ({BACKEND} core)"
    options = read_options(TITLE)
    sys.exit(report(rows(options.rounds), TITLE, options))
