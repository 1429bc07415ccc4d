"""Writes decisions as text: in one line, and policy by policy as a small tree.

``guardrail`` and failing tests under pytest use it. `guardrail.policy.analysis.explain` finds the
explanation.
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

#: Policies that a failing test shows, and truths of each, at most.
_POLICIES: Final = 3
_STEPS: Final = 8


def sentence(decision: Decision, obligations: Mapping[str, Any]) -> str:
    """Return a decision as one line.

    ``obligations`` is what `Guard.describe` tells of them, by name. An allow reads
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
    """Return a policy, what it has to do with the decision, and where it stands."""
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
    """Return a truth, what it comes to, and what would be if it came to the opposite."""
    text = f"{_MARKS[step.value]:>5}  {step.keyword} {step.text}"
    if not step.turns:
        return text
    other = "false" if step.value == "true" else "true"
    if explained.role == "near":
        return f"{text}   <- it would grant, were this {other}"
    if explained.role == "demands":
        return f"{text}   <- exempt, were this {other}"
    if explained.role == "errs":
        return f"{text}   <- this cannot be evaluated" if step.value == "error" else text
    does = "grant" if explained.policy.kind == "grant" else "forbid"
    return f"{text}   <- it would not {does}, were this {other}"


class Reasons:
    """Tells of tests that failed on one snapshot why it decides as it does."""

    __slots__ = ("_explainer",)

    def __init__(self, snapshot: Snapshot) -> None:
        self._explainer = Explainer(snapshot)

    def lines(self, result: Result) -> Iterator[tuple[str, Value | None]]:
        """Yield lines of text, each with the truth that it is about; none for no decision.

        The policies that decide, and where no grant does, the nearest; those that make a
        demand only where the demands are not the expected ones.
        """
        decision, asked = result.decision, result.request
        if decision is None or asked is None:
            return
        found = self._explainer.explain(
            asked.principal, asked.action, asked.resource, {"app": {}, **asked.facts}
        )
        yield f"decided: {sentence(decision, found.obligations)}", None
        chosen = _chosen(found, result)
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


def _chosen(found: Explanation, result: Result) -> list[ExplainedPolicy]:
    """Return the policies that a failing test shows."""
    is_about_demands = any(fault.message.startswith("obligations") for fault in result.faults)
    chosen = [explained for explained in found.policies if explained.role in ("decides", "errs")]
    if is_about_demands:
        chosen += [explained for explained in found.policies if explained.role == "demands"]
    return chosen + [explained for explained in found.policies if explained.role == "near"][:1]
