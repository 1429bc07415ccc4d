"""Grouped calls: the fast reader returns the same groups as parsing every entry in full."""

import json
from collections import Counter

import pytest
from journals import call, denial, end_of, journal_in, spoil
from records import record

from guardrail.audit.journal.keys import add_key, read_keys
from guardrail.audit.journal.segment import LIVE
from guardrail.audit.journal_read.grouped_calls import GroupedCalls
from guardrail.audit.journal_read.reader import read_calls

CHANGES = [
    {"principal": "k1:" + "0" * 32, "resource": "tumour"},
    {"principal": "k1:" + "1" * 32, "resource": "tumour", "facts": (("input.rows", 3),)},
    {"facts": (("principal.in", ['Role::"a\\"b"', 'Role::"{,"as":1}"']), ("app.x", None))},
    {"counts": (("quota/fair-use/calls", 1),), "parent_decision_id": "ab"},
    {"counts": (("quota/fair-use/calls", 2),), "parent_decision_id": 'a","b'},
    {"input_digest": "k1:" + "2" * 32, "error_type": "ValueError"},
    {"principal": 'a "quoted" , name', "resource": 'trace":["x'},
    {"started_at": -5.0, "rows": 0},
    {"obligations": ("round",), "version": "1.5.0"},
]


def read(folder, slot_of=None, **options):
    calls = GroupedCalls(
        slot_of, **{name: options.pop(name) for name in ("since", "until") if name in options}
    )
    calls.read(folder, **options)
    return calls


def told(records):
    """Count records by all that is not their own alone."""
    return Counter(
        (each.action, each.code, each.stage, each.principal, each.resource, each.obligations,
         each.revision, json.dumps(each.facts), each.error_type)
        for each in records
    )  # fmt: skip


def counted(calls):
    counter = Counter()
    for alike in calls:
        counter.update(dict.fromkeys(told([alike.record]), alike.count))
    return counter


def as_intent(record):
    """Return a record as its intent tells it: how a call ended says nothing of its decision."""
    return record if record.outcome == "denied" else record._replace(stage="release")


@pytest.mark.parametrize("traced", [False, True])
def test_the_quick_way_counts_as_reading_in_full_does(tmp_path, traced):
    journal = journal_in(tmp_path)
    for number in range(300):
        changes = CHANGES[number % len(CHANGES)]
        if number % 3:
            denial(journal, number, **changes)
        else:
            handle = journal.begin("hospital", "predict", "app.predict")
            if traced:
                handle.trace = (f"{number:032x}", f"{number:016x}", "")
            made = record(decision_id=f"{number:032x}", **changes)
            journal.admit(handle, made._replace(outcome="admitted"))
            journal.end(handle, made)
    journal.close()
    calls = read(tmp_path)
    assert counted(calls) == told(as_intent(kept.record) for kept in read_calls(tmp_path))
    assert sum(alike.count for alike in calls) == 300
    assert len(list(calls)) < 30
    assert (calls.alone, calls.damage) == (0, [])


def test_ids_that_need_an_escape_are_read_in_full(tmp_path):
    journal = journal_in(tmp_path)
    for number in range(4):
        handle = journal.begin("hospital", "predict", "app.predict")
        made = record(decision_id=f'"{number}\\",é')
        journal.admit(handle, made._replace(outcome="admitted"))
        journal.end(handle, made)
    journal.close()
    calls = read(tmp_path)
    assert [alike.count for alike in calls] == [4]


def test_an_encrypted_journal_is_counted_alike(tmp_path):
    add_key(tmp_path / "key")
    keys = read_keys(tmp_path / "key")
    journal = journal_in(tmp_path / "journal", keys=keys, encrypt=True)
    for number in range(20):
        call(journal, number, **CHANGES[number % 2])
        denial(journal, 100 + number)
    journal.close()
    calls = read(tmp_path / "journal", keys=keys)
    assert sorted(alike.count for alike in calls) == [10, 10, 20]
    assert calls.alone == 0


def test_the_definitions_of_several_processes_are_not_mixed_up(tmp_path):
    for action in ("predict", "explain"):
        journal = journal_in(tmp_path)
        for number in range(5):
            denial(journal, number, action=action)
        journal.close()
    counts = {alike.record.action: alike.count for alike in read(tmp_path)}
    assert counts == {"predict": 5, "explain": 5}


def test_an_outcome_whose_intent_is_gone_stands_alone(tmp_path):
    journal = journal_in(tmp_path)
    handles = []
    for number in range(3):
        handle = journal.begin("hospital", "predict", "app.predict")
        made = record(decision_id=f"{number:032x}")
        journal.admit(handle, made._replace(outcome="admitted"))
        handles.append((handle, made))
    filler = 0
    while len(list(tmp_path.glob(f"*{LIVE}"))) < 2 and filler < 5000:
        denial(journal, 1000 + filler)
        filler += 1
    for handle, made in handles:
        journal.end(handle, made)
    journal.close()
    first, *_ = sorted(tmp_path.glob("*.seg"))
    first.unlink()
    assert read(tmp_path).alone == 3


def test_times_are_counted_by_slot(tmp_path):
    journal = journal_in(tmp_path)
    start = 1_800_000_000 // 3600 * 3600
    for second in (0, 899, 900, 3599, 3600, 7199):
        denial(journal, second, started_at=float(start + second))
    journal.close()
    hour = 3_600_000_000_000
    (alike,) = read(tmp_path, lambda ns: ns // hour - start // 3600)
    assert alike.slots == {0: 4, 1: 2}
    second = 1_000_000_000
    (alike,) = read(tmp_path, lambda ns: ns // second - start)
    assert alike.slots == {0: 1, 899: 1, 900: 1, 3599: 1, 3600: 1, 7199: 1}


def test_only_calls_between_two_times_are_counted(tmp_path):
    journal = journal_in(tmp_path)
    for second in range(10):
        denial(journal, second, started_at=1_800_000_000.0 + second)
    journal.close()
    second = 1_000_000_000
    start = 1_800_000_000 * second
    (alike,) = read(tmp_path, since=start + 2 * second, until=start + 5 * second)
    assert alike.count == 3


def test_a_changed_byte_is_damage_and_what_stands_before_it_counts(tmp_path):
    journal = journal_in(tmp_path)
    for number in range(10):
        denial(journal, number)
    journal.close()
    (segment,) = tmp_path.glob("*.seg")

    def change(data):
        data[end_of(data) // 2] ^= 1

    spoil(segment, change)
    calls = read(tmp_path)
    assert 0 < sum(alike.count for alike in calls) < 10
    assert len(calls.damage) == 1
    assert calls.damage[0].endswith("a frame whose check does not match")


def test_what_a_process_was_writing_when_it_died_is_no_damage(tmp_path):
    journal = journal_in(tmp_path)
    for number in range(10):
        denial(journal, number)
    (live,) = tmp_path.glob(f"*{LIVE}")

    def cut(data):
        end = end_of(data)
        data[end - 30 : end] = bytes(30)

    spoil(live, cut)
    calls = read(tmp_path)
    assert (sum(alike.count for alike in calls), calls.damage) == (9, [])


def test_what_is_no_segment_is_damage(tmp_path):
    (tmp_path / "a.1.seg").write_bytes(b"nothing of a journal")
    assert read(tmp_path).damage == [
        "a.1, byte 0: does not begin with the first bytes of a segment"
    ]
