"""The obligation `output`: the model's output must meet the named output specs.

An output that does not meet its specs is not returned. Content that no spec describes (attributes
of a table, the memory of an array's base) is removed. It runs before the obligations that change
values, so that specs describe the model's output; only `only` runs earlier. A stream is checked as
it passes, as one text.

`impossible_by_specs` and `impossible_by_return_type` report at decoration which demands can never
be met.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from guardrail._hooks import Stage, outputs_of
from guardrail._ports import BlockingStep, ObligationContext, ObligationNotMet, ObligationType
from guardrail._streams import Carrier, TextFilter
from guardrail.errors import ConfigurationError
from guardrail.obligations.input.text import TextSpec
from guardrail.obligations.output.spec import OutputSpec
from guardrail.obligations.output_walk import Leaves, OutputFilter, paths_of, walk
from guardrail.obligations.output_walk.declared_fields import (
    PossibleFields,
    parts_of_hint,
    parts_of_spec,
    possible,
    returned_by,
)
from guardrail.values import Clause, Path, View

#: The start of paths in errors.
_OUTPUT: Final = "output"
#: The advice in errors of input specs, which does not apply to an output.
_INPUT_ADVICE: Final = re.compile(
    r" (Correct the input and call again|Pass numpy\.asarray\(\.\.\.\) of it)\.$"
)
#: A column by its number.
_NUMBER: Final = re.compile("[0-9]+")
#: How far the sum of a row's numbers may differ from 1, in units of their precision.
_STEPS: Final = 8


class Output:
    """``@output("scores")``; with several conditions, all of their specs must be met.

    Arguments:
        specs: the output specs of the bundle, by name.
        take_view: makes a view of an output within the bundle's bounds, or raises
            `ObligationNotMet`.
    """

    __slots__ = ("_specs", "_take_view")

    name = "output"
    stage = Stage.CHECK_OUTPUT
    on_admit = False
    on_release = True

    def __init__(
        self, specs: Mapping[str, OutputSpec], take_view: Callable[[Any, str], View]
    ) -> None:
        self._specs = specs
        self._take_view = take_view

    def parse(self, clause: Clause) -> frozenset[str]:
        """Return the spec's name as a set; raise `ConfigurationError` if there is no such spec."""
        if clause.argument not in self._specs:
            known = ", ".join(sorted(self._specs)) or "none"
            raise ConfigurationError.at(
                clause.place, "GR109",
                f"@output: expected the name of a file in outputs/; there are: {known}.",
            )  # fmt: skip
        return frozenset((clause.argument,))

    def reads(self, demand: frozenset[str]) -> tuple[Path, ...]:  # noqa: ARG002
        """Return no path: a spec reads only the output."""
        return ()

    def merge(self, one: frozenset[str], other: frozenset[str]) -> frozenset[str]:
        """Return the specs of both sides: all of them must be met."""
        return one | other

    def describe(self, demand: frozenset[str]) -> str | list[str]:
        """Return the spec's name, or a sorted list of several."""
        names = sorted(demand)
        return names[0] if len(names) == 1 else names

    def specs(self, demand: frozenset[str]) -> tuple[OutputSpec, ...]:
        """Return the demanded specs, in the order of their names."""
        return tuple(self._specs[name] for name in sorted(demand))

    def kinds(self, demand: frozenset[str]) -> dict[str, str]:
        """Return the kind of output that each demanded spec describes, if it states one."""
        return {name: self._specs[name].kind for name in demand if self._specs[name].kind}

    def admit(self, demand: frozenset[str], context: ObligationContext) -> BlockingStep | None:  # noqa: ARG002
        """Do nothing: there is no output yet."""
        return None

    def release(self, demand: frozenset[str], output: Any, context: ObligationContext) -> Any:  # noqa: ARG002
        """Return a copy of the output.

        Raises `ObligationNotMet` (``output_blocked``) with the path.
        """
        refusal: ObligationNotMet | None = None
        if type(output) is not str:
            try:  # check the copy that is returned: the model can change its own object
                output = walk(output, _OutputLeaves(paths_of(())))
            except ObligationNotMet as unmet:
                refusal = unmet
        for name in sorted(demand):
            self._check(self._specs[name], output)
        if refusal is not None:  # it met the specs, whose errors are more precise
            raise refusal
        return output

    def carrier(self, demand: frozenset[str]) -> Carrier | None:
        """Return the carrier of the text in a stream's items; ``None`` if they are texts."""
        chunks = [self._specs[name].chunk for name in sorted(demand)]
        return next((chunk for chunk in chunks if chunk is not None), None)

    def stream(self, demand: frozenset[str], context: ObligationContext) -> TextFilter | None:  # noqa: ARG002
        """Return a filter that checks one call's text as it passes."""
        specs = [self._specs[name] for name in sorted(demand)]
        texts: list[TextSpec] = []
        for spec in specs:
            if not isinstance(spec.spec, TextSpec):
                raise _misfit(spec.name, f"expected a {spec.kind}; got a stream", _OUTPUT)
            texts.append(spec.spec)
        return _TextCheck(texts)

    def _check(self, spec: OutputSpec, output: Any) -> None:
        try:
            view = self._take_view(output, _OUTPUT)
            try:
                spec.spec.check(view)
                if spec.is_probability:
                    check_probabilities(view)
                if spec.classes and view.shape[-1:] != (len(spec.classes),):
                    message = f"expected rows of {len(spec.classes)} classes; got another shape"
                    raise ObligationNotMet(message, path=_OUTPUT)
            finally:
                if view.buffer is not None:
                    view.buffer.release()
        except ObligationNotMet as unmet:
            refusal = _misfit(spec.name, unmet.message, unmet.path)
        else:
            return
        raise refusal


