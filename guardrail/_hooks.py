"""The optional parts of the ports: what a plug-in may have besides the required methods.

Each optional part is declared here once, with its default: as a base class from which a plug-in
inherits the defaults (`ObligationBase`, `FactSourceBase`, `SinkBase`), as a protocol that types
it, and as a function by which the package looks it up. A plug-in that inherits from no base class
works the same: a part that it lacks has its default.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar, Final, NamedTuple, Protocol, cast

from guardrail._ports import (
    Authenticator,
    BlockingStep,
    Clock,
    FactContext,
    FactSource,
    ObligationContext,
    ObligationType,
    ProviderContext,
    QuotaCounters,
    SettingsTable,
    Sink,
)
from guardrail.errors import Finding, Place
from guardrail.values import Entity, Identity, Path, Record, RecordAnnotations

#: How the windows of quotas can move.
STRATEGIES: Final = frozenset(("fixed", "moving", "sliding"))


class Stage:
    """When an obligation is met: the lower number first, and by name where numbers are equal.

    The stages up to `INPUT` are before the model, those from `SELECT` on work on its output. An
    obligation without a ``stage`` has `OWN`: it comes after ours before the model, and before
    `REDACT` and `SIGN` on the output.
    """

    RECORD: Final = 100
    SPEND: Final = 200
    RESERVE: Final = 300
    LIMIT_TIME: Final = 400
    INPUT: Final = 500
    SELECT: Final = 1100
    CHECK_OUTPUT: Final = 1200
    MASK: Final = 1300
    LABEL: Final = 1400
    TOP_K: Final = 1500
    ROUND: Final = 1600
    NOISE: Final = 1700
    OWN: Final = 5000
    REDACT: Final = 9000
    SIGN: Final = 9100


class ArgumentChange(NamedTuple):
    """A change of an annotation's argument that makes it demand less, for mutation tests.

    Attributes:
        what: the change in words: ``minute became second``.
        start: where the replaced text starts in the argument, in characters.
        end: where it ends.
        text: what replaces it.
    """

    what: str
    start: int
    end: int
    text: str


class TextFilter(Protocol):
    """One obligation on a text that comes in pieces."""

    def feed(self, text: str, /) -> str:
        """Take the next piece and return what may leave now.

        Raises `ObligationNotMet` where none may.
        """
        ...

    def close(self) -> str:
        """Return what may leave of the text that was held back: the stream has ended."""
        ...


class Carrier(Protocol):
    """Finds and replaces the text in an item of a stream."""

    def text_of(self, item: Any) -> str | None:
        """Return the text of an item, ``None`` where it has none.

        Raises `ObligationNotMet` for items that it does not know.
        """
        ...

    def with_text(self, item: Any, text: str) -> Any:
        """Return a copy of the item that has this text in its place."""
        ...


class StreamingObligation(ObligationType, Protocol):
    """An obligation on the output that can be met piece by piece.

    A call of a generator whose obligations do not all stream is denied (``output_blocked``).
    """

    def stream(self, demand: Any, context: ObligationContext) -> TextFilter | None:
        """Return a filter for the text of one call; ``None`` where there is nothing to filter."""
        ...


class CarryingObligation(ObligationType, Protocol):
    """An obligation that knows where the text is in the items of a stream."""

    def carrier(self, demand: Any) -> Carrier | None:
        """Return what finds the text; ``None`` where the items are texts themselves."""
        ...


class SpendingObligation(ObligationType, Protocol):
    """An obligation whose `admit` takes something that another call then lacks, such as a quota.

    ``spends`` is true. Then `admit` is called once per call. Where the model starts later than the
    call, a call whose input has changed its size in between is denied.
    """

    spends: ClassVar[bool]


class MutableObligation(ObligationType, Protocol):
    """An obligation that knows how its argument can demand less."""

    def mutate(self, argument: str) -> Iterator[ArgumentChange]:
        """Yield changes of an argument that make it demand less.

        ``guardrail test --mutants`` tries each and expects a policy test to fail. Numbers in the
        argument are changed without this hook: do not yield these.
        """
        ...


class ObligationBase:
    """The defaults of an obligation: inherit from it, and write what differs.

    A subclass has at least ``name``, ``on_admit`` or ``on_release``, `parse`, `merge` and
    `describe` (see `ObligationType`). It may have ``stream``, ``carrier`` and ``mutate``, which
    have no default (see `StreamingObligation`, `CarryingObligation`, `MutableObligation`).

    Attributes:
        on_admit: whether `admit` has work to do before the model.
        on_release: whether `release` has work to do on the model's output.
        stage: when the obligation is met among the others: see `Stage`.
        spends: whether `admit` takes something that another call then lacks: see
            `SpendingObligation`.
        subsumes: the names of obligations on the output that are not met where this one is, as
            their demands are met by what this one releases.
        outputs: the kinds of output (``tensor``, ``table``, ``record``, ``list``, ``text``,
            ``messages``) on which it can be met; ``None``: on any. Decorating a function fails
            where an output spec declares another kind.
        keys: keys of inputs that a path in an error may name.
    """

    __slots__ = ()

    on_admit = False
    on_release = False
    stage: int = Stage.OWN
    spends = False
    subsumes: ClassVar[frozenset[str]] = frozenset()
    outputs: ClassVar[frozenset[str] | None] = None
    keys: frozenset[str] = frozenset()

    def release_blocks(self, demand: Any) -> bool:  # noqa: ARG002
        """Return false: `release` and the filters of ``stream`` do not block.

        Where this returns true, a call of a coroutine runs them off the event loop, without the
        caller's context. Called once per decision, not per call.
        """
        return False

    def reads(self, demand: Any) -> tuple[Path, ...]:  # noqa: ARG002
        """Return no path: `admit` reads no value by path."""
        return ()

    def admit(self, demand: Any, context: ObligationContext) -> BlockingStep | None:  # noqa: ARG002
        """Do nothing before the model."""
        return None

    def release(self, demand: Any, output: Any, context: ObligationContext) -> Any:  # noqa: ARG002
        """Return the output as it is."""
        return output


class FactSourceBase:
    """The defaults of a fact source: inherit from it, and write what differs.

    A subclass has at least ``namespace``, ``facts`` and `compute` (see `FactSource`).

    Attributes:
        ranges: the least and the greatest value of whole numbers among the facts, by name. Tests
            then try no value outside, and `guardrail check` finds comparisons that no value meets.
        plain: names of facts whose texts contain nothing from a caller, such as a date. The
            audit keeps these texts as they are, all others as a keyed pseudonym.
    """

    __slots__ = ()

    ranges: Mapping[str, tuple[int, int]] = {}
    plain: frozenset[str] = frozenset()

    def prepare(self, names: frozenset[str]) -> None:
        """Do nothing at load.

        Called when a bundle is loaded, with the names that the policies of one action read.
        """

    def blocks(self, names: frozenset[str]) -> bool:  # noqa: ARG002
        """Return false: computing these facts does not block.

        Called when a bundle is loaded, with the names that the policies of one action read. Where
        this returns true, a call of a coroutine runs `compute` off the event loop, without the
        caller's context. The input, and what `compute` reads of ``context.app``, must be the same
        when the model starts; else the call is denied.
        """
        return False

    def why_absent(self, context: FactContext) -> tuple[str, str]:  # noqa: ARG002
        """Return where in the input, and for want of what, a fact is absent; or two empty texts.

        Called where a policy erred. The denial then names the place.
        """
        return "", ""


class AuthenticatorBase:
    """The defaults of an opened identity provider: inherit from it, and write `authenticate`.

    Attributes:
        entity_types: the entity types of principals and their parents, with their places.
        principal_types: the entity types of principals.
        parent_types: the entity types of their parents.
    """

    entity_types: Mapping[str, Place] = {}
    principal_types: frozenset[str] = frozenset()
    parent_types: frozenset[str] = frozenset()

    def accepts(self, token: str) -> bool:  # noqa: ARG002
        """Return false: no token is one of this provider's."""
        return False

    def authenticate(
        self, credential: Any, now: float, /, *, knows: Callable[[Entity], bool]
    ) -> Identity:
        """Return the identity that a credential proves, or raise `NotAuthenticated`."""
        raise NotImplementedError


