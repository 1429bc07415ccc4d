"""Send each record to all sinks of a guard.

A call is recorded, or it is denied: each sink gets the record even where another sink fails, and
the failure becomes one `GuardUnavailable` that names the sink and the type of the error, never its
text. Where no sink accepts a record, it is logged in one line to ``guardrail.audit``. The flow
calls this at both ends of a call and, if a sink requests it, around each run of the model.
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
from guardrail.audit.log import kind_of, log_unrecorded
from guardrail.errors import ConfigurationError, GuardUnavailable
from guardrail.values import Record

#: The handle of a sink whose `begin` failed for this call.
_UNBEGUN: Final = object()


class FanOutHandle:
    """The handles of one call, one for each sink, and the first failure among the sinks.

    Attributes:
        owns: the sinks' handles.
        failure: the first failure, in words without values; else empty.
    """

    __slots__ = ("failure", "handles")

    def __init__(self) -> None:
        self.handles: list[Any] = []
        self.failure = ""

    def fail(self, sink: Sink, error: Exception) -> None:
        """Keep the first failure, in words without values."""
        self.failure = self.failure or f"{type(sink).__name__} raised {kind_of(error)}"

    def check(self) -> None:
        """Raise `GuardUnavailable` (``audit_unavailable``) if a sink has failed so far.

        `FanOut` calls it outside of an `except` block. The error has no context that it could show.
        """
        if self.failure:
            raise GuardUnavailable(
                f"The call could not be recorded: {self.failure}. Check the audit's sinks.",
                code="audit_unavailable",
            )


class FanOutSink:
    """One sink, with its optional hooks, which are looked up once and not at every call."""

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


class FanOut:
    """A sink that passes each call to several sinks, in order; `leave` calls them in reverse order.

    Sinks that want no frames (`guardrail._ports.Sink`) get no `enter` and no `leave`. Where no sink
    wants frames, `enter` and `leave` need not be called here either, and `begin` raises if a sink
    fails there: nothing has been spent by then. Otherwise `begin` never raises: a sink that fails
    there is left out of this call, `enter` raises before the model runs, and `end` still closes the
    sinks that did begin. Call ``handle.check()`` to learn of a failure before anything is spent.

    A sink that makes spans returns the trace, span and parent span of a call from
    ``trace_of(handle)``; a sink with ``is_traced = True`` gets them as its own handle's ``trace``.

    Arguments:
        sinks: at least one.

    Attributes:
        frames: whether the model's runs must be framed by `enter` and `leave`.
        intents: whether `admit` must be called before the model runs.

    Raises:
        ConfigurationError: if there is no sink; then no call could be recorded.
    """

    __slots__ = ("_framed", "_only", "_parts", "frames", "intents")

    def __init__(self, sinks: tuple[Sink, ...]) -> None:
        if not sinks:
            raise ConfigurationError(
                "A guard needs at least one sink. Leave `sinks` out for spans."
            )
        self._parts = tuple(map(FanOutSink, sinks))
        self._framed = [at for at, part in enumerate(self._parts) if part.frames]
        self.frames = any(part.frames for part in self._parts)
        self.intents = any(part.intents for part in self._parts)
        # The usual case, one sink without frames, has no overhead over the sink itself.
        self._only = sinks[0] if len(sinks) == 1 and not self.frames else None

    def begin(self, guard: str, action: str, function: str) -> Any:
        """Begin a call on every sink; return the handle for the other methods.

        Raises:
            GuardUnavailable: ``audit_unavailable``, if a sink fails and none wants frames.
        """
        if self._only is None:
            return self._begin_all(guard, action, function)
        try:
            return self._only.begin(guard, action, function)
        except Exception as error:  # noqa: BLE001  a sink is foreign code
            failed = FanOutHandle()
            failed.fail(self._only, error)
        failed.check()
        return None

    def _begin_all(self, guard: str, action: str, function: str) -> FanOutHandle:
        handle = FanOutHandle()
        trace: Any = None
        for part in self._parts:
            own: Any = (
                None if not part.frames else _UNBEGUN
            )  # a sink without frames accepts any record
            try:
                own = part.begin(guard, action, function)
                if part.is_traced:
                    if trace is not None:
                        own.trace = trace
                elif trace is None and part.trace_of is not None:
                    trace = part.trace_of(own)
            except Exception as error:  # noqa: BLE001  as above; the other sinks go on
                handle.fail(part.sink, error)
            handle.handles.append(own)
        if not self.frames:
            handle.check()
        return handle

    def check(self, handle: Any) -> None:
        """Raise if a sink failed to begin: before anything is spent on the call.

        Raises:
            GuardUnavailable: ``audit_unavailable``.
        """
        if self._only is None and handle is not None:
            handle.check()

    def admit(self, handle: Any, record: Record) -> BlockingStep | None:
        """Notify the sinks that want intents that the model is about to run.

        Raises:
            GuardUnavailable: ``audit_unavailable``, if a sink fails now or failed before; the model
            must not run.
        """
        if self._only is not None:
            owned = FanOutHandle()
            owned.handles.append(handle)
        else:
            owned = handle
        wait: BlockingStep | None = None
        owned.check()
        for at, part in enumerate(self._parts):
            if part.intents:
                try:
                    held = part.admit(owned.handles[at], record)
                    if held is not None:
                        wait = held if wait is None else _both(wait, held)
                except Exception as error:  # noqa: BLE001  as above
                    owned.fail(part.sink, error)
        owned.check()
        return wait

    def enter(self, handle: FanOutHandle) -> list[Any] | None:
        """Notify every sink that the model is about to run; return the token for `leave`.

        Raises:
            GuardUnavailable: ``audit_unavailable``, if a sink failed to begin or fails now. The
            sinks that had entered have left again; the model must not run.
        """
        if not self.frames:
            return None
        handle.check()
        tokens: list[Any] = []
        for at in self._framed:
            sink = self._parts[at].sink
            try:
                tokens.append(sink.enter(handle.handles[at]))
            except Exception as error:  # noqa: BLE001  as above
                handle.fail(sink, error)
                break
        if handle.failure:
            self.leave(handle, tokens)
            handle.check()
        return tokens

    def leave(self, handle: FanOutHandle, token: list[Any] | None) -> None:
        """Notify every sink that the model has returned, or yielded.

        Raises nothing, since that would hide the model's own exception; `end` reports the failure.
        """
        tokens = token or ()
        for index in range(len(tokens) - 1, -1, -1):  # fewer than began, if one failed to enter
            at = self._framed[index]
            sink = self._parts[at].sink
            try:
                sink.leave(handle.handles[at], tokens[index])
            except Exception as error:  # noqa: BLE001  as above
                handle.fail(sink, error)

    def end(self, handle: Any, record: Record) -> BlockingStep | None:
        """Pass the record to every sink that began the call; return the step to wait for, if any.

        ``handle`` is ``None`` where `begin` raised or was interrupted; then only sinks without
        frames accept the record.

        Raises:
            GuardUnavailable: ``audit_unavailable``, if any sink failed at any step; the model's
                output must not leave.
        """
        if self._only is None:
            return self._end_all(handle or self._unbegun(), record)
        try:
            return self._only.end(handle, record)
        except Exception as error:  # noqa: BLE001  as above
            failed = FanOutHandle()
            failed.fail(self._only, error)
        except BaseException:
            log_unrecorded(record)
            raise
        log_unrecorded(record)
        failed.check()
        return None

    def _unbegun(self) -> FanOutHandle:
        handle = FanOutHandle()
        handle.handles = [_UNBEGUN if part.frames else None for part in self._parts]
        if self.frames:
            handle.failure = "no sink began the call"
        return handle

    def _end_all(self, handle: FanOutHandle, record: Record) -> BlockingStep | None:
        taken = 0
        wait: BlockingStep | None = None
        interruption: BaseException | None = None
        for at, part in enumerate(self._parts):
            own = handle.handles[at]
            if own is _UNBEGUN:
                continue
            try:
                held = part.end(own, record)
                taken += 1
                if held is not None:
                    wait = held if wait is None else _both(wait, held)
            except Exception as error:  # noqa: BLE001  as above
                handle.fail(part.sink, error)
            except BaseException as error:  # noqa: BLE001  raised below, after the other sinks
                interruption = interruption or error
        if not taken:
            handle.failure = handle.failure or "no sink began the call"
            log_unrecorded(record)
        if interruption is not None:
            raise interruption
        handle.check()
        return wait

    def flush(self, timeout_s: float) -> bool:
        """Wait for the sinks that work in the background; return whether all finished in time.

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
    """Return one step that runs the steps of two sinks, one after the other."""
    first, second = one.work, other.work

    def work() -> None:
        try:
            first()
        finally:
            second()

    return BlockingStep(work)
