"""Defines the exceptions that guardrail raises, and the faults and findings about a bundle.

A message says what was expected, what arrived (type and path) and what to do. It never contains
the value. Match on the class or on ``code``; texts may change in any release.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

#: The codes of findings, which `guardrail check` reports and `[check] allow` accepts.
FINDINGS: Final = frozenset(
    (
        "GR501", "GR502", "GR503", "GR504", "GR505", "GR506", "GR507", "GR508", "GR509", "GR510",
        "GR511", "GR512", "GR513", "GR514", "GR515", "GR516", "GR517", "GR520", "GR521", "GR522",
        "GR530", "GR531", "GR532", "GR533", "GR534", "GR535", "GR536", "GR540", "GR541", "GR550",
    )
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Place:
    """A position in a bundle: a file, and a line and column counted from 1.

    ``line`` and ``column`` are 0 if the position is the whole file.
    """

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        parts = [self.file]
        if self.line:
            parts.append(str(self.line))
            if self.column:
                parts.append(str(self.column))
        return ":".join(parts)


@dataclass(frozen=True, slots=True)
class Fault:
    """One error in a bundle: a stable code, its place, and a message."""

    code: str
    place: Place
    message: str

    def __str__(self) -> str:
        return f"{self.place} {self.code} {self.message}"


@dataclass(frozen=True, slots=True)
class Finding:
    """One weakness of a bundle that loads. The bundle's author can accept it, by its code.

    ``policy`` is the id of the policy that it concerns; empty if it concerns none.
    """

    code: str
    place: Place
    message: str
    policy: str = ""

    def __post_init__(self) -> None:
        if self.code not in FINDINGS:
            raise ValueError(f"{self.code} is not the code of a finding")

    def __str__(self) -> str:
        return f"{self.place} {self.code} {self.message}"


class GuardrailError(Exception):
    """The base class of all errors of guardrail. ``code`` is stable; the text is for people."""

    code: str = "internal_error"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code


class ConfigurationError(GuardrailError):
    """A bundle or an argument is wrong. Raised before any call.

    ``faults`` has every fault of the bundle with its file, line and column. It is empty if the
    error is in Python code rather than in a bundle.
    """

    code = "configuration"

    def __init__(self, message: str = "", *, faults: tuple[Fault, ...] = ()) -> None:
        super().__init__(message or "\n".join(str(fault) for fault in faults))
        self.faults = faults

    @classmethod
    def at(cls, place: Place, code: str, message: str) -> ConfigurationError:
        """Return the error for a single fault."""
        return cls(faults=(Fault(code, place, message),))

    def __reduce__(self) -> tuple[Any, ...]:
        return (_configuration_error, (self.message, self.faults))


class JournalDamaged(GuardrailError):
    """A part of a journal can't be read. Raised after everything else was read.

    Attributes:
        flaws: what could not be read, each a sentence with its segment and place; the first ones.
        count: how many there are.
    """

    code = "journal_damaged"

    def __init__(self, message: str, *, flaws: tuple[str, ...] = (), count: int = 0) -> None:
        super().__init__(message)
        self.flaws = flaws
        self.count = count


def _configuration_error(message: str, faults: tuple[Fault, ...]) -> ConfigurationError:
    return ConfigurationError(message, faults=faults)


class Denied(GuardrailError):
    """The call is not allowed. Every subclass carries the same attributes.

    Attributes:
        code: one of the stable codes listed in the documentation.
        decision_id: the id of the call's record; empty only if there was no call, as for a
            token that `Guard.acting_as` rejects.
        policies: ids of the policies that decided, in bundle order.
        errors: ids of the policies that could not be evaluated, in bundle order: a grant
            that errs does not grant; a prohibition or condition that errs denies.
        path: the place in the input or in the facts that is wrong, such as
            ``patients[3, 7]`` or ``context.app.purpose``; empty if there is none.
        reason: the ``@reason`` of the first deciding policy that has one, else empty.
        retry_after_s: seconds until the same call can succeed; ``None`` if unknown.
    """

    code = "denied"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        policies: tuple[str, ...] = (),
        errors: tuple[str, ...] = (),
        path: str = "",
        reason: str = "",
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, code=code)
        self.decision_id = ""
        self.policies = policies
        self.errors = errors
        self.path = path
        self.reason = reason
        self.retry_after_s = retry_after_s

    def __reduce__(self) -> tuple[Any, ...]:
        return (_denied, (type(self), self.message, dict(self.__dict__)))


def _denied(cls: type[Denied], message: str, state: dict[str, Any]) -> Denied:
    error = cls(message)
    error.__dict__.update(state)
    return error


class NotAuthenticated(Denied):
    """The caller has no identity, or a credential is not valid."""

    code = "not_authenticated"


class NotAuthorized(Denied):
    """The policies deny the call: no grant matches, a prohibition matches, or a policy errs."""

    code = "no_grant"


class InputRejected(Denied):
    """The input does not meet its spec or exceeds the bounds; ``path`` names the place."""

    code = "input_rejected"


class QuotaExceeded(Denied):
    """A quota is spent; ``retry_after_s`` says when the next call can pass."""

    code = "quota_exceeded"


class OutputBlocked(Denied):
    """The output may not leave: it does not meet an obligation."""

    code = "output_blocked"


class GuardUnavailable(Denied):
    """guardrail could not decide or record the call, so it is denied."""

    code = "internal_error"
