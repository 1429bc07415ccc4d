"""One guarded call, all steps on: the bare function, the stack composed by hand, and ours.

Run with ``python -m benchmarks.guarded_call``. Every stack does the same work on the same
call: verify an HS256 token, decide with Cedar, count against a moving window in memory,
check a ``(1, 30) float64`` input for finite values and bounds per column, round the output,
and end an OpenTelemetry span with the same attributes into a batch processor whose exporter
drops them. The stack by hand is given every advantage that a careful author would take:
handles parsed once, dict uids, one flat function, no error handling, and only the three
access policies in Cedar (ours also evaluates the three conditions). The memoised variant
also keeps the verified token and the decision in `cachetools` caches.

Ours builds its spans after the call (`[audit] spans = "deferred"`), and so does some of the
work of all three stacks stand on other threads: two kinds of rows tell it apart. *Hot time* is
the CPU time of the calling thread, what a caller waits for. *Total CPU* is that of the whole
process, with every queue emptied: nothing is hidden by doing it later.

Both the caller who signed in before (as in a notebook or a batch) and the one who hands a
token to every call (as in a service) gate; the memoised stack looks its token up each time.
New callers are principals that never came before: token, subject, question and counters are
all new. Where a fact is new as well, so is the decision, and Cedar is asked.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextvars import copy_context
from functools import partial
from itertools import count, cycle
from pathlib import Path
from time import perf_counter, process_time, thread_time
from typing import Annotated, Any

import cedarpy
import jwt
import numpy as np
from cachetools import LRUCache, TTLCache
from limits import parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Span
from pydantic import Field, TypeAdapter

from benchmarks.harness import Case, measure, read_options, report
from guardrail import Guard

BUNDLE = Path(__file__).parent / "bundle"
SECRET = "a secret of forty bytes, for HS256 alone"  # noqa: S105
ISSUER, AUDIENCE = "https://issuer.example", "scoring"
PATIENT = np.linspace(0.5, 15.0, 30).reshape(1, 30)
SCORES = np.array([[0.123456, 0.876544]])
HAND, MEMOISED = "composed by hand", "composed by hand, memoised"
TOTAL = " (total CPU)"
#: More than any cache of ours keeps of principals and of cases.
NEW_CALLERS = 20_000


class NullExporter(SpanExporter):
    """Drops every span: what an exporter costs is not the guard's."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:  # noqa: ARG002
        """Take the spans and drop them."""
        return SpanExportResult.SUCCESS


def tracer_provider() -> TracerProvider:
    """Return a provider as a service would set it up, but for the exporter."""
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(NullExporter()))
    return provider


def token(number: int = 0, *, subject: str = "clara") -> str:
    """Return a clinician's token that outlives the benchmark; each number makes another."""
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": subject, "dept": "oncology"}
    claims["jti"] = str(number)
    now = int(time.time())
    claims |= {"roles": ["clinician"], "iat": now, "exp": now + 3600}
    return jwt.encode(claims, SECRET, algorithm="HS256")


def predict(patients: Any) -> Any:  # noqa: ARG001
    """Return the scores; the model costs nothing, so that only guarding is timed."""
    return SCORES


def with_visits(folder: Path) -> Path:
    """Return a copy of the bundle that reads one more fact: a number that each call passes."""
    shutil.copytree(BUNDLE, folder)
    schema, access = folder / "schema.cedarschema", folder / "access.cedar"
    known = "identity: guardrail::IdentityFacts"
    schema.write_text(schema.read_text().replace(known, f"{known}, app: {{ visit: Long }}"))
    with access.open("a") as file:
        file.write(
            '@id("no-visits-before-the-first")\n'
            "forbid (principal, action, resource) when { context.app.visit < 0 };\n"
        )
    return folder


