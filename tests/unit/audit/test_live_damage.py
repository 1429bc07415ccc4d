"""A journal that is changed from outside while it is written: detected soon, calls denied."""

import os
import shutil
from pathlib import Path

import pytest
from journals import KeptBy, call, denial, ids, journal_in, spoil
from records import record

from guardrail.audit.journal_read.reader import read_calls
from guardrail.audit.journal_read.verify import verify
from guardrail.testing.application.clock import FrozenClock


def live(folder):
    (path,) = folder.glob("*.live")
    return path


def unlink(folder):
    live(folder).unlink()


def cut(folder):
    os.truncate(live(folder), 0)


def cut_by_one(folder):
    os.truncate(live(folder), live(folder).stat().st_size - 1)


def cut_and_grow(folder):
    size = live(folder).stat().st_size
    os.truncate(live(folder), 0)
    os.truncate(live(folder), size)


def grow(folder):
    os.truncate(live(folder), live(folder).stat().st_size + 1)


def overwrite(folder):
    spoil(live(folder), lambda data: data.__setitem__(slice(None), bytes(len(data))))


def replace(folder):
    copy = folder / "copy"
    shutil.copy(live(folder), copy)
    copy.replace(live(folder))


def link(folder):
    """The file stands elsewhere, and under its name a link."""
    path, elsewhere = live(folder), folder.parent / "elsewhere"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


def rename(folder):
    live(folder).rename(folder / "other.live")


def remove_folder(folder):
    shutil.rmtree(folder)


def rename_folder(folder):
    folder.rename(folder.with_name("moved"))


def make_folder_anew(folder):
    shutil.rmtree(folder)
    folder.mkdir()


DAMAGES = (
    unlink, cut, cut_by_one, cut_and_grow, grow, overwrite, replace, link, rename, remove_folder,
    rename_folder, make_folder_anew,
)  # fmt: skip
every_damage = pytest.mark.parametrize("damage", DAMAGES, ids=lambda each: each.__name__)


def refused(work):
    """Tell whether a call is refused for the file."""
    try:
        work()
    except OSError as error:
        return "changed by another process" in str(error)
    return False


@every_damage
@pytest.mark.parametrize("write", [call, denial])
def test_damage_is_noticed_within_a_hundred_calls(tmp_path, damage, write, caplog):
    folder = tmp_path / "journal"
    journal = journal_in(folder, clock=FrozenClock())
    call(journal, 0)
    damage(folder)
    passed = 0
    while not refused(lambda: write(journal, 1)):
        passed += 1
        assert passed < 100
    for _ in range(300):
        assert refused(lambda: journal.begin("hospital", "predict", "app.predict"))
        assert refused(lambda: write(journal, 2))
    assert caplog.text.count("changed by another process") == 1
    journal.close()


@every_damage
def test_damage_is_noticed_within_a_second(tmp_path, damage, caplog):
    clock = FrozenClock()
    journal = journal_in(tmp_path / "journal", clock=clock)
    call(journal, 0)
    damage(tmp_path / "journal")
    clock.advance(0.99)
    assert refused(lambda: journal.begin("hospital", "predict", "app.predict"))
    journal.close()


class OddClock(FrozenClock):
    off = 0.0

    def elapsed(self):
        return super().elapsed() + self.off


@pytest.mark.parametrize("by", [-3600, float("nan")])
def test_a_clock_that_goes_back_or_gives_no_time_puts_no_look_off(tmp_path, by, caplog):
    clock = OddClock()
    journal = journal_in(tmp_path, clock=clock)
    call(journal, 0)
    unlink(tmp_path)
    clock.off = by
    assert refused(lambda: journal.begin("hospital", "predict", "app.predict"))


def test_an_outcome_that_comes_after_the_damage_is_refused(tmp_path, caplog):
    """What its model returned must not leave: nobody would know."""
    clock = FrozenClock()
    journal = journal_in(tmp_path, clock=clock)
    handle = journal.begin("hospital", "predict", "app.predict")
    journal.admit(handle, record(outcome="admitted"))
    unlink(tmp_path)
    clock.advance(1)
    assert refused(lambda: journal.end(handle, record()))