class _OutputLeaves(Leaves):
    """Returns an output that meets its specs, without attached data."""

    needs_names = False


class _TextCheck:
    """The text of one stream so far, checked whenever it grows."""

    __slots__ = ("_chars", "_specs")

    def __init__(self, specs: list[TextSpec]) -> None:
        self._specs = specs
        self._chars = 0

    def feed(self, text: str) -> str:
        """Return the piece if the text so far meets the specs."""
        self._chars += len(text)
        for spec in self._specs:
            most = spec.max_chars
            if most is not None and self._chars > most:
                raise _misfit(spec.name, f"expected at most {most} characters; got more", _OUTPUT)
            try:
                spec.characters.check(text, _OUTPUT)
            except ObligationNotMet as unmet:
                refusal = _misfit(spec.name, unmet.message, unmet.path)
            else:
                continue
            raise refusal
        return text

    def close(self) -> str:
        """Check that the whole text is long enough; return an empty text."""
        for spec in self._specs:
            if self._chars < spec.min_chars:
                message = f"expected at least {spec.min_chars} characters; got fewer"
                raise _misfit(spec.name, message, _OUTPUT)
        return ""


def check_probabilities(view: View) -> None:
    """Raise `ObligationNotMet` unless each row of a tensor has numbers from 0 to 1 with sum 1."""
    import numpy as np

    rows = np.asarray(view.buffer)
    if not rows.size:
        return
    if rows.dtype.kind != "f" or not rows.ndim:
        raise ObligationNotMet("expected rows of probabilities; got other numbers", path=view.name)
    is_bad = ~((rows >= 0) & (rows <= 1)).all(axis=-1)
    slack = max(_STEPS * rows.shape[-1] * np.finfo(rows.dtype).eps, 1e-9)
    is_bad |= ~(np.abs(rows.sum(axis=-1, dtype=np.float64) - 1) <= slack)
    if is_bad.any():
        first = np.argwhere(np.atleast_1d(is_bad))[0].tolist()
        path = f"{view.name}{first}" if rows.ndim > 1 else view.name
        message = (
            f"{path}: expected probabilities from 0 to 1 with sum 1; got other numbers in "
            f"{int(is_bad.sum())} rows"
        )
        raise ObligationNotMet(message, path=path)


def _misfit(name: str, message: str, path: str) -> ObligationNotMet:
    text = _INPUT_ADVICE.sub("", message).rstrip(".")
    if not text.startswith(path):
        text = f"{path}: {text}"
    return ObligationNotMet(
        f"{text}. The output does not meet outputs/{name}.yaml: correct the model, or the spec.",
        code="output_blocked",
        path=path,
    )


#: The demands that the policies of one action can make: policy, obligation and demand.
Demands: TypeAlias = Iterable[tuple[str, str, Any]]


