"""Defines the ports: the protocols between the flow and the packages, and those of plug-ins.

The plug-ins are fact sources, obligations, sinks, identity providers and quota stores. Built-in
ones and those of users implement the same protocols; `guardrail.extensions` exports what authors of
plug-ins need. The optional parts of the ports are in `guardrail._hooks`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, Protocol, TypeVar

from guardrail._plugin_faults import PluginFault
from guardrail._type_names import class_name, type_name
from guardrail.errors import (
    Denied,
    Finding,
    GuardUnavailable,
    InputRejected,
    NotAuthorized,
    OutputBlocked,
    Place,
    QuotaExceeded,
)
from guardrail.values import (
    Clause,
    Decision,
    Entity,
    FactValue,
    Identity,
    Obligation,
    Path,
    Principal,
    Record,
    RecordAnnotations,
    View,
)

_DENIALS: Final[Mapping[str, type[Denied]]] = {
    "input_rejected": InputRejected,
    "too_large": InputRejected,
    "quota_exceeded": QuotaExceeded,
    "output_blocked": OutputBlocked,
    "store_unavailable": GuardUnavailable,
}


class Clock(Protocol):
    """The clock, which is injected everywhere; tests freeze it."""

    def now(self) -> float:
        """Return seconds since the epoch."""
        ...

    def elapsed(self) -> float:
        """Return seconds of a monotonic clock, for durations only."""
        ...


class SystemClock:
    """The machine's own clocks."""

    __slots__ = ()

    now = staticmethod(time.time)
    elapsed = staticmethod(time.perf_counter)


@dataclass(frozen=True)
class FactContext:
    """What a fact source can read: the call before the decision."""

    identity: Identity
    view: View
    action: str
    resource: Entity
    now: float
    app: Mapping[str, FactValue]

    def __repr__(self) -> str:
        return (
            f"FactContext(identity={self.identity!r}, view={self.view!r}, action={self.action!r})"
        )


#: The range of an integer that is a count or an age: it is not negative.
COUNTED: Final = (0, 2**63 - 1)


class FactSource(Protocol):
    """Provides facts, which it computes from a call.

    The optional parts (``prepare``, ``blocks``, ``ranges``, ``plain``, ``why_absent``) and their
    defaults are those of `guardrail.extensions.FactSourceBase`.
    """

    @property
    def namespace(self) -> str:
        """The name of its record in the context, such as ``time`` for ``context.time``."""
        ...

    @property
    def facts(self) -> frozenset[str]:
        """Names of the facts in the namespace; empty if the caller may pass any facts."""
        ...

    def compute(self, names: frozenset[str], context: FactContext) -> Mapping[str, FactValue]:
        """Return the named facts and no others; leave out those that this call does not have."""
        ...


@dataclass(frozen=True)
class ObligationContext:
    """What an obligation can read when it is met: the call and its decision.

    ``value_of`` returns the value at a path that the obligation's `reads` names; it raises
    `LookupError` if the value is absent. ``notes`` takes annotations for the record.
    """

    identity: Identity
    view: View
    action: str
    resource: Entity
    now: float
    value_of: Callable[[Path], FactValue]
    notes: RecordAnnotations | None = None

    def __repr__(self) -> str:
        fields = f"identity={self.identity!r}, view={self.view!r}, action={self.action!r}"
        return f"ObligationContext({fields})"


