"""The obligation `label_only`: of each row of scores only the likeliest class leaves.

Owns what a label is: the name in a mapping of names to scores, the index in a row of numbers,
or the name that an output spec has for it. Ties go to the lowest index; None and NaN are never
the label, and a row without any other number has none (None, in arrays -1). Refuses outputs
that are no rows of numbers. It leaves less than `top_k`, `round` and `noise` could, so where
it is met these have nothing to do.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

from guardrail._core import label_rows
from guardrail.errors import ConfigurationError
from guardrail.obligations.outputs import blocked, is_number, numpy_kind
from guardrail.ports import Admission, Unmet, Wait
from guardrail.values import Clause, Path

_SPEC: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_EXPECTED: Final = "rows of numbers, a mapping of names to numbers, or a numeric array with an axis"


class LabelOnly:
    """``@label_only``, or ``@label_only("NAME")`` for the classes of ``outputs/NAME.yaml``.

    Arguments:
        classes: the classes of each output spec that has any, by its name.
    """

    __slots__ = ("_classes",)

    name = "label_only"
    on_admit = False
    on_release = True
    #: Kinds of output on which it can be met.
    outputs: ClassVar[frozenset[str]] = frozenset(("tensor", "record", "list"))
    #: Obligations that have nothing left to do where this one is met.
    subsumes: ClassVar[frozenset[str]] = frozenset(("top_k", "round", "noise"))

    def __init__(self, classes: Mapping[str, Sequence[str]]) -> None:
        self._classes = {name: tuple(labels) for name, labels in classes.items()}

    def parse(self, clause: Clause) -> frozenset[str]:
        """Return the specs whose classes name the labels: one or none."""
        argument = clause.argument
        if argument and (not _SPEC.fullmatch(argument) or argument not in self._classes):
            known = ", ".join(sorted(self._classes)) or "none"
            raise ConfigurationError.at(
                clause.place, "GR109",
                "@label_only: expected nothing, or the name of an output spec that has "
                f"`classes`; there are: {known}.",
            )  # fmt: skip
        return frozenset((argument,)) if argument else frozenset()

    def reads(self, demand: frozenset[str]) -> tuple[Path, ...]:  # noqa: ARG002
        """Return no path: a spec has the names."""
        return ()

    def merge(self, one: frozenset[str], other: frozenset[str]) -> frozenset[str]:
        """Return the specs of both sides; two that differ in their classes block an output."""
        return one | other

    def describe(self, demand: frozenset[str]) -> bool | list[str]:
        """Return ``True``, or the sorted names of the specs."""
        return sorted(demand) or True

    def admit(self, demand: frozenset[str], admission: Admission) -> Wait | None:  # noqa: ARG002
        """Do nothing: the output is not there yet."""
        return None

    def release(self, demand: frozenset[str], output: Any, admission: Admission) -> Any:  # noqa: ARG002
        """Return the label of each row.

        Takes a mapping of names to numbers (its label is the name), a row of numbers, lists
        and tuples of either, and numeric arrays of one axis or more, whose last axis is the
        row: of these an array of int64 comes back, one axis less, or with classes nested lists
        of names. Raises `Unmet` (``output_blocked``) for anything else.
        """
        classes = self._names(demand)
        kind = numpy_kind(output)
        if kind in ("f", "i", "u") and output.ndim:
            labels = label_array(output)
            if classes is None:
                return labels if labels.ndim else int(labels)
            self._check(classes, output.shape[-1], output)
            return _named(labels.tolist(), classes)
        if kind:
            raise blocked(self.name, _EXPECTED, output)
        return self._label(output, classes, rows=True)

    def _names(self, demand: frozenset[str]) -> tuple[str, ...] | None:
        found = {self._classes[name] for name in demand}
        if len(found) > 1:
            raise Unmet(
                "@label_only: the policies name output specs of different classes. Name one.",
                code="output_blocked",
            )
        return found.pop() if found else None

    def _label(self, output: Any, classes: tuple[str, ...] | None, *, rows: bool) -> Any:
        if isinstance(output, Mapping) and all(type(key) is str for key in output):
            names, scores = list(output), list(output.values())
            self._check_row(scores, output)
            index = _largest(scores)
            return None if index is None else names[index]
        if not isinstance(output, list | tuple):
            raise blocked(self.name, _EXPECTED, output)
        if rows and output and all(isinstance(row, list | tuple | Mapping) for row in output):
            labels = [self._label(row, classes, rows=False) for row in output]
            return tuple(labels) if isinstance(output, tuple) else labels
        self._check_row(output, output)
        if classes is None:
            return _largest(output)
        self._check(classes, len(output), output)
        return _named(_largest(output), classes)

    def _check_row(self, scores: Sequence[Any], output: Any) -> None:
        if not all(score is None or is_number(score) for score in scores):
            raise blocked(self.name, _EXPECTED, output, inside="with other values in a row")

    def _check(self, classes: tuple[str, ...], length: int, output: Any) -> None:
        if length != len(classes):
            inside = f"with rows of {length} where the spec has {len(classes)} classes"
            raise blocked(self.name, _EXPECTED, output, inside=inside)


def _largest(scores: Sequence[Any]) -> int | None:
    """Return the index of the largest number, the lowest of equals; ``None`` where is none."""
    found: int | None = None
    for index, score in enumerate(scores):
        is_score = score is not None and score == score  # noqa: PLR0124  a NaN differs from itself
        if is_score and (found is None or score > scores[found]):
            found = index
    return found


def label_array(values: Any) -> Any:
    """Return the index of the largest element along the last axis, int64; -1 where is none."""
    import numpy as np

    rows = values.shape[:-1]
    if not values.shape[-1]:
        return np.full(rows, -1, dtype=np.int64)
    if values.dtype.kind != "f":
        return values.argmax(axis=-1)
    with np.errstate(all="ignore"):  # a NaN may say that it is one; it says nothing else
        kind = np.float64 if values.dtype.itemsize == 8 else np.float32  # which holds every half
        floats = values.astype(kind, order="C", copy=False)
    return np.array(label_rows(floats), dtype=np.int64).reshape(rows)


def _named(labels: Any, classes: tuple[str, ...]) -> Any:
    if isinstance(labels, list):
        return [_named(label, classes) for label in labels]
    return None if labels is None or labels < 0 else classes[labels]
