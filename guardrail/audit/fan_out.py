"""All sinks as one: what the flow hands its records to.

Owns the rule that every call is recorded, or denied. Each sink gets the record even where
another fails; what any of them raises becomes one `GuardUnavailable` that names the sink
and the type of the error, never its text. Where no sink took a record, one line in the log
``guardrail.audit`` is the last resort. Refuses to be empty. In the flow it stands at both
ends of a call and, where a sink asks for it, around the model.
"""

from __future__ import annotations

from typing import Any, Final

from guardrail._hooks import (
    admit_of,
    flush_of,
    is_traced,
    trace_of,
    wants_frames,
    wants_intents,
)
from guardrail._ports import BlockingStep, Sink
from guardrail.audit.log import kind_of, log_untaken
from guardrail.errors import ConfigurationError, GuardUnavailable
from guardrail.values import Record

#: In the place of the handle of a sink that has none for a call: it failed to begin it.
_UNBEGUN: Final = object()


class Handle:
    """One call's own handles, one for each part of the trail, and the first failure among them.

    Attributes:
        owns: the sinks' handles.
        failure: the first failure, in words without values; else empty.
    """

    __slots__ = ("failure", "owns")

    def __init__(self) -> None:
        self.owns: list[Any] = []
        self.failure = ""

    def fail(self, sink: Sink, error: Exception) -> None:
        """Keep the first failure, as words without values."""
        self.failure = self.failure or f"{type(sink).__name__} raised {kind_of(error)}"

    def check(self) -> None:
        """Raise `GuardUnavailable` (``audit_unavailable``) where a sink has failed so far.

        `Trail` calls it while it handles no error, so that none is chained.
        """
        if self.failure:
            raise GuardUnavailable(
                f"The call could not be recorded: {self.failure}. See to the audit's sinks.",
                code="audit_unavailable",
            )


class Part:
    """A sink of a trail, and what it wants: asked once, not at every call."""

    __slots__ = ("admit", "begin", "end", "frames", "intents", "is_traced", "sink", "trace_of")

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self.begin = sink.begin
        self.end = sink.end
        self.frames = wants_frames(sink)
        self.intents = wants_intents(sink)
        self.admit: Any = admit_of(sink)
        self.is_traced = is_traced(sink)
        self.trace_of = trace_of(sink)


