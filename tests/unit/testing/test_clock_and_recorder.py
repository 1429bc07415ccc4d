"""The clock and the recorder that tests use."""

from datetime import UTC, datetime

import pytest

from guardrail.errors import ConfigurationError
from guardrail.extensions import Clock, Sink
from guardrail.testing import FrozenClock, Recorder


def test_clock_does_not_run_backwards():
    for seconds in (-1, float("nan")):
        with pytest.raises(ConfigurationError):
            FrozenClock().advance(seconds)


def test_clock_refuses_a_start_without_a_time_zone():
    with pytest.raises(ConfigurationError):
        FrozenClock(datetime(2026, 11, 23, 10))


def test_clock_stands_still_until_it_is_advanced():
    clock: Clock = FrozenClock(datetime(2026, 11, 23, 10, tzinfo=UTC))
    start = clock.now()
    assert start == datetime(2026, 11, 23, 10, tzinfo=UTC).timestamp()
    assert (clock.now(), clock.elapsed()) == (start, 0.0)
    clock.advance(61)
    assert (clock.now(), clock.elapsed()) == (start + 61, 61.0)


def test_recorder_keeps_what_ends():
    recorder = Recorder()
    sink: Sink = recorder
    handle = sink.begin("clinic", "predict", "predict")
    sink.leave(handle, sink.enter(handle))
    assert recorder.records == []
    record = object()
    sink.end(handle, record)
    assert recorder.records == [record]
