"""The ports: the protocols between the flow and the rooms, and those of plug-ins.

The plug-ins are fact sources, obligations, sinks, identity providers and quota stores. The standard
ones and a user's own are made the same way; `guardrail.extensions` exports what their authors need.
The optional parts of the ports are in `guardrail._hooks`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, Protocol, TypeVar

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
    """The one clock, injected everywhere; tests freeze it."""

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
    """What a fact source may look at: the call before the decision."""

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


#: The least and the most of a whole number that counts something, or is an age: no less than none.
COUNTED: Final = (0, 2**63 - 1)


class FactSource(Protocol):
    """Says which facts it provides, and computes them from a call.

    The optional parts (``prepare``, ``blocks``, ``ranges``, ``plain``, ``why_absent``) and their
    defaults are those of `guardrail.extensions.FactSourceBase`.
    """

    @property
    def namespace(self) -> str:
        """The name of its record in the context: ``time`` for ``context.time``."""
        ...

    @property
    def facts(self) -> frozenset[str]:
        """Names of the facts in the namespace; empty means: whatever the caller passes."""
        ...

    def compute(self, names: frozenset[str], context: FactContext) -> Mapping[str, FactValue]:
        """Return the facts named, and only those; leave out what this call has not."""
        ...


@dataclass(frozen=True)
class ObligationContext:
    """What an obligation may look at when it is met: the call and its decision.

    ``value_of`` reads a path that the obligation's `parse` asked for; it raises
    `LookupError` where the value is absent. ``notes`` takes what the record is to say.
    """

    identity: Identity
    view: View
    action: str
    resource: Entity
    now: float
    value_of: Callable[[Path], FactValue]
    notes: RecordAnnotations | None = None

    def __repr__(self) -> str:
        told = f"identity={self.identity!r}, view={self.view!r}, action={self.action!r}"
        return f"ObligationContext({told})"


class ObligationNotMet(Exception):
    """Raised by an obligation that a call does not meet; the flow makes the denial of it.

    ``message`` never holds a value. ``path`` is the place in the input; ``policies``
    narrows the blame to some of the demand's policies.
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
        """Return the denial that this is; its class follows from the code.

        Arguments:
            policies: the conditions that made the demand, where the obligation names none.
        """
        kind = _DENIALS.get(self.code, NotAuthorized)
        message = self.message
        if self.path and not message.startswith(self.path):
            message = f"{self.path}: {message}"
        return kind(
            message,
            code=self.code,
            path=self.path,
            policies=policies if self.policies is None else self.policies,
            retry_after_s=self.retry_after_s,
        )


class BlockingStep:
    """A step that must block: what to do, off the event loop, before the flow goes on.

    ``work`` runs once, on the calling thread or on another one; what it raises counts as
    the step's own error. Its result goes to ``then``, which may hand back another `BlockingStep`.
    If the call is cancelled before ``work`` has begun, it runs only where ``must_run`` is true.
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
    """One kind of obligation: parses its annotation, merges, and is met.

    The optional parts (``stage``, ``spends``, ``stream``, ``mutate`` and others) and their defaults
    are those of `guardrail.extensions.ObligationBase`.

    The contract (see `guardrail.testing.contracts`): `merge` is commutative, associative and
    idempotent, and its result is never looser than either side. `admit` and `release`
    raise `ObligationNotMet` where the call does not meet the demand, and nothing else.

    `admit` is called again where the model starts later than the call, as coroutines and
    generators do, and an argument may have changed meanwhile. One whose `admit` takes something
    that another call then lacks, as a quota does, has ``spends = True``, and is called once.
    """

    @property
    def name(self) -> str:
        """The annotation's name."""
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
        """Return the demand; raise `ConfigurationError` naming the clause's place."""
        ...

    def reads(self, demand: Any) -> tuple[Path, ...]:
        """Return the paths whose values `admit` will ask for."""
        ...

    def merge(self, one: Any, other: Any) -> Any:
        """Return the demand that both sides together make."""
        ...

    def describe(self, demand: Any) -> Any:
        """Return the demand as JSON: what `decide` prints and what a test expects."""
        ...

    def admit(self, demand: Any, context: ObligationContext) -> BlockingStep | None:
        """Meet the demand before the model runs, or raise `ObligationNotMet`."""
        ...

    def release(self, demand: Any, output: Any, context: ObligationContext) -> Any:
        """Return the output that may leave.

        Raises `ObligationNotMet`. Never changes ``output``.
        """
        ...


