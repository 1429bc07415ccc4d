"""Plant secrets in everything a caller sends, then hunt for them in everything that is kept.

Each case plants in all places at once: input, principal, claims, token, facts, output, and
what the model, a fact source, an obligation or a sink says when it raises. Hunted are spans,
logs, errors (with their chains, notes and pickled form), records, decisions, warnings and
both output streams. The one exemption: the model's own exception reaches its caller as it is.
"""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import json
import logging
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import numpy as np
import pytest
from bundles import PATIENTS, SCHEMA
from canaries import (
    Boom,
    FailingSink,
    Hunt,
    OwnFacts,
    OwnObligation,
    deny_in_handler,
    raise_deep,
    refuse_in_handler,
)
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from guardrail import Entity, Guard, GuardrailError, Principal, Resource
from guardrail._ports import BlockingStep, FactContext
from guardrail.audit import Spans
from guardrail.audit.journal.segment_progress import read_segment
from guardrail.audit.journal_read.reader import read_calls
from guardrail.audit.report.aggregates import Aggregates
from guardrail.audit.report.report import to_html
from guardrail.audit.telemetry.signals import Signals
from guardrail.cli.journal.show import line
from guardrail.testing import FrozenClock, Recorder

NOW = 1_700_000_000


# One case: a call with everything planted, and what is changed about it.

OPEN = """
@id("open") permit (principal in Role::"clinician", action, resource);
@id("kept") @audit("principal.department, context.app.purpose")
forbid (principal, action == Action::"predict", resource);
@id("reads") permit (principal, action == Action::"predict", resource) when {
  context.app has purpose && context.app.purpose == principal.department &&
  principal has level && context.app has count && principal.level > context.app.count
};
@id("acts") permit (principal, action == Action::"predict", resource) when {
  context.identity has actor && context.identity.actor == principal.department
};
@id("fair") @quota("2/minute per principal and context.app.purpose")
forbid (principal, action == Action::"predict", resource) when { context.app has purpose };
@id("tensor") @input("patients") forbid (principal, action == Action::"predict", resource);
@id("record") @input("note") forbid (principal, action == Action::"summarize", resource);
"""
NOTE = """\
kind: record
fields:
  note: {type: string, max_chars: 200}
  age: {type: int, min: 0, max: 130}
  word: {type: string, one_of: [a, b]}
"""
#: The journal keeps what it can keep, and that as pseudonyms and digests.
AUDIT = """
[audit]
journal = "elsewhere"
segment_bytes = 262144
facts = ["app.purpose", "identity.actor"]
digests = ["input", "output"]
"""
IDENTITY = """
[identity.hospital]
type = "jwt"
issuer = "https://sso.example"
audience = "here"
algorithms = ["HS256"]
secret_env = "GUARDRAIL_CANARY_KEY"
principal = { type = "User", id = "sub", in.Role = "roles", attrs = { department = "dept" } }
"""
CLINICIAN = Entity("Role", "clinician")
PREDICT = '(principal, action == Action::"predict", resource)'


@dataclasses.dataclass
class Case:
    """What is called how. ``code`` is the error's, ``""`` for a call that is allowed."""

    hunt: Hunt
    code: str = ""
    policies: str = ""
    action: str = "predict"
    resource: Any = Resource("Model", "tumour")  # noqa: RUF009
    value: Any = None
    principal: Any = None
    nobody: bool = False
    claims: dict[str, Any] | None = None
    facts: Any = None
    model: Any = None
    sources: tuple[Any, ...] = ()
    obligations: tuple[Any, ...] = ()
    sinks: tuple[Any, ...] = ()
    times: int = 1
    bounds: str = ""

    def __post_init__(self) -> None:
        hunt = self.hunt
        if self.value is None:
            self.value = np.array([[hunt.real("tensor") for _ in range(3)]])
        if self.principal is None:
            attrs = {"department": hunt.text("attribute"), "level": hunt.whole("attribute")}
            name = hunt.text("principal id")
            self.principal = Principal("User", name, parents=[CLINICIAN], attrs=attrs)
        if self.facts is None:
            self.facts = {"purpose": hunt.text("fact"), "unread": hunt.text("unread fact")}
            if self.action == "predict":
                self.facts["count"] = hunt.whole("fact")
        if self.model is None:
            output = {"label": hunt.text("output"), "score": hunt.real("output")}
            self.model = lambda: output

    def record(self, **fields: Any) -> Case:
        """Make it a call with a record."""
        good = {"note": self.hunt.text("field"), "age": 44, "word": "a"}
        self.action, self.value = "summarize", {**good, **fields}
        self.facts.pop("count", None)
        return self


