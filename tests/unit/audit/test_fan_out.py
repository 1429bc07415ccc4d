"""Every call is recorded, or denied."""

import errno
import json
import logging

import pytest

from guardrail.audit import FanOut
from guardrail.errors import ConfigurationError, GuardUnavailable
from guardrail.values import Record

RECORD = Record(
    *("d-1", "", "g", "1", "rev", "pure", "f", "predict\nforged line", "User", "Model"),
    *("released", "allow", "release", ("p",), (), (), "", 1, 8, 0.0, 0.1, 0.2, 0.3, ""),
)


class Recorder:
    """A sink that notes what it is told, and fails where it is told to."""

    def __init__(self, name="one", *, log=None, fails=(), error=OSError):
        self.name = name
        self.log = [] if log is None else log
        self.fails = fails
        self.error = error

    def _do(self, verb, answer=None):
        self.log.append(f"{self.name} {verb}")
        if verb in self.fails:
            raise self.error("secret text of patient 4711")
        return answer

    def begin(self, guard, action, function):
        return self._do("begin", f"{self.name} handle")

    def enter(self, handle):
        assert handle == f"{self.name} handle"
        return self._do("enter", f"{self.name} token")

    def leave(self, handle, token):
        assert (handle, token) == (f"{self.name} handle", f"{self.name} token")
        self._do("leave")

    def end(self, handle, record):
        assert handle == f"{self.name} handle"
        assert record is RECORD
        self._do("end")


@pytest.fixture
def trail():
    def make(first=(), second=(), error=OSError):
        log = []
        one = Recorder("one", log=log, fails=first, error=error)
        return FanOut((one, Recorder("two", log=log, fails=second))), log

    return make


def unavailable(step, *arguments):
    with pytest.raises(GuardUnavailable) as caught:
        step(*arguments)
    error = caught.value
    assert error.code == "audit_unavailable"
    assert (error.__cause__, error.__context__) == (None, None)
    assert "4711" not in str(error) + repr(error)
    assert "Recorder raised OSError" in str(error)


def test_what_the_system_said_of_a_failure_is_named():
    class Full(Recorder):
        frames = False

        def begin(self, guard, action, function):
            raise OSError(errno.ENOSPC, "No space left on device", "/secret/4711")

    with pytest.raises(GuardUnavailable, match=r"Full raised OSError \(ENOSPC\)") as caught:
        FanOut((Full("full"),)).begin("g", "predict", "f")
    assert "4711" not in str(caught.value)


def begin(trail):
    return trail.begin("g", "predict", "f")


def test_a_trail_without_sinks_is_refused():
    with pytest.raises(ConfigurationError):
        FanOut(())


def test_every_sink_is_told_and_the_last_to_enter_leaves_first(trail, caplog):
    trail, log = trail()
    handle = begin(trail)
    trail.leave(handle, trail.enter(handle))
    trail.end(handle, RECORD)
    assert log == [
        *("one begin", "two begin", "one enter", "two enter"),
        *("two leave", "one leave", "one end", "two end"),
    ]
    assert caplog.records == []


@pytest.mark.parametrize("fails", ["first", "second"])
def test_a_sink_that_cannot_begin_stops_the_model_and_the_others_get_the_record(trail, fails):
    trail, log = trail(**{fails: ("begin",)})
    handle = begin(trail)
    unavailable(handle.check)
    unavailable(trail.enter, handle)
    assert not [line for line in log if "enter" in line]
    unavailable(trail.end, handle, RECORD)
    assert log[-1] == ("two end" if fails == "first" else "one end")
    assert len([line for line in log if "end" in line]) == 1


def test_a_sink_that_cannot_enter_stops_the_model_and_the_others_leave(trail):
    trail, log = trail(second=("enter",))
    handle = begin(trail)
    unavailable(trail.enter, handle)
    assert log[-2:] == ["two enter", "one leave"]
    unavailable(trail.end, handle, RECORD)
    assert log[-2:] == ["one end", "two end"]


def test_a_sink_that_cannot_leave_is_reported_at_the_end(trail):
    trail, log = trail(second=("leave",))
    handle = begin(trail)
    trail.leave(handle, trail.enter(handle))
    assert log[-2:] == ["two leave", "one leave"]
    unavailable(trail.enter, handle)  # a generator's next step
    unavailable(trail.end, handle, RECORD)


def test_a_sink_that_does_not_take_the_record_denies_and_the_others_get_it(trail, caplog):
    trail, log = trail(first=("end",))
    handle = begin(trail)
    unavailable(trail.end, handle, RECORD)
    assert log[-2:] == ["one end", "two end"]
    assert caplog.records == []


@pytest.mark.parametrize("step", ["begin", "end"])
def test_a_record_that_no_sink_took_is_logged_in_one_line(trail, caplog, step):
    trail, _ = trail(first=(step,), second=(step,))
    handle = begin(trail)
    unavailable(trail.end, handle, RECORD)
    (line,) = caplog.records
    assert (line.name, line.levelno) == ("guardrail.audit", logging.ERROR)
    text = line.getMessage()
    assert "\n" not in text
    assert "4711" not in text
    assert json.loads(text.partition(": ")[2])["guardrail.decision.id"] == "d-1"


