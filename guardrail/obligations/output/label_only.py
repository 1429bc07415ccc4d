"""The obligation `label_only`: only the most likely class of each row is returned.

A label is the name in a record or a table of scores, the index in a row of numbers, or the class
name from an output spec. Of equal scores the lowest index wins; None and NaN are never the label,
and a row without other numbers has no label (None, in arrays -1). Values that are not scores are
removed. The result contains less than `top_k`, `round` and `noise` could return, so these are
skipped if this obligation is met.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

from guardrail._core import label_rows
from guardrail._hooks import Stage
from guardrail._ports import ObligationContext, ObligationNotMet
from guardrail.errors import ConfigurationError
from guardrail.obligations.output_walk import (
    Collapsed,
    FieldPlace,
    Leaves,
    NumberColumn,
    OutputFilter,
    are_scores_of_rows,
    numpy_kind,
    paths_of,
    walk,
)
from guardrail.values import Clause

_SPEC: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


class LabelOnly(OutputFilter):
    """``@label_only``, or ``@label_only("NAME")`` for the classes of ``outputs/NAME.yaml``.

    Arguments:
        classes: the classes of each output spec that has them, by its name.
    """

    __slots__ = ("_classes",)

    name = "label_only"
    stage = Stage.LABEL
    #: Obligations that are skipped if this one is met.
    subsumes: ClassVar[frozenset[str]] = frozenset(("top_k", "round", "noise"))

    def __init__(self, classes: Mapping[str, Sequence[str]]) -> None:
        self._classes = {name: tuple(labels) for name, labels in classes.items()}

    def parse(self, clause: Clause) -> frozenset[str]:
        """Return the names of the specs whose classes name the labels: one or none."""
        argument = clause.argument
        if argument and (not _SPEC.fullmatch(argument) or argument not in self._classes):
            known = ", ".join(sorted(self._classes)) or "none"
            raise ConfigurationError.at(
                clause.place, "GR109",
                "@label_only: expected nothing, or the name of an output spec that has "
                f"`classes`; there are: {known}.",
            )  # fmt: skip
        return frozenset((argument,)) if argument else frozenset()

    def merge(self, one: frozenset[str], other: frozenset[str]) -> frozenset[str]:
        """Return the specs of both sides; two with different classes block an output."""
        return one | other

    def describe(self, demand: frozenset[str]) -> bool | list[str]:
        """Return ``True``, or the sorted names of the specs."""
        return sorted(demand) or True

    def release(self, demand: frozenset[str], output: Any, context: ObligationContext) -> Any:
        """Return the label of each row.

        A row is a record of numbers (its label is the name), a list of numbers, the last axis of a
        numeric array (the result is an array of int64 with one axis less, or with classes nested
        lists of names), or the row of a table of numbers (the result is a series of names). Lists
        and records of rows keep their structure. Raises `ObligationNotMet` (``output_blocked``) for
        anything else, and for one score for each of several input rows, which has no classes.
        """
        return walk(output, _LabelLeaves(self._names(demand), context))

    def _names(self, demand: frozenset[str]) -> tuple[str, ...] | None:
        found = {self._classes[name] for name in demand}
        if len(found) > 1:
            raise ObligationNotMet(
                "@label_only: the policies name output specs of different classes. Name one.",
                code="output_blocked",
            )
        return found.pop() if found else None


class _LabelLeaves(Leaves):
    """Replaces each row by its label, and removes everything else."""

    name = "label_only"
    expected = "rows of numbers, a mapping of names to numbers, or a numeric array with an axis"
    needs_names = False
    reads_nested = False
    reads_index = False

    def __init__(self, classes: tuple[str, ...] | None, context: ObligationContext | None) -> None:
        super().__init__(paths_of(()))
        self._classes = classes
        self._context = context

    def leaf(self, value: Any, place: FieldPlace) -> Any:
        if value is None and place.is_named and not place.lists:
            return None
        self.refuse(value)

    def row(
        self,
        values: list[Any],
        names: Sequence[str] | None,
        places: Sequence[FieldPlace],
        place: FieldPlace,
        *,
        is_whole: bool = True,
        is_list: bool = True,
    ) -> Collapsed:
        if not is_whole:
            self.refuse(values, "with other values in a row")
        if (places[0].lists if places and names is None else place.lists) > 2:
            self.refuse(values, "in lists of lists of lists")
        if is_list:
            self._check_rows(values, len(values), place)
        index = _largest(values)
        if names is not None:
            return Collapsed(None if index is None else names[index])
        if self._classes is None:
            return Collapsed(index)
        self._check(self._classes, len(values), values)
        return Collapsed(_named(index, self._classes))

    def array(self, values: Any, place: FieldPlace) -> Any:
        if numpy_kind(values) not in ("f", "i", "u") or not values.ndim or place.lists:
            self.refuse(values)
        if values.ndim == 1:
            self._check_rows(values, len(values), place)
        labels = label_array(values)
        if self._classes is None:
            return labels if labels.ndim else int(labels)
        self._check(self._classes, values.shape[-1], values)
        return _named(labels.tolist(), self._classes)

    def columns(
        self,
        columns: list[NumberColumn],
        names: Sequence[str],
        place: FieldPlace,  # noqa: ARG002
        *,
        is_whole: bool,
    ) -> Collapsed:
        if not is_whole:
            self.refuse(columns, "with other columns")
        labels = []
        for row in range(len(columns[0].values) if columns else 0):
            index = _largest(
                [None if each.nulls is not None and each.nulls[row] else each.values[row].item()
                 for each in columns]
            )  # fmt: skip
            labels.append(None if index is None else names[index])
        return Collapsed(labels)

    def _check_rows(self, values: Any, count: int, place: FieldPlace) -> None:
        if not place.in_rows and are_scores_of_rows(count, self._context) is not False:
            self.refuse(values, "with one value per row, or another number of values")

    def _check(self, classes: tuple[str, ...], length: int, output: Any) -> None:
        if length != len(classes):
            inside = f"with rows of {length} but the spec has {len(classes)} classes"
            self.refuse(output, inside)


def _largest(scores: Sequence[Any]) -> int | None:
    """Return the index of the largest number, the lowest of equal ones; ``None`` for none."""
    found: int | None = None
    for index, score in enumerate(scores):
        is_score = score is not None and score == score  # noqa: PLR0124  a NaN differs from itself
        if is_score and (found is None or score > scores[found]):
            found = index
    return found


def label_array(values: Any) -> Any:
    """Return the index of the largest element along the last axis, as int64; -1 for none."""
    import numpy as np

    rows = values.shape[:-1]
    if not values.shape[-1]:
        return np.full(rows, -1, dtype=np.int64)
    if values.dtype.kind != "f":
        return values.argmax(axis=-1)
    with np.errstate(all="ignore"):  # a NaN may cause a warning
        # which can represent every half float
        kind = np.float64 if values.dtype.itemsize == 8 else np.float32
        floats = values.astype(kind, order="C", copy=False)
    return np.array(label_rows(floats), dtype=np.int64).reshape(rows)


def _named(labels: Any, classes: tuple[str, ...]) -> Any:
    if isinstance(labels, list):
        return [_named(label, classes) for label in labels]
    return None if labels is None or labels < 0 else classes[labels]
