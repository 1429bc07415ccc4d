"""Canaries: secrets that are planted in a call, and the hunt for them afterwards.

Also the parts of an application that have a secret in their mouths when they raise.
"""

from __future__ import annotations

import pickle
import secrets
import traceback
from collections.abc import Callable
from typing import Any

from guardrail import GuardrailError, GuardUnavailable
from guardrail._ports import FactContext, ObligationNotMet


class Hunt:
    """The canaries, what was seen, and whether the one is in the other."""

    def __init__(self) -> None:
        self.planted: dict[str, str] = {}
        self.seen: list[tuple[str, str]] = []
        self._leaks: set[str] = set()
        self._searched = (0, 0)

    def text(self, where: str) -> str:
        return self.plant(where, f"canary-{secrets.token_hex(8)}")

    def key(self, where: str) -> str:
        return self.plant(where, f"canary key {secrets.token_hex(8)}")

    def whole(self, where: str) -> int:
        number = 10**15 + secrets.randbelow(10**15)
        self.plant(where, str(number))
        return number

    def real(self, where: str) -> float:
        number = 1 + secrets.randbelow(10**12) / 10**12
        self.plant(where, repr(number)[:12])
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
        """Return what leaked. No text is searched twice for the same canary."""
        texts, canaries = self._searched
        for at, (channel, text) in enumerate(self.seen):
            for canary, where in [*self.planted.items()][canaries if at < texts else 0 :]:
                if canary in text:
                    self._leaks.add(f"{where} leaked into {channel}")
        self._searched = len(self.seen), len(self.planted)
        return set(self._leaks)

    def forget(self) -> None:
        """Start anew: nothing is planted, and nothing was seen."""
        for each in (self.planted, self.seen, self._leaks):
            each.clear()
        self._searched = (0, 0)


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
        raise ObligationNotMet("not met") from inner


def deny_in_handler(secret: str) -> Any:
    """Raise one of our own errors from a part that has no business to, with a chain."""
    try:
        raise KeyError(secret)
    except KeyError as inner:
        raise GuardUnavailable("not now") from inner


class OwnFacts:
    namespace = "own"
    facts = frozenset({"value"})

    def __init__(self, compute: Callable[[], Any]) -> None:
        self._compute = compute

    def compute(self, names: frozenset[str], context: FactContext) -> Any:
        return {"value": self._compute()}


class OwnObligation:
    name = "own"
    on_admit = True
    on_release = False

    def __init__(self, admit: Callable[[], Any]) -> None:
        self._admit = admit

    def parse(self, clause: Any) -> str:
        return clause.argument

    def reads(self, demand: str) -> tuple[()]:
        return ()

    def merge(self, one: str, other: str) -> str:
        return max(one, other)

    def describe(self, demand: str) -> str:
        return demand

    def admit(self, demand: str, context: Any) -> Any:
        return self._admit()

    def release(self, demand: str, output: Any, context: Any) -> Any:
        return output


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
