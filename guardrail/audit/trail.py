"""All sinks as one: what the flow hands its records to.

Owns the rule that every call is recorded, or denied. Each sink gets the record even where
another fails; what any of them raises becomes one `GuardUnavailable` that names the sink
and the type of the error, never its text. Where no sink took a record, one line in the log
``guardrail.audit`` is the last resort. Refuses to be empty. In the flow it stands at both
ends of a call and around the model.
"""

from __future__ import annotations

import json
import logging
from typing import Any, Final

from guardrail.audit.attributes import attributes
from guardrail.errors import ConfigurationError, GuardUnavailable
from guardrail.ports import Sink
from guardrail.values import Record

_log: Final = logging.getLogger("guardrail.audit")


class Handle:
    """One call's own handles, by the sinks that began it, and the first failure among them."""

    __slots__ = ("begun", "failure")

    def __init__(self) -> None:
        self.begun: list[tuple[Sink, Any]] = []
        self.failure = ""

    def fail(self, sink: Sink, error: Exception) -> None:
        """Keep the first failure, as words without values."""
        self.failure = self.failure or f"{type(sink).__name__} raised {type(error).__name__}"

    def check(self) -> None:
        """Raise `GuardUnavailable` (``audit_unavailable``) where a sink has failed so far.

        `Trail` calls it while it handles no error, so that none is chained.
        """
        if self.failure:
            raise GuardUnavailable(
                f"The call could not be recorded: {self.failure}. See to the audit's sinks.",
                code="audit_unavailable",
            )


class Trail:
    """A sink of sinks, in order; `leave` goes through them in reverse.

    `begin` never raises: a sink that fails there is left out of this call, `enter` raises
    before the model runs, and `end` still closes the sinks that did begin. Whoever wants to
    know before anything is spent calls ``handle.check()``.

    Arguments:
        sinks: at least one.

    Raises:
        ConfigurationError: where there is none; then no call could be recorded.
    """

    __slots__ = ("_sinks",)

    def __init__(self, sinks: tuple[Sink, ...]) -> None:
        if not sinks:
            raise ConfigurationError(
                "A guard needs at least one sink. Leave `sinks` out for spans."
            )
        self._sinks = tuple(sinks)

    def begin(self, guard: str, action: str, function: str) -> Handle:
        """Begin a call on every sink; return the handle for the other three."""
        handle = Handle()
        for sink in self._sinks:
            try:
                handle.begun.append((sink, sink.begin(guard, action, function)))
            except Exception as error:  # noqa: BLE001  a sink is foreign code, the others go on
                handle.fail(sink, error)
        return handle

    def enter(self, handle: Handle) -> list[Any]:
        """Tell every sink that the model is about to run; return the token for `leave`.

        Raises:
            GuardUnavailable: ``audit_unavailable``, where a sink failed to begin or fails
                now. Those that had entered have left again; the model must not run.
        """
        handle.check()
        tokens: list[Any] = []
        for sink, own in handle.begun:
            try:
                tokens.append(sink.enter(own))
            except Exception as error:  # noqa: BLE001  as above
                handle.fail(sink, error)
                break
        if handle.failure:
            self.leave(handle, tokens)
            handle.check()
        return tokens

    def leave(self, handle: Handle, token: list[Any]) -> None:
        """Tell every sink that the model has returned, or yielded.

        Raises nothing, for it would hide what the model raised; `end` reports it.
        """
        for index in range(len(token) - 1, -1, -1):  # fewer than began, where one failed to enter
            sink, own = handle.begun[index]
            try:
                sink.leave(own, token[index])
            except Exception as error:  # noqa: BLE001  as above
                handle.fail(sink, error)

    def end(self, handle: Handle | None, record: Record) -> None:
        """Hand the record to every sink that began the call.

        ``handle`` is ``None`` where `begin` was interrupted; then no sink can take it.

        Raises:
            GuardUnavailable: ``audit_unavailable``, where any sink failed at any step; what
                the model returned must not leave.
        """
        handle = Handle() if handle is None else handle
        taken = 0
        interruption: BaseException | None = None
        for sink, own in handle.begun:
            try:
                sink.end(own, record)
                taken += 1
            except Exception as error:  # noqa: BLE001  as above
                handle.fail(sink, error)
            except BaseException as error:  # noqa: BLE001  raised below: first the other sinks
                interruption = interruption or error
        if not taken:
            handle.failure = handle.failure or "no sink began the call"
            # JSON in ASCII: no text of a caller's can break the line.
            _log.error("no sink took this record: %s", json.dumps(attributes(record)))
        if interruption is not None:
            raise interruption
        handle.check()