class SettingsTable(Protocol):
    """The places of the keys of one table of ``guardrail.toml``, for faults and findings."""

    def at(self, *path: str | int) -> Place:
        """Return the place of a key, or of the nearest one above it; of the table for no key."""
        ...


class BundleSources(Protocol):
    """The files and the environment of a bundle, for keys and secrets."""

    @property
    def files(self) -> Mapping[str, bytes]:
        """The bundle's files by their path: the bytes over which its digest is made."""
        ...

    @property
    def environ(self) -> Mapping[str, str]:
        """The environment."""
        ...

    def file(self, name: str, key: str, place: Place) -> bytes:
        """Return a file of the bundle; raise `ConfigurationError` (``GR400``) at ``place``."""
        ...

    def secret(self, env: str | None, file: str | None, place: Place) -> tuple[bytes, str]:
        """Return a secret and what a message calls it, or raise ``GR400`` at ``place``."""
        ...


class PrincipalIds(Protocol):
    """How one provider names its principals, so that no two providers name the same one."""

    @property
    def own(self) -> str:
        """What begins the ids of its principals: ``id_prefix`` and ``#``, or nothing."""
        ...

    @property
    def others(self) -> tuple[str, ...]:
        """The same of the bundle's other providers, where they have one."""
        ...

    def id_of(self, value: str) -> str:
        """Return the id of the principal that the provider calls ``value``.

        Raises `NotAuthenticated` where the id would be one of another provider's.
        """
        ...


@dataclass(frozen=True)
class ProviderContext:
    """What an identity provider gets at load, besides its settings.

    ``name`` is the name of its table, ``table`` has the places of its keys, ``ids`` makes the ids
    of principals, and ``sources`` has the bundle's files and the environment.
    """

    name: str
    table: SettingsTable
    ids: PrincipalIds
    sources: BundleSources


class Authenticator(Protocol):
    """An opened identity provider: turns what a caller brings into an identity.

    `guardrail.extensions.AuthenticatorBase` has the defaults.
    """

    @property
    def entity_types(self) -> Mapping[str, Place]:
        """The entity types of principals and their parents, each with the place that names it.

        The bundle does not load where the schema lacks one of them.
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
        """Whether a token is one of this provider's, by its form, such as by its prefix.

        Asked where the provider takes tokens. It verifies nothing, and does not raise.
        """
        ...

    def authenticate(
        self, credential: Any, now: float, /, *, knows: Callable[[Entity], bool]
    ) -> Identity:
        """Return the identity that a credential proves, or raise `NotAuthenticated`.

        Called where `acting_as` is entered, from several threads at once.

        Arguments:
            credential: the token as a text, or the chain of certificates, leaf first.
            now: seconds since the epoch, by the injected clock.
            knows: says whether an entity exists in the bundle; ask it for each parent.
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
        """The pydantic model of its table. It has the key ``type``."""
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
        """Return the provider of one table; raise `ConfigurationError` for what is wrong in it.

        Called at load. It fetches nothing.
        """
        ...

    def lint(self, settings: Any, table: SettingsTable) -> Iterable[Finding]:
        """Return what is weak in a table that loads, for `guardrail check`."""
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
        """The key of the counter: printable ASCII but for the values of its keys, no bound."""
        ...

    @property
    def limit(self) -> int:
        """The most that a window holds."""
        ...

    @property
    def window_s(self) -> int:
        """The length of the window in seconds."""
        ...

    @property
    def amount(self) -> int:
        """What the call takes."""
        ...


class QuotaStoreError(Exception):
    """Raised by a store that can't count: the call is denied with ``store_unavailable``.

    The message says what is wrong and what to do, for the caller: no address, no password.
    """


class QuotaCounters(Protocol):
    """An opened quota store. It is called from several threads at once."""

    def acquire_all(self, hits: Sequence[QuotaHit], taken: list[Any] | None = None) -> list[float]:
        """Take every hit, or none.

        Arguments:
            hits: what one call takes; the keys differ.
            taken: where all are taken, gets one object for each hit, in order, by which
                `give_back` returns it.

        Returns:
            For each hit the seconds until it fits by itself, in order: 0.0 where it fits now,
            infinity where it never fits. All are 0.0 exactly where all were taken.

        Raises:
            QuotaStoreError: where the store can't count. Nothing may be taken then.
        """
        ...

    def give_back(self, taken: Any) -> None:
        """Return one hit to its counter, as far as it still counts.

        Called at most once for each object in ``taken``, where the input of a call is refused
        after the call took from the store. What it raises is ignored: the hit stays taken. Where a
        call to the store can wait, it runs off the event loop, as `acquire_all` does.
        """
        ...