class Composed:
    """The stack by hand: five libraries and the glue between them."""

    def __init__(self, bundle: Path = BUNDLE) -> None:
        self.policies = cedarpy.PolicySet.from_str((bundle / "access.cedar").read_text())
        self.entities = cedarpy.Entities.from_json_str((bundle / "entities.json").read_text())
        self.visits = count() if bundle != BUNDLE else None
        self.limit = parse("1000000/second")
        self.limiter = MovingWindowRateLimiter(MemoryStorage())
        column = Annotated[float, Field(ge=0, le=10_000, allow_inf_nan=False)]
        row = Annotated[list[column], Field(min_length=30, max_length=30)]
        self.rows = TypeAdapter(Annotated[list[row], Field(min_length=1, max_length=100)])
        self.provider = tracer_provider()
        self.tracer = self.provider.get_tracer("composed")
        self.principals: TTLCache[str, tuple[str, cedarpy.Entities]] = TTLCache(1024, 600)
        self.decisions: LRUCache[tuple[str, str, str, int], tuple[str, ...]] = LRUCache(1024)

    def verify(self, bearer: str) -> tuple[str, cedarpy.Entities]:
        """Verify the token and return its subject and the entities with it among them."""
        claims = jwt.decode(bearer, SECRET, algorithms=["HS256"], audience=AUDIENCE, issuer=ISSUER)
        user = {
            "uid": {"type": "User", "id": claims["sub"]},
            "attrs": {"department": claims["dept"]},
            "parents": [{"type": "Role", "id": role} for role in claims["roles"]],
        }
        return claims["sub"], self.entities.with_added_json_str(json.dumps([user]))

    def decide(self, subject: str, entities: cedarpy.Entities, rows: int) -> tuple[str, ...]:
        """Return the ids of the deciding policies, or raise where Cedar does not allow."""
        context: dict[str, Any] = {"input": {"rows": rows}, "identity": {"delegated": False}}
        if self.visits is not None:
            context["app"] = {"visit": next(self.visits)}
        result = cedarpy.is_authorized(
            {
                "principal": {"type": "User", "id": subject},
                "action": {"type": "Action", "id": "predict"},
                "resource": {"type": "Model", "id": "tumour"},
                "context": context,
            },
            self.policies,
            entities,
        )
        if not result.allowed or result.diagnostics.errors:
            raise PermissionError
        return tuple(result.diagnostics.id_annotations_by_reason.values())

    def call(self, bearer: str, patients: Any) -> Any:
        """Guard one call, nothing remembered but what was parsed at start."""
        started = perf_counter()
        span = self.tracer.start_span("predict")
        subject, entities = self.verify(bearer)
        policies = self.decide(subject, entities, len(patients))
        return self.finish(span, started, subject, policies, patients)

    def memoised_call(self, bearer: str, patients: Any) -> Any:
        """Guard one call, with the verified token and the decision remembered."""
        started = perf_counter()
        span = self.tracer.start_span("predict")
        known = self.principals.get(bearer)
        if known is None:
            known = self.principals[bearer] = self.verify(bearer)
        subject, entities = known
        key = (subject, "predict", "tumour", len(patients))
        policies = self.decisions.get(key)
        if policies is None:
            policies = self.decisions[key] = self.decide(subject, entities, len(patients))
        return self.finish(span, started, subject, policies, patients)

    def finish(
        self, span: Span, started: float, subject: str, policies: tuple[str, ...], patients: Any
    ) -> Any:
        """Meet the obligations, run the model and end the span, with what ours records."""
        if not self.limiter.hit(self.limit, subject):
            raise PermissionError
        self.rows.validate_python(patients.tolist())
        admitted = perf_counter()
        scores = predict(patients)
        returned = perf_counter()
        scores = np.round(scores, 2)
        span.set_attributes(
            {
                "guardrail.guard.name": "guarded_call",
                "guardrail.decision.id": os.urandom(16).hex(),
                "guardrail.decision.outcome": "allow",
                "guardrail.decision.reason": "allow",
                "guardrail.call.outcome": "released",
                "guardrail.stage": "round",
                "guardrail.enforcement.mode": "enforce",
                "guardrail.policy.ids": policies,
                "guardrail.policy.revision": "0" * 64,
                "guardrail.policy.version": "1.0.0",
                "guardrail.obligations": ("quota", "input", "round"),
                "guardrail.cedar.action": "predict",
                "guardrail.principal.type": "User",
                "guardrail.resource.type": "Model",
                "guardrail.batch.size": len(patients),
                "guardrail.input.size": patients.nbytes,
                "guardrail.admit.duration": admitted - started,
                "guardrail.model.duration": returned - admitted,
                "guardrail.release.duration": perf_counter() - returned,
                "guardrail.backend": "none",
                "code.function.name": "predict",
            }
        )
        span.end()
        return scores


def own_guard(bundle: Path = BUNDLE, *, journal: Path | None = None) -> Guard:
    """Return ours, on the bundle beside this file or on a variant."""
    os.environ["GUARDRAIL_BENCH_SECRET"] = SECRET
    return Guard.from_dir(bundle, tracer_provider=tracer_provider(), journal=journal)