class IdentityProviderBase:
    """The defaults of a kind of identity provider: inherit from it, and write what differs.

    A subclass has at least ``kind``, ``settings`` and `open` (see `IdentityProvider`).

    Attributes:
        takes: which credential it takes: a token.
    """

    takes: str = "token"

    def open(self, settings: Any, context: ProviderContext) -> Authenticator:
        """Return the provider of one table."""
        raise NotImplementedError

    def lint(self, settings: Any, table: SettingsTable) -> Iterable[Finding]:  # noqa: ARG002
        """Return no finding."""
        return ()


class QuotaStoreBase:
    """The defaults of a quota store: inherit from it, and write ``name``, `open` and what differs.

    Attributes:
        settings: the pydantic model of the ``[quota]`` table.
        strategies: the strategies that it counts by.
        is_shared: whether several processes count together. `guardrail check` warns where not.
        waits: whether a call to it can wait.
    """

    settings: type[Any] | None = None
    strategies: frozenset[str] = STRATEGIES
    is_shared: bool = True
    waits: bool = True

    def open(self, settings: Any, clock: Clock) -> QuotaCounters:
        """Return the opened store."""
        raise NotImplementedError


class SinkBase:
    """The defaults of a sink: inherit from it, and write `end`.

    Attributes:
        frames: whether `enter` and `leave` are called around the model.
        intents: whether `admit` is called before the model.
        is_traced: whether ``handle.trace`` is set to the trace, span and parent span of the call.

    A sink that makes spans has ``trace_of(handle)``, which returns these three, or ``None``.
    """

    frames = False
    intents = False
    is_traced = False

    def begin(self, guard: str, action: str, function: str) -> Any:  # noqa: ARG002
        """Return no handle."""
        return None

    def enter(self, handle: Any) -> Any:  # noqa: ARG002
        """Do nothing before the model runs."""
        return None

    def leave(self, handle: Any, token: Any) -> None:
        """Do nothing after the model has run."""

    def admit(self, handle: Any, record: Record) -> BlockingStep | None:  # noqa: ARG002
        """Do nothing with a call whose model is about to run."""
        return None

    def end(self, handle: Any, record: Record) -> BlockingStep | None:
        """Take the record of a call that has ended."""
        raise NotImplementedError

    def flush(self, timeout_s: float) -> bool:  # noqa: ARG002
        """Return true: every record is taken when `end` returns."""
        return True