def test_a_folder_that_comes_back_ends_the_denials(tmp_path, caplog):
    clock = FrozenClock()
    folder = tmp_path / "journal"
    journal = journal_in(folder, clock=clock)
    call(journal, 0)
    rename_folder(folder)
    clock.advance(1)
    assert refused(lambda: call(journal, 1))
    (tmp_path / "moved").rename(folder)
    call(journal, 2)
    journal.close()
    assert ids(read_calls(folder)) == [0, 2]
    assert verify(folder).flaws == []


@pytest.mark.parametrize("damage", [unlink, cut, replace], ids=lambda each: each.__name__)
def test_after_a_close_another_file_is_begun_which_tells_of_the_loss(tmp_path, damage, caplog):
    clock = FrozenClock()
    kept = KeptBy()
    journal = journal_in(tmp_path, clock=clock, maintenance=kept)
    for number in range(5):
        call(journal, number)
    name = live(tmp_path).name.removesuffix(".live")
    damage(tmp_path)
    for number in range(5, 10):
        call(journal, number)
    clock.advance(1)
    assert refused(lambda: call(journal, 10))
    journal.close()
    call(journal, 11)
    kept.maintenance.work()
    journal.close()
    flaws = verify(tmp_path).flaws
    assert flaws
    assert {flaw.segment for flaw in flaws} == {name}


def test_a_folder_that_was_removed_is_made_anew_after_a_close(tmp_path, caplog):
    clock = FrozenClock()
    folder = tmp_path / "journal"
    journal = journal_in(folder, clock=clock)
    call(journal, 0)
    remove_folder(folder)
    clock.advance(1)
    assert refused(lambda: call(journal, 1))
    journal.close()
    call(journal, 2)
    journal.close()
    assert ids(read_calls(folder)) == [2]
    assert any("is gone" in flaw.message for flaw in verify(folder).flaws)


@every_damage
def test_a_segment_is_not_followed_over_damage(tmp_path, damage, caplog):
    """Where a segment is full before it is looked at, it is looked at then."""
    folder = tmp_path / "journal"
    journal = journal_in(folder, clock=FrozenClock())
    call(journal, 0)
    damage(folder)
    assert refused(journal._next_segment)


def test_a_spare_that_was_cut_is_not_begun(tmp_path):
    clock = FrozenClock()
    journal = journal_in(tmp_path, clock=clock)
    while not list(tmp_path.glob("*.spare")):
        call(journal, 1)
        journal.provide()
    (spare,) = tmp_path.glob("*.spare")
    os.truncate(spare, 10)
    assert refused(journal._next_segment)
    assert not list(tmp_path.glob("*.spare"))
    clock.advance(1)
    journal._next_segment()  # from then on one that was made for it
    call(journal, 2)
    journal.close()
    assert verify(tmp_path).flaws == []


def test_an_ended_segment_that_is_gone_is_logged(tmp_path, caplog):
    kept = KeptBy()
    journal = journal_in(tmp_path, maintenance=kept)
    call(journal, 0)
    journal._next_segment()
    first, _ = sorted(tmp_path.glob("*.live"))
    first.unlink()
    kept.maintenance.work()
    assert "closing a segment" in caplog.text
    journal.close()
    assert any("is gone" in flaw.message for flaw in verify(tmp_path).flaws)


def test_a_busy_process_whose_file_is_cut_lives(tmp_path):
    """A write through a mapping would end it with SIGBUS."""
    child = os.fork()
    if not child:
        try:
            journal = journal_in(tmp_path, segment_bytes=4 << 20)
            for number in range(3000):
                if number % 40 == 39:
                    for path in tmp_path.glob("*.live"):
                        os.truncate(path, 0)
                refused(lambda: call(journal, 1))
            journal.close()
            os._exit(7)
        finally:
            os._exit(8)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_no_file_of_a_journal_is_mapped(tmp_path):
    journal = journal_in(tmp_path)
    call(journal, 0)
    journal.provide()
    assert str(tmp_path) not in Path("/proc/self/maps").read_text()
