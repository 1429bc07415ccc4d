"""A scoring service in one file: a model behind a guard, and a request handler around it.

Run it in a checkout: ``python examples/clinical_scoring.py``. It needs ``guardrail-cedar[demo]``
and plays three requests: a clinician's, an analyst's, and one with a value missing. A real
service would call ``guard.acting_as(token=bearer)``; here the application vouches for its
callers, so that there is no sign-on service to run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from guardrail import (
    Denied,
    Entity,
    Guard,
    GuardUnavailable,
    InputRejected,
    NotAuthenticated,
    Principal,
    QuotaExceeded,
)

guard = Guard.from_dir(Path(__file__).parents[1] / "policies" / "clinical_scoring")
data = load_breast_cancer()
model = make_pipeline(StandardScaler(), LogisticRegression()).fit(data.data, data.target)

#: What a denial means in HTTP; the first class that fits. Anything else is a 403.
STATUS: dict[type[Denied], int] = {
    NotAuthenticated: 401,
    InputRejected: 422,
    QuotaExceeded: 429,
    GuardUnavailable: 503,
}


@guard.protect(action="predict", resource='Model::"tumour"', input="patients")
def predict(patients: np.ndarray) -> np.ndarray:
    """Return the probabilities of malignant and benign, ``(rows, 2) float64``."""
    scores: np.ndarray = model.predict_proba(patients)
    return scores


def handle(caller: Principal, patients: np.ndarray) -> tuple[int, dict[str, Any]]:
    """Answer one request: an HTTP status and a body."""
    try:
        with guard.acting_as(caller):
            return 200, {"scores": predict(patients).tolist()}
    except Denied as denial:
        status = next((code for kind, code in STATUS.items() if isinstance(denial, kind)), 403)
        return status, {"code": denial.code, "path": denial.path, "detail": denial.message}


def main() -> None:
    """Play three requests."""
    clara, ana = (
        Principal("User", name, parents=[Entity("Role", role)], attrs={"department": department})
        for name, role, department in [
            ("clara", "clinician", "oncology"),
            ("ana", "analyst", "research"),
        ]
    )
    patients = data.data[:2]
    incomplete = patients.copy()
    incomplete[1, 4] = np.nan
    for who, caller, rows in [
        ("clinician", clara, patients),
        ("analyst", ana, patients),
        ("clinician", clara, incomplete),
    ]:
        status, body = handle(caller, rows)
        print(f"{who:10} {status} {body}")


if __name__ == "__main__":
    main()
