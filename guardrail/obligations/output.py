"""The obligation `output`: what the model returns must meet the specs that are named.

Owns which specs an annotation names, and the refusal of an output that is not what its spec
says. Refuses to change anything: an output meets its specs or does not leave. First of all that
works on outputs, so that specs describe what models return and not what policies leave of it.

A stream is checked as it passes, as one text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from guardrail.errors import ConfigurationError
from guardrail.obligations.output_spec import OutputSpec
from guardrail.obligations.text_spec import TextSpec
from guardrail.ports import Admission, ObligationType, Unmet, Wait
from guardrail.streams import Carrier, TextFilter
from guardrail.values import Clause, Path, View

#: What paths in errors begin with.
_OUTPUT: Final = "output"
#: The advice of input specs, which is none for an output.
_INPUT_ADVICE: Final = re.compile(r" Correct the input and call again\.$")
#: How far the numbers of a row may sum up to other than 1, in steps of their type each.
_STEPS: Final = 8


class Output:
    """``@output("scores")``; several conditions join their specs, and all must be met.

    Arguments:
        specs: the output specs of the bundle, by name.
        take_view: looks at an output within the bundle's bounds, or raises `Unmet`.
    """

    __slots__ = ("_specs", "_take_view")

    name = "output"
    on_admit = False
    on_release = True

    def __init__(
        self, specs: Mapping[str, OutputSpec], take_view: Callable[[Any, str], View]
    ) -> None:
        self._specs = specs
        self._take_view = take_view

    def parse(self, clause: Clause) -> frozenset[str]:
        """Return the spec's name; raise `ConfigurationError` where the bundle has no such."""
        if clause.argument not in self._specs:
            known = ", ".join(sorted(self._specs)) or "none"
            raise ConfigurationError.at(
                clause.place, "GR109",
                f"@output: expected the name of a file in outputs/; there are: {known}.",
            )  # fmt: skip
        return frozenset((clause.argument,))

    def reads(self, demand: frozenset[str]) -> tuple[Path, ...]:  # noqa: ARG002
        """Return no path: a spec reads the output alone."""
        return ()

    def merge(self, one: frozenset[str], other: frozenset[str]) -> frozenset[str]:
        """Return the specs of both sides: all of them must be met."""
        return one | other

    def describe(self, demand: frozenset[str]) -> str | list[str]:
        """Return the spec's name, or a sorted list where there are several."""
        names = sorted(demand)
        return names[0] if len(names) == 1 else names

    def kinds(self, demand: frozenset[str]) -> dict[str, str]:
        """Return the kind of output that each spec demanded describes, where it says one."""
        return {name: self._specs[name].kind for name in demand if self._specs[name].kind}

    def admit(self, demand: frozenset[str], admission: Admission) -> Wait | None:  # noqa: ARG002
        """Do nothing: the output is not there yet."""
        return None

    def release(self, demand: frozenset[str], output: Any, admission: Admission) -> Any:  # noqa: ARG002
        """Return the output as it is, or raise `Unmet` (``output_blocked``) with the path."""
        for name in sorted(demand):
            self._check(self._specs[name], output)
        return output

    def carrier(self, demand: frozenset[str]) -> Carrier | None:
        """Return where the items of a stream have their text; ``None``: they are texts."""
        chunks = [self._specs[name].chunk for name in sorted(demand)]
        return next((chunk for chunk in chunks if chunk is not None), None)

    def stream(self, demand: frozenset[str], admission: Admission) -> TextFilter | None:  # noqa: ARG002
        """Return what checks one call's text as it passes."""
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
                    raise Unmet(message, path=_OUTPUT)
            finally:
                if view.buffer is not None:
                    view.buffer.release()
        except Unmet as unmet:
            refusal = _misfit(spec.name, unmet.message, unmet.path)
        else:
            return
        raise refusal


class _TextCheck:
    """The text of one stream so far, checked whenever it grows."""

    __slots__ = ("_chars", "_specs")

    def __init__(self, specs: list[TextSpec]) -> None:
        self._specs = specs
        self._chars = 0

    def feed(self, text: str) -> str:
        """Return the piece, where the text so far meets the specs."""
        self._chars += len(text)
        for spec in self._specs:
            most = spec.max_chars
            if most is not None and self._chars > most:
                raise _misfit(spec.name, f"expected at most {most} characters; got more", _OUTPUT)
            try:
                spec.characters.check(text, _OUTPUT)
            except Unmet as unmet:
                refusal = _misfit(spec.name, unmet.message, unmet.path)
            else:
                continue
            raise refusal
        return text

    def close(self) -> str:
        """Return nothing: nothing is held back. The whole must be long enough."""
        for spec in self._specs:
            if self._chars < spec.min_chars:
                message = f"expected at least {spec.min_chars} characters; got fewer"
                raise _misfit(spec.name, message, _OUTPUT)
        return ""


def check_probabilities(view: View) -> None:
    """Raise `Unmet` unless each row of a tensor is numbers of 0 to 1 that sum up to 1."""
    import numpy as np

    rows = np.asarray(view.buffer)
    if not rows.size:
        return
    if rows.dtype.kind != "f" or not rows.ndim:
        raise Unmet("expected rows of probabilities; got other numbers", path=view.name)
    is_bad = ~((rows >= 0) & (rows <= 1)).all(axis=-1)
    slack = max(_STEPS * rows.shape[-1] * np.finfo(rows.dtype).eps, 1e-9)
    is_bad |= ~(np.abs(rows.sum(axis=-1, dtype=np.float64) - 1) <= slack)
    if is_bad.any():
        first = np.argwhere(np.atleast_1d(is_bad))[0].tolist()
        path = f"{view.name}{first}" if rows.ndim > 1 else view.name
        message = (
            f"{path}: expected probabilities, from 0 to 1 and summing up to 1; got others, in "
            f"{int(is_bad.sum())} rows"
        )
        raise Unmet(message, path=path)


def _misfit(name: str, message: str, path: str) -> Unmet:
    text = _INPUT_ADVICE.sub("", message).rstrip(".")
    if not text.startswith(path):
        text = f"{path}: {text}"
    return Unmet(
        f"{text}. The output does not meet outputs/{name}.yaml: correct the model, or the spec.",
        code="output_blocked",
        path=path,
    )


def unfit(demands: Iterable[tuple[str, str, Any]], types: Mapping[str, ObligationType]) -> str:
    """Say which demand can't be met on the output that another one declares; ``""`` for none.

    Arguments:
        demands: what the policies of one action can demand: policy, obligation and demand.
        types: the obligations by name. One that has ``outputs`` can be met on these kinds only.
    """
    demands = list(demands)
    declared = {
        spec: kind
        for _, name, demand in demands
        if isinstance(types[name], Output)
        for spec, kind in types[name].kinds(demand).items()  # type: ignore[attr-defined]
    }
    for policy, name, _ in demands:
        fitting = getattr(types[name], "outputs", None)
        for spec, kind in sorted(declared.items()):
            if fitting is not None and kind not in fitting:
                return (
                    f"@{name} of {policy} can never be met: outputs/{spec}.yaml says that the "
                    f"output is a {kind}. Remove one of the two, or give them to actions of "
                    "their own."
                )
    return ""
