"""The background queue: each item is processed once, by the thread or by the caller."""

import gc
import itertools
import threading
import weakref

import pytest

from guardrail.audit.telemetry.background_queue import BackgroundQueue

#: Longer than any machine takes; nothing waits for as long as this unless it fails.
FOREVER_S = 60.0
names = (f"backlog-{number}" for number in itertools.count())


class Work:
    """Work that notes its items, and stops before the first where it is told to."""

    def __init__(self, *, is_held=False):
        self.done = []
        self.left = []
        self.threads = set()
        self.has_begun = threading.Event()
        self.gate = threading.Event()
        if not is_held:
            self.gate.set()

    def __call__(self, item):
        self.has_begun.set()
        if threading.current_thread() is not threading.main_thread():
            self.gate.wait(FOREVER_S)
        self.threads.add(threading.current_thread().name)
        self.done.append(item)

    def queue(self, **options):
        return BackgroundQueue(self, left=self.left.append, name=next(names), **options)


def test_items_are_worked_on_in_order_by_another_thread():
    work = Work()
    queue = work.queue()
    assert all(queue.put(item) for item in range(1000))
    assert queue.flush(FOREVER_S)
    assert work.done == list(range(1000))
    assert work.threads.isdisjoint({threading.current_thread().name})
    assert len(work.threads) == 1


def test_without_an_item_there_is_no_thread_and_nothing_to_wait_for():
    before = threading.active_count()
    queue = Work().queue()
    assert queue.flush(0)
    assert threading.active_count() == before


def test_a_full_backlog_takes_nothing_and_keeps_what_it_has():
    work = Work(is_held=True)
    queue = work.queue(limit=2)
    assert queue.put("first")
    assert work.has_begun.wait(FOREVER_S)
    assert [queue.put(item) for item in ("a", "b", "c")] == [True, True, False]
    assert len(queue) == 2
    work.gate.set()
    assert queue.flush(FOREVER_S)
    assert work.done == ["first", "a", "b"]
    assert queue.put("d")


def test_a_flush_that_is_not_in_time_says_so():
    work = Work(is_held=True)
    queue = work.queue()
    queue.put(1)
    assert not queue.flush(0)
    work.gate.set()
    assert queue.flush(FOREVER_S)


@pytest.mark.parametrize(("limit", "linger_s"), [(8192, 0.02), (8192, 0.0), (16, 0.0), (0, 0.0)])
def test_under_eight_threads_nothing_is_lost_and_nothing_done_twice(limit, linger_s):
    work = Work()
    queue = work.queue(limit=limit, linger_s=linger_s)
    start = threading.Barrier(8)

    def hand_in(first):
        start.wait(FOREVER_S)
        for item in range(first, first + 2000):
            if not queue.put(item):
                work(item)

    threads = [threading.Thread(target=hand_in, args=(n * 2000,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(FOREVER_S)
    assert queue.flush(FOREVER_S)
    assert sorted(work.done) == list(range(16_000))


def test_an_item_that_comes_as_the_thread_falls_asleep_is_not_forgotten():
    work = Work()
    queue = work.queue(linger_s=0.0)  # asleep at once, each time
    for item in range(2000):
        queue.put(item)
        if item % 3 == 0:
            assert queue.flush(FOREVER_S)
    assert queue.flush(FOREVER_S)
    assert work.done == list(range(2000))


def test_work_may_hand_in_more():
    def work(item):
        done.append(item)
        if item:
            assert queue.put(item - 1)

    done = []
    queue = BackgroundQueue(work, left=done.append, name=next(names))
    queue.put(3)
    while len(done) < 4:
        assert queue.flush(FOREVER_S)
    assert done == [3, 2, 1, 0]


def test_work_cannot_wait_for_itself():
    answers = []
    queue = BackgroundQueue(
        lambda _: answers.append(queue.flush(FOREVER_S)), left=print, name=next(names)
    )
    queue.put(1)
    assert queue.flush(FOREVER_S)
    assert answers == [False]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_work_that_ends_the_thread_is_followed_by_another_thread():
    def work(item):
        threads.append(threading.current_thread())
        if item == "end":
            raise SystemExit

    threads = []
    queue = BackgroundQueue(work, left=threads.append, name=next(names))
    for item in ("end", "go on", "end", "end", "go on"):
        assert queue.put(item)
    assert queue.flush(FOREVER_S)
    for thread in set(threads) - {threads[-1]}:
        thread.join(FOREVER_S)  # or pytest tells the next test of it
    assert len(threads) == 5
    assert len(set(threads)) == 4


def test_where_no_thread_can_be_started_the_caller_does_the_work(monkeypatch):
    def start(thread):
        raise RuntimeError("can't start new thread")

    work = Work()
    queue = work.queue()
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start)
        assert queue.put(1)
        assert work.done == [1]
        assert queue.flush(0)
    assert queue.put(2)
    assert queue.flush(FOREVER_S)
    assert work.done == [1, 2]
    assert threading.current_thread().name in work.threads
    assert len(work.threads) == 2


def test_a_closed_backlog_has_done_everything_and_takes_nothing():
    work = Work()
    queue = work.queue()
    for item in range(100):
        queue.put(item)
    assert queue.close(FOREVER_S)
    assert work.done == list(range(100))
    assert work.left == []
    assert not queue.put(100)
    assert queue.close(FOREVER_S)


def test_what_is_not_done_in_time_at_a_close_is_handed_over():
    work = Work(is_held=True)
    queue = work.queue()
    queue.put("stuck")
    assert work.has_begun.wait(FOREVER_S)
    queue.put("a")
    queue.put("b")
    assert not queue.close(0)
    assert work.left == ["a", "b"]
    work.gate.set()
    assert queue.flush(FOREVER_S)
    assert work.done == ["stuck"]


def test_a_backlog_that_nobody_holds_ends_its_thread_after_its_work():
    work = Work(is_held=True)
    queue = work.queue(linger_s=0.0)
    gone = weakref.ref(queue)
    for item in range(3):
        queue.put(item)
    (thread,) = (one for one in threading.enumerate() if one.name == queue._name)
    del queue
    work.gate.set()
    thread.join(FOREVER_S)
    gc.collect()
    assert not thread.is_alive()
    assert gone() is None
    assert work.done == [0, 1, 2]


def test_a_call_that_ends_in_a_finalizer_can_hand_in():
    class Ending:
        def __del__(self):
            queue.put("finalizer")

    work = Work()
    queue = work.queue()
    ending = Ending()
    queue.put("call")
    del ending
    assert queue.flush(FOREVER_S)
    assert work.done == ["call", "finalizer"]
