"""The steps of one warm guarded call, each beside the same work done by hand.

Owns the cases for what `benchmarks.guarded_call` runs at every call apart from the decision
and the record: the view of a ``(1, 30) float64`` input, the facts ``input.rows`` and
``identity.delegated``, one hit of a moving window in memory, the check of the input, and
rounding a ``(1, 2) float64`` output. The baselines are what one would write by hand, on the
library that does it: a `memoryview`, a dict, `limits`, numpy. Timed in the thread's own CPU
time, so that another process on the machine does not count.

Run ``python -m benchmarks.steps [--format json]``; exit 1 where a goal is missed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path as FilePath
from time import thread_time
from typing import Any

import numpy as np
from limits import parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from benchmarks.harness import Case, main
from guardrail._core import BACKEND
from guardrail._documents import read_yaml
from guardrail.errors import Place
from guardrail.extensions import (
    Clause,
    Entity,
    FactContext,
    Identity,
    ObligationContext,
    Path,
    Principal,
    SystemClock,
)
from guardrail.facts import Bounds, IdentityFacts, InputFacts, Viewer
from guardrail.obligations import Input, Quota, Round, open_storage
from guardrail.obligations.input.specs import read_specs

SPEC = FilePath(__file__).parent / "bundle" / "inputs" / "patients.yaml"
PATIENT: Any = np.linspace(0.5, 15.0, 30).reshape(1, 30)
SCORES: Any = np.array([[0.123456, 0.876544]])
CLARA = Identity(Principal("User", "clara"))
MODEL = Entity("Model", "tumour")
TAKE_VIEW = Viewer(Bounds()).take
VIEW = TAKE_VIEW(PATIENT, "patients")


def absent(path: Path) -> object:
    """Return nothing: no step here reads a path."""
    raise LookupError(str(path))


FACING = FactContext(CLARA, VIEW, "predict", MODEL, 0.0, {})
ADMISSION = ObligationContext(CLARA, VIEW, "predict", MODEL, 0.0, absent)


def clause(name: str, argument: str) -> Clause:
    """Return an annotation as the bundle has it."""
    return Clause("p", name, argument, Place("conditions.cedar", 1, 1))


def view_cases() -> list[Case]:
    """Return the look at the input."""

    def by_hand() -> object:
        with memoryview(PATIENT) as buffer:
            return buffer.format, buffer.shape, buffer.nbytes

    def ours() -> None:
        view = TAKE_VIEW(PATIENT, "patients")
        if view.buffer is not None:
            view.buffer.release()

    return [
        Case("view, a memoryview by hand", by_hand),
        Case("view", ours, "view, a memoryview by hand", 2.5),
    ]


def fact_cases() -> list[Case]:
    """Return the two facts that the policies read."""
    source, rows = InputFacts(), frozenset(("rows",))
    identity, delegated = IdentityFacts(), frozenset(("delegated",))
    return [
        Case("rows, a dict by hand", lambda: {"rows": len(PATIENT)}),
        Case("rows", lambda: source.compute(rows, FACING), "rows, a dict by hand", 5.0),
        Case("delegated, a dict by hand", lambda: {"delegated": CLARA.delegated}),
        Case(
            "delegated",
            lambda: identity.compute(delegated, FACING),
            "delegated, a dict by hand",
            5.0,
        ),
    ]


def quota_cases() -> list[Case]:
    """Return one hit of a moving window per principal, which never fills."""
    item, limiter = parse("1000000/second"), MovingWindowRateLimiter(MemoryStorage())
    quota = Quota(bundle="steps", storage=open_storage(None, SystemClock()))
    demand = quota.parse(clause("quota", "1000000/second per principal"))
    return [
        Case("quota, limits in memory", lambda: limiter.hit(item, "clara")),
        Case("quota", lambda: quota.admit(demand, ADMISSION), "quota, limits in memory", 0.4),
    ]


def input_cases() -> list[Case]:
    """Return the check of the input: its type, its shape, finite, and within bounds."""
    checked = Input(read_specs({"patients": read_yaml(SPEC.name, SPEC.read_bytes())}))
    demand = checked.parse(clause("input", "patients"))

    def by_numpy() -> bool:
        return bool(
            PATIENT.dtype == np.float64
            and PATIENT.ndim == 2
            and 1 <= PATIENT.shape[0] <= 100
            and PATIENT.shape[1] == 30
            and np.isfinite(PATIENT).all()
            and (PATIENT >= 0).all()
            and (PATIENT <= 10_000).all()
        )

    return [
        Case("input, numpy by hand", by_numpy),
        Case("input", lambda: checked.admit(demand, ADMISSION), "input, numpy by hand", 1 / 5),
    ]


def round_cases() -> list[Case]:
    """Return the rounding of the output, which numpy's own does not do correctly."""
    rounding = Round()
    demand = rounding.parse(clause("round", "2"))
    numpy: Callable[[], object] = lambda: np.round(SCORES, 2)  # noqa: E731
    return [
        Case("round, numpy.round", numpy),
        Case(
            "round",
            lambda: rounding.release(demand, SCORES, ADMISSION),
            "round, numpy.round",
            0.5,
        ),
    ]


if __name__ == "__main__":
    cases = [*view_cases(), *fact_cases(), *quota_cases(), *input_cases(), *round_cases()]
    sys.exit(main(cases, title=f"The steps of a guarded call ({BACKEND} core)", clock=thread_time))