class QuotaStore(Protocol):
    """One kind of quota store: where the counters of ``@quota`` are kept.

    `guardrail.extensions.QuotaStoreBase` has the defaults.
    """

    @property
    def name(self) -> str:
        """The name by which ``store = "NAME"`` in ``[quota]`` chooses it."""
        ...

    @property
    def settings(self) -> type[Any] | None:
        """The pydantic model of the ``[quota]`` table; ``None`` where it has no keys of its own.

        A subclass of `guardrail.extensions.QuotaStoreSettings`.
        """
        ...

    @property
    def strategies(self) -> frozenset[str]:
        """The strategies that it counts by, of ``fixed``, ``moving`` and ``sliding``."""
        ...

    @property
    def is_shared(self) -> bool:
        """Whether several processes count together, and counters outlive a process."""
        ...

    @property
    def waits(self) -> bool:
        """Whether a call to it can wait, as on a network or a disk.

        Then the flow calls it off the event loop where the call is a coroutine's.
        """
        ...

    def open(self, settings: Any, clock: Clock) -> QuotaCounters:
        """Return the opened store. Connects to nothing: the first call does.

        Arguments:
            settings: the ``[quota]`` table, as the model of `settings`.
            clock: the injected clock, for a store that counts in this process.
        """
        ...


class Sink(Protocol):
    """Where records go. Called on the caller's thread; what it raises denies the call.

    The defaults of its optional parts are those of `guardrail.extensions.SinkBase`.

    A sink that has nothing to do around the model says so with ``frames = False`` on its
    class. Then `enter` and `leave` are not called, and `end` gets ``None`` for a handle where
    `begin` raised or was interrupted: such a sink can take any record. One that works later
    has ``flush(timeout_s) -> bool``, which waits for the records that it was given before.

    A sink that must know of a call before its model runs has ``intents = True`` and ``admit(handle,
    record) -> BlockingStep | None``, called once per admitted call with a record whose outcome is
    ``admitted``; what it raises denies the call. It and `end` may hand back a `BlockingStep`: then
    the model does not run, or its result does not leave, before that is over.
    """

    def begin(self, guard: str, action: str, function: str) -> Any:
        """A call begins: return whatever the other three need."""
        ...

    def enter(self, handle: Any) -> Any:
        """The model is about to run in this context; return a token for `leave`."""
        ...

    def leave(self, handle: Any, token: Any) -> None:
        """The model has returned, or yielded."""
        ...

    def end(self, handle: Any, record: Record) -> BlockingStep | None:
        """The call has ended; take the record."""
        ...


class Recording(Sink, Protocol):
    """What the flow asks of the audit: a sink that says what it must be told of."""

    @property
    def frames(self) -> bool:
        """Whether `enter` and `leave` must stand around the model."""
        ...

    @property
    def intents(self) -> bool:
        """Whether `admit` must stand before the model."""
        ...

    def check(self, handle: Any) -> None:
        """Raise `GuardUnavailable` where the call can't be recorded, as was seen at `begin`."""
        ...

    def admit(self, handle: Any, record: Record) -> BlockingStep | None:
        """The model is about to run; take what is known of the call so far."""
        ...


class Naming(Protocol):
    """In which words the record names what a call was about. It must hold no payload."""

    def principal(self, principal: Principal) -> str:
        """Return the name of who calls: a keyed pseudonym, or the id where that was chosen."""
        ...

    def peer(self, peer: str) -> str:
        """Return a pseudonym of where somebody calls from, such as of an address; or empty."""
        ...

    def resource(self, resource: Entity) -> str:
        """Return the name of a thing: its id where the bundle knows it, else a pseudonym."""
        ...

    def facts(
        self, facts: Mapping[str, Mapping[str, FactValue]], noted: Mapping[str, FactValue],
        principal: Principal | None, action: Entity,
    ) -> tuple[tuple[str, FactValue], ...]:  # fmt: skip
        """Return what is kept of the facts that policies read, of those noted, of the caller."""
        ...

    def input(self, view: View) -> str:
        """Return the keyed digest of an input; empty where none is kept."""
        ...

    def output(self, output: Any) -> str:
        """Return the keyed digest of what leaves; empty where none is kept."""
        ...


