"""Policy-as-code for machine-learning inference, in the process that runs the model.

Facts in, Cedar decides, obligations out, everything recorded. See `Guard`.
"""

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
from guardrail.values import Decision, Entity, Peer, Principal, Record, Resource

__all__ = [
    "ConfigurationError",
    "Decision",
    "Denied",
    "Enforcement",
    "Entity",
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
    "QuotaExceeded",
    "Record",
    "Resource",
    "__version__",
]