class ObligationNotMet(Exception):
    """Raised by an obligation that a call does not meet; the flow turns it into a denial.

    ``message`` never contains a value. ``path`` is the place in the input. ``policies`` are the
    policies that the denial names, if not all that make the demand.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str = "obligation_failed",
        path: str = "",
        policies: tuple[str, ...] | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.path = path
        self.policies = policies
        self.retry_after_s = retry_after_s

    def denial(self, policies: tuple[str, ...] = ()) -> Denied:
        """Return the denial; its class depends on the code.

        The error keeps no traceback, as an obligation may raise one object for several calls.

        Arguments:
            policies: the conditions that make the demand, if the obligation names none.

        Raises:
            PluginFault: if a field has the wrong type.
        """
        self.__cause__ = self.__context__ = self.__traceback__ = None
        own: dict[str, Any] = self.__dict__
        fields = {**own, "policies": policies} if own.get("policies") is None else own
        check_denial(type(self), fields)
        code, path, message = fields["code"], fields["path"], fields["message"]
        if path and not message.startswith(path):
            message = f"{path}: {message}"
        return _DENIALS.get(code, NotAuthorized)(
            message,
            code=code,
            path=path,
            policies=fields["policies"],
            retry_after_s=fields["retry_after_s"],
        )


#: Codes of calls that pass. No denial has one of them.
_PASSING: Final = frozenset(("allow", "admitted", "released"))
#: The most characters of a code.
_LIMIT_CODE: Final = 64


def check_denial(kind: type[BaseException], fields: Mapping[str, Any]) -> None:
    """Raise `PluginFault` if a field of a plug-in's denial can't be recorded or shown."""
    code, retry_after_s = fields.get("code"), fields.get("retry_after_s")
    wrong = expected = ""
    if (
        type(code) is not str
        or not 0 < len(code) <= _LIMIT_CODE
        or not (code.isascii() and code.isprintable())
        or " " in code
        or code in _PASSING
    ):
        wrong = "code"
        expected = (
            f"a text of 1 to {_LIMIT_CODE} printable ASCII characters without spaces, and not to "
            "the code of a call that passes"
        )
    elif retry_after_s is not None and not _is_wait(retry_after_s):
        wrong, expected = "retry_after_s", "a finite number of seconds from 0, or None"
    for name in ("message", "path", "reason"):
        if type(fields.get(name, "" if name == "reason" else None)) is not str:
            wrong, expected = name, "a text"
    for name in ("policies", "errors"):
        if not _are_texts(fields.get(name, () if name == "errors" else None)):
            wrong, expected = name, "a tuple of texts"
    if wrong:
        raise PluginFault(
            f"it raised {class_name(kind)} with a wrong `{wrong}` "
            f"({type_name(fields.get(wrong))}). Set it to {expected}."
        )


def _are_texts(values: Any) -> bool:
    return type(values) is tuple and all(type(value) is str for value in values)


def _is_wait(wait_s: Any) -> bool:
    kind = type(wait_s)
    if kind is float:
        return math.isfinite(wait_s) and wait_s >= 0
    return kind is int and 0 <= wait_s < COUNTED[1]


def copy_of_denial(error: Denied) -> Denied:
    """Return a copy of a denial, as a plug-in may raise one object for several calls.

    Raises:
        PluginFault: if a field has the wrong type.
    """
    error.__cause__ = error.__context__ = error.__traceback__ = None
    kind, fields = type(error), error.__dict__
    code = fields.get("code")
    if code is None:  # read without the attribute's own code, if it is a property
        code = next(base.__dict__["code"] for base in kind.__mro__ if "code" in base.__dict__)
    check_denial(kind, {**fields, "code": code})
    copied: Denied = Exception.__new__(kind, *error.args)
    copied.__dict__.update(fields)
    return copied


class BlockingStep:
    """A blocking step that must run, outside of the event loop, before the flow continues.

    ``work`` runs once, on the calling thread or on another one; an exception in it counts as an
    error of the step. Its result is passed to ``then``, which may return another `BlockingStep`.
    If the call is cancelled before ``work`` has begun, it runs only if ``must_run`` is true.
    """

    __slots__ = ("must_run", "then", "work")

    def __init__(
        self,
        work: Callable[[], Any],
        then: Callable[[Any], BlockingStep | None] | None = None,
        *,
        must_run: bool = False,
    ) -> None:
        self.work = work
        self.then = then
        self.must_run = must_run


class ObligationType(Protocol):
    """One kind of obligation: parses and merges demands, and enforces them.

    The optional parts (``stage``, ``spends``, ``stream``, ``mutate`` and others) and their defaults
    are those of `guardrail.extensions.ObligationBase`.

    The contract (see `guardrail.testing.contracts`): `merge` is commutative, associative and
    idempotent, and its result is never looser than either side. `admit` and `release`
    raise `ObligationNotMet` where the call does not meet the demand, and nothing else.

    `admit` is called again if the model starts later than the call, as coroutines and generators
    do, because an argument may have changed meanwhile. An obligation whose `admit` takes something
    that another call then lacks, such as a quota, has ``spends = True`` and is called once.
    """

    @property
    def name(self) -> str:
        """The name of the annotation."""
        ...

    @property
    def on_admit(self) -> bool:
        """Whether `admit` has work to do before the model."""
        ...

    @property
    def on_release(self) -> bool:
        """Whether `release` has work to do on the model's output."""
        ...

    def parse(self, clause: Clause) -> Any:
        """Return the demand; raise `ConfigurationError` with the place of the clause."""
        ...

    def reads(self, demand: Any) -> tuple[Path, ...]:
        """Return the paths whose values `admit` reads."""
        ...

    def merge(self, one: Any, other: Any) -> Any:
        """Return the demand that is met exactly if both demands are met."""
        ...

    def describe(self, demand: Any) -> Any:
        """Return the demand as JSON data, as `guardrail decide` prints it and tests expect it."""
        ...

    def admit(self, demand: Any, context: ObligationContext) -> BlockingStep | None:
        """Enforce the demand before the model runs, or raise `ObligationNotMet`."""
        ...

    def release(self, demand: Any, output: Any, context: ObligationContext) -> Any:
        """Return the output that may leave.

        Raises `ObligationNotMet`. Never changes ``output``.
        """
        ...


