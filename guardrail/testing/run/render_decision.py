"""Writes decisions as text: in one line, or as a tree of policies and their conditions.

The command line and failing tests under pytest print it. `guardrail.policy.analysis.explain`
computes the explanation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from guardrail.policy import Snapshot
from guardrail.policy.analysis.conditions import Value
from guardrail.policy.analysis.explain import ExplainedPart, ExplainedPolicy, Explainer, Explanation
from guardrail.testing.run.report import Result
from guardrail.values import Decision

_MARKS: Final[Mapping[str | None, str]] = {
    "true": "yes", "false": "no", "error": "error", None: "-",
}  # fmt: skip

#: The most policies that a failing test shows, and the most conditions of each.
_POLICIES: Final = 3
_STEPS: Final = 8


def sentence(decision: Decision, obligations: Mapping[str, Any]) -> str:
    """Return a decision as one line.

    ``obligations`` are the descriptions by name, as `Guard.describe` returns them. An allow reads
    ``allow by analysts-may-score, if: round 2, top_k 1``; a denial
    ``deny prohibited by no-retired-models: The model is retired.``
    """
    by = f" by {', '.join(decision.policies)}" if decision.policies else ""
    if decision.allowed:
        demands = ", ".join(_demand(name, value) for name, value in obligations.items())
        return f"allow{by}" + (f", if: {demands}" if demands else "")
    why = decision.reason or decision.message
    at = f" at {decision.path}" if decision.path else ""
    return f"deny {decision.code}{by}{at}" + (f": {why}" if why else "")


def _demand(name: str, value: Any) -> str:
    values = value if isinstance(value, list) else [value]
    return f"{name} {'; '.join(str(item) for item in values)}"


def heading(explained: ExplainedPolicy) -> str:
    """Return a line with the id of a policy, its role in the decision, and its place."""
    return f"{explained.policy.id} {_role(explained)} {explained.policy.place}"


def _role(explained: ExplainedPolicy) -> str:
    if explained.role == "near":
        return "would grant, but does not:"
    if explained.role == "errs":
        return "could not be evaluated:"
    if explained.role == "demands":
        return f"must be met ({', '.join(name for name, _ in explained.policy.demands)}):"
    return "grants:" if explained.policy.kind == "grant" else "forbids:"


def line(step: ExplainedPart, explained: ExplainedPolicy) -> str:
    """Return a condition with its value, and the effect of the opposite value on the decision."""
    text = f"{_MARKS[step.value]:>5}  {step.keyword} {step.text}"
    if not step.turns:
        return text
    other = "false" if step.value == "true" else "true"
    if explained.role == "near":
        return f"{text}   <- would grant if this were {other}"
    if explained.role == "demands":
        return f"{text}   <- would not apply if this were {other}"
    if explained.role == "errs":
        return f"{text}   <- cannot be evaluated" if step.value == "error" else text
    effect = "grant" if explained.policy.kind == "grant" else "forbid"
    return f"{text}   <- would not {effect} if this were {other}"


class Reasons:
    """Explains the decisions of failed tests on one snapshot."""

    __slots__ = ("_explainer",)

    def __init__(self, snapshot: Snapshot) -> None:
        self._explainer = Explainer(snapshot)

    def lines(self, result: Result) -> Iterator[tuple[str, Value | None]]:
        """Yield lines of text, each with the value of its condition; nothing without a decision.

        The lines show the policies that decide, and the nearest grant if none grants. They show
        policies with obligations only if the obligations differ from the expected ones.
        """
        decision, request = result.decision, result.request
        if decision is None or request is None:
            return
        explanation = self._explainer.explain(
            request.principal, request.action, request.resource, {"app": {}, **request.facts}
        )
        yield f"decided: {sentence(decision, explanation.obligations)}", None
        chosen = _chosen(explanation, result)
        for explained in chosen[:_POLICIES]:
            yield heading(explained), None
            steps = explained.steps
            if len(steps) > _STEPS:
                steps = tuple(step for step in steps if step.turns or step.value == "error")
            for step in steps[:_STEPS]:
                yield f"  {line(step, explained)}", step.value
            if len(explained.steps) > len(steps[:_STEPS]):
                yield f"         ... {len(explained.steps) - len(steps[:_STEPS])} more", None
        if len(chosen) > _POLICIES:
            yield f"... and {len(chosen) - _POLICIES} more policies", None


def _chosen(explanation: Explanation, result: Result) -> list[ExplainedPolicy]:
    """Return the policies that a failing test shows."""
    policies = explanation.policies
    is_about_demands = any(fault.message.startswith("obligations") for fault in result.faults)
    chosen = [explained for explained in policies if explained.role in ("decides", "errs")]
    if is_about_demands:
        chosen += [explained for explained in policies if explained.role == "demands"]
    return chosen + [explained for explained in policies if explained.role == "near"][:1]