def own_facts(hunt: Hunt, compute: Callable[[str], Any]) -> dict[str, Any]:
    secret = hunt.text("fact source")
    return {
        "sources": (OwnFacts(lambda: compute(secret)),),
        "policies": f'@id("own") permit {PREDICT} when {{ context.own.value > 0 }};',
    }


def own_obligation(hunt: Hunt, admit: Callable[[str], Any]) -> dict[str, Any]:
    secret = hunt.text("obligation")
    return {
        "obligations": (OwnObligation(lambda: admit(secret)),),
        "policies": f'@id("demand") @own("x") forbid {PREDICT};',
    }


def raising(hunt: Hunt, kind: type[BaseException] = Boom) -> Any:
    secret = hunt.text("the model's exception")

    def model() -> Any:
        error = kind(secret)
        error.add_note(secret)
        raise error from KeyError(secret)

    return model


DENIES = f'@id("no") @reason("Closed.") forbid {PREDICT};'
ERRS = f"""@id("errs") forbid {PREDICT} when {{
  context.peer.certificate_subject == context.time.date }};"""
OVERFLOWS = f"""@id("overflows") forbid {PREDICT} when {{
  principal has level && principal.level + 9223372036854775807 > 0 }};"""
OWNER = f"""@id("owner") forbid {PREDICT} when {{
  context.app has owner && context.app.owner == principal }};"""
COUNTS = f'@id("need") @quota("5/minute per context.app.count") forbid {PREDICT};'
WHOLE = f'@id("whole") forbid {PREDICT} when {{ context.app == context.app }};'

