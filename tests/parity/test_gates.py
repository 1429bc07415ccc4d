"""A gate lets one thread through at a time and none twice, by the kernel as by its twin."""

import gc
import threading
import time

import pytest
from races import race

from guardrail._core import BACKEND, _gate_py

GATES = [pytest.param(_gate_py.Gate, id="pure")]
if BACKEND == "compiled":
    from guardrail._core import _gate

    GATES.append(pytest.param(_gate.Gate, id="compiled"))

every_gate = pytest.mark.parametrize("make", GATES)


@every_gate
def test_a_thread_comes_in_once(make):
    gate = make()
    assert gate.enter()
    assert not gate.enter()
    gate.leave()
    assert gate.enter()
    gate.leave()


@every_gate
def test_who_is_not_in_there_can_let_nobody_in(make):
    gate = make()
    with pytest.raises(RuntimeError, match="not in here"):
        gate.leave()
    gate.enter()
    seen = []

    def leave():
        try:
            gate.leave()
        except RuntimeError as error:
            seen.append(str(error))

    thread = threading.Thread(target=leave)
    thread.start()
    thread.join()
    assert seen == ["this thread is not in here"]
    assert not gate.enter()
    gate.leave()


@every_gate
def test_threads_come_in_one_at_a_time(make):
    gate = make()
    inside, most, done = [], [], []

    def work(mine):
        for turn in range(200):
            assert gate.enter()
            inside.append(mine)
            if turn % 20 == 0:
                time.sleep(0.0001)  # lets the others try
            most.append(len(inside))
            inside.remove(mine)
            gate.leave()
            done.append(mine)

    race(work, 6)
    assert max(most) == 1
    assert len(done) == 1200


@every_gate
def test_who_waits_does_not_hold_up_the_one_inside(make):
    """Waiting keeps the interpreter to nobody: else this would never end."""
    gate = make()
    assert gate.enter()
    came = []
    thread = threading.Thread(target=lambda: came.append(gate.enter()) or gate.leave())
    thread.start()
    time.sleep(0.02)
    assert came == []
    gate.leave()
    thread.join(10)
    assert came == [True]


@every_gate
def test_a_finalizer_in_there_does_not_wait_for_its_own_thread(make):
    gate = make()
    seen = []

    class Late:
        def __del__(self):
            seen.append(gate.enter())

    assert gate.enter()
    late = Late()
    del late
    gc.collect()
    gate.leave()
    assert seen == [False]