# The look-ups: the only place where an optional part is looked for by its name.


def in_order(types: Iterable[ObligationType]) -> dict[str, ObligationType]:
    """Return obligation types by name, in the order in which a call meets them."""
    ordered = sorted(types, key=lambda kind: (stage_of(kind), kind.name))
    return {kind.name: kind for kind in ordered}


def stage_of(kind: ObligationType) -> int:
    """Return the `Stage` of an obligation; `Stage.OWN` where it has none."""
    return int(getattr(kind, "stage", Stage.OWN))


def spends(kind: ObligationType) -> bool:
    """Whether meeting an obligation takes something that another call then lacks."""
    return bool(getattr(kind, "spends", False))


def subsumed_by(kind: ObligationType) -> Iterable[str]:
    """Return the names of obligations that are not met where this one is."""
    return cast("Iterable[str]", getattr(kind, "subsumes", ()))


def outputs_of(kind: ObligationType) -> frozenset[str] | None:
    """Return the kinds of output on which an obligation can be met; ``None`` for any."""
    return cast("frozenset[str] | None", getattr(kind, "outputs", None))


def release_blocks(kind: ObligationType, demand: Any) -> bool:
    """Return whether meeting an obligation on the output blocks."""
    find = getattr(kind, "release_blocks", None)
    return find is not None and bool(find(demand))


