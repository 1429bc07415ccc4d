# cython: auto_pickle=True
"""The immutable values that all packages share: principals, entities, decisions, records.

This module does no I/O, reads no clock, and imports only the errors.

Cython compiles this file with ``values.pxd``; it also runs as plain Python. The ``.pxd`` declares
the fields that every call reads. A declared class can't have ``slots=True``, and does not need it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, ItemsView, Iterable, Iterator, Mapping, ValuesView
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple, TypeAlias, TypeVar

from guardrail._core import Entity as Entity  # noqa: PLC0414  (so that mypy sees an export)
from guardrail._core import View as View  # noqa: PLC0414
from guardrail.errors import ConfigurationError, Place

K = TypeVar("K")
V = TypeVar("V")

#: What a Cedar value can be made from: see `guardrail.policy.schema.to_cedar`.
FactValue: TypeAlias = Any


class Auto:
    """The type of `AUTO`, the default of an argument that was not given."""

    def __repr__(self) -> str:
        return "AUTO"


#: What is left to us: the guarded parameter is the function's only one, the journal is where the
#: bundle says.
AUTO: Final = Auto()


# By identity: the metaclass of a type may call it equal to any other.
_ATOMS: Final = frozenset(map(id, (str, int, bool, float, type(None))))


class Frozen(Mapping[K, V]):
    """A mapping that cannot be changed once made.

    >>> Frozen({"a": 1})["a"]
    1
    """

    __slots__ = ("_items",)

    def __init__(self, items: Mapping[K, V] | None = None) -> None:
        object.__setattr__(self, "_items", dict(items or {}))

    def __getitem__(self, key: K) -> V:
        return self._items[key]  # type: ignore[attr-defined,no-any-return]

    def __iter__(self) -> Iterator[K]:
        return iter(self._items)  # type: ignore[attr-defined]

    def __len__(self) -> int:
        return len(self._items)  # type: ignore[attr-defined]

    # The dict's own views: they change nothing, and cost a tenth of the ones inherited.

    def items(self) -> ItemsView[K, V]:
        """Return a view of the items."""
        return self._items.items()  # type: ignore[attr-defined,no-any-return]

    def values(self) -> ValuesView[V]:
        """Return a view of the values."""
        return self._items.values()  # type: ignore[attr-defined,no-any-return]

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen")

    def __repr__(self) -> str:
        return f"Frozen({list(self)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return (Frozen, (dict(self),))


def frozen(value: FactValue) -> FactValue:
    """Return an immutable fact value: tuples for lists, `Frozen` for dicts."""
    if id(type(value)) in _ATOMS:
        return value
    if type(value) is dict or isinstance(value, Mapping):
        made: Frozen[Any, Any] = Frozen.__new__(Frozen)  # its own copy is made right here
        items = {key: frozen(item) for key, item in value.items()}
        object.__setattr__(made, "_items", items)
        return made
    if isinstance(value, list | tuple):
        return tuple(frozen(item) for item in value)
    if isinstance(value, set):
        return frozenset(value)
    return value


class Resource(Entity):
    """What a call acts on, such as a model: ``Resource("Model", "tumour")``.

    A ``resource=`` callable returns one. It must be an entity of the bundle.
    """

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Authentication:
    """The sign-in facts that the application gives with a `Principal`."""

    issuer: str = ""
    mfa: bool = False
    scopes: frozenset[str] | None = None
    actor: str = ""
    authenticated_at: float | None = None
    expires_at: float | None = None

    def __repr__(self) -> str:
        return "Authentication()"


class Principal:
    """Who calls, as authenticated by the application.

    The sign-in facts that the application gives become ``context.identity``; the others are absent
    there. ``provider`` and ``method`` are always ``"application"``, so that a policy can tell these
    principals from those of a token.

    Arguments:
        type: the Cedar entity type, such as ``"User"``.
        id: the entity id; any text without lone surrogates.
        parents: the groups and roles of the principal, each an `Entity`.
        attrs: attribute values (``str``, ``int``, ``bool``, ``Decimal``, ``datetime``,
            ``timedelta``, IP addresses, `Entity`, and lists and dicts of these). They are copied,
            so that a later change has no effect.
        issuer: who signed the caller in.
        mfa: whether they proved more than one factor.
        scopes: the scopes that they were granted (RFC 6749 §3.3): any number of names; ``None``
            if unknown.
        actor: who acts for them (RFC 8693 §4.1); empty if nobody does.
        authenticated_at: when they signed in, in seconds since the epoch.
        expires_at: until when all this holds, likewise; calls from then on are denied.

    The repr shows the type only: ids are personal data.

    Raises:
        ConfigurationError: if a value has another type, or a time is not finite.
    """

    __slots__ = ("attrs", "authentication", "id", "parents", "type")

    type: str
    id: str
    parents: tuple[Entity, ...]
    attrs: Frozen[str, FactValue]
    authentication: Authentication | None

    def __init__(
        self,
        type: str,
        id: str,
        *,
        parents: tuple[Entity, ...] | list[Entity] = (),
        attrs: Mapping[str, FactValue] | None = None,
        issuer: str = "",
        mfa: bool = False,
        scopes: Iterable[str] | None = None,
        actor: str = "",
        authenticated_at: float | None = None,
        expires_at: float | None = None,
    ) -> None:
        if not isinstance(type, str):
            raise _wrong_type("type", "text", type)
        if not isinstance(id, str):
            raise _wrong_type("id", "text", id)
        given: Any = parents  # whatever it is declared to be
        if isinstance(given, _NO_PARENTS):
            raise _wrong_type("parents", "a list of `Entity`", parents)
        groups = _parents(given)
        if attrs is not None and not isinstance(attrs, Mapping):
            raise _wrong_type("attrs", "a dict of attributes by name", attrs)
        put = object.__setattr__
        put(self, "type", type)
        put(self, "id", id)
        put(self, "parents", groups)
        put(self, "attrs", frozen(attrs or {}))
        sign_in = (issuer, mfa, scopes, actor, authenticated_at, expires_at)
        put(self, "authentication", None if sign_in == _NO_SIGN_IN else _authentication(sign_in))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("a Principal is frozen")

    @property
    def uid(self) -> Entity:
        """The principal's uid, as an `Entity`."""
        return Entity(self.type, self.id)

    def __repr__(self) -> str:
        return f"Principal(type={self.type!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        sign_in = self.authentication
        return (_principal, (self.type, self.id, self.parents, dict(self.attrs), sign_in))