CASES: dict[str, Callable[[Hunt], Case]] = {
    "allowed": Case,
    "allowed, a record": lambda h: Case(h).record(),
    "allowed, what an own source says": lambda h: Case(h, **own_facts(h, lambda s: h.whole("own"))),
    "nobody": lambda h: Case(h, "not_authenticated", nobody=True),
    "no grant": lambda h: Case(
        h, "no_grant", principal=Principal("User", h.text("id"), attrs={"department": h.text("a")})
    ),
    "prohibited": lambda h: Case(h, "prohibited", DENIES),
    "a fact is missing": lambda h: Case(h, "evaluation_error", ERRS),
    "a sum overflows": lambda h: Case(h, "evaluation_error", OVERFLOWS),
    "unknown model": lambda h: Case(h, "unknown_entity", resource=Resource("Model", h.text("id"))),
    "unknown entity in a fact": lambda h: Case(
        h, "unknown_entity", OWNER, facts={"owner": Entity("User", h.text("entity"))}
    ),
    "unknown parent": lambda h: Case(
        h, "unknown_entity",
        principal=Principal("User", h.text("id"), parents=[Entity("Team", h.text("parent"))],
                            attrs={"department": h.text("attribute")}),
    ),
    "unlisted role": lambda h: Case(
        h, "wrong_type",
        principal=Principal("User", h.text("id"), parents=[Entity("Role", h.text("parent"))],
                            attrs={"department": h.text("attribute")}),
    ),
    "an attribute of another type": lambda h: Case(
        h, "wrong_type", principal=Principal("User", "x", attrs={"department": h.whole("attr")})
    ),
    "an attribute that Cedar cannot hold": lambda h: Case(
        h, "bad_fact",
        principal=Principal("User", "x", attrs={"department": {h.key("key"): h.text("a"),
                                                               h.key("other key"): None}}),
    ),
    "another's attribute": lambda h: Case(
        h, "wrong_type", principal=Principal("User", "carl", attrs={"department": h.text("a")})
    ),
    "a fact of another type": lambda h: Case(h, "bad_fact", facts={"purpose": h.whole("fact")}),
    "a fact that poses as an entity": lambda h: Case(
        h, "bad_fact", facts={"purpose": {"__entity": {"type": "User", "id": h.text("fact")}}}
    ),
    "a key of a fact": lambda h: Case(
        h, "bad_fact", WHOLE, facts={"note": {h.key("key"): h.text("fact")}}
    ),
    "too large": lambda h: Case(h, "too_large", bounds="input_bytes = 8"),
    "out of bounds": lambda h: Case(
        h, "input_rejected", value=np.array([[1.0, 2.0, 10 + h.real("tensor")]])
    ),
    "another shape": lambda h: Case(h, "input_rejected", value=np.array([h.real("tensor")])),
    "objects": lambda h: Case(h, "input_rejected", value=np.array([h.text("tensor")], object)),
    "a list": lambda h: Case(h, "input_rejected", value=[h.text("list")]),
    "text": lambda h: Case(h, "input_rejected", value=h.text("text")),
    "an iterator": lambda h: Case(h, "input_rejected", value=iter([h.text("item")])),
    "a field too long": lambda h: Case(h, "input_rejected").record(note=h.text("field") * 20),
    "a field that is not listed": lambda h: Case(h, "input_rejected").record(word=h.text("field")),
    "a field out of bounds": lambda h: Case(h, "input_rejected").record(age=h.whole("field")),
    "a field of another type": lambda h: Case(h, "input_rejected").record(note=[h.text("field")]),
    "a field too many": lambda h: Case(h, "input_rejected").record(**{h.key("name"): 1}),
    "a field that is no data": lambda h: Case(h, "input_rejected").record(
        **{h.key("name"): {h.key("deep name"): {h.text("member")}}}
    ),
    "a field named by no text": lambda h: Case(h, "input_rejected").record(
        note={h.whole("name"): h.text("field")}
    ),
    "quota": lambda h: Case(h, "quota_exceeded", times=3),
    "a quota without its key": lambda h: Case(
        h, "obligation_failed", COUNTS, facts={"purpose": h.text("fact")}
    ),
    "an output that can't be cut": lambda h: Case(
        h, "output_blocked", f'@id("coarse") @round("2") forbid {PREDICT};',
        model=lambda: [h.real("output"), h.text("output")],
    ),
    "an output in which a field is as text": lambda h: Case(
        h, "output_blocked", f'@id("coarse") @round("2 on score") forbid {PREDICT};',
        model=lambda: {"score": h.text("output")},
    ),
    "an output of which nothing may leave": lambda h: Case(
        h, "output_blocked", f'@id("few") @only("score") forbid {PREDICT};',
        model=lambda: {h.text("output"): h.text("output")},
    ),
    "an output with a text key": lambda h: Case(
        h, "output_blocked", f'@id("top") @top_k("1") forbid {PREDICT};',
        model=lambda: {h.text("output"): h.text("output")},
    ),
    "the model raises": lambda h: Case(h, "model", model=raising(h)),
    "the model exits": lambda h: Case(h, "model", model=raising(h, SystemExit)),
    "a fact source raises": lambda h: Case(h, "internal_error", **own_facts(h, raise_deep)),
    "a fact source gives no number": lambda h: Case(h, "bad_fact", **own_facts(h, str)),
    "an obligation raises": lambda h: Case(h, "internal_error", **own_obligation(h, raise_deep)),
    "an obligation refuses in a handler": lambda h: Case(
        h, "obligation_failed", **own_obligation(h, refuse_in_handler)
    ),
    "an obligation denies in a handler": lambda h: Case(
        h, "internal_error", **own_obligation(h, deny_in_handler)
    ),
    "an obligation that waited raises": lambda h: Case(
        h, "internal_error", **own_obligation(h, lambda s: BlockingStep(lambda: raise_deep(s)))
    ),
    "an obligation refuses after a wait": lambda h: Case(
        h, "obligation_failed",
        **own_obligation(h, lambda s: BlockingStep(int, lambda _: refuse_in_handler(s))),
    ),
    **{
        f"a sink raises in {step}": lambda h, step=step: Case(
            h, "audit_unavailable", sinks=(FailingSink(step, h.text("sink")),)
        )
        for step in ("begin", "enter", "leave", "end")
    },
    "a sink raises as the model does": lambda h: Case(
        h, "model", model=raising(h), sinks=(FailingSink("end", h.text("sink")),)
    ),
    "a sink raises as a call is denied": lambda h: Case(
        h, "audit_unavailable", DENIES, sinks=(FailingSink("end", h.text("sink")),)
    ),
}  # fmt: skip


