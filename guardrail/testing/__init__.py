"""Tools for tests of policies and of guarded applications.

This package exports the public names. hypothesis is imported only when `requests` is first used.
The contract suites for authors of plugins are in `guardrail.testing.contracts`.

files        the test files of a bundle: their format, how they are read and written
run          runs tests, and reports and explains their results
coverage     measures which parts of the policies the tests cover
mutation     small edits to policies that tests should detect
properties   claims about all requests, checked on many generated ones
replay       decides recorded calls again, and compares two versions of a bundle
cedar        exports tests in the formats of Cedar's own tools
application  for tests of an application: a clock, recorded calls, another bundle for its guard
plugin       the pytest plugin
contracts    test suites that an extension must pass
jws          public test vectors of signed tokens
"""

from typing import TYPE_CHECKING, Any

from guardrail.testing.application.clock import FrozenClock
from guardrail.testing.application.denied import denied
from guardrail.testing.application.observe import LetThrough
from guardrail.testing.application.override import overriding
from guardrail.testing.application.recorded import Recorder
from guardrail.testing.mutation.candidate_requests import Request
from guardrail.testing.properties.check import always, never
from guardrail.testing.run.report import Report, Result
from guardrail.testing.run.suite import run_tests

if TYPE_CHECKING:
    from guardrail.testing.properties.strategies import requests

__all__ = [
    "FrozenClock",
    "LetThrough",
    "Recorder",
    "Report",
    "Request",
    "Result",
    "always",
    "denied",
    "never",
    "overriding",
    "requests",
    "run_tests",
]


def __getattr__(name: str) -> Any:
    """Import `requests` on first use, since it imports hypothesis."""
    if name != "requests":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from guardrail.testing.properties.strategies import requests
    except ModuleNotFoundError as error:
        if error.name != "hypothesis":
            raise
        message = "`requests` needs hypothesis. Install guardrail-cedar[properties]."
        raise ImportError(message, name="hypothesis") from error
    return requests