def signed_in(guard: Guard, guarded: Callable[[Any], Any]) -> Callable[[], Any]:
    """Return the call alone, under an identity that stays open until the process ends."""
    context = copy_context()
    context.run(guard.acting_as(token=token()).__enter__)

    def loop() -> Any:
        return guarded(PATIENT)

    return partial(context.run, loop)


def hot_cases() -> list[Case]:
    """Return the rows on the time of the calling thread."""
    composed, guard, bearer = Composed(), own_guard(), token()
    decided = guard.protect(action="predict", resource='Model::"tumour"', input="patients")(predict)

    def with_token() -> Any:
        with guard.acting_as(token=bearer):
            return decided(PATIENT)

    # More callers than are remembered anywhere, each in its turn: all are new when they come.
    callers = cycle([token(number, subject=f"u{number}") for number in range(NEW_CALLERS)])

    def with_new_caller() -> Any:
        with guard.acting_as(token=next(callers)):
            return decided(PATIENT)

    inside = signed_in(guard, decided)
    drain, composed_drain = guard.flush, composed.provider.force_flush
    return [
        Case("bare function", lambda: predict(PATIENT)),
        Case(HAND, lambda: composed.call(bearer, PATIENT), drain=composed_drain),
        Case(MEMOISED, lambda: composed.memoised_call(bearer, PATIENT), HAND, drain=composed_drain),
        Case("guardrail, signed in before", inside, HAND, goal=1 / 24, drain=drain),
        Case("the same, against memoised", inside, MEMOISED, goal=1 / 7, drain=drain),
        Case("guardrail, token in every call", with_token, HAND, goal=1 / 12, drain=drain),
        Case("the same, against memoised again", with_token, MEMOISED, drain=drain),
        Case("guardrail, a new caller every time", with_new_caller, HAND, goal=0.6, drain=drain),
    ]


def new_cases(folder: Path) -> list[Case]:
    """Return the rows on new callers with a fact that never came before: all is decided anew."""
    bundle = with_visits(folder / "visits")
    composed, guard, visits = Composed(bundle), own_guard(bundle), count()
    decided = guard.protect(
        action="predict",
        resource='Model::"tumour"',
        input="patients",
        facts=lambda patients: {"visit": next(visits)},  # noqa: ARG005
    )(predict)
    tokens = [token(number, subject=f"u{number}") for number in range(NEW_CALLERS)]
    theirs, ours = cycle(tokens), cycle(tokens)

    def by_hand() -> Any:
        return composed.call(next(theirs), PATIENT)

    def with_new_caller() -> Any:
        with guard.acting_as(token=next(ours)):
            return decided(PATIENT)

    baseline = f"{HAND}, a new caller and fact"
    return [
        Case(baseline, by_hand, drain=composed.provider.force_flush),
        Case(
            "guardrail, a new caller and a new decision", with_new_caller, baseline, goal=0.6,
            drain=guard.flush,
        ),
    ]  # fmt: skip


def total_cases() -> list[Case]:
    """Return the rows on the CPU time of the whole process, queues emptied."""
    composed, guard, bearer = Composed(), own_guard(), token()
    decided = guard.protect(action="predict", resource='Model::"tumour"', input="patients")(predict)
    inside = signed_in(guard, decided)
    later: dict[str, Any] = {"drain": composed.provider.force_flush, "counts_drain": True}
    own: dict[str, Any] = {"drain": guard.flush, "counts_drain": True}
    return [
        Case(f"{HAND}{TOTAL}", lambda: composed.call(bearer, PATIENT), **later),
        Case(
            f"{MEMOISED}{TOTAL}", lambda: composed.memoised_call(bearer, PATIENT),
            f"{HAND}{TOTAL}", **later,
        ),
        Case(f"guardrail{TOTAL}", inside, f"{HAND}{TOTAL}", goal=1 / 12, **own),
        Case(
            f"the same, against memoised{TOTAL}", inside, f"{MEMOISED}{TOTAL}", goal=1 / 3.3, **own
        ),
    ]  # fmt: skip


def run() -> int:
    """Measure everything, print it, and return the exit code."""
    logging.getLogger("opentelemetry").setLevel(logging.ERROR)  # a full queue drops, by design
    title = str(__doc__).splitlines()[0]
    options = read_options(title)
    rows = measure(hot_cases(), rounds=options.rounds, clock=thread_time)
    with tempfile.TemporaryDirectory() as folder:
        rows += measure(new_cases(Path(folder)), rounds=options.rounds, clock=thread_time)
    rows += measure(total_cases(), rounds=options.rounds, clock=process_time)
    return report(rows, title, options)


if __name__ == "__main__":
    sys.exit(run())
