"""Records as a few busy days leave them: for reports, and what draws them."""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Iterator

from records import record

from guardrail.values import Record

POLICIES = ("clinicians-may-score", "analysts-may-score", "auditors-may-explain")
NAMES = [f"k1:{hashlib.sha256(bytes([who])).hexdigest()[:32]}" for who in range(40)]


def records(count: int, seed: int = 1, *, days: float = 2.0) -> Iterator[Record]:
    """Yield so many records, in the order of their times."""
    made = random.Random(seed)  # noqa: S311
    at = 1_795_600_000.0
    for _ in range(count):
        hour = (at % 86_400) / 3600
        at += made.expovariate(count / days / 86_400 * (0.25 + max(0, math.sin(hour / 24 * 6.28))))
        kind = made.choices(
            ("released", "denied", "blocked", "raised", "cancelled", "admitted"),
            (900, 70, 12, 6, 4, 1),
        )[0]
        who = made.choices(range(40), [40 - each for each in range(40)])[0]
        changes = {
            "decision_id": f"{made.getrandbits(128):032x}", "started_at": at, "outcome": kind,
            "principal_type": "User" if who % 5 else "Service", "principal": NAMES[who],
            "policies": (POLICIES[who % 3],), "resource": "tumour",
            "action": "predict" if who % 3 != 2 else "explain",
            "admit_s": made.lognormvariate(-11.5, 0.4), "model_s": made.lognormvariate(-5.5, 0.6),
            "release_s": made.lognormvariate(-12.5, 0.5), "cached": made.random() < 0.9,
            "counts": (("quota/fair-use/calls", 1), ("quota/daily-rows/rows", 10)),
        }  # fmt: skip
        if kind == "denied":
            code = made.choices(
                ("no_grant", "prohibited", "quota_exceeded", "input_rejected", "token_expired"),
                (30, 12, 40, 10, 8),
            )[0]
            policies = {"prohibited": ("no-unsigned-models",), "quota_exceeded": ("fair-use",)}
            changes |= {
                "code": code, "policies": policies.get(code, ()), "model_s": 0.0, "release_s": 0.0,
                "stage": "decide",
            }  # fmt: skip
        elif kind == "blocked":
            changes |= {"code": "output_blocked", "policies": ("hide-contacts",)}
        elif kind == "raised":
            changes |= {"error_type": "ValueError", "release_s": 0.0}
        elif kind == "released" and made.random() < 0.05:
            cuts = (("redact/email", made.randrange(1, 4)), ("redact/phone", 1))
            changes["counts"] += cuts
        yield record(**changes)