class SettingsTable(Protocol):
    """The places of the keys of one table of ``guardrail.toml``, for faults and findings."""

    def at(self, *path: str | int) -> Place:
        """Return the place of a key, or of the nearest key above it, or of the table."""
        ...


class BundleSources(Protocol):
    """The files and the environment of a bundle, for keys and secrets."""

    @property
    def files(self) -> Mapping[str, bytes]:
        """The bundle's files by their path, with the bytes from which its digest is computed."""
        ...

    @property
    def environ(self) -> Mapping[str, str]:
        """The environment variables."""
        ...

    def file(self, name: str, key: str, place: Place) -> bytes:
        """Return a file of the bundle; raise `ConfigurationError` (``GR400``) at ``place``."""
        ...

    def secret(self, env: str | None, file: str | None, place: Place) -> tuple[bytes, str]:
        """Return a secret and its name in messages, or raise ``GR400`` at ``place``."""
        ...


class PrincipalIds(Protocol):
    """Makes the ids of one provider's principals, so that two providers never share an id."""

    @property
    def own(self) -> str:
        """The prefix of the ids of its principals: ``id_prefix`` and ``#``, or nothing."""
        ...

    @property
    def others(self) -> tuple[str, ...]:
        """The prefixes of the bundle's other providers, if they have one."""
        ...

    def id_of(self, value: str) -> str:
        """Return the id of the principal that the provider calls ``value``.

        Raises `NotAuthenticated` if the id has the prefix of another provider.
        """
        ...


@dataclass(frozen=True)
class ProviderContext:
    """What an identity provider gets at load, in addition to its settings.

    ``name`` is the name of its table, ``table`` has the places of its keys, ``ids`` makes the ids
    of principals, and ``sources`` has the bundle's files and the environment.
    """

    name: str
    table: SettingsTable
    ids: PrincipalIds
    sources: BundleSources


class Authenticator(Protocol):
    """An opened identity provider: verifies a caller's credential and returns the identity.

    `guardrail.extensions.AuthenticatorBase` has the defaults.
    """

    @property
    def entity_types(self) -> Mapping[str, Place]:
        """The entity types of principals and their parents, each with the place that names it.

        The bundle does not load if the schema lacks one of them.
        """
        ...

    @property
    def principal_types(self) -> frozenset[str]:
        """The entity types of principals."""
        ...

    @property
    def parent_types(self) -> frozenset[str]:
        """The entity types of their parents."""
        ...

    def accepts(self, token: str) -> bool:
        """Whether a token belongs to this provider by its form, for example by its prefix.

        Called if the provider takes tokens. It verifies nothing and does not raise.
        """
        ...

    def authenticate(
        self, credential: Any, now: float, /, *, knows: Callable[[Entity], bool]
    ) -> Identity:
        """Return the identity that a credential proves, or raise `NotAuthenticated`.

        Called when `acting_as` is entered, possibly by several threads at once.

        Arguments:
            credential: the token as a text, or the chain of certificates, leaf first.
            now: seconds since the epoch, by the injected clock.
            knows: returns whether an entity exists in the bundle; call it for each parent.
        """
        ...