@dataclass(frozen=True)
class PendingObligations:
    """What a decision demands of a call, made ready: found once, for all calls so decided.

    ``admits`` is met before the model, ``releases`` on its output, in this order; each pair
    is an obligation and its type. ``names`` are those of all, ``demands`` a short digest of what
    each of them demands, and ``errors`` the policies that erred, as the record has them.
    ``releases_block`` says that one of ``releases`` blocks.
    """

    admits: tuple[tuple[ObligationType, Obligation], ...] = ()
    releases: tuple[tuple[ObligationType, Obligation], ...] = ()
    names: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    demands: tuple[str, ...] = ()
    releases_block: bool = False


NOTHING_PENDING: Final = PendingObligations()


class Answering:
    """What the flow asks of the policies' answer, as `guardrail.policy.Answer` has it.

    ``pending`` is what the decision demands; ``cached`` says that an equal question had been
    answered before.
    """

    __slots__ = ("cached", "decision", "pending")

    def __init__(self, decision: Decision, pending: PendingObligations, cached: bool) -> None:
        self.decision = decision
        self.pending = pending
        self.cached = cached

    def value_of(self, path: Path) -> FactValue:
        """Return the value at a path that an annotation reads; `LookupError` where absent."""
        raise NotImplementedError


class Asking:
    """What the flow asks of a question, as `guardrail.policy.Question` has it.

    ``refusal`` is the denial where no fact could change it; ``wants`` are the fact sources to
    ask, each with the names that are read; ``blocking`` are the namespaces of those that block.
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

    def decide(self, facts: Mapping[str, Mapping[str, FactValue]]) -> Answering:
        """Return the answer on these facts."""
        raise NotImplementedError


class Deciding(Protocol):
    """What the flow asks of a snapshot (`guardrail.policy.Snapshot`)."""

    name: str
    version: str
    revision: str

    def ask(self, principal: Principal, action: Entity, resource: Entity) -> Asking:
        """Check who, what and on what."""
        ...


class Shadowing(Deciding, Protocol):
    """What the flow asks of a shadow (`guardrail.policy.Shadow`): policies that only look on."""

    asked: int

    def ask_blocking(self, principal: Principal, action: Entity, resource: Entity) -> Asking | None:
        """Return what `ask` returns, if computing its facts blocks; else ``None``."""
        ...

    def compare(self, live: Decision, other: Decision) -> tuple[tuple[str, int], ...]:
        """Return in what the shadow's decision is another one, as a record counts it."""
        ...


class Runtime:
    """What `guardrail.guard` hands the flow: one port to each room.

    ``identify`` returns the current identity at a time or raises `NotAuthenticated`; ``take_view``
    looks at an input once or raises `ObligationNotMet`; ``now`` and ``elapsed`` are the clock's.
    ``naming`` is ``None`` where no sink keeps names, ``shadow`` where nothing looks on.
    ``digest_of`` tells whether an input has changed; ``checks_again`` is false where nothing stops
    a call.
    """

    __slots__ = (
        "backend", "checks_again", "digest_of", "elapsed", "frames", "guard", "identify", "intents",
        "naming", "new_id", "now", "revision", "shadow", "sink", "snapshot", "take_view", "version",
    )  # fmt: skip

    def __init__(
        self,
        *,
        snapshot: Deciding,
        identify: Callable[[float], Identity],
        take_view: Callable[[Any, str], View],
        sink: Recording,
        clock: Clock,
        new_id: Callable[[], str],
        backend: str,
        digest_of: Callable[[View], str] | None = None,
        naming: Naming | None = None,
        shadow: Shadowing | None = None,
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


class Serving(Generic[R]):
    """What serves the calls that begin now: the one reference that a reload swaps.

    A call reads ``runtime`` once, at its start, and ends on what it found there. Storing an
    attribute is one step under threads: whoever reads gets the old rooms or the new ones,
    whole, and after the store has returned nobody gets the old ones any more.
    """

    __slots__ = ("runtime",)

    def __init__(self, runtime: R) -> None:
        self.runtime = runtime


class Served(Protocol):
    """What the flow asks of a `Serving`, whatever else its rooms have."""

    @property
    def runtime(self) -> Runtime:
        """The rooms for a call that begins now."""
        ...


class Target:
    """What is constant over all calls of one protected function, reloads included.

    ``resource``, ``principal`` and ``facts`` may be callables of the call's arguments.
    ``input_name`` is the guarded parameter, ``""`` where there is none. ``streams`` says
    that items leave one by one, so that no obligation can work on the output as a whole.
    """

    __slots__ = (
        "action", "action_id", "facts", "function", "input_name", "principal", "resource",
        "serving", "streams",
    )  # fmt: skip

    def __init__(
        self,
        *,
        serving: Served,
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
