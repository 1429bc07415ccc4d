"""What tests of a guarded application need: policy tests, a clock that stands still, records.

Owns what may be imported from ``guardrail.testing``. Refuses to import hypothesis for whoever does
not use it: `requests` brings it on first use, and the suites for authors of plugins, which need
it, stand in `guardrail.testing.contracts`.

notation    how callers and values are written down
format      the keys of a test file
cases       test files, read
runner      test files, run
report      how they ended
edges       values at the edges of what policies compare with
search      requests made of these
change      what a new version of a bundle changes, on requests of both
mutants     policies changed a little, of which tests should notice each; mutants_at_once, in
            several processes
written     a request, written as a test to paste
property_format  the keys of a property
domains     what a request to a bundle can be; narrowing makes that smaller by a condition
claims      what a property says, read against a bundle; conditions and value_tests ask it
properties  what must never, or always, hold: tried; simpler makes simple what is found
strategies  requests for hypothesis
coverage    what they have tried of the policies; coverage_page shows it in their text
clock       a clock that stands still
recorded    records, kept
telling     decisions in words
override    an application's guard under other policies; observe, with nothing enforced
plugin      policy tests under pytest, and fixtures
contracts   what a plugin must hold
corpus      test cases of Cedar's own, replayed
trial       a new bundle, tried in a process of its own before it is served
"""

from typing import TYPE_CHECKING, Any

from guardrail.testing.clock import FrozenClock
from guardrail.testing.observe import LetThrough
from guardrail.testing.override import overriding
from guardrail.testing.properties import always, never
from guardrail.testing.recorded import Recorder
from guardrail.testing.report import Report, Result
from guardrail.testing.runner import run_tests
from guardrail.testing.search import Request

if TYPE_CHECKING:
    from guardrail.testing.strategies import requests

__all__ = [
    "FrozenClock",
    "LetThrough",
    "Recorder",
    "Report",
    "Request",
    "Result",
    "always",
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
        from guardrail.testing.strategies import requests
    except ModuleNotFoundError as error:
        if error.name != "hypothesis":
            raise
        message = "`requests` needs hypothesis. Install guardrail-cedar[properties]."
        raise ImportError(message, name="hypothesis") from error
    return requests
