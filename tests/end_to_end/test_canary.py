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
import pickle
import random
import traceback
import warnings
from collections.abc import Callable
from typing import Any

import jwt
import numpy as np
import pytest
from bundles import PATIENTS, SCHEMA
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from guardrail import Entity, Guard, GuardrailError, GuardUnavailable, Principal, Resource
from guardrail.audit import Spans
from guardrail.ports import Facing, Unmet, Wait
from guardrail.testing import FrozenClock, Recorder

NOW = 1_700_000_000


class Hunt:
    """The canaries, what was seen, and whether the one is in the other."""

    def __init__(self) -> None:
        self._random = random.Random(4711)
        self.planted: dict[str, str] = {}
        self.seen: list[tuple[str, str]] = []

    def text(self, where: str) -> str:
        return self.plant(where, f"canary-{self._random.getrandbits(64):016x}")

    def key(self, where: str) -> str:
        return self.plant(where, f"canary key {self._random.getrandbits(64):016x}")

    def whole(self, where: str) -> int:
        number = self._random.randrange(10**15, 10**16)
        self.plant(where, str(number))
        return number

    def real(self, where: str) -> float:
        number = self._random.uniform(1, 10)
        self.plant(where, repr(number)[:14])
        return number

    def plant(self, where: str, text: str) -> str:
        assert text not in self.planted
        self.planted[text] = where
        return text

    def see(self, channel: str, *things: object) -> None:
        self.seen.extend((channel, str(thing)) for thing in things)

    def see_error(self, error: BaseException | None, channel: str = "error") -> None:
        """Look at all of an error but the locals of its frames."""
        if error is None:
            return
        self.see(channel, str(error), repr(error), repr(error.args), repr(vars(error)))
        self.see(f"{channel}, noted", *getattr(error, "__notes__", ()))
        lines = traceback.TracebackException.from_exception(error, lookup_lines=False)
        self.see(f"{channel}, printed", *lines.format_exception_only())
        if isinstance(error, GuardrailError):
            self.see(f"{channel}, pickled", pickle.dumps(error))
        self.see_error(error.__cause__, f"cause of {channel}")
        self.see_error(error.__context__, f"context of {channel}")

    def leaks(self) -> set[str]:
        return {
            f"{where} leaked into {channel}"
            for channel, text in self.seen
            for canary, where in self.planted.items()
            if canary in text
        }


class Boom(Exception):
    """What a model raises."""


# Where what raises stands: parts of the application's own, with a secret in their mouths.


def raise_deep(secret: str) -> Any:
    """Raise with the secret in the message, the note, the cause and the context."""
    try:
        raise KeyError(secret)
    except KeyError as inner:
        error = ValueError(f"about {secret}")
        error.add_note(secret)
        error.payload = secret  # type: ignore[attr-defined]
        raise error from inner


def refuse_in_handler(secret: str) -> Any:
    """Raise what an obligation may raise, while an error with the secret is handled."""
    try:
        raise KeyError(secret)
    except KeyError as inner:
        raise Unmet("not met") from inner


def deny_in_handler(secret: str) -> Any:
    """Raise one of our own errors from a part that has no business to, with a chain."""
    try:
        raise KeyError(secret)
    except KeyError as inner:
        raise GuardUnavailable("not now") from inner


class OwnFacts:
    place = "own"
    facts = frozenset({"value"})

    def __init__(self, compute: Callable[[], Any]) -> None:
        self._compute = compute

    def compute(self, names: frozenset[str], facing: Facing) -> Any:
        return {"value": self._compute()}


class OwnObligation:
    name = "own"
    on_admit = True
    on_release = False

    def __init__(self, admit: Any = None, release: Any = None) -> None:
        self._admit, self._release = admit, release
        self.on_release = release is not None

    def parse(self, clause: Any) -> str:
        return clause.argument

    def reads(self, demand: str) -> tuple[()]:
        return ()

    def merge(self, one: str, other: str) -> str:
        return max(one, other)

    def describe(self, demand: str) -> str:
        return demand

    def admit(self, demand: str, admission: Any) -> Any:
        return self._admit() if self._admit else None

    def release(self, demand: str, output: Any, admission: Any) -> Any:
        return self._release()


