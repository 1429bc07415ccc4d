"""The hospital of ``guardrail demo``: a trained model, its guard, and signed tokens of its staff.

scikit-learn, PyJWT and cryptography are imported when the hospital opens, not with this module.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from guardrail import Guard, Principal, Resource
from guardrail.testing import Recorder

TUMOUR: Final = 'Model::"tumour"'
#: The subject and the department in the token of each role.
STAFF: Final = {
    "clinician": ("clara", "oncology"),
    "analyst": ("ana", "research"),
    "auditor": ("otto", "quality"),
}


@dataclass(frozen=True, slots=True)
class Hospital:
    """A model, its guard, the patients held out from training, and the keys of a sign-on service.

    ``patients`` is ``(rows, 30) float64``, ``diagnoses`` ``(rows,)`` of 0 and 1. The service
    signs with ``key``; ``forged_key`` is a key that is not in the bundle.
    """

    guard: Guard
    recorder: Recorder
    model: Any
    patients: Any
    diagnoses: Any
    key: Any = field(repr=False)
    forged_key: Any = field(repr=False)

    @classmethod
    def open(cls, bundle: Path, journal: Path | None = None) -> Hospital:
        """Train the model and load the bundle, with a new public key.

        Raises `guardrail.ConfigurationError` if the bundle does not load.
        """
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec
        from sklearn.datasets import load_breast_cancer
        from sklearn.linear_model import LogisticRegression
        from sklearn.model_selection import train_test_split
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        key, forged_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        (bundle / "keys" / "hospital.pem").write_bytes(
            key.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        )
        rows, labels = load_breast_cancer(return_X_y=True)
        train, patients, labels, diagnoses = train_test_split(
            rows, labels, test_size=0.25, random_state=0, stratify=labels
        )
        model = make_pipeline(StandardScaler(), LogisticRegression()).fit(train, labels)
        recorder = Recorder()
        guard = Guard.from_dir(bundle, sinks=(recorder,), journal=journal)
        return cls(guard, recorder, model, patients, diagnoses, key, forged_key)

    def token(self, role: str, *, forged: bool = False, **claims: object) -> str:
        """Return a signed token for the member of staff with this role."""
        import jwt

        user, department = STAFF[role]
        now = int(time.time())
        body = {
            "iss": "https://sso.hospital.example",
            "aud": "tumour-scoring",
            "sub": user,
            "roles": [role],
            "dept": department,
            "iat": now,
            "exp": now + 600,
        }
        key = self.forged_key if forged else self.key
        return jwt.encode(body | claims, key, algorithm="ES256")

    def callers(self) -> dict[str, Callable[[], AbstractContextManager[Any]]]:
        """Return a function for each caller that returns the context of its identity."""
        acting_as, token = self.guard.acting_as, self.token
        porter = Principal("User", "nora", attrs={"department": "facilities"})
        return {
            "clinician": lambda: acting_as(token=token("clinician")),
            "analyst": lambda: acting_as(token=token("analyst")),
            "auditor": lambda: acting_as(token=token("auditor")),
            "hasty clinician": lambda: acting_as(token=token("clinician", sub="hugo")),
            "porter, no role": lambda: acting_as(porter),
            "nobody": nullcontext,
            "expired token": lambda: acting_as(token=token("clinician", exp=1_700_000_000)),
            "payroll's token": lambda: acting_as(token=token("clinician", aud="payroll")),
            "forged token": lambda: acting_as(token=token("clinician", forged=True)),
            "delegated token": lambda: acting_as(token=token("clinician", act={"sub": "bot"})),
        }


class Service:
    """The hospital's scoring functions, guarded as in a service.

    Each takes patients, ``(rows, 30) float64``, and returns ``(rows, 2) float64`` scores.
    """

    def __init__(self, hospital: Hospital) -> None:
        guard, score = hospital.guard, hospital.model.predict_proba

        @guard.protect(action="predict", resource=TUMOUR, input="patients")
        def predict(patients: Any) -> Any:
            return score(patients)

        @guard.protect(action="predict", resource=TUMOUR, input="patients")
        async def predict_soon(patients: Any) -> Any:
            await asyncio.sleep(0)
            return score(patients)

        @guard.protect(action="predict", resource=TUMOUR, input="patients")
        def predict_each(patients: Any) -> Iterator[Any]:
            for row in range(len(patients)):
                yield score(patients[row : row + 1])

        @guard.protect(
            action="predict",
            resource=lambda patients, model: Resource("Model", model),  # noqa: ARG005
            input="patients",
        )
        def predict_by(patients: Any, model: str) -> Any:  # noqa: ARG001
            return score(patients)

        @guard.protect(
            action="predict", resource=TUMOUR, input="patients", facts={"study": "trial-2019"}
        )
        def predict_for_study(patients: Any) -> Any:
            return score(patients)

        def predict_in_block(patients: Any, *, release: bool = True) -> Any:
            with guard.enforce(action="predict", resource=TUMOUR, input=patients) as call:
                scores = score(call.input)
                return call.release(scores) if release else scores

        self.predict = predict
        self.predict_soon = predict_soon
        self.predict_each = predict_each
        self.predict_by = predict_by
        self.predict_for_study = predict_for_study
        self.predict_in_block = predict_in_block
