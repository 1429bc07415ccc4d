"""All exceptions that leave guardrail, and the faults and findings about a bundle.

A message says what was expected, what arrived (type and path) and what to do. It never contains
the value. Match on the class or on ``code``; texts may change in any release.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

#: The codes of findings: what `check` says of a bundle that loads, and `[check] allow` accepts.
FINDINGS: Final = frozenset(
    (
        "GR501", "GR502", "GR503", "GR504", "GR505", "GR506", "GR507", "GR508", "GR509", "GR510",
        "GR511", "GR512", "GR513", "GR514", "GR515", "GR516", "GR517", "GR520", "GR521", "GR522",
        "GR530", "GR531", "GR532", "GR533", "GR534", "GR535", "GR536", "GR540", "GR541", "GR550",
    )
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands in a bundle: a file, and a line and column counted from 1.

    ``line`` and ``column`` are 0 where the whole file is meant.
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
    """One thing that is wrong with a bundle: a stable code, a place, and a sentence."""

    code: str
    place: Place
    message: str

    def __str__(self) -> str:
        return f"{self.place} {self.code} {self.message}"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is weak in a bundle that loads: the bundle's author can accept it, by code.

    ``policy`` is the id of the policy that it is about; empty where it is about none.
    """

    code: str
    place: Place
    message: str
    policy: str = ""

    def __post_init__(self) -> None:
        if self.code not in FINDINGS:
            raise ValueError(f"{self.code} is no code of a finding: an error is never accepted")

    def __str__(self) -> str:
        return f"{self.place} {self.code} {self.message}"


class GuardrailError(Exception):
    """The root of the tree. ``code`` is stable; the text is for people."""

    code: str = "internal_error"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code


class ConfigurationError(GuardrailError):
    """Something is wrong before any call: a bundle, or how a function was protected.

    ``faults`` holds every finding with its file, line and column; it is empty where the
    mistake stands in Python code rather than in a bundle.
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
        decision_id: the id under which the record of this call is kept; empty only
            where no call was made (`Guard.acting_as` refusing a token).
        policies: ids of the policies that decided, in bundle order.
        errors: ids of the policies that could not be evaluated, in bundle order: a grant
            that errs does not grant; a prohibition or condition that errs denies.
        path: the place in the input or in the facts that was refused, such as
            ``patients[3, 7]`` or ``context.app.purpose``; empty where none applies.
        reason: the ``@reason`` of the first deciding policy that has one, else empty.
        retry_after_s: seconds until the same call can succeed; ``None`` where unknown.
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
    """Nobody is known to be calling, or what they brought does not hold."""

    code = "not_authenticated"


class NotAuthorized(Denied):
    """The policies do not allow this call: no grant, a prohibition, or an error in one."""

    code = "no_grant"


class InputRejected(Denied):
    """What came in does not meet its spec or the bounds; ``path`` names the place."""

    code = "input_rejected"


class QuotaExceeded(Denied):
    """A quota is spent; ``retry_after_s`` says when the next call can pass."""

    code = "quota_exceeded"


class OutputBlocked(Denied):
    """The model ran, or would have, and its output may not leave as it is."""

    code = "output_blocked"


class GuardUnavailable(Denied):
    """guardrail could not decide, or could not record. It counts as a denial."""

    code = "internal_error"