# How a call is made.


def by_function(guard: Guard, case: Case, options: dict[str, Any]) -> Any:
    return guard.protect(**options, input="rows")(lambda rows: case.model())(case.value)


def by_coroutine(guard: Guard, case: Case, options: dict[str, Any]) -> Any:
    @guard.protect(**options, input="rows")
    async def predict(rows: Any) -> Any:
        return case.model()

    async def main() -> Any:
        return await predict(case.value)

    return asyncio.run(main())


def by_generator(guard: Guard, case: Case, options: dict[str, Any]) -> Any:
    @guard.protect(**options, input="rows")
    def predict(rows: Any) -> Any:
        yield case.model()

    return list(predict(case.value))


def by_async_generator(guard: Guard, case: Case, options: dict[str, Any]) -> Any:
    @guard.protect(**options, input="rows")
    async def predict(rows: Any) -> Any:
        yield case.model()

    async def main() -> Any:
        return [item async for item in predict(case.value)]

    return asyncio.run(main())


def by_enforce(guard: Guard, case: Case, options: dict[str, Any]) -> Any:
    with guard.enforce(**options, input=case.value, name="rows") as call:
        return call.release(case.model())


def by_async_enforce(guard: Guard, case: Case, options: dict[str, Any]) -> Any:
    async def main() -> Any:
        async with guard.enforce(**options, input=case.value, name="rows") as call:
            return call.release(case.model())

    return asyncio.run(main())


WAYS = (
    by_function, by_coroutine, by_generator, by_async_generator, by_enforce, by_async_enforce,
)  # fmt: skip


class Scene:
    """A guard with every channel tapped."""

    def __init__(
        self, hunt: Hunt, make_bundle: Any, caplog: Any, capfd: Any, monkeypatch: Any, journal: Path
    ) -> None:
        self.hunt = hunt
        self.key = hunt.text("key of the identity provider") + "x" * 32
        monkeypatch.setenv("GUARDRAIL_CANARY_KEY", self.key)
        caplog.set_level(logging.DEBUG)
        self._make_bundle, self._caplog, self._capfd = make_bundle, caplog, capfd
        self.journal = journal
        self.kept = 0
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.metrics = InMemoryMetricReader()
        self.events = InMemoryLogRecordExporter()
        loggers = LoggerProvider(shutdown_on_exit=False)
        loggers.add_log_record_processor(SimpleLogRecordProcessor(self.events))
        self.signals = Signals(
            meter_provider=MeterProvider([self.metrics], shutdown_on_exit=False),
            logger_provider=loggers,
            events="all",
        )
        self.recorder = Recorder()
        self.clock = FrozenClock(float(NOW))

    def guard(self, case: Case) -> Guard:
        schema = SCHEMA.replace("app: {", "peer: guardrail::PeerFacts, app: {", 1)
        if case.sources:
            schema = schema.replace("app: {", "own: { value: Long }, app: {", 1)
        toml = '[bundle]\nname = "small"\nversion = "1.0.0"\n' + IDENTITY
        return Guard.from_dir(
            self._make_bundle(
                OPEN + case.policies,
                **{
                    "guardrail.toml": f"{toml}\n[bounds]\n{case.bounds}\n{AUDIT}",
                    "schema.cedarschema": schema,
                    "inputs/patients.yaml": PATIENTS,
                    "inputs/note.yaml": NOTE,
                },
            ),
            clock=self.clock,
            sinks=(
                Spans(tracer_provider=self.provider, signals=self.signals),
                self.recorder,
                *case.sinks,
            ),
            facts=case.sources,
            obligations=case.obligations,
            journal=self.journal,
        )

    def leaks(self) -> set[str]:
        """Look into every channel, empty it, and return what was ever found."""
        hunt = self.hunt
        assert self.signals.flush(10)
        for span in self.exporter.get_finished_spans():
            hunt.see("span", span.to_json(), repr(span.attributes), repr(span.status.description))
        formatter = logging.Formatter()
        for answer in self._caplog.records:
            hunt.see("log", formatter.format(answer), repr(answer.args), repr(vars(answer)))
        for record in self.recorder.records:
            hunt.see("record", repr(record), json.dumps(record._asdict()))
        hunt.see("output", *self._capfd.readouterr())
        if self.journal.exists():
            for path in self.journal.iterdir():
                is_segment = path.name.endswith((".live", ".seg", ".seg.gz"))
                data = read_segment(path) if is_segment else path.read_bytes()
                data = data.strip(b"\0")  # a segment is allocated before it is written
                self.kept += len(data)
                hunt.see("journal", data.decode("utf-8", "replace"))
            calls = list(read_calls(self.journal))
            hunt.see("journal, read", *map(repr, calls))
            hunt.see("journal, shown", *(str(line(call.record)) for call in calls))
            totals = Aggregates()
            for call in calls:
                totals.add(call.record)
            hunt.see("report", to_html(totals, journal="journal", made_at=0.0))
        data = self.metrics.get_metrics_data()
        hunt.see("metrics", data.to_json() if data is not None else "")
        for event in self.events.get_finished_logs():
            hunt.see("event", repr(event.log_record.attributes), repr(event.log_record.body))
        self.exporter.clear()
        self.recorder.records.clear()
        self._caplog.clear()
        return hunt.leaks()