def _wrong_type(name: str, wanted: str, got: object) -> ConfigurationError:
    return ConfigurationError(
        f"A principal's `{name}` must be {wanted}, got {got.__class__.__name__}."
    )


def _parents(given: Any) -> tuple[Entity, ...]:
    """Return the parents of a principal, each of them an `Entity`."""
    if not isinstance(given, Iterable):
        raise _wrong_type("parents", "a list of `Entity`", given)
    parents = tuple(given)
    for index, parent in enumerate(parents):
        if not isinstance(parent, Entity):
            raise ConfigurationError(
                f'`parents[{index}]`: expected an Entity, such as Entity("Role", "agent"); '
                f"got {parent.__class__.__name__}."
            )
    return parents


def _principal(
    type: str,
    id: str,
    parents: tuple[Entity, ...],
    attrs: dict[str, FactValue],
    sign_in: Authentication | None = None,
) -> Principal:
    principal = Principal(type, id, parents=parents, attrs=attrs)
    object.__setattr__(principal, "authentication", sign_in)
    return principal


#: Types that could be mistaken for several parents. A union that is written in place would be built
#: at every call.
_NO_PARENTS: Final = (Entity, str)
#: The sign-in facts of a `Principal` without any.
_NO_SIGN_IN: Final = ("", False, None, "", None, None)


def _authentication(sign_in: tuple[object, ...]) -> Authentication:
    """Return the checked sign-in facts of an application; raise `ConfigurationError`."""
    issuer, mfa, scopes, actor, at, until = sign_in
    for name, value in (("issuer", issuer), ("actor", actor)):
        if not isinstance(value, str):
            raise _misfit(name, "a text", value)
    if not isinstance(mfa, bool):
        raise _misfit("mfa", "True or False", mfa)
    names: frozenset[str] | None = None
    if scopes is not None:
        if isinstance(scopes, str | bytes | Mapping) or not isinstance(scopes, Iterable):
            raise _misfit("scopes", "a collection of texts", scopes)
        items = tuple(scopes)
        for item in items:
            if not isinstance(item, str) or not item:
                raise _misfit("scopes", "non-empty texts", item)
        names = frozenset([str(item) for item in items])
    times: list[float | None] = []
    for name, value in (("authenticated_at", at), ("expires_at", until)):
        if value is None:
            times.append(None)
        elif isinstance(value, bool) or not isinstance(value, int | float):
            raise _misfit(name, "seconds since the epoch", value)
        elif not math.isfinite(value):
            raise ConfigurationError(f"A principal's `{name}` must be a finite number of seconds.")
        else:
            times.append(float(value))
    return Authentication(
        str(issuer), mfa, names, str(actor), authenticated_at=times[0], expires_at=times[1]
    )


def _misfit(name: str, expected: str, value: object) -> ConfigurationError:
    return ConfigurationError(
        f"A principal's `{name}` must be {expected}, got {type(value).__name__}."
    )