class IdentityProvider(Protocol):
    """One kind of identity provider: ``type = "KIND"`` in a table ``[identity.NAME]``.

    `guardrail.extensions.IdentityProviderBase` has the defaults.
    """

    @property
    def kind(self) -> str:
        """The value of ``type`` in the tables of this kind."""
        ...

    @property
    def settings(self) -> type[Any]:
        """The pydantic model of its table, which has the key ``type``."""
        ...

    @property
    def takes(self) -> str:
        """Which credential it takes.

        ``token``: a text for which its `Authenticator.accepts` returns true. ``certificate``: the
        chain of the client's certificates; a bundle has one such provider. ``signed_token``: a JWS
        of its issuer, for the kinds ``jwt`` and ``oidc``.
        """
        ...

    def open(self, settings: Any, context: ProviderContext) -> Authenticator:
        """Return the provider of one table; raise `ConfigurationError` for faults in it.

        Called at load. It fetches nothing.
        """
        ...

    def lint(self, settings: Any, table: SettingsTable) -> Iterable[Finding]:
        """Return the findings about a table that loads, for `guardrail check`."""
        ...


class QuotaHit(Protocol):
    """What one call takes from one counter: ``amount`` of at most ``limit`` per window.

    Amounts and limits are whole numbers below 2**63; the amount can be 0 or above the limit.
    """

    @property
    def strategy(self) -> str:
        """How the window moves: ``fixed``, ``moving`` or ``sliding``, as `limits` defines them."""
        ...

    @property
    def key(self) -> str:
        """The key of the counter, of any length; printable ASCII except for values in it."""
        ...

    @property
    def limit(self) -> int:
        """The limit of one window."""
        ...

    @property
    def window_s(self) -> int:
        """The length of the window in seconds."""
        ...

    @property
    def amount(self) -> int:
        """The amount that the call takes."""
        ...


class QuotaStoreError(Exception):
    """Raised by a store that can't count: the call is denied with ``store_unavailable``.

    The caller sees the message. It says what is wrong and what to do, without an address or a
    password.
    """


class QuotaCounters(Protocol):
    """An opened quota store. It is called from several threads at once."""

    def acquire_all(self, hits: Sequence[QuotaHit], taken: list[Any] | None = None) -> list[float]:
        """Take every hit, or none.

        Arguments:
            hits: what one call takes; their keys differ.
            taken: if all are taken, one object per hit is added, in order, for `give_back`.

        Returns:
            For each hit, in order, the seconds until it fits by itself: 0.0 if it fits now,
            infinity if it never fits. All are 0.0 exactly if all were taken.

        Raises:
            QuotaStoreError: if the store can't count. Then nothing may be taken.
        """
        ...

    def give_back(self, taken: Any) -> None:
        """Return one hit to its counter, unless its window has ended.

        Called at most once for each object in ``taken``, if the input of a call is rejected after
        the call took from the store. Exceptions are ignored: then the hit stays taken. If a call to
        the store can block, it runs outside of the event loop, as `acquire_all` does.
        """
        ...


class QuotaStore(Protocol):
    """One kind of quota store, which has the counters of ``@quota``.

    `guardrail.extensions.QuotaStoreBase` has the defaults.
    """

    @property
    def name(self) -> str:
        """The name of the store in ``store = "NAME"`` of ``[quota]``."""
        ...

    @property
    def settings(self) -> type[Any] | None:
        """The pydantic model of the ``[quota]`` table; ``None`` if it has no keys of its own.

        A subclass of `guardrail.extensions.QuotaStoreSettings`.
        """
        ...

    @property
    def strategies(self) -> frozenset[str]:
        """The strategies that it supports, of ``fixed``, ``moving`` and ``sliding``."""
        ...

    @property
    def is_shared(self) -> bool:
        """Whether several processes share the counters, which then outlive a process."""
        ...

    @property
    def waits(self) -> bool:
        """Whether a call to it can block, as on a network or a disk.

        Then the flow calls it outside of the event loop in calls of coroutines.
        """
        ...

    def open(self, settings: Any, clock: Clock) -> QuotaCounters:
        """Return the opened store. It connects in the first call, not here.

        Arguments:
            settings: the ``[quota]`` table, as the model of `settings`.
            clock: the injected clock, for a store that counts in this process.
        """
        ...


