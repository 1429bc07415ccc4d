"""Key files: ids never repeat, and concurrent writers lose no key."""

import fcntl
import multiprocessing
import os
import threading

import pytest
from journals import call, ids, journal_in

from guardrail.audit.journal.keys import OWN_KEY_FILE, add_key, own_keys, read_keys
from guardrail.audit.journal_read.reader import read_calls
from guardrail.audit.journal_read.verify import verify
from guardrail.errors import ConfigurationError


def without_line(path, at):
    lines = path.read_text().splitlines(keepends=True)
    del lines[at]
    path.write_text("".join(lines))


def test_an_id_never_comes_twice(tmp_path):
    path = tmp_path / "keys"
    seen = set()
    for _ in range(200):
        name = add_key(path)
        assert name not in seen
        seen.add(name)
        without_line(path, 0)
        if not path.read_text():
            path.unlink()


def test_what_a_key_wrote_that_is_gone_is_not_read_with_the_next_one(tmp_path):
    path, folder = tmp_path / "keys", tmp_path / "journal"
    add_key(path)
    add_key(path)
    for number in range(2):
        journal = journal_in(folder, keys=read_keys(path), encrypt=True)
        call(journal, number)
        journal.close()
        if not number:
            without_line(path, 0)
            add_key(path)
    with pytest.raises(ConfigurationError, match="has another key"):
        list(read_calls(folder, keys=read_keys(path)))


def test_the_key_that_a_journal_makes_itself_has_an_id_of_its_own(tmp_path):
    first = own_keys(tmp_path).active
    (tmp_path / OWN_KEY_FILE).unlink()
    assert own_keys(tmp_path).active != first


def test_keys_of_earlier_versions_are_read(tmp_path):
    path = tmp_path / "keys"
    path.write_text("k2 " + "B" * 43 + "=\nk1 " + "A" * 43 + "=\n")
    path.chmod(0o600)
    assert read_keys(path).active == "k2"
    name = add_key(path)
    keys = read_keys(path)
    assert keys.active == name
    assert len({keys.fingerprint(one) for one in (name, "k1", "k2")}) == 3


def _add(path, count, done):
    done.extend(add_key(path) for _ in range(count))


def test_keys_that_threads_make_at_once_are_all_there(tmp_path):
    path, made = tmp_path / "keys", []
    threads = [threading.Thread(target=_add, args=(path, 10, made)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {line.split()[0] for line in path.read_text().splitlines()} == set(made)
    assert len(set(made)) == 60


def test_keys_that_processes_make_at_once_are_all_there(tmp_path):
    path = tmp_path / "keys"
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_add, args=(path, 10, [])) for _ in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 6
    assert len(path.read_text().splitlines()) == 60
    read_keys(path)
    assert [one.name for one in tmp_path.iterdir()] == ["keys"]


def test_the_lock_is_let_go_of_where_the_file_is_refused(tmp_path):
    path = tmp_path / "keys"
    path.write_text("no key")
    path.chmod(0o600)
    with pytest.raises(ConfigurationError):
        add_key(path)
    handle = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(handle)


def test_a_journal_whose_key_is_rotated_while_it_is_written_is_read_whole(tmp_path):
    path, folder = tmp_path / "keys", tmp_path / "journal"
    for number in range(3):
        add_key(path)
        journal = journal_in(folder, keys=read_keys(path), encrypt=True)
        call(journal, number)
        journal.close()
    assert ids(read_calls(folder, keys=read_keys(path))) == [0, 1, 2]
    assert verify(folder, keys=read_keys(path)).unparsed == 0


def test_a_key_file_holds_thousands_of_keys(tmp_path):
    path = tmp_path / "keys"
    path.write_text("".join(f"k{number} {'A' * 43}=\n" for number in range(5000)))
    path.chmod(0o600)
    assert read_keys(path).active == "k0"
    assert read_keys(path).active != add_key(path) == read_keys(path).active


def test_a_key_file_that_would_be_too_large_stays_as_it_is(tmp_path):
    path = tmp_path / "keys"
    line = f"{'k' * 10}{{:06}} {'A' * 43}=\n"
    path.write_text("".join(line.format(number) for number in range(2**20 // 62 + 1)))
    path.chmod(0o600)
    with pytest.raises(ConfigurationError, match="Remove the last keys"):
        read_keys(path)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[: 2**20 // len(lines[0])]))
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match="Remove the last keys"):
        add_key(path)
    assert path.read_bytes() == before


def test_a_link_to_nothing_is_told_and_one_to_a_file_stays(tmp_path):
    path, link = tmp_path / "keys", tmp_path / "link"
    link.symlink_to(path)
    with pytest.raises(ConfigurationError, match="does not exist"):
        add_key(link)
    assert link.is_symlink()
    add_key(path)
    name = add_key(link)
    assert link.is_symlink()
    assert read_keys(path).active == name
