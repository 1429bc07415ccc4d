"""What tests of a guarded application need: a clock that stands still, and the records.

Owns what may be imported from ``guardrail.testing``. Refuses hypothesis: the suites for
authors of plugins need it, and stand in `guardrail.testing.contracts`.
"""

from guardrail.testing.clock import FrozenClock
from guardrail.testing.recorded import Recorder

__all__ = ["FrozenClock", "Recorder"]