def test_a_call_that_was_interrupted_as_it_began_is_logged_and_denied(trail, caplog):
    trail, _ = trail()
    with pytest.raises(GuardUnavailable, match="no sink began"):
        trail.end(None, RECORD)
    assert "d-1" in caplog.records[0].getMessage()


def test_an_interrupt_passes_through_after_the_other_sinks(trail):
    trail, log = trail(first=("end",), error=KeyboardInterrupt)
    handle = begin(trail)
    with pytest.raises(KeyboardInterrupt):
        trail.end(handle, RECORD)
    assert log[-1] == "two end"


def test_calls_do_not_share_their_failures():
    sink = Recorder(fails=("begin",))
    trail = FanOut((sink,))
    failed = begin(trail)
    sink.fails = ()
    trail.enter(begin(trail))
    unavailable(trail.enter, failed)


# Sinks that want nothing around the model.


class LightRecorder(Recorder):
    """A sink without frames: it takes a record also of a call that it did not begin."""

    frames = False

    def end(self, handle, record):
        assert handle in (f"{self.name} handle", None)
        self._do("end")


@pytest.fixture
def light():
    def make(first=(), second=None, error=OSError):
        log = []
        sinks = [LightRecorder("one", log=log, fails=first, error=error)]
        if second is not None:
            sinks.append(LightRecorder("two", log=log, fails=second))
        return FanOut(tuple(sinks)), log

    return make


@pytest.mark.parametrize("second", [None, ()])
def test_sinks_without_frames_are_not_told_of_the_model(light, caplog, second):
    trail, log = light(second=second)
    assert not trail.frames
    handle = begin(trail)
    trail.leave(handle, trail.enter(handle))
    trail.end(handle, RECORD)
    names = ["one"] if second is None else ["one", "two"]
    assert log == [f"{name} {verb}" for verb in ("begin", "end") for name in names]
    assert caplog.records == []


@pytest.mark.parametrize(
    ("first", "second"), [(("begin",), None), (("begin",), ()), ((), ("begin",))]
)
def test_a_sink_without_frames_that_cannot_begin_denies_at_once(light, first, second):
    trail, log = light(first=first, second=second)
    unavailable(trail.begin, "g", "predict", "f")
    trail.end(None, RECORD)  # the denial's own record
    assert [line for line in log if "end" in line] == (
        ["one end"] if second is None else ["one end", "two end"]
    )


def test_a_sink_without_frames_that_does_not_take_the_record_denies(light, caplog):
    trail, log = light(first=("end",), second=())
    handle = begin(trail)
    unavailable(trail.end, handle, RECORD)
    assert log[-2:] == ["one end", "two end"]
    assert caplog.records == []


@pytest.mark.parametrize(("first", "second"), [(("end",), None), (("end",), ("end",))])
def test_a_record_that_no_sink_without_frames_took_is_logged(light, caplog, first, second):
    trail, _ = light(first=first, second=second)
    unavailable(trail.end, begin(trail), RECORD)
    (line,) = caplog.records
    assert json.loads(line.getMessage().partition(": ")[2])["guardrail.decision.id"] == "d-1"


def test_an_interrupt_in_the_only_sink_passes_through_after_the_log_has_the_record(light, caplog):
    trail, _ = light(first=("end",), error=KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        trail.end(begin(trail), RECORD)
    assert "d-1" in caplog.records[0].getMessage()


def test_beside_a_framed_sink_one_without_frames_is_still_not_told_of_the_model():
    log = []
    trail = FanOut((LightRecorder("one", log=log), Recorder("two", log=log)))
    assert trail.frames
    handle = begin(trail)
    trail.leave(handle, trail.enter(handle))
    trail.end(handle, RECORD)
    assert log == ["one begin", "two begin", "two enter", "two leave", "one end", "two end"]


def test_a_call_that_a_framed_sink_never_began_is_denied_and_the_other_has_its_record(caplog):
    log = []
    trail = FanOut((LightRecorder("one", log=log), Recorder("two", log=log)))
    with pytest.raises(GuardUnavailable, match="no sink began"):
        trail.end(None, RECORD)
    assert log == ["one end"]
    assert caplog.records == []


def test_a_flush_waits_for_every_sink_that_works_later():
    class Later(LightRecorder):
        def flush(self, timeout_s):
            self.log.append(f"{self.name} flush {timeout_s}")
            return self.name != "slow"

    log = []
    trail = FanOut((Later("slow", log=log), LightRecorder("two", log=log), Later("three", log=log)))
    assert not trail.flush(3)
    assert log == ["slow flush 3", "three flush 3"]
    assert FanOut((Later("one"), LightRecorder("two"))).flush(3)
