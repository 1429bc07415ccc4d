"""Policy-as-code for machine-learning inference, in the process that runs the model.

Facts in, Cedar decides, obligations out, everything recorded. Start with `Guard.from_dir`.

The public modules are this one, `guardrail.extensions`, `guardrail.testing` and the modules of
`guardrail.integrations`. All other modules are internal, and change without notice.
"""

from typing import TYPE_CHECKING, Any

from guardrail._version import __version__
from guardrail.errors import (
    ConfigurationError,
    Denied,
    Fault,
    GuardrailError,
    GuardUnavailable,
    InputRejected,
    NotAuthenticated,
    NotAuthorized,
    OutputBlocked,
    Place,
    QuotaExceeded,
)
from guardrail.guard import Guard
from guardrail.runtime.drivers import Enforcement
from guardrail.runtime.wrapper import ProtectDecorator
from guardrail.values import Decision, Entity, FactValue, Peer, Principal, Record, Resource

if TYPE_CHECKING:  # `__getattr__` imports these: their modules import all that loads a bundle
    from guardrail.bundle.reload import ReloadResult
    from guardrail.bundle.watch import Watcher
    from guardrail.identity import ActingAs

__all__ = [
    "ActingAs",
    "ConfigurationError",
    "Decision",
    "Denied",
    "Enforcement",
    "Entity",
    "FactValue",
    "Fault",
    "Guard",
    "GuardUnavailable",
    "GuardrailError",
    "InputRejected",
    "NotAuthenticated",
    "NotAuthorized",
    "OutputBlocked",
    "Peer",
    "Place",
    "Principal",
    "ProtectDecorator",
    "QuotaExceeded",
    "Record",
    "ReloadResult",
    "Resource",
    "Watcher",
    "__version__",
]


def __getattr__(name: str) -> Any:
    """Import the types that only some methods of `Guard` return, when they are first used."""
    if name == "ActingAs":
        from guardrail.identity import ActingAs

        return ActingAs
    if name == "ReloadResult":
        from guardrail.bundle.reload import ReloadResult

        return ReloadResult
    if name == "Watcher":
        from guardrail.bundle.watch import Watcher

        return Watcher
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the public names only; the imported submodules are left out."""
    return list(__all__)