class FailingSink:
    def __init__(self, step: str, secret: str) -> None:
        self._step, self._secret = step, secret

    def _pass(self, step: str) -> None:
        if step == self._step:
            raise_deep(self._secret)

    def begin(self, guard: str, action: str, function: str) -> None:
        self._pass("begin")

    def enter(self, handle: None) -> None:
        self._pass("enter")

    def leave(self, handle: None, token: None) -> None:
        self._pass("leave")

    def end(self, handle: None, record: Any) -> None:
        self._pass("end")


# One case: a call with everything planted, and what is changed about it.

OPEN = """
@id("open") permit (principal in Role::"clinician", action, resource);
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


def own_obligation(**methods: Any) -> dict[str, Any]:
    return {
        "obligations": (OwnObligation(**methods),),
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
ERRS = f'@id("errs") forbid {PREDICT} when {{ context.input.digest == context.app.purpose }};'
OVERFLOWS = f"""@id("overflows") forbid {PREDICT} when {{
  principal has level && principal.level + 9223372036854775807 > 0 }};"""
OWNER = f"""@id("owner") forbid {PREDICT} when {{
  context.app has owner && context.app.owner == principal }};"""
NEED = f'@id("need") @quota("5/minute per context.app.at") forbid {PREDICT};'
NOTED = (
    f'@id("n") forbid {PREDICT} when {{ context.app has note && context.app.note.text == "x" }};'
)

CASES: dict[str, Callable[[Hunt], Case]] = {
    "allowed": lambda h: Case(h),
    "allowed, a record": lambda h: Case(h).record(),
    "allowed, what an own source says": lambda h: Case(h, **own_facts(h, lambda s: h.whole("own"))),
    "nobody": lambda h: Case(h, "not_authenticated", nobody=True),
    "no grant": lambda h: Case(
        h, "no_grant", principal=Principal("User", h.text("id"), attrs={"department": h.text("a")})
    ),
    "prohibited": lambda h: Case(h, "prohibited", DENIES),
    "a fact is missing": lambda h: Case(
        h, "evaluation_error", ERRS.replace("digest", "dtype + 1" if False else "digest")
        .replace("context.app.purpose", "context.time.date").replace("input", "identity")
        .replace("digest", "actor"),
    ),
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
        h, "bad_fact", facts={"x": {"__entity": {"type": "User", "id": h.text("fact")}}}
    ),
    "a key of a fact": lambda h: Case(
        h, "bad_fact", NOTED.replace("context.app.note.text ==", "context.app.note ==").replace(
            '"x"', '{text: "x"}'), facts={"note": {h.key("key"): h.text("fact")}},
    ),
    "too large": lambda h: Case(h, "too_large", bounds="input_bytes = 8"),
    "out of bounds": lambda h: Case(
        h, "input_rejected", value=np.array([[1.0, 2.0, 10 + h.real("tensor")]])
    ),
    "another shape": lambda h: Case(h, "input_rejected", value=np.array([h.real("tensor")])),
    "objects": lambda h: Case(h, "input_rejected", value=np.array([h.text("tensor")], dtype=object)),
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
    "a quota without its key": lambda h: Case(h, "obligation_failed", NEED.replace(".at", ".count"),
                                              facts={"purpose": h.text("fact")}),
    "an output that can't be cut": lambda h: Case(
        h, "output_blocked", f'@id("coarse") @round("2") forbid {PREDICT};'
    ),
    "an output with a text key": lambda h: Case(
        h, "output_blocked", f'@id("top") @top_k("1") forbid {PREDICT};',
        model=lambda: {h.text("output"): h.text("output")},
    ),
    "the model raises": lambda h: Case(h, "model", model=raising(h)),
    "the model exits": lambda h: Case(h, "model", model=raising(h, SystemExit)),
    "a fact source raises": lambda h: Case(h, "internal_error", **own_facts(h, raise_deep)),
    "a fact source gives no number": lambda h: Case(h, "bad_fact", **own_facts(h, str)),
    "an obligation raises": lambda h: Case(
        h, "internal_error",
        **own_obligation(admit=lambda secret=h.text("obligation"): raise_deep(secret)),
    ),
    "an obligation refuses in a handler": lambda h: Case(
        h, "obligation_failed",
        **own_obligation(admit=lambda secret=h.text("obligation"): refuse_in_handler(secret)),
    ),
    "an obligation denies in a handler": lambda h: Case(
        h, "internal_error",
        **own_obligation(admit=lambda secret=h.text("obligation"): deny_in_handler(secret)),
    ),
    "an obligation that waited raises": lambda h: Case(
        h, "internal_error",
        **own_obligation(
            admit=lambda secret=h.text("obligation"): Wait(lambda: raise_deep(secret))
        ),
    ),
    "an obligation refuses after a wait": lambda h: Case(
        h, "obligation_failed",
        **own_obligation(
            admit=lambda secret=h.text("obligation"): Wait(int, lambda _: refuse_in_handler(secret))
        ),
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

    def __init__(self, hunt: Hunt, make_bundle: Any, caplog: Any, capfd: Any, monkeypatch: Any):
        self.hunt = hunt
        self.key = hunt.text("key of the identity provider") + "x" * 32
        monkeypatch.setenv("GUARDRAIL_CANARY_KEY", self.key)
        caplog.set_level(logging.DEBUG)
        self._make_bundle, self._caplog, self._capfd = make_bundle, caplog, capfd
        self.exporter = InMemorySpanExporter()
        self._provider = TracerProvider(shutdown_on_exit=False)
        self._provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.recorder = Recorder()

    def guard(self, case: Case) -> Guard:
        schema = SCHEMA
        if case.sources:
            schema = SCHEMA.replace("app: {", "own: { value: Long }, app: {", 1)
        toml = '[bundle]\nname = "small"\nversion = "1.0.0"\n' + IDENTITY
        return Guard.from_dir(
            self._make_bundle(
                OPEN + case.policies,
                **{
                    "guardrail.toml": f"{toml}\n[bounds]\n{case.bounds}\n",
                    "schema.cedarschema": schema,
                    "inputs/patients.yaml": PATIENTS,
                    "inputs/note.yaml": NOTE,
                },
            ),
            clock=FrozenClock(float(NOW)),
            sinks=(Spans(tracer_provider=self._provider), self.recorder, *case.sinks),
            facts=case.sources,
            obligations=case.obligations,
        )

    def leaks(self) -> set[str]:
        """Look into every channel and return what was found."""
        hunt = self.hunt
        for span in self.exporter.get_finished_spans():
            hunt.see("span", span.to_json(), repr(span.attributes), repr(span.status.description))
        formatter = logging.Formatter()
        for line in self._caplog.records:
            hunt.see("log", formatter.format(line), repr(line.args), repr(vars(line)))
        for record in self.recorder.records:
            hunt.see("record", repr(record), json.dumps(dataclasses.asdict(record)))
        hunt.see("output", *self._capfd.readouterr())
        return hunt.leaks()


@pytest.fixture
def hunt():
    return Hunt()


@pytest.fixture
def scene(hunt, make_bundle, caplog, capfd, monkeypatch):
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        yield Scene(hunt, make_bundle, caplog, capfd, monkeypatch)
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


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("name", CASES)
def test_no_secret_leaves(scene, hunt, name, way):
    case = CASES[name](hunt)
    guard = scene.guard(case)
    options = {"action": case.action, "resource": case.resource, "facts": case.facts}
    if not case.nobody:
        options["principal"] = case.principal
    for _ in range(case.times - 1):
        way(guard, case, options)
    attempt(hunt, lambda: way(guard, case, options), code=case.code)
    gc.collect()
    assert scene.leaks() == set()
    assert len(scene.recorder.records) == (0 if name == "a sink raises in begin" else case.times)
    assert len(scene.exporter.get_finished_spans()) == case.times


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
    "with null for an attribute": ("malformed_token", lambda h: {"dept": None}),
}


def seek_token(hunt: Hunt, token: str) -> str:
    """Let the hunt know the token, and each of its parts but the header."""
    for part in token.split(".")[1:]:
        if len(part) > 12:
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
    predict = guard.protect(action="predict", resource=case.resource, input="rows")(case.model)

    def call() -> None:
        with guard.acting_as(token=token):
            predict(case.value)

    caught = pytest.raises(GuardrailError, call)
    assert caught.value.code in ("bad_fact", "wrong_type")
    hunt.see_error(caught.value)
    assert scene.leaks() == set()