def impossible_by_specs(demands: Demands, types: Mapping[str, ObligationType]) -> str:
    """Return which demand can't be met on the output that another one declares; ``""`` for none.

    Arguments:
        demands: the demands that the policies of one action can make.
        types: the obligations by name. One with ``outputs`` can be met only on these kinds.
    """
    demands = list(demands)
    specs = _specs(demands, types)
    advice = "Remove one of the two, or give them to actions of their own."
    for policy, name, demand in demands:
        fitting = outputs_of(types[name])
        for spec in specs:
            if fitting is not None and spec.kind and spec.kind not in fitting:
                return (
                    f"@{name} of {policy} can never be met: outputs/{spec.name}.yaml says that "
                    f"the output is a {spec.kind}. {advice}"
                )
            if name == "label_only" and spec.is_one_score_a_row:
                return (
                    f"@label_only of {policy} can never be met: outputs/{spec.name}.yaml says "
                    f"that the output is one number per row, which has no classes. {advice}"
                )
        complaint = _impossible(
            types[name], demand, lambda fields: _possible_by_specs(specs, fields)
        )
        if specs and complaint:
            named = " and ".join(f"outputs/{spec.name}.yaml" for spec in specs)
            return f"@{name} of {policy}: {complaint} that meets {named}. {advice}"
    return ""


def impossible_by_return_type(
    function: Any, demands: Demands, types: Mapping[str, ObligationType]
) -> str:
    """Return which demand no output of a function's return type can meet; ``""`` for none."""
    declared = returned_by(function)
    for policy, name, demand in demands:
        complaint = _impossible(
            types[name], demand, lambda fields: possible(declared, fields, parts_of_hint)
        )
        if complaint:
            return (
                f"@{name} of {policy}: {complaint} of the type that the function returns. Correct "
                "the policy or the annotation, or give the function an action of its own."
            )
    return ""


def undeclared_fields(
    demands: Demands, types: Mapping[str, ObligationType]
) -> Iterator[UndeclaredFields]:
    """Yield the fields of demands that no output has which meets the output specs of an action."""
    demands = list(demands)
    specs = _specs(demands, types)
    for policy, name, demand in demands if specs else ():
        fields = _fields(types[name], demand)
        found = _possible_by_specs(specs, fields)
        if not found.is_open:
            missing = tuple(sorted(set(fields) - found.fields))
            if missing:
                yield UndeclaredFields(policy, name, missing, tuple(spec.name for spec in specs))


class UndeclaredFields(NamedTuple):
    """Fields that a policy names and no output can have, and the specs that exclude them."""

    policy: str
    obligation: str
    fields: tuple[str, ...]
    specs: tuple[str, ...]


def _specs(demands: Demands, types: Mapping[str, ObligationType]) -> list[OutputSpec]:
    found = {
        spec.name: spec
        for _, name, demand in demands
        if isinstance(kind := types[name], Output)
        for spec in kind.specs(demand)
    }
    return [found[name] for name in sorted(found)]


def _fields(kind: ObligationType, demand: Any) -> tuple[str, ...]:
    """Return the fields that a demand names, without numbers of columns, which every row has."""
    fields = kind.fields(demand) if isinstance(kind, OutputFilter) else ()
    return tuple(sorted(f for f in fields if not _NUMBER.fullmatch(f.rpartition(".")[2])))


def _possible_by_specs(specs: Sequence[OutputSpec], fields: Iterable[str]) -> PossibleFields:
    found = [possible(spec.described, fields, parts_of_spec) for spec in specs]
    return PossibleFields(
        frozenset[str]().union(*[each.fields for each in found]),
        any(each.has_numbers for each in found),
        any(each.is_open for each in found) or not found,
    )


def _impossible(
    kind: ObligationType, demand: Any, find: Callable[[Sequence[str]], PossibleFields]
) -> str:
    """Return what a demand names or needs that no output can have; ``""`` for nothing."""
    fields = _fields(kind, demand)
    if not fields or not (isinstance(kind, OutputFilter) and kind.is_narrow(demand)):
        return ""
    found = find(fields)
    missing = [field for field in fields if field not in found.fields]
    if found.is_open:
        return ""
    # For a mask, every field must be possible: a misspelt one masks nothing.
    if missing and (kind.name == "mask" or len(missing) == len(fields)):
        return f"there is no field {', '.join(missing)} in any output"
    if not found.has_numbers and kind.name in ("round", "top_k"):
        return f"there is no number in {', '.join(fields)} in any output"
    return ""