def keys_of(kind: ObligationType) -> frozenset[str]:
    """Return the keys of inputs that an obligation's errors may name."""
    return frozenset(getattr(kind, "keys", ()))


def stream_of(
    kind: ObligationType,
) -> Callable[[Any, ObligationContext], TextFilter | None] | None:
    """Return the ``stream`` of an obligation; ``None`` where it can't be met piece by piece."""
    found: Any = getattr(kind, "stream", None)
    if not callable(found):
        return None
    return cast("Callable[[Any, ObligationContext], TextFilter | None]", found)


def carrier_of(kind: ObligationType, demand: Any) -> Carrier | None:
    """Return what finds the text in the items of a stream; ``None`` where none is named."""
    find = getattr(kind, "carrier", None)
    return None if find is None else cast("Carrier | None", find(demand))


def changes_of(kind: ObligationType, argument: str) -> Iterator[ArgumentChange]:
    """Yield the changes by which an obligation says that its argument demands less."""
    mutate = getattr(kind, "mutate", None)
    if mutate is not None:
        yield from mutate(argument)


def ranges_of(source: FactSource) -> Mapping[str, tuple[int, int]]:
    """Return the least and the greatest value of whole numbers of a source, where it has them."""
    return cast("Mapping[str, tuple[int, int]]", getattr(source, "ranges", {}))


def plain_of(source: FactSource) -> frozenset[str]:
    """Return the names of facts whose texts contain nothing from a caller."""
    return frozenset(getattr(source, "plain", ()))


def prepare(source: FactSource, names: frozenset[str]) -> None:
    """Have a source make ready what it needs for the facts that policies read."""
    ready = getattr(source, "prepare", None)
    if ready is not None:
        ready(names)


def blocks(source: FactSource, names: frozenset[str]) -> bool:
    """Return whether computing some facts of a source blocks."""
    find = getattr(source, "blocks", None)
    return find is not None and bool(find(names))


def giving_back_blocks(notes: RecordAnnotations) -> bool:
    """Return whether giving back what a call has not used blocks."""
    return any(getattr(give, "blocks", False) for give in notes.returns)


def why_absent(source: FactSource, context: FactContext) -> tuple[str, str]:
    """Return where in the input, and for want of what, a source lacks a fact."""
    why = getattr(source, "why_absent", None)
    return ("", "") if why is None else cast("tuple[str, str]", why(context))


def wants_frames(sink: Sink) -> bool:
    """Whether a sink has work around the model; true where it does not say."""
    return bool(getattr(sink, "frames", True))


def wants_intents(sink: Sink) -> bool:
    """Whether a sink takes a call before its model runs."""
    return bool(getattr(sink, "intents", False))


def is_traced(sink: Sink) -> bool:
    """Whether a sink takes the trace, span and parent span of each call."""
    return bool(getattr(sink, "is_traced", False))


def trace_of(sink: Sink) -> Callable[[Any], tuple[str, str, str] | None] | None:
    """Return by what a sink says which spans it has made; ``None`` where it makes none."""
    return cast(
        "Callable[[Any], tuple[str, str, str] | None] | None", getattr(sink, "trace_of", None)
    )


def admit_of(sink: Sink) -> Callable[[Any, Record], BlockingStep | None] | None:
    """Return the ``admit`` of a sink that takes calls before their models; else ``None``."""
    if not wants_intents(sink):
        return None
    return cast("Callable[[Any, Record], BlockingStep | None] | None", getattr(sink, "admit", None))


def flush_of(sink: Sink) -> Callable[[float], bool] | None:
    """Return the ``flush`` of a sink that works later; ``None`` where it has none."""
    return cast("Callable[[float], bool] | None", getattr(sink, "flush", None))