@pytest.fixture
def hunt():
    return Hunt()


@pytest.fixture
def scene(hunt, make_bundle, caplog, capfd, monkeypatch, tmp_path):
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        yield Scene(hunt, make_bundle, caplog, capfd, monkeypatch, tmp_path / "journal")
        hunt.see("warning", *(item.message for item in warned))
        assert hunt.leaks() == set()


def attempt(hunt: Hunt, call: Callable[[], Any], *, code: str) -> None:
    """Make a call and look at its error, unless the error is the model's own."""
    caught: BaseException | None = None
    try:
        call()
    except (GuardrailError, Boom, SystemExit) as error:
        caught = error
    if isinstance(caught, Boom | SystemExit):
        assert code == "model"
    else:
        assert (caught.code if caught is not None else "") == code, caught
        hunt.see_error(caught)


@pytest.mark.parametrize("name", CASES)
def test_no_secret_leaves(scene, hunt, name):
    case = CASES[name](hunt)
    guard = scene.guard(case)
    options = {"action": case.action, "resource": case.resource, "facts": case.facts}
    if not case.nobody:
        options["principal"] = case.principal
    for way in WAYS:
        scene.clock.advance(61)  # and every quota is whole again
        for _ in range(case.times - 1):
            way(guard, case, options)
        # A block is left after its output was released: a sink that can't leave stops nothing.
        too_late = name == "a sink raises in leave" and "enforce" in way.__name__
        attempt(hunt, lambda way=way: way(guard, case, options), code="" if too_late else case.code)
        assert len(scene.recorder.records) == case.times, way.__name__
        assert len(scene.exporter.get_finished_spans()) == case.times, way.__name__
        assert scene.leaks() == set(), way.__name__


@pytest.mark.parametrize("name", [name for name in CASES if "sink" not in name])
def test_no_secret_stands_in_a_decision(scene, hunt, name):
    case = CASES[name](hunt)
    guard = scene.guard(case)
    decision = guard.decide(
        principal=case.principal,
        action=case.action,
        resource=case.resource,
        facts={"app": case.facts, "input": {"rows": hunt.whole("fact")}},
    )
    hunt.see("decision", repr(decision), json.dumps(guard.describe(decision)))
    assert scene.leaks() == set()


@pytest.mark.parametrize("what", ["principal", "resource", "facts"])
def test_no_secret_leaves_from_a_callable_of_the_arguments(scene, hunt, what):
    case = Case(hunt, "internal_error")
    guard = scene.guard(case)
    options = {"resource": case.resource, "principal": case.principal, "facts": case.facts}
    secret = hunt.text("callable")
    for say in (
        lambda rows: raise_deep(secret),
        lambda rows: secret,
        lambda rows: {secret: secret},
    ):
        predict = guard.protect(action="predict", **{**options, what: say})(lambda rows: 1)
        try:
            predict(case.value)
        except GuardrailError as error:
            hunt.see_error(error)
    assert len(scene.recorder.records) == 3
    assert scene.leaks() == set()


