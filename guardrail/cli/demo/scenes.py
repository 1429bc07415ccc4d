"""The scenes of ``guardrail demo``: calls with their callers and expected outcomes.

A result has the output or the error that the caller gets. Only the names of granting policies come
from the record, since callers do not get them.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from guardrail import GuardrailError
from guardrail.cli.demo.hospital import Hospital, Service
from guardrail.testing import Recorder


@dataclass(frozen=True, slots=True)
class Scene:
    """One call and its expected outcome.

    ``who`` names the caller; ``ask`` makes the call; ``code`` is ``allow`` or the code of the
    denial; ``by`` is the policy that must decide, empty for none; ``path`` is the place that a
    denial must name; ``fits`` checks the released output.
    """

    who: str
    asks: str
    ask: Callable[[], Any]
    code: str
    by: str = ""
    path: str = ""
    fits: Callable[[Any], bool] = lambda _: True


@dataclass(frozen=True, slots=True)
class SceneResult:
    """The result of a scene. ``output`` is the released output, ``None`` after a denial."""

    scene: Scene
    code: str
    policies: tuple[str, ...] = ()
    path: str = ""
    output: Any = None
    retry_after_s: float | None = None

    @property
    def is_allowed(self) -> bool:
        """Whether the call got an output."""
        return self.code == "allow"

    @property
    def holds(self) -> bool:
        """Whether the outcome is the one that the scene expects."""
        scene = self.scene
        return (self.code, " ".join(self.policies), self.path) == (
            scene.code,
            scene.by,
            scene.path,
        ) and (not self.is_allowed or scene.fits(self.output))

    @property
    def gets(self) -> str:
        """The result for display: a text, a shape with the first row, or the path of a denial."""
        if isinstance(self.output, str):
            return self.output
        if self.is_allowed:
            row = " ".join(str(round(score, 4)) for score in self.output[0].tolist())
            return f"{self.output.shape} [{row}]"
        if self.retry_after_s is not None:
            return f"retry in {self.retry_after_s:.0f} s"
        return self.path

    def as_json(self) -> dict[str, Any]:
        """Return the outcome as plain JSON data; a score that was removed is null."""
        got: dict[str, Any] | None = None
        if isinstance(self.output, str):
            got = {"text": self.output}
        elif self.is_allowed:
            row = [None if math.isnan(score) else score for score in self.output[0].tolist()]
            got = {"shape": list(self.output.shape), "first_row": row}
        return {
            "who": self.scene.who,
            "asks": self.scene.asks,
            "outcome": "allow" if self.is_allowed else "deny",
            "code": self.code,
            "policies": list(self.policies),
            "path": self.path,
            "retry_after_s": self.retry_after_s,
            "got": got,
            "expected": self.scene.code,
            "holds": self.holds,
        }


def play(
    scenes: Iterable[Scene],
    callers: Mapping[str, Callable[[], AbstractContextManager[Any]]],
    recorder: Recorder,
) -> list[SceneResult]:
    """Play every scene, in order, and return the results.

    Arguments:
        scenes: the calls to make.
        callers: a function for each caller that returns the context of its identity.
        recorder: receives the records of the guard.
    """
    outcomes = []
    for scene in scenes:
        try:
            with callers[scene.who]():
                output = scene.ask()
        except GuardrailError as error:
            policies, path = getattr(error, "policies", ()), getattr(error, "path", "")
            retry_after_s = getattr(error, "retry_after_s", None)
            outcome = SceneResult(scene, error.code, policies, path, retry_after_s=retry_after_s)
        except ValueError:  # raised by the model: the guard admitted an input that can't be scored
            outcome = SceneResult(scene, "raised")
        else:
            granting = recorder.records[-1].policies
            outcome = SceneResult(scene, "allow", granting, output=output)
        outcomes.append(outcome)
    return outcomes


def hospital_scenes(hospital: Hospital) -> list[Scene]:
    """Return the hospital's scenes in the order of play."""
    import numpy as np

    service, patients = Service(hospital), hospital.patients
    predict, predict_by, block = service.predict, service.predict_by, service.predict_in_block
    ward, cohort, crowd = patients[:20], patients[:101], np.tile(patients, (8, 1))[:1001]
    may, checked = "clinicians-may-score", "patients-are-checked"

    def soon() -> Any:
        return asyncio.run(service.predict_soon(ward))

    def each() -> Any:
        return np.concatenate(list(service.predict_each(ward)))

    def sixty_one() -> Any:
        for _ in range(60):
            predict(ward[:1])
        return predict(ward[:1])

    def changed(row: int, column: int, value: float) -> Any:
        copy = ward.copy()
        copy[row, column] = value
        return copy

    def full(scores: Any) -> bool:
        return bool(np.allclose(scores, hospital.model.predict_proba(patients[: len(scores)])))

    def coarse(scores: Any) -> bool:
        kept = scores[~np.isnan(scores)]
        return len(kept) == len(scores) and bool((kept == np.round(kept, 2)).all())

    who = "clinician"
    return [
        Scene(who, "20 patients", lambda: predict(ward), "allow", may, fits=full),
        Scene(
            "analyst",
            "20 patients",
            lambda: predict(ward),
            "allow",
            "analysts-may-score",
            fits=coarse,
        ),
        Scene(
            "auditor",
            "all held out",
            lambda: predict(patients),
            "allow",
            "auditors-may-evaluate",
            fits=full,
        ),
        Scene(who, "from a coroutine", soon, "allow", may, fits=full),
        Scene(who, "from a generator", each, "allow", may, fits=full),
        Scene(who, "in an enforce block", lambda: block(ward), "allow", may, fits=full),
        Scene(
            "analyst",
            "from a generator",
            each,
            "output_blocked",
            "coarse-scores-for-analysts",
        ),
        Scene(
            who,
            "a block, no release",
            lambda: block(ward, release=False),
            "output_blocked",
        ),
        Scene("nobody", "20 patients", lambda: predict(ward), "not_authenticated"),
        Scene("porter, no role", "20 patients", lambda: predict(ward), "no_grant"),
        Scene("expired token", "20 patients", lambda: predict(ward), "token_expired"),
        Scene("payroll's token", "20 patients", lambda: predict(ward), "wrong_audience"),
        Scene("forged token", "20 patients", lambda: predict(ward), "bad_signature"),
        Scene(
            "delegated token",
            "20 patients",
            lambda: predict(ward),
            "prohibited",
            "no-borrowed-identities",
        ),
        Scene(who, "101 patients", lambda: predict(cohort), "no_grant"),
        Scene(
            "analyst",
            "for a closed study",
            lambda: service.predict_for_study(ward),
            "prohibited",
            "studies-end",
        ),
        Scene(
            "auditor",
            "the retired model",
            lambda: predict_by(ward, "tumour-2019"),
            "prohibited",
            "no-retired-models",
        ),
        Scene("auditor", "an unknown model", lambda: predict_by(ward, "tumor"), "unknown_entity"),
        Scene(
            who,
            "a missing value",
            lambda: predict(changed(3, 7, np.nan)),
            "input_rejected",
            checked,
            "patients[3, 7]",
        ),
        Scene(
            who,
            "a radius of 400",
            lambda: predict(changed(0, 0, 400)),
            "input_rejected",
            checked,
            "patients[0, 0]",
        ),
        Scene(
            who,
            "a column too few",
            lambda: predict(ward[:, 1:]),
            "input_rejected",
            checked,
            "patients",
        ),
        Scene(
            "auditor",
            "1,001 patients",
            lambda: predict(crowd),
            "input_rejected",
            checked,
            "patients",
        ),
        Scene("hasty clinician", "61 times a minute", sixty_one, "quota_exceeded", "fair-use"),
    ]
