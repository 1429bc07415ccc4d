"""What tests of a guarded application need: policy tests, a clock that stands still, records.

Owns what may be imported from ``guardrail.testing``. Refuses hypothesis: the suites for
authors of plugins need it, and stand in `guardrail.testing.contracts`.

notation    how callers and values are written down
format      the keys of a test file
cases       test files, read
runner      test files, run
report      how they ended
search      requests at the edges of what policies compare with
change      what a new version of a bundle changes, on requests of both
recall      recorded calls, asked again; recall_report compares what is decided now and was then
mutants     policies changed a little, of which tests should notice each
coverage    what they have tried of the policies; coverage_page shows it in their text
clock       a clock that stands still
recorded    records, kept
contracts   what a plugin must hold
corpus      test cases of Cedar's own, replayed
trial       a new bundle, tried in a process of its own before it is served
"""

from guardrail.testing.clock import FrozenClock
from guardrail.testing.recorded import Recorder
from guardrail.testing.report import Report, Result
from guardrail.testing.runner import run_tests

__all__ = ["FrozenClock", "Recorder", "Report", "Result", "run_tests"]