def test_no_secret_leaves_from_what_is_cancelled_abandoned_or_thrown_into(scene, hunt):
    case = Case(hunt)
    guard = scene.guard(case)
    protect = guard.protect(
        action="predict", resource=case.resource, principal=case.principal, input="rows"
    )

    @protect
    async def waits(rows):
        await asyncio.Event().wait()

    @protect
    def streams(rows):
        yield case.model()
        yield case.model()

    async def main():
        task = asyncio.ensure_future(waits(case.value))
        await asyncio.sleep(0)
        task.cancel(hunt.text("message of a cancellation"))
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())
    items = streams(case.value)
    next(items)
    items.close()
    items = streams(case.value)
    next(items)
    with pytest.raises(Boom):
        items.throw(Boom(hunt.text("thrown")))
    del items
    waits(case.value).close()
    gc.collect()
    outcomes = [record.outcome for record in scene.recorder.records]
    assert outcomes == ["cancelled", "abandoned", "raised", "abandoned"]
    assert scene.leaks() == set()


def test_no_secret_stands_in_the_repr_of_what_a_plugin_is_given(scene, hunt):
    given = []

    class Watching(OwnObligation):
        def admit(self, demand: str, context: Any) -> None:
            given.append(context)

    class Looking(OwnFacts):
        def compute(self, names: frozenset[str], context: FactContext) -> Any:
            given.append(context)
            return {"value": 1}

    case = Case(hunt, **own_facts(hunt, str))
    case.sources, case.obligations = (Looking(int),), (Watching(int),)
    case.policies += f'@id("demand") @own("x") forbid {PREDICT};'
    guard = scene.guard(case)
    options = {"action": case.action, "resource": case.resource, "facts": case.facts}
    by_function(guard, case, {**options, "principal": case.principal})
    fact_context, context = given
    for thing in (fact_context, context, context.identity, context.view, case.principal, guard):
        hunt.see(type(thing).__name__, repr(thing), str(thing))
    hunt.see("scope", repr(guard.acting_as(case.principal)))
    assert scene.leaks() == set()


def test_the_hunt_finds_what_is_there(scene, hunt):
    """Put a secret into each channel, and see that none of them is overlooked."""
    guard = scene.guard(Case(hunt))
    secret = hunt.text("secret")
    with pytest.raises(GuardrailError), guard.enforce(action=secret, resource='Model::"tumour"'):
        raise AssertionError  # denied, and an action's name does stand in its record
    with scene.provider.get_tracer("test").start_as_current_span("test", attributes={"a": secret}):
        pass
    logging.getLogger("test").debug("", exc_info=ValueError(secret))
    sys.stderr.write(secret)
    error = GuardrailError("fine")
    error.__context__ = KeyError(secret)
    error.add_note(secret)
    hunt.see_error(error)
    found = {leak.rpartition(" into ")[2] for leak in scene.leaks()}
    assert found >= {"span", "record", "log", "output", "error, noted", "context of error"}
    hunt.forget()


# Tokens, good and bad.


def claims_of(hunt: Hunt, **changes: Any) -> dict[str, Any]:
    claims = {
        "iss": "https://sso.example",
        "aud": "here",
        "sub": hunt.text("sub"),
        "exp": NOW + 300,
        "roles": ["clinician"],
        "dept": hunt.text("dept"),
        "act": {"sub": hunt.text("actor")},
        "email": hunt.text("unmapped claim"),
        hunt.key("name of a claim"): 1,
        **changes,
    }
    return {name: value for name, value in claims.items() if value is not ...}


