"""What the obligations on outputs share: which outputs they know, and how they refuse.

Owns `OutputFilter`, the base of `rounding` and `top_k`, and the kinds of output: numbers,
rows of numbers (lists, tuples, mappings by name) and numpy arrays. Refuses everything else
with ``output_blocked``: what a filter does not know does not leave. Runs in the flow's
release, in the flow's order. numpy is never imported for it: an output can be an array
only where the model has imported numpy.
"""

from __future__ import annotations

import re
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from guardrail.errors import ConfigurationError
from guardrail.ports import Admission, Unmet, Wait
from guardrail.values import Clause, Path


class OutputFilter(ABC):
    """An obligation with one whole number as its demand, that cuts what a model returns.

    A smaller demand is the stricter one, so merging takes the smaller.
    """

    __slots__ = ()

    name: str
    on_admit = False
    on_release = True
    #: Kinds of output on which it can be met.
    outputs: ClassVar[frozenset[str]] = frozenset(("tensor", "record", "list"))

    @abstractmethod
    def parse(self, clause: Clause) -> int:
        """Return the demand; raise `ConfigurationError` naming the clause's place."""

    @abstractmethod
    def release(self, demand: int, output: Any, admission: Admission) -> Any:
        """Return a new output that meets the demand, or raise `Unmet`."""

    def reads(self, demand: int) -> tuple[Path, ...]:  # noqa: ARG002
        """Return no path: the demand is a number."""
        return ()

    def merge(self, one: int, other: int) -> int:
        """Return the stricter of the two."""
        return min(one, other)

    def describe(self, demand: int) -> int:
        """Return the number."""
        return demand

    def admit(self, demand: int, admission: Admission) -> Wait | None:  # noqa: ARG002
        """Do nothing: the output is not there yet."""
        return None


def numpy_kind(output: Any) -> str:
    """Return numpy's letter for the type of a plain array or scalar of numpy, else ``""``.

    Plain are ``numpy.ndarray`` itself, in any shape, and the scalars; ``?`` is returned
    for the subclasses (masked arrays, matrices, memory maps), whose meaning is their own,
    and for floats of over 64 bits.
    """
    numpy: Any = sys.modules.get("numpy")
    if numpy is None:
        return ""
    if type(output) is not numpy.ndarray and not isinstance(output, numpy.generic):
        return "?" if isinstance(output, numpy.ndarray) else ""
    dtype = output.dtype
    kind: str = dtype.kind
    return "?" if kind == "f" and dtype.itemsize > 8 else kind


def is_number(value: Any) -> bool:
    """Return whether ``value`` is an int or a float, Python's own or numpy's; a bool is not."""
    return type(value) in (int, float) or (
        numpy_kind(value) in ("f", "i", "u") and not hasattr(value, "__len__")
    )


def each_row(
    output: Any, cut: Callable[[list[Any]], list[Any]], *, expected: str, name: str
) -> Any:
    """Return ``output`` with each row cut: a list, a tuple, a mapping, or rows of the former.

    A row holds numbers and None. What comes back is a plain list, tuple or dict, of a
    subclass too. Raises `Unmet` where a row holds anything else, where rows and numbers
    stand beside each other, and for any other type.
    """
    if isinstance(output, Mapping):
        if all(type(key) is str for key in output):
            entries = dict(output)
            values = _cut(list(entries.values()), cut, expected=expected, name=name)
            return dict(zip(entries, values, strict=True))
        raise blocked(name, expected, output, inside="with keys that are not strings")
    if not isinstance(output, list | tuple):
        raise blocked(name, expected, output)
    is_row = [isinstance(entry, list | tuple) for entry in output]
    if not any(is_row):
        return _like(output, _cut(list(output), cut, expected=expected, name=name))
    if not all(is_row):
        raise blocked(name, expected, output, inside="of rows beside other entries")
    return _like(
        output, [_like(row, _cut(list(row), cut, expected=expected, name=name)) for row in output]
    )


def _like(output: list[Any] | tuple[Any, ...], entries: list[Any]) -> Any:
    return tuple(entries) if isinstance(output, tuple) else entries


def _cut(
    row: list[Any], cut: Callable[[list[Any]], list[Any]], *, expected: str, name: str
) -> list[Any]:
    for entry in row:
        if entry is not None and not is_number(entry):
            raise blocked(name, expected, entry, inside="in a row")
    return cut(row)


def blocked(name: str, expected: str, output: Any, *, inside: str = "") -> Unmet:
    """Return the refusal of an output that the obligation ``name`` cannot cut."""
    arrived = type(output).__name__
    if numpy_kind(output) and str(output.dtype) != arrived:
        # The names of a structured type's fields are the model's business.
        arrived += " of " + ("a structured type" if output.dtype.names else str(output.dtype))
    got = f"{arrived} {inside}".strip()
    return Unmet(
        f"@{name} expected {expected}; got {got}. Return one of these from the model, "
        "or exempt the caller from the condition.",
        code="output_blocked",
    )


def whole_number(clause: Clause, *, least: int, most: int, what: str) -> int:
    """Return the clause's argument as a number; raise `ConfigurationError` at its place."""
    if re.fullmatch("0|[1-9][0-9]{0,9}", clause.argument):
        number = int(clause.argument)
        if least <= number <= most:
            return number
    raise ConfigurationError.at(
        clause.place, "GR109", f"@{clause.name}: expected {what}, from {least} to {most}."
    )