@dataclass(frozen=True, slots=True)
class Peer:
    """What is known about the connection of a call; ``None`` for what is unknown.

    Attributes:
        tls: whether it is encrypted and the caller has verified this server.
        ip: the peer's address, as text.
        certificate_subject: the subject of the peer's verified certificate (RFC 4514).
        certificate_sha256: the sha256 of that certificate in DER: 64 hexadecimal digits.
    """

    tls: bool | None = None
    ip: str | None = None
    certificate_subject: str | None = None
    certificate_sha256: str | None = None

    def __repr__(self) -> str:
        return f"Peer(tls={self.tls!r})"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a machine's attestation says, once it was verified; ``None`` for what it leaves out.

    Attributes:
        platform: the hardware's kind, such as ``"amd_sev_snp"``.
        measurement: what runs there: a digest in hexadecimal digits.
        debug: whether the machine can be looked into.
        issued_at: seconds since the epoch.
        expires_at: seconds since the epoch: until then it holds.
        verified_at: seconds since the epoch, by our clock: before that, it does not hold either;
            where it is left out, not before ``issued_at``.
    """

    platform: str | None = None
    measurement: str | None = None
    debug: bool | None = None
    issued_at: float | None = None
    expires_at: float | None = None
    verified_at: float | None = field(default=None, compare=False)

    def __repr__(self) -> str:
        return f"Evidence(platform={self.platform!r})"


@dataclass(frozen=True)
class Identity:
    """A principal, and how we know that it is this one.

    Times are seconds since the epoch, by the injected clock; ``None`` where the application
    vouches and no token says. ``scopes`` are a token's (RFC 8693 §4.2), ``None`` where no token
    says. ``subject``, ``token_id`` and ``issued_at`` are what a revocation names. ``peer`` and
    ``evidence`` are of the connection and the caller's machine, not of the principal.
    """

    principal: Principal
    provider: str = "application"
    issuer: str = ""
    method: str = "application"
    mfa: bool = False
    authenticated_at: float | None = None
    expires_at: float | None = None
    delegated: bool = False
    actor: str = ""
    scopes: frozenset[str] | None = None
    subject: str = ""
    token_id: str = ""
    issued_at: float | None = None
    peer: Peer | None = None
    evidence: Evidence | None = None

    def __repr__(self) -> str:
        return f"Identity(provider={self.provider!r}, method={self.method!r})"


def vouched_for(principal: Principal, *, peer: Peer | None = None) -> Identity:
    """Return the identity of a principal that the application vouches for."""
    sign_in = principal.authentication
    if sign_in is None:
        return Identity(principal, peer=peer)
    return Identity(
        principal,
        issuer=sign_in.issuer,
        mfa=sign_in.mfa,
        authenticated_at=sign_in.authenticated_at,
        expires_at=sign_in.expires_at,
        delegated=bool(sign_in.actor),
        actor=sign_in.actor,
        scopes=sign_in.scopes,
        peer=peer,
    )


#: The view of a call without a guarded input.
NO_INPUT: Final = View("none")


@dataclass(frozen=True, slots=True)
class Path:
    """A path that an annotation or a policy reads: ``principal.tenant`` or ``context.app.x``.

    ``root`` is ``principal``, ``resource`` or ``context``; ``attrs`` the steps below it.
    """

    root: str
    attrs: tuple[str, ...] = ()

    def __str__(self) -> str:
        return ".".join((self.root, *self.attrs))


@dataclass(frozen=True, slots=True)
class Clause:
    """One annotation of one policy, as it stands: what an obligation type parses.

    ``place`` is where the annotation's name stands; ``policy`` the ``@id`` of its policy.
    """

    policy: str
    name: str
    argument: str
    place: Place


@dataclass(frozen=True)
class Obligation:
    """A demand on a call: the merged demands of all conditions that matched, by name.

    ``demand`` is whatever the obligation's type made of the annotation, and ``policies``
    are the ids of the conditions that demand it.
    """

    name: str
    demand: Any
    policies: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PolicyError:
    """A policy whose evaluation erred: its id and a code. Cedar's own text is never kept."""

    policy: str
    code: str = "evaluation_error"