class Sink(Protocol):
    """Takes the records of calls, on the caller's thread; an exception in it denies the call.

    The defaults of its optional parts are those of `guardrail.extensions.SinkBase`.

    A sink that has no work around the model has ``frames = False`` on its class. Then `enter` and
    `leave` are not called, and `end` gets ``None`` as the handle if `begin` raised or was
    interrupted, so the sink must take any record. A sink that stores records later has
    ``flush(timeout_s) -> bool``, which waits until the earlier records are stored.

    A sink that must know of a call before its model runs has ``intents = True`` and ``admit(handle,
    record) -> BlockingStep | None``. It is called once per admitted call, with a record whose
    outcome is ``admitted``; an exception in it denies the call. `admit` and `end` may return a
    `BlockingStep`; the model runs, or its result leaves, only after this step.
    """

    def begin(self, guard: str, action: str, function: str) -> Any:
        """Called when a call begins; returns the handle for the other methods."""
        ...

    def enter(self, handle: Any) -> Any:
        """Called before the model runs in this context; returns a token for `leave`."""
        ...

    def leave(self, handle: Any, token: Any) -> None:
        """Called after the model has returned or yielded."""
        ...

    def end(self, handle: Any, record: Record) -> BlockingStep | None:
        """Called when the call has ended, with its record."""
        ...


class RecordSink(Sink, Protocol):
    """What the flow needs of the audit: a sink that declares which calls it needs."""

    @property
    def frames(self) -> bool:
        """Whether `enter` and `leave` must be called around the model."""
        ...

    @property
    def intents(self) -> bool:
        """Whether `admit` must be called before the model."""
        ...

    def check(self, handle: Any) -> None:
        """Raise `GuardUnavailable` if `begin` found that the call can't be recorded."""
        ...

    def admit(self, handle: Any, record: Record) -> BlockingStep | None:
        """Called before the model runs, with the record of the call so far."""
        ...


class RecordNames(Protocol):
    """Names the subjects of a call in its record, without any payload."""

    def principal(self, principal: Principal) -> str:
        """Return the name of a principal: a keyed pseudonym, or the id if so configured."""
        ...

    def peer(self, peer: str) -> str:
        """Return a pseudonym of the origin of a call, such as its address; or empty."""
        ...

    def resource(self, resource: Entity) -> str:
        """Return the name of a resource: its id if the bundle has it, else a pseudonym."""
        ...

    def facts(
        self, facts: Mapping[str, Mapping[str, FactValue]], noted: Mapping[str, FactValue],
        principal: Principal | None, action: Entity,
    ) -> tuple[tuple[str, FactValue], ...]:  # fmt: skip
        """Return the recorded facts: those that policies read, noted ones, the caller's."""
        ...

    def input(self, view: View) -> str:
        """Return the keyed digest of an input; empty if none is recorded."""
        ...

    def output(self, output: Any) -> str:
        """Return the keyed digest of an output; empty if none is recorded."""
        ...


@dataclass(frozen=True)
class PendingObligations:
    """The obligations of a decision, computed once for all calls with this decision.

    ``admits`` are met before the model, and ``releases`` on its output, in this order; each item
    is an obligation type and an obligation. ``names`` are the names of all obligations,
    ``demands`` a short digest of each demand, and ``errors`` the policies that erred, as in the
    record. ``releases_block`` is true if one of ``releases`` blocks.
    """

    admits: tuple[tuple[ObligationType, Obligation], ...] = ()
    releases: tuple[tuple[ObligationType, Obligation], ...] = ()
    names: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    demands: tuple[str, ...] = ()
    releases_block: bool = False


NOTHING_PENDING: Final = PendingObligations()


class PolicyAnswer:
    """What the flow needs of an answer of the policies: see `guardrail.policy.Answer`.

    ``pending`` are the obligations of the decision; ``cached`` tells whether the decision came from
    the cache.
    """

    __slots__ = ("cached", "decision", "pending")

    def __init__(self, decision: Decision, pending: PendingObligations, cached: bool) -> None:
        self.decision = decision
        self.pending = pending
        self.cached = cached

    def value_of(self, path: Path) -> FactValue:
        """Return the value at a path that an annotation reads; `LookupError` if absent."""
        raise NotImplementedError


class PolicyQuestion:
    """What the flow needs of a question to the policies: see `guardrail.policy.Question`.

    ``refusal`` is the denial if no fact can change it; ``wants`` are the fact sources to compute,
    each with the names that are read; ``blocking`` are the namespaces of those that block.
    """

    __slots__ = ("blocking", "refusal", "wants")

    def __init__(
        self,
        refusal: Decision | None,
        wants: tuple[tuple[FactSource, frozenset[str]], ...],
        blocking: frozenset[str] = frozenset(),
    ) -> None:
        self.refusal = refusal
        self.wants = wants
        self.blocking = blocking

    def decide(self, facts: Mapping[str, Mapping[str, FactValue]]) -> PolicyAnswer:
        """Return the answer for some facts."""
        raise NotImplementedError


