"""Unreadable entries of a journal: never written, and reported by every reader."""

import json
import os
import shutil
import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from journals import KeptBy, call, denial, frames, ids, journal_in, spoil, written
from pydantic_core import from_json
from records import record
from typer.testing import CliRunner

from guardrail.audit.journal import codec as entries
from guardrail.audit.journal import maintenance
from guardrail.audit.journal.codec import NO_TRACE, Definitions, encode_opening, encode_outcome
from guardrail.audit.journal.framing import ENCRYPTED, LIMIT_BODY, MAGIC, EntryKind
from guardrail.audit.journal.keys import Keys
from guardrail.audit.journal.maintenance import Maintenance, compress
from guardrail.audit.journal_read.grouped_calls import GroupedCalls
from guardrail.audit.journal_read.reader import JournalTail, read_calls, size_of
from guardrail.audit.journal_read.verify import verify
from guardrail.audit.pseudonyms import Pseudonyms
from guardrail.cli import app
from guardrail.errors import ConfigurationError, JournalDamaged

NESTED = "deep"
for _ in range(500):
    NESTED = [NESTED]

#: Values that some reader of JSON refuses, or that JSON has no form for.
ODD = [
    "\ud800", "a\udc80b", "\x00", "\x1b[2J", '"\\', "\u2028",
    float("nan"), float("inf"), -float("inf"), 1e308,
    10**30, -(10**30), 10**5000, 2**63, -(2**63) - 1,
    NESTED, (NESTED,), {"a": NESTED}, {"\ud800": "\udfff"}, {1: 2}, {3.5, "x"}, object(), b"x",
]  # fmt: skip


@pytest.mark.parametrize("value", ODD, ids=range(len(ODD)))
def test_a_fact_of_any_value_is_written_readably(tmp_path, value):
    journal = journal_in(tmp_path)
    denial(journal, 1, facts=(("a.b", value), ("c.\ud800", 1)))
    call(journal, 2, facts=(("a.b", [value]),))
    journal.close()
    assert verify(tmp_path).flaws == []
    kept = list(read_calls(tmp_path))
    assert ids(kept) == [1, 2]
    assert [name for name, _ in kept[0].record.facts] == ["a.b", "c.?"]


TEXTS = {
    name: "\ud800x\x00" for name, value in record()._asdict().items() if isinstance(value, str)
}


@pytest.mark.parametrize(
    "name", [*sorted(TEXTS.keys() - {"outcome"}), "input_digest", "output_digest"]
)
def test_a_field_with_a_lone_surrogate_is_written_readably(tmp_path, name):
    journal = journal_in(tmp_path)
    made = record(**{name: "\ud800x\x00"})
    handle = journal.begin("g", "a", "f")
    journal.admit(handle, made._replace(outcome="admitted"))
    journal.end(handle, made)
    journal.end(None, made)
    assert verify(tmp_path).flaws == []
    assert len(list(read_calls(tmp_path))) == 2


@pytest.mark.parametrize("name", ["policies", "obligations", "errors", "counts"])
def test_a_list_with_a_lone_surrogate_is_written_readably(tmp_path, name):
    value = (("quota/\udfff", 1),) if name == "counts" else ("\ud800",)
    journal = journal_in(tmp_path)
    journal.end(None, record(**{name: value}))
    assert verify(tmp_path).flaws == []
    assert len(list(read_calls(tmp_path))) == 1


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(facts=st.lists(st.tuples(st.text(), values), max_size=5), text=st.text())
def test_what_is_written_can_be_parsed_whatever_it_is(facts, text):
    definitions = Definitions()
    made = record(facts=tuple(facts), principal=text, error_type=text, function=text)
    for _, definition, body in (
        encode_opening(made, NO_TRACE, definitions),
        encode_outcome(made, definitions),
    ):
        entries.check(from_json(definition))
        entries.check(from_json(body))


