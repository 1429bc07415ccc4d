"""A watch reloads a changed bundle once per content, and never ends by itself."""

import os
import threading
from queue import Queue

import pytest

from guardrail import ConfigurationError
from guardrail.bundle.watch import Watcher


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "bundle"
    (folder / "tests").mkdir(parents=True)
    (folder / "guardrail.toml").write_text("one")
    return folder


class Reloads:
    """Counts the reloads, and fails as told."""

    def __init__(self) -> None:
        self.count = 0
        self.failure: Exception | None = None

    def __call__(self) -> None:
        self.count += 1
        if self.failure is not None:
            raise self.failure


@pytest.fixture
def reloads():
    return Reloads()


@pytest.fixture
def watcher(folder, reloads):
    watcher = Watcher([folder], reloads)
    for _ in range(3):  # the first look finds something new, and settles
        watcher.check()
    assert reloads.count == 1
    return watcher


def looks(watcher, count=4):
    for _ in range(count):
        watcher.check()


def write(path, text):
    """Write a file as if nothing had happened: its time of change stays."""
    at = path.stat()
    path.write_text(text)
    os.utime(path, ns=(at.st_atime_ns, at.st_mtime_ns))


def touch(path, seconds):
    at = path.stat()
    os.utime(path, ns=(at.st_atime_ns, at.st_mtime_ns + seconds * 10**9))


def test_nothing_changed_reloads_nothing(watcher, reloads):
    looks(watcher)
    assert reloads.count == 1


def test_a_change_reloads_once(watcher, folder, reloads):
    (folder / "guardrail.toml").write_text("another")
    looks(watcher)
    assert reloads.count == 2


@pytest.mark.parametrize("name", ["new.cedar", "tests/new_test.yaml", "inputs/new.yaml"])
def test_a_file_that_comes_or_goes_reloads(watcher, folder, reloads, name):
    (folder / "inputs").mkdir()
    (folder / name).write_text("new")
    looks(watcher)
    assert reloads.count == 2
    (folder / name).unlink()
    looks(watcher)
    assert reloads.count == 3


def test_a_file_that_is_only_touched_reloads_nothing(watcher, folder, reloads):
    touch(folder / "guardrail.toml", 10)
    looks(watcher)
    assert reloads.count == 1


def test_what_is_hidden_is_not_looked_at(watcher, folder, reloads):
    (folder / ".swp").write_text("an editor's")
    looks(watcher)
    assert reloads.count == 1


def test_a_second_change_in_the_same_instant_is_seen_at_the_next_look(watcher, folder, reloads):
    (folder / "guardrail.toml").write_text("two")
    watcher.check()
    write(folder / "guardrail.toml", "owt")  # of the same size, inode and time
    watcher.check()
    assert reloads.count == 3


def test_a_link_that_is_swapped_reloads(folder, reloads, tmp_path):
    new = tmp_path / "new"
    new.mkdir()
    (new / "guardrail.toml").write_text("another")
    link = tmp_path / "current"
    link.symlink_to(folder)
    watcher = Watcher([link], reloads)
    looks(watcher)
    link.unlink()
    link.symlink_to(new)
    looks(watcher)
    assert reloads.count == 2


@pytest.mark.parametrize("failure", [ConfigurationError("no"), KeyError("foreign code")])
def test_a_reload_that_fails_is_tried_once_per_content(watcher, folder, reloads, failure):
    reloads.failure = failure
    (folder / "guardrail.toml").write_text("broken")
    looks(watcher)
    assert reloads.count == 2
    (folder / "guardrail.toml").write_text("mended")
    looks(watcher)
    assert reloads.count == 3


def test_a_folder_that_goes_is_told_of_once_and_may_come_back(watcher, folder, reloads, tmp_path):
    folder.rename(tmp_path / "elsewhere")
    looks(watcher)
    assert reloads.count == 2
    (tmp_path / "elsewhere").rename(folder)
    looks(watcher)
    assert reloads.count == 3


@pytest.mark.parametrize("interval_s", [0, -1, float("nan"), float("inf")])
def test_an_interval_that_is_none_is_refused(folder, reloads, interval_s):
    with pytest.raises(ConfigurationError, match="interval_s"):
        Watcher([folder], reloads, interval_s=interval_s)


class Turns:
    """Stands in for waiting: each `turn` lets the thread look once."""

    def __init__(self) -> None:
        self._over: Queue[bool] = Queue()
        self._asked = threading.Semaphore(0)

    def __call__(self, seconds: float) -> bool:
        self._asked.release()
        return self._over.get()

    def turn(self, *, over: bool = False) -> None:
        """Let the thread go on, and return when it waits again, or at once where it is over."""
        self._asked.acquire()
        self._over.put(over)
        if not over:
            self._asked.acquire()
            self._asked.release()


def test_the_thread_looks_at_each_turn_until_it_is_stopped(folder, reloads):
    turns = Turns()
    watcher = Watcher([folder], reloads, wait=turns).start()
    turns.turn()
    assert reloads.count == 1
    reloads.failure = RuntimeError("foreign code")
    for text in ("two", "three"):  # it lives through a failure
        (folder / "guardrail.toml").write_text(text)
        turns.turn()
    assert reloads.count == 3
    turns.turn(over=True)
    watcher.stop()
    assert "guardrail-watch" not in {thread.name for thread in threading.enumerate()}


def test_a_watch_in_with_ends_with_its_block(folder, reloads):
    with Watcher([folder], reloads, interval_s=3600).start():
        assert "guardrail-watch" in {thread.name for thread in threading.enumerate()}
    assert "guardrail-watch" not in {thread.name for thread in threading.enumerate()}
    assert reloads.count == 0


class TestFiles:
    def test_a_hidden_policy_is_seen(self, folder, watcher, reloads):
        (folder / ".stop.cedar").write_text("forbid (principal, action, resource);")
        looks(watcher)
        assert reloads.count == 2

    @pytest.mark.parametrize("name", ["__pycache__.cedar", "x.txt", "tests/b_test.yml"])
    def test_a_file_that_a_load_refuses_is_seen(self, folder, watcher, reloads, name):
        (folder / name).write_text("x")
        looks(watcher)
        assert reloads.count == 2

    @pytest.mark.parametrize("name", [".x.cedar.swp", ".schemas/x.json", ".git/x.cedar"])
    def test_what_is_hidden_is_not(self, folder, watcher, reloads, name):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("x")
        looks(watcher)
        assert reloads.count == 1

    def test_a_folder_that_is_a_link_within_the_bundle_is_looked_into(self, folder, reloads):
        (folder / "..data" / "inputs").mkdir(parents=True)
        (folder / "inputs").symlink_to("..data/inputs")
        spec = folder / "..data" / "inputs" / "a.yaml"
        spec.write_text("one")
        watcher = Watcher([folder], reloads)
        looks(watcher)
        spec.write_text("another")
        looks(watcher)
        assert reloads.count == 2