@dataclass(frozen=True)
class Decision:
    """The decision of the policies on one request.

    Attributes:
        allowed: whether a grant matches, no prohibition matches, and no policy that could forbid
            erred. The obligations must still be met.
        code: ``"allow"``, or the stable code of the denial.
        policies: ids of the deciding policies: the grants of an allow, the prohibitions
            or the erring policies of a denial; in bundle order.
        obligations: the merged obligations, in the order in which the flow applies them.
        errors: every policy that erred, whatever its effect.
        reason: the ``@reason`` of the first deciding policy that has one.
        path: for ``bad_fact`` and the like, the path of the value that was refused.
        message: for a denial, the sentence for the caller.
        revision: the digest of the snapshot that decided.
        decision_id: the id of the call, or of this dry run.
    """

    allowed: bool
    code: str
    policies: tuple[str, ...] = ()
    obligations: tuple[Obligation, ...] = ()
    errors: tuple[PolicyError, ...] = ()
    reason: str = ""
    path: str = ""
    message: str = ""
    revision: str = ""
    decision_id: str = ""


#: How a call ended. ``denied`` and ``blocked`` carry a code. ``admitted``: not yet ended, the
#: model is about to run.
Outcome: TypeAlias = Literal[
    "admitted", "released", "denied", "blocked", "raised", "cancelled", "abandoned"
]


class Record(NamedTuple):
    """The record of one call. It never contains inputs, outputs, claims or messages.

    It is a named tuple, because every call makes one: a frozen dataclass costs ten times as much.

    ``started_at`` is in seconds since the epoch; the durations are in seconds.
    ``error_type`` is the class name of an exception that the model raised, or that a step
    of ours raised (then ``code`` is ``internal_error``). ``cached`` says whether the decision
    had been made before, on equal facts; ``None`` where nothing was decided.

    What names somebody or something is there only where the audit asks for it, and in its words:
    ``principal`` is a keyed pseudonym (or the id itself, by choice), ``resource`` the id of a
    thing that the bundle knows (else a pseudonym), ``facts`` those that the audit keeps,
    ``input_digest`` and ``output_digest`` keyed digests. ``counts`` says how much of something
    was used or found, by a name that only policies choose: ``quota/fair-use/calls``,
    ``redact/email``. Before these stands in what a shadow decided otherwise:
    ``shadow/denies/prohibited/at-night-only``, see `guardrail.policy.Shadow`. ``demands`` has a
    short digest of what each of the ``obligations`` demanded, in their order: who decides the call
    again sees by it that a demand is another one.
    """

    decision_id: str
    parent_decision_id: str
    guard: str
    version: str
    revision: str
    backend: str
    function: str
    action: str
    principal_type: str
    resource_type: str
    outcome: Outcome
    code: str
    stage: str
    policies: tuple[str, ...]
    obligations: tuple[str, ...]
    errors: tuple[str, ...]
    path: str
    rows: int
    input_bytes: int
    started_at: float
    admit_s: float
    model_s: float
    release_s: float
    error_type: str
    cached: bool | None = None
    principal: str = ""
    resource: str = ""
    facts: tuple[tuple[str, FactValue], ...] = ()
    counts: tuple[tuple[str, int], ...] = ()
    output_rows: int = 0
    output_bytes: int = 0
    input_digest: str = ""
    output_digest: str = ""
    demands: tuple[str, ...] = ()


class RecordAnnotations:
    """What the obligations of one call note for its record, while it goes on.

    Attributes:
        counts: how much of something was used or found, by name: ``quota/fair-use/calls``.
        facts: values that a policy demands to be kept, by their paths.
        returns: what gives back that of it which a call has not used whose model never runs,
            and returns the counts that are gone with it. One that blocks has an attribute
            ``blocks`` that is true: a call of a coroutine runs it off the event loop.
    """

    __slots__ = ("counts", "facts", "returns")

    def __init__(self) -> None:
        self.counts: tuple[tuple[str, int], ...] = ()
        self.facts: dict[str, FactValue] | None = None
        self.returns: tuple[Callable[[], tuple[tuple[str, int], ...]], ...] = ()

    def count(self, name: str, amount: int) -> None:
        """Add an amount to a count. The name must never hold what a caller brought."""
        self.add(((name, amount),))

    def add(self, counts: tuple[tuple[str, int], ...]) -> None:
        """Add amounts to several counts, each named once. One call's first are kept as they are.

        So what most calls count alike is one tuple for all of them.
        """
        if not self.counts:
            self.counts = counts
            return
        both = dict(self.counts)
        for name, amount in counts:
            both[name] = both.get(name, 0) + amount
        self.counts = tuple(both.items())

    def give_back(self) -> None:
        """Give back, once, what the call has not used: its model does not run."""
        returns, self.returns = self.returns, ()
        for give in returns:
            left = dict(self.counts)
            for name, amount in give():
                left[name] = left.get(name, 0) - amount
            self.counts = tuple([pair for pair in left.items() if pair[1] > 0])

    def keep(self, path: str, value: FactValue) -> None:
        """Keep the value at a path."""
        if self.facts is None:
            self.facts = {}
        self.facts[path] = value
