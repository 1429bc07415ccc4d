"""What tests of a guarded application need: policy tests, a clock that stands still, records.

Owns what may be imported from ``guardrail.testing``. Refuses to import hypothesis for whoever does
not use it: `requests` brings it on first use, and the suites for authors of plugins, which need
it, stand in `guardrail.testing.contracts`.

A test, from its file to its report:

notation    how callers and values are written down
format      the keys of a test file; matrix and payloads: of its tables, inputs and outputs
cases       test files, read
said        what a test says of the facts
calls       a test that is a whole call
runner      a test, run; suite: all of a bundle's
report      how they ended; telling: in words; plugin: under pytest
written     a request, written as a test to paste

What tests leave out, and what a change changes:

coverage    what they have tried of the policies; coverage_page shows it in their text
edges       values at the edges of what policies compare with; search: requests made of these
mutants     policies changed a little; mutants_at_once: in several processes
change      what a new version of a bundle changes
recall      recorded calls as requests again; recall_report: decided on other policies
properties  what must never, or always, be decided
cedar       tests in the forms of Cedar's own tools

For an application and its plugins:

clock       a clock that stands still
recorded    records, kept
denial      the assertion that a call is denied, by its code
override    its guard under other policies; observe: with nothing enforced
contracts   what a plugin must hold; jws: tokens to try a provider with
trial       a new bundle, tried in a process of its own before it is served
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
    """Import `requests` where it is first asked for: it brings hypothesis."""
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