class DecisionPort(Protocol):
    """What the flow needs of a snapshot: see `guardrail.policy.Snapshot`."""

    name: str
    version: str
    revision: str

    def ask(self, principal: Principal, action: Entity, resource: Entity) -> PolicyQuestion:
        """Return the question of a call: its principal, action and resource, without facts."""
        ...


class ShadowPort(DecisionPort, Protocol):
    """What the flow needs of policies that are not enforced: see `guardrail.policy.Shadow`."""

    questions: int

    def ask_blocking(
        self, principal: Principal, action: Entity, resource: Entity
    ) -> PolicyQuestion | None:
        """Return what `ask` returns, if computing its facts blocks; else ``None``."""
        ...

    def compare(self, live: Decision, other: Decision) -> tuple[tuple[str, int], ...]:
        """Return the differences of the shadow's decision, as a record counts them."""
        ...


class Runtime:
    """What the calls of one bundle need: the flow's ports to the other packages.

    ``identify`` returns the identity at a time or raises `NotAuthenticated`. ``take_view`` reads an
    input once or raises `ObligationNotMet`. ``now`` and ``elapsed`` are those of the clock.
    ``naming`` is ``None`` if no sink records names, and ``shadow`` if there are no shadow policies.
    ``digest_of`` shows whether an input has changed. ``checks_again`` is false if denials are
    not enforced, as in tests that override the guard.
    """

    __slots__ = (
        "backend", "checks_again", "digest_of", "elapsed", "frames", "guard", "identify", "intents",
        "naming", "new_id", "now", "revision", "shadow", "sink", "snapshot", "take_view", "version",
    )  # fmt: skip

    def __init__(
        self,
        *,
        snapshot: DecisionPort,
        identify: Callable[[float], Identity],
        take_view: Callable[[Any, str], View],
        sink: RecordSink,
        clock: Clock,
        new_id: Callable[[], str],
        backend: str,
        digest_of: Callable[[View], str] | None = None,
        naming: RecordNames | None = None,
        shadow: ShadowPort | None = None,
    ) -> None:
        self.snapshot = snapshot
        self.shadow = shadow
        self.guard = snapshot.name
        self.version = snapshot.version
        self.revision = snapshot.revision
        self.identify = identify
        self.take_view = take_view
        self.sink = sink
        self.frames = sink.frames
        self.intents = sink.intents
        self.now = clock.now
        self.elapsed = clock.elapsed
        self.new_id = new_id
        self.backend = backend
        self.naming = naming
        self.digest_of = digest_of
        self.checks_again = True


R = TypeVar("R", bound=Runtime)


class RuntimeReference(Generic[R]):
    """The reference to the runtime of new calls, which a reload replaces.

    A call reads ``runtime`` once, at its start, and uses it until its end. Storing an attribute is
    atomic: each thread reads either the old runtime or the new one, and after the store only the
    new one.
    """

    __slots__ = ("runtime",)

    def __init__(self, runtime: R) -> None:
        self.runtime = runtime


class RuntimeSource(Protocol):
    """What the flow needs of a `RuntimeReference`."""

    @property
    def runtime(self) -> Runtime:
        """The runtime for a call that begins now."""
        ...


class Target:
    """What is constant over all calls of one protected function, also across reloads.

    ``resource``, ``principal`` and ``facts`` may be callables of the call's arguments.
    ``input_name`` is the guarded parameter, ``""`` if there is none. ``streams`` tells whether
    items leave one by one, so that no obligation can work on the output as a whole.
    """

    __slots__ = (
        "action", "action_id", "facts", "function", "input_name", "principal", "resource",
        "serving", "streams",
    )  # fmt: skip

    def __init__(
        self,
        *,
        serving: RuntimeSource,
        function: str,
        action: Entity,
        resource: Entity | Callable[..., Entity],
        principal: Principal | Callable[..., Principal] | None = None,
        facts: Mapping[str, FactValue] | Callable[..., Mapping[str, FactValue]] | None = None,
        input_name: str = "",
        streams: bool = False,
    ) -> None:
        self.serving = serving
        self.function = function
        self.action = action
        self.action_id = action.id
        self.resource = resource
        self.principal = principal
        self.facts = facts
        self.input_name = input_name
        self.streams = streams

    @property
    def asks_arguments(self) -> bool:
        """Whether any of its parts is a callable of the call's arguments."""
        return callable(self.resource) or callable(self.principal) or callable(self.facts)
