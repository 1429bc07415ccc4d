"""Journals and guards that are collected without having been closed."""

import gc
import os
import subprocess
import sys
import time

import numpy as np
from bundles import GRANT
from journals import call, ids, journal_in

from guardrail import Guard, Principal
from guardrail._ports import SystemClock
from guardrail.audit.journal.maintenance import Maintenance
from guardrail.audit.journal.writer import Journal
from guardrail.audit.journal_read.reader import read_calls
from guardrail.audit.journal_read.verify import verify

CALLER = Principal("User", "ada", attrs={"department": "care"})


def test_a_journal_that_is_dropped_is_closed_and_cut_to_its_length(tmp_path):
    journal = journal_in(tmp_path)
    count = 0
    while not list(tmp_path.glob("*.spare")):
        call(journal, count)
        journal.provide()
        count += 1
    del journal
    gc.collect()
    assert [path.suffix for path in sorted(tmp_path.iterdir())] == [".seg", ".key"]
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 180_000
    assert ids(read_calls(tmp_path)) == list(range(count))
    result = verify(tmp_path)
    assert (result.flaws, result.notes) == ([], [])


def test_a_journal_that_is_dropped_while_its_thread_runs_is_closed(tmp_path):
    journal = Journal(
        tmp_path, guard="g", clock=SystemClock(), segment_bytes=256 << 10, maintenance=Maintenance
    )
    for number in range(1200):
        call(journal, number)
    del journal
    deadline = time.monotonic() + 30
    while list(tmp_path.glob("*.live")) and time.monotonic() < deadline:
        gc.collect()
        time.sleep(0.02)
    assert not [*tmp_path.glob("*.live"), *tmp_path.glob("*.spare")]
    assert len(ids(read_calls(tmp_path))) == 1200


def test_a_journal_that_a_child_drops_is_still_the_parents(tmp_path):
    journal = journal_in(tmp_path)
    call(journal, 0)
    child = os.fork()
    if not child:
        try:
            del journal
            gc.collect()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    call(journal, 1)
    journal.close()
    assert ids(read_calls(tmp_path)) == [0, 1]
    assert verify(tmp_path).flaws == []


def test_a_dropped_journal_whose_file_is_gone_is_left(tmp_path):
    journal = journal_in(tmp_path)
    call(journal, 0)
    (path,) = tmp_path.glob("*.live")
    path.unlink()
    del journal
    gc.collect()
    assert [path.name for path in tmp_path.iterdir()] == ["journal.key"]


SCRIPT = """
import gc, sys
import numpy as np
from pathlib import Path
from guardrail import Guard, Principal

CALLER = Principal("User", "ada", attrs={"department": "care"})

def one():
    guard = Guard.from_dir(sys.argv[1], journal=sys.argv[2])
    predict = guard.protect(
        action="predict", resource='Model::"tumour"', principal=CALLER,
        facts={"purpose": "care"},
    )(lambda patients: patients)
    predict(np.ones((1, 3)))

for _ in range(8):
    one()
gc.collect()
files = list(Path(sys.argv[2]).iterdir())
print(sum(path.stat().st_blocks * 512 for path in files))
print(sum(path.suffix == ".live" for path in files))
"""


def test_guards_that_are_dropped_leave_their_records_and_no_space_that_is_kept(
    make_bundle, tmp_path
):
    journal = tmp_path / "journal"
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", SCRIPT, str(make_bundle(GRANT)), str(journal)],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    size, living = map(int, done.stdout.split())
    assert size < 200_000
    assert living == 0
    assert len(list(read_calls(journal))) == 8
    assert verify(journal).flaws == []


def test_a_guard_is_a_context_manager(make_bundle, tmp_path):
    journal = tmp_path / "journal"
    with Guard.from_dir(make_bundle(GRANT), journal=journal) as guard:
        guard.protect(
            action="predict", resource='Model::"tumour"', principal=CALLER,
            facts={"purpose": "care"},
        )(lambda patients: patients)(np.ones((1, 3)))  # fmt: skip
        assert list(journal.glob("*.live"))
    assert not list(journal.glob("*.live"))
    assert len(list(journal.glob("*.seg*"))) == 1