TOKENS: dict[str, tuple[str, Callable[[Hunt], dict[str, Any]]]] = {
    "good": ("", lambda h: {}),
    "expired": ("token_expired", lambda h: {"exp": NOW}),
    "not yet valid": ("token_not_yet_valid", lambda h: {"nbf": NOW + 3_000_000_001}),
    "of another issuer": ("wrong_issuer", lambda h: {"iss": h.text("iss")}),
    "for another audience": ("wrong_audience", lambda h: {"aud": [h.text("aud")]}),
    "without a subject": ("missing_claim", lambda h: {"sub": ...}),
    "with a subject that is no text": ("malformed_token", lambda h: {"sub": [h.text("in sub")]}),
    "with times that are none": ("malformed_token", lambda h: {"exp": h.text("exp")}),
    "with a time out of range": ("malformed_token", lambda h: {"exp": h.whole("exp")}),
    "with roles that are none": ("malformed_token", lambda h: {"roles": {h.text("role"): 1}}),
    "with an unknown role": ("unknown_entity", lambda h: {"roles": [h.text("role")]}),
    "with an actor that is none": ("malformed_token", lambda h: {"act": h.text("act")}),
    "with null for a subject": ("malformed_token", lambda h: {"sub": None}),
    "without roles": ("missing_claim", lambda h: {"roles": None}),
}


def seek_token(hunt: Hunt, token: str) -> str:
    """Let the hunt know the token, and each of its parts but the header."""
    for part in token.split(".")[1:]:
        if len(part) > 12 and part not in hunt.planted:
            hunt.plant("part of the token", part)
    return token


@pytest.mark.parametrize("name", TOKENS)
def test_no_claim_and_no_token_leaves(scene, hunt, name):
    code, changes = TOKENS[name]
    case = Case(hunt)
    guard = scene.guard(case)
    claims = claims_of(hunt, **changes(hunt))
    token = seek_token(hunt, jwt.encode(claims, scene.key, algorithm="HS256"))
    predict = guard.protect(
        action="predict", resource=case.resource, facts=case.facts, input="rows"
    )(lambda rows: case.model())

    def call() -> None:
        with guard.acting_as(token=token) as principal:
            hunt.see("principal", repr(principal), repr(principal.attrs))
            predict(case.value)

    attempt(hunt, call, code=code)
    assert scene.leaks() == set()


@pytest.mark.parametrize(
    ("code", "make"),
    [
        ("malformed_token", lambda hunt, key: hunt.text("garbage")),
        ("malformed_token", lambda hunt, key: "Bearer " + hunt.text("garbage")),
        ("malformed_token", lambda hunt, key: hunt.text("garbage") * 2000),
        ("malformed_token", lambda hunt, key: ".".join([hunt.text("garbage")] * 3)),
        ("bad_signature", lambda hunt, key: jwt.encode(claims_of(hunt), "y" * 40, "HS256")),
        ("wrong_algorithm", lambda hunt, key: jwt.encode(claims_of(hunt), None, "none")),
        ("malformed_token", lambda hunt, key: jwt.encode(
            claims_of(hunt), key, "HS256", headers={"crit": ["b64"], "b64": False,
                                                     "kid": hunt.text("kid")})),
        ("malformed_token", lambda hunt, key: jwt.api_jws.encode(
            hunt.text("payload").encode(), key, "HS256")),
    ],
)  # fmt: skip
def test_no_bad_token_leaves(scene, hunt, code, make):
    guard = scene.guard(Case(hunt))
    token = seek_token(hunt, make(hunt, scene.key))
    attempt(hunt, lambda: guard.acting_as(token=token), code=code)
    assert scene.leaks() == set()


@pytest.mark.parametrize("dept", [{"key": None}, {"deep": {"key": None}}, [None], 5])
def test_no_claim_leaves_where_an_attribute_does_not_fit(scene, hunt, dept):
    """What a claim holds is found wrong only at the call, where the schema is asked."""
    case = Case(hunt)
    guard = scene.guard(case)
    secret = hunt.key("key within a claim")
    planted = json.loads(json.dumps(dept).replace("key", secret))
    token = jwt.encode(claims_of(hunt, dept=planted), scene.key, algorithm="HS256")
    predict = guard.protect(action="predict", resource=case.resource, input="rows")(
        lambda rows: case.model()
    )

    def call() -> None:
        with guard.acting_as(token=token):
            predict(case.value)

    with pytest.raises(GuardrailError) as caught:
        call()
    assert caught.value.code in ("bad_fact", "wrong_type")
    hunt.see_error(caught.value)
    assert scene.leaks() == set()