@pytest.mark.parametrize("name", ["principal", "resource", "decision_id", "parent_decision_id"])
@pytest.mark.parametrize("size", [70_000, LIMIT_BODY + 1])
def test_an_id_that_is_too_long_for_an_entry_is_cut(tmp_path, name, size):
    journal = journal_in(tmp_path, segment_bytes=4 << 20)
    call(journal, 1, **({name: "x" * size} if name != "decision_id" else {}))
    journal.end(None, record(**{name: "x" * size}))
    journal.close()
    assert verify(tmp_path).flaws == []
    assert len(list(read_calls(tmp_path))) == 2


def test_a_header_names_as_many_segments_as_an_entry_can_hold(tmp_path):
    for number in range(30_000):
        (tmp_path / f"20250101T000000000000Z-1-abcdef.{number:06d}.seg").touch()
    journal = journal_in(tmp_path)
    call(journal, 1)
    (path,) = tmp_path.glob("*.live")
    header = json.loads(frames(path.read_bytes())[0].body)
    assert header["beside"][-1] == "20250101T000000000000Z-1-abcdef.029999"


def test_a_nested_fact_is_named_by_its_type(tmp_path):
    names = Pseudonyms(
        lambda: Keys({"k": b"k" * 32}),
        knows=lambda _: False,
        digest_of=lambda _: "",
        take_view=lambda *_: None,
    )
    assert "list" in json.dumps(names._shown(NESTED, True))


# What stands there all the same.


def write(folder, body, kind=EntryKind.WHOLE):
    """Write two calls, and an entry of another form between them."""
    journal = journal_in(folder)
    call(journal, 1)
    journal._append(int(kind), (0, b"", body))
    call(journal, 2)
    journal.close()


UNREADABLE = [
    b'{"id":"\\ud800"}', b"{", b"", b"[]", b"7", b'"text"', b"\xff", b'{"id":"a"', b"{'id':1}",
    b'{"id":NaN,}', b'{"id":7}', b'{"rows":"7"}', b'{"rows":1.5}', b'{"at_ns":1e400}',
    b'{"at_ns":' + b"9" * 400 + b"}", b'{"facts":[]}', b'{"counts":{"a":"b"}}', b'{"counts":7}',
    b'{"policies":"ab"}', b'{"policies":[1]}', b'{"trace":["a"]}', b'{"trace":"abc"}',
    b'{"cached":1}', b'{"as":999,"id":"a"}', b'{"as":[1],"id":"a"}', b'{"as":{},"id":"a"}',
    b'{"as":true,"id":"a"}', b'{"facts":{"a":NaN}}', b'{"facts":{"a":[-Infinity]}}',
    b'{"id":null}', b'{"facts":' + b"[" * 400 + b"}",
]  # fmt: skip
every_body = pytest.mark.parametrize("body", UNREADABLE, ids=range(len(UNREADABLE)))


@every_body
@pytest.mark.parametrize("kind", [EntryKind.INTENT, EntryKind.OUTCOME, EntryKind.WHOLE])
def test_every_reader_says_what_it_cannot_read_and_reads_on(tmp_path, body, kind):
    write(tmp_path, body, kind)
    flaws = verify(tmp_path).flaws
    assert ["can't be parsed" in flaw.message for flaw in flaws] == [True]
    with pytest.raises(JournalDamaged) as caught:
        list(read_calls(tmp_path))
    assert caught.value.count == 1
    told = []
    assert ids(read_calls(tmp_path, report=told.append)) == [1, 2]
    tail = JournalTail(tmp_path, report=told.append)
    assert ids(tail.poll()) == [1, 2]
    tail.poll()
    (flaw,) = {(one.segment, one.at, one.sequence) for one in told}
    assert flaw == (flaws[0].segment, flaws[0].at, flaws[0].sequence)
    assert len(told) == 2


def test_of_two_calls_that_begin_with_one_id_each_is_shown(tmp_path):
    write(tmp_path, b'{"id":"twice","action":"one"}', EntryKind.INTENT)
    journal = journal_in(tmp_path)
    journal._append(int(EntryKind.INTENT), (0, b"", b'{"id":"again"}'))
    journal._append(int(EntryKind.INTENT), (0, b"", b'{"id":"again"}'))
    journal.close()
    kept = [call.record.decision_id for call in read_calls(tmp_path)]
    assert kept.count("again") == 2
    assert JournalTail(tmp_path).poll()