class Trail:
    """A sink of sinks, in order; `leave` goes through them in reverse.

    Sinks that want no frames (`guardrail._ports.Sink`) get no `enter` and no `leave`. Where
    none wants them, these two need not be called on the trail either, and `begin` raises
    where a sink fails there: nothing has been spent by then. Otherwise `begin` never raises:
    a sink that fails there is left out of this call, `enter` raises before the model runs,
    and `end` still closes the sinks that did begin. Whoever wants to know before anything is
    spent calls ``handle.check()``.

    Arguments:
        sinks: at least one.

    A sink that makes spans says with ``trace_of(handle)`` which trace, span and parent span a
    call has; one with ``is_traced = True`` is told so, by its own handle's ``trace``.

    Attributes:
        frames: whether the model's runs must stand between `enter` and `leave`.
        intents: whether `admit` must stand before the model.

    Raises:
        ConfigurationError: where there is none; then no call could be recorded.
    """

    __slots__ = ("_framed", "_only", "_parts", "frames", "intents")

    def __init__(self, sinks: tuple[Sink, ...]) -> None:
        if not sinks:
            raise ConfigurationError(
                "A guard needs at least one sink. Leave `sinks` out for spans."
            )
        self._parts = tuple(map(Part, sinks))
        self._framed = [at for at, part in enumerate(self._parts) if part.frames]
        self.frames = any(part.frames for part in self._parts)
        self.intents = any(part.intents for part in self._parts)
        # The usual case, one sink without frames, costs a call what the sink costs and no more.
        self._only = sinks[0] if len(sinks) == 1 and not self.frames else None

    def begin(self, guard: str, action: str, function: str) -> Any:
        """Begin a call on every sink; return the handle for the other three.

        Raises:
            GuardUnavailable: ``audit_unavailable``, where a sink fails and none wants frames.
        """
        if self._only is None:
            return self._begin_all(guard, action, function)
        try:
            return self._only.begin(guard, action, function)
        except Exception as error:  # noqa: BLE001  a sink is foreign code
            failed = Handle()
            failed.fail(self._only, error)
        failed.check()
        return None

    def _begin_all(self, guard: str, action: str, function: str) -> Handle:
        handle = Handle()
        trace: Any = None
        for part in self._parts:
            own: Any = None if not part.frames else _UNBEGUN  # without, it can take any record
            try:
                own = part.begin(guard, action, function)
                if part.is_traced:
                    if trace is not None:
                        own.trace = trace
                elif trace is None and part.trace_of is not None:
                    trace = part.trace_of(own)
            except Exception as error:  # noqa: BLE001  as above, and the others go on
                handle.fail(part.sink, error)
            handle.owns.append(own)
        if not self.frames:
            handle.check()
        return handle

    def check(self, handle: Any) -> None:
        """Raise where a sink failed to begin: before anything is spent on the call.

        Raises:
            GuardUnavailable: ``audit_unavailable``.
        """
        if self._only is None and handle is not None:
            handle.check()

    def admit(self, handle: Any, record: Record) -> BlockingStep | None:
        """Tell the sinks that ask for it that the model is about to run.

        Raises:
            GuardUnavailable: ``audit_unavailable``, where one of them fails, or some sink
                failed before; the model must not run.
        """
        if self._only is not None:
            owned = Handle()
            owned.owns.append(handle)
        else:
            owned = handle
        wait: BlockingStep | None = None
        owned.check()
        for at, part in enumerate(self._parts):
            if part.intents:
                try:
                    held = part.admit(owned.owns[at], record)
                    if held is not None:
                        wait = held if wait is None else _both(wait, held)
                except Exception as error:  # noqa: BLE001  as above
                    owned.fail(part.sink, error)
        owned.check()
        return wait

    def enter(self, handle: Handle) -> list[Any] | None:
        """Tell every sink that the model is about to run; return the token for `leave`.

        Raises:
            GuardUnavailable: ``audit_unavailable``, where a sink failed to begin or fails
                now. Those that had entered have left again; the model must not run.
        """
        if not self.frames:
            return None
        handle.check()
        tokens: list[Any] = []
        for at in self._framed:
            sink = self._parts[at].sink
            try:
                tokens.append(sink.enter(handle.owns[at]))
            except Exception as error:  # noqa: BLE001  as above
                handle.fail(sink, error)
                break
        if handle.failure:
            self.leave(handle, tokens)
            handle.check()
        return tokens

    def leave(self, handle: Handle, token: list[Any] | None) -> None:
        """Tell every sink that the model has returned, or yielded.

        Raises nothing, for it would hide what the model raised; `end` reports it.
        """
        tokens = token or ()
        for index in range(len(tokens) - 1, -1, -1):  # fewer than began, where one failed to enter
            at = self._framed[index]
            sink = self._parts[at].sink
            try:
                sink.leave(handle.owns[at], tokens[index])
            except Exception as error:  # noqa: BLE001  as above
                handle.fail(sink, error)

    def end(self, handle: Any, record: Record) -> BlockingStep | None:
        """Hand the record to every sink that began the call; return what is to be waited for.

        ``handle`` is ``None`` where `begin` raised or was interrupted; then only sinks
        without frames can take it.

        Raises:
            GuardUnavailable: ``audit_unavailable``, where any sink failed at any step; what
                the model returned must not leave.
        """
        if self._only is None:
            return self._end_all(handle or self._unbegun(), record)
        try:
            return self._only.end(handle, record)
        except Exception as error:  # noqa: BLE001  as above
            failed = Handle()
            failed.fail(self._only, error)
        except BaseException:
            log_untaken(record)
            raise
        log_untaken(record)
        failed.check()
        return None

    def _unbegun(self) -> Handle:
        handle = Handle()
        handle.owns = [_UNBEGUN if part.frames else None for part in self._parts]
        if self.frames:
            handle.failure = "no sink began the call"
        return handle

    def _end_all(self, handle: Handle, record: Record) -> BlockingStep | None:
        taken = 0
        wait: BlockingStep | None = None
        interruption: BaseException | None = None
        for at, part in enumerate(self._parts):
            own = handle.owns[at]
            if own is _UNBEGUN:
                continue
            try:
                held = part.end(own, record)
                taken += 1
                if held is not None:
                    wait = held if wait is None else _both(wait, held)
            except Exception as error:  # noqa: BLE001  as above
                handle.fail(part.sink, error)
            except BaseException as error:  # noqa: BLE001  raised below: first the other sinks
                interruption = interruption or error
        if not taken:
            handle.failure = handle.failure or "no sink began the call"
            log_untaken(record)
        if interruption is not None:
            raise interruption
        handle.check()
        return wait

    def flush(self, timeout_s: float) -> bool:
        """Wait for the sinks that work later; say whether all were done in time.

        Arguments:
            timeout_s: how long to wait for each of them at most, in seconds.
        """
        is_done = True
        for part in self._parts:
            flush = flush_of(part.sink)
            if flush is not None:
                is_done = bool(flush(timeout_s)) and is_done
        return is_done


def _both(one: BlockingStep, other: BlockingStep) -> BlockingStep:
    """Return what two sinks wait for, one after the other."""
    first, second = one.work, other.work

    def work() -> None:
        try:
            first()
        finally:
            second()

    return BlockingStep(work)