@pytest.mark.parametrize("kind", [11, 99, 127])
def test_an_entry_of_a_kind_that_is_not_known_is_said(tmp_path, kind):
    write(tmp_path, b"{}", kind)
    assert len(verify(tmp_path).flaws) == 1
    with pytest.raises(JournalDamaged):
        list(read_calls(tmp_path))


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"as":"x"}', b"{}", b'{"as":1,"guard":7}'])
def test_a_definition_that_cannot_be_read_is_said(tmp_path, body):
    write(tmp_path, body, EntryKind.DEFINED)
    assert len(verify(tmp_path).flaws) == 1
    with pytest.raises(JournalDamaged):
        list(read_calls(tmp_path))


@every_body
@pytest.mark.parametrize("kind", [EntryKind.INTENT, EntryKind.OUTCOME, EntryKind.WHOLE])
def test_a_replay_counts_what_it_cannot_read_as_damage(tmp_path, body, kind):
    write(tmp_path, body, kind)
    calls = GroupedCalls()
    calls.read(tmp_path)
    assert [text.partition(": ")[2] for text in calls.damage] == ["cannot be read"]


def test_a_replay_parses_an_entry_whose_text_it_knows(tmp_path):
    """All but the id is as in the entry before: it is not looked at in full."""
    journal = journal_in(tmp_path)
    call(journal, 1)
    (path,) = tmp_path.glob("*.live")
    whole = next(item for item in frames(path.read_bytes()) if item.kind == EntryKind.INTENT)
    body = whole.body.replace(f"{1:032x}".encode(), b"\\ud800" + b"0" * 26)
    journal._append(int(EntryKind.WHOLE), (0, b"", body))
    journal.close()
    calls = GroupedCalls()
    calls.read(tmp_path)
    assert len(calls.damage) == 1


def run(*arguments):
    return CliRunner().invoke(app, list(map(str, arguments)))


@pytest.fixture
def spoiled(tmp_path):
    """A journal with an entry that can't be read."""
    write(tmp_path / "journal", b'{"id":"\\ud800"}')
    return tmp_path / "journal"


@pytest.mark.parametrize(
    "options", [(), ("--last", 1), ("--format", "json"), ("--outcome", "denied")], ids=str
)
def test_show_says_it_and_exits_1(spoiled, options):
    done = run("journal", "show", spoiled, *options)
    assert done.exit_code == 1
    assert "not read: " in done.stderr


@pytest.mark.parametrize("format", ["html", "text", "json"])
def test_report_says_it_and_exits_1(spoiled, format, tmp_path):
    done = run("journal", "report", spoiled, "--format", format, "-o", tmp_path / "page.html")
    assert done.exit_code == 1
    assert "not read: " in done.stderr


def test_verify_says_it_and_exits_1(spoiled):
    done = run("journal", "verify", spoiled)
    assert done.exit_code == 1
    assert "can't be parsed" in done.stderr


def test_follow_says_it_and_exits_1_when_it_is_ended(spoiled, monkeypatch):
    from guardrail.cli.io import journal_follow

    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(journal_follow.time, "sleep", interrupt)
    done = run("journal", "show", spoiled, "--follow")
    assert done.exit_code == 1
    assert done.stderr.count("not read: ") == 1


# Damage that is no entry.


def unparsable_header(path):
    spoil(path, lambda data: data.__setitem__(30, 0xFF))


def no_magic(path):
    spoil(path, lambda data: data.__setitem__(0, 0))


def a_changed_byte(path):
    spoil(path, lambda data: data.__setitem__(len(data) // 2, data[len(data) // 2] ^ 1))


def empty(path):
    path.write_bytes(b"")


def zeros(path):
    path.write_bytes(bytes(5000))


def unzipped_no_more(path):
    compress(path)
    (path,) = path.parent.glob("*.gz")
    path.write_bytes(path.read_bytes()[:-20])


@pytest.mark.parametrize(
    "damage",
    [unparsable_header, no_magic, a_changed_byte, empty, zeros, unzipped_no_more],
    ids=lambda each: each.__name__,
)
def test_every_reader_says_what_is_damaged(tmp_path, damage):
    folder = tmp_path / "journal"
    path = written(folder, 20)
    journal = journal_in(folder)
    call(journal, 1000)
    journal.close()
    damage(path)
    assert verify(folder).flaws
    assert run("journal", "show", folder).exit_code == 1
    assert run("journal", "report", folder, "-o", tmp_path / "p.html").exit_code == 1
    kept = []

    def read():
        for one in read_calls(folder):
            kept.append(one)

    with pytest.raises(JournalDamaged):
        read()
    assert 1000 in ids(kept)
    calls = GroupedCalls()
    calls.read(folder)
    assert calls.damage
    told = []
    assert 1000 in ids(JournalTail(folder, report=told.append).poll())
    assert told


def test_an_append_that_is_under_way_is_no_damage(tmp_path):
    journal = journal_in(tmp_path)
    for number in range(20):
        call(journal, number)
    (path,) = tmp_path.glob("*.live")
    end = frames(path.read_bytes())[-1].end
    spoil(path, lambda data: data.__setitem__(slice(end - 20, end), bytes(20)))
    assert len(list(read_calls(tmp_path))) == 20
    tail = JournalTail(tmp_path)
    tail.poll()
    assert tail.flaws == []


# Keys.

ONE, OTHER = Keys({"k1": b"1" * 32}), Keys({"k1": b"2" * 32})


def encrypted(folder):
    journal = journal_in(folder, keys=ONE, encrypt=True)
    call(journal, 1)
    journal.close()


def readers(folder, keys):
    return (
        lambda: list(read_calls(folder, keys=keys)),
        lambda: JournalTail(folder, keys=keys).poll(),
        lambda: GroupedCalls().read(folder, keys=keys),
        lambda: verify(folder, keys=keys),
    )


def test_a_key_of_the_same_name_that_is_another_one_is_told(tmp_path):
    encrypted(tmp_path)
    for read in readers(tmp_path, OTHER):
        with pytest.raises(ConfigurationError, match="has another key"):
            read()
    for read in readers(tmp_path, Keys({"k2": b"1" * 32})):
        with pytest.raises(ConfigurationError, match="has another key"):
            read()
    for read in readers(tmp_path, ONE):
        read()
    assert verify(tmp_path, keys=ONE).unparsed == 0
    assert verify(tmp_path).unparsed > 0
    assert verify(tmp_path).flaws == []


def test_a_key_that_does_not_fit_an_earlier_versions_segment_is_told(tmp_path, monkeypatch):
    """Which has no fingerprint: what decrypts proves the key."""
    from guardrail.audit.journal import chain

    real = chain.to_json

    def to_json(body):
        return real({name: value for name, value in body.items() if name != "fingerprint"})

    monkeypatch.setattr(chain, "to_json", to_json)
    encrypted(tmp_path)
    for read in readers(tmp_path, OTHER):
        with pytest.raises(ConfigurationError, match="has another key"):
            read()
    for read in readers(tmp_path, ONE):
        read()
    assert ids(read_calls(tmp_path, keys=ONE)) == [1]


def test_a_fingerprint_is_not_the_key(tmp_path):
    encrypted(tmp_path)
    (path,) = tmp_path.glob("*.seg")
    header = json.loads(frames(path.read_bytes())[0].body)
    assert header["fingerprint"] == ONE.fingerprint()
    assert len(header["fingerprint"]) == 16
    assert ONE.fingerprint() != OTHER.fingerprint()


def test_an_encrypted_entry_that_was_made_by_somebody_else_is_said(tmp_path):
    journal = journal_in(tmp_path, keys=ONE, encrypt=True)
    call(journal, 1)
    journal._append(int(EntryKind.WHOLE) | 0x80, (0, b"", b"x" * 50))
    call(journal, 2)
    journal.close()
    assert len(verify(tmp_path, keys=ONE).flaws) == 1
    told = []
    assert ids(read_calls(tmp_path, keys=ONE, report=told.append)) == [1, 2]
    assert len(told) == 1


def test_an_encrypted_journal_is_verified_and_recovered_without_its_key(tmp_path):
    """What the journal says of its own files is not encrypted."""
    child = os.fork()
    if not child:
        journal = journal_in(tmp_path, keys=ONE, encrypt=True)
        call(journal, 1)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    kept = KeptBy()
    journal = journal_in(tmp_path, keys=ONE, encrypt=True, maintenance=kept)
    call(journal, 2)
    kept.maintenance.work()
    journal.close()
    result = verify(tmp_path)
    assert result.flaws == []
    assert any("its process died" in note for note in result.notes)


# Names.


def two(folder):
    """A journal of two closed segments, of two chains."""
    for number in range(2):
        journal = journal_in(folder)
        call(journal, number)
        journal.close()
    return sorted(folder.glob("*.seg"))


def killed_between_the_steps(path):
    """Leave what a process leaves that is killed when it has compressed, and not yet removed."""
    copy = path.read_bytes()
    compress(path)
    path.write_bytes(copy)


def counted(folder):
    calls = GroupedCalls()
    calls.read(folder)
    told = []
    return (
        sorted(ids(read_calls(folder, report=told.append))),
        sorted(ids(JournalTail(folder, report=told.append).poll())),
        sum(each.count for each in calls),
    )


def test_a_segment_beside_its_compressed_self_counts_once_and_is_named(tmp_path):
    folder = tmp_path / "journal"
    first, _ = two(folder)
    killed_between_the_steps(first)
    assert counted(folder) == ([0, 1], [0, 1], 2)
    result = verify(folder)
    assert result.flaws == []
    assert first.name in result.notes[0]
    for command in (("show", folder), ("verify", folder), ("report", folder, "-o", tmp_path / "p")):
        done = run("journal", *command)
        assert done.exit_code == 0
        assert first.name in done.stderr


@pytest.mark.parametrize("compresses", [True, False])
def test_it_is_removed_at_the_next_start(tmp_path, compresses):
    first, _ = two(tmp_path)
    killed_between_the_steps(first)
    kept = KeptBy(compresses=compresses)
    journal = journal_in(tmp_path, maintenance=kept)
    call(journal, 2)
    kept.maintenance.work()
    journal.close()
    assert not first.exists()
    assert first.with_name(first.name + ".gz").exists()
    assert verify(tmp_path).flaws == []
    assert sorted(ids(read_calls(tmp_path))) == [0, 1, 2]


def test_a_process_that_lives_for_a_moment_removes_it_too(tmp_path):
    first, _ = two(tmp_path)
    killed_between_the_steps(first)
    journal = journal_in(tmp_path, maintenance=KeptBy(Maintenance))
    call(journal, 2)
    journal.close()
    assert not first.exists()
    assert verify(tmp_path).flaws == []
    assert sorted(ids(read_calls(tmp_path))) == [0, 1, 2]


def test_a_kill_at_each_step_of_a_compression_loses_and_doubles_nothing(tmp_path):
    """By a process that really dies there."""
    for step, (owner, name) in enumerate(
        [(maintenance.shutil, "copyfileobj"), (maintenance.os, "fsync"), (maintenance.shutil,
        "copystat"),
         (maintenance.Path, "rename"), (maintenance.Path, "unlink")]
    ):  # fmt: skip
        folder = tmp_path / str(step)
        first, _ = two(folder)
        child = os.fork()
        if not child:
            setattr(owner, name, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
            compress(first)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        assert counted(folder) == ([0, 1], [0, 1], 2)
        assert verify(folder).flaws == []
        kept = KeptBy(compresses=True)
        journal = journal_in(folder, maintenance=kept)
        call(journal, 2)
        kept.maintenance.work()
        journal.close()
        assert not first.exists()
        assert [path for path in folder.iterdir() if path.name.startswith(".")] == []
        assert verify(folder).flaws == []
        assert sorted(ids(read_calls(folder))) == [0, 1, 2]


def test_a_compressed_file_of_other_bytes_is_damage_and_stays(tmp_path):
    first, second = two(tmp_path)
    other = second.read_bytes()
    killed_between_the_steps(second)
    shutil.copy(second.with_name(second.name + ".gz"), first.with_name(first.name + ".gz"))
    assert any("different bytes" in flaw.message for flaw in verify(tmp_path).flaws)
    with pytest.raises(JournalDamaged):
        list(read_calls(tmp_path))
    with pytest.raises(OSError, match="file differ"):
        compress(first)
    assert first.exists()
    assert second.read_bytes() == other


def copied(first, second):
    shutil.copy(first, first.with_name(f"29990101T000000000000Z-1-abcdef.{1:06d}.seg"))


def copied_to_an_earlier_name(first, second):
    shutil.copy(first, first.with_name(f"19990101T000000000000Z-1-abcdef.{1:06d}.seg"))


def copied_compressed(first, second):
    copy = first.read_bytes()
    compress(first)
    (zipped,) = first.parent.glob("*.gz")
    zipped.rename(first.with_name(f"29990101T000000000000Z-1-abcdef.{1:06d}.seg.gz"))
    first.write_bytes(copy)


def copied_as_the_next_one(first, second):
    shutil.copy(first, first.with_name(first.name.replace("000001", "000002")))


def renamed(first, second):
    first.rename(first.with_name(f"29990101T000000000000Z-1-abcdef.{1:06d}.seg"))


def swapped(first, second):
    one, other = first.read_bytes(), second.read_bytes()
    first.write_bytes(other)
    second.write_bytes(one)


@pytest.mark.parametrize(
    "change",
    [
        copied,
        copied_to_an_earlier_name,
        copied_compressed,
        copied_as_the_next_one,
        renamed,
        swapped,
    ],
    ids=lambda each: each.__name__,
)
def test_a_file_that_is_not_the_segment_that_it_is_called_is_named(tmp_path, change):
    folder = tmp_path / "journal"
    change(*two(folder))
    assert counted(folder) == ([0, 1], [0, 1], 2)
    assert any("holds the segment" in flaw.message for flaw in verify(folder).flaws)
    assert run("journal", "verify", folder).exit_code == 1
    assert run("journal", "show", folder).exit_code == 1
    with pytest.raises(JournalDamaged):
        list(read_calls(folder))
    calls = GroupedCalls()
    calls.read(folder)
    assert calls.damage


def test_a_copy_that_looks_as_if_it_were_being_written_replaces_nothing(tmp_path):
    first, _ = two(tmp_path)
    shutil.copy(first, first.with_suffix(".live"))
    before = first.read_bytes()
    kept = KeptBy()
    journal = journal_in(tmp_path, maintenance=kept)
    call(journal, 2)
    kept.maintenance.work()
    journal.close()
    assert first.read_bytes() == before
    assert verify(tmp_path).flaws
    assert sorted(ids(read_calls(tmp_path, report=lambda _: None))) == [0, 1, 2]


def test_what_is_written_begins_with_a_magic(tmp_path):
    first, _ = two(tmp_path)
    assert first.read_bytes().startswith(MAGIC)


@pytest.mark.parametrize("keys", [None, ONE], ids=["without keys", "with keys"])
@pytest.mark.parametrize("kind", [EntryKind.WHOLE, EntryKind.DEFINED, 77])
def test_an_encrypted_entry_in_a_plain_segment_is_said(tmp_path, kind, keys):
    write(tmp_path, b"\x8f" * 40, kind | ENCRYPTED)
    verdict = verify(tmp_path, keys=keys)
    assert "form of an entry" in str(verdict.flaws)
    assert not verdict.unparsed
    with pytest.raises(JournalDamaged):
        list(read_calls(tmp_path, keys=keys))


def test_an_entry_of_an_unknown_kind_is_said_without_the_keys(tmp_path):
    journal = journal_in(tmp_path, keys=ONE, encrypt=True)
    call(journal, 1)
    journal._append(77 | ENCRYPTED, (0, b"", b"\x8f" * 40))
    journal.close()
    assert "form of an entry" in str(verify(tmp_path).flaws)


def test_a_segment_that_is_gone_meanwhile_has_no_size(tmp_path):
    kept = tmp_path / "kept"
    kept.write_bytes(b"abc")
    assert size_of(kept) == 3
    assert size_of(tmp_path / "gone") == 0
