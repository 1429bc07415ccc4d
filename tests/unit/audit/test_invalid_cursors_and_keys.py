"""Cursors, keys and folders that are not valid ones."""

import json
import os

import pytest
from journals import call, ids, journal_in
from typer.testing import CliRunner

from guardrail.audit.journal_read.otlp_export import CallExporter, ExportResult, read_cursor
from guardrail.audit.journal_read.reader import JournalTail
from guardrail.cli import app
from guardrail.errors import ConfigurationError


@pytest.fixture
def journal(tmp_path):
    folder = tmp_path / "journal"
    made = journal_in(folder)
    for number in range(10):
        call(made, number)
    made.close()
    return folder


@pytest.mark.parametrize("beyond", [1, 7, 10**6])
def test_a_cursor_that_stands_at_no_entry_is_told_and_all_is_read(journal, beyond):
    tail = JournalTail(journal)
    tail.poll()
    state = {name: at + beyond for name, at in tail.state.items()}
    again = JournalTail(journal, state=state)
    assert ids(again.poll()) == list(range(10))
    assert "no entry at the cursor" in again.flaws[0].message


def test_a_cursor_at_the_end_says_nothing(journal):
    tail = JournalTail(journal)
    tail.poll()
    again = JournalTail(journal, state=tail.state)
    assert (again.poll(), again.flaws) == ([], [])


def test_export_of_a_journal_restored_from_a_copy_sends_it_and_says_so(journal, tmp_path):
    sent = []

    def send(calls, deadline):
        sent.extend(calls)
        return ExportResult()

    cursor = tmp_path / "cursor"
    CallExporter(journal, send, cursor).run(follows=False, timeout_s=1)
    state = {name: at + 100 for name, at in read_cursor(cursor).items()}
    cursor.write_text(json.dumps({"segments": state}))
    CallExporter(journal, send, cursor).run(follows=False, timeout_s=1)
    assert len(sent) == 20


@pytest.mark.parametrize(
    "text", ['{"segments": {"a": 1' + "0" * 30 + "}}", '{"segments": {"a": -1}}', "[" * 100_000]
)
def test_a_cursor_that_is_none_is_refused(tmp_path, text):
    (tmp_path / "cursor").write_text(text)
    with pytest.raises(ConfigurationError, match="not a cursor"):
        read_cursor(tmp_path / "cursor")


def test_pipes_and_devices_are_neither_cursors_nor_keys(journal, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigurationError, match="not a cursor"):
        read_cursor(tmp_path / "pipe")
    for key in (tmp_path / "pipe", "/dev/zero"):
        done = CliRunner().invoke(app, ["journal", "verify", str(journal), "--key", str(key)])
        assert (done.exit_code, "has no Ed25519 public key" in done.stderr) == (2, True)


@pytest.mark.parametrize("command", ["show", "report", "verify"])
def test_a_journal_whose_segments_were_renamed_is_none(journal, tmp_path, command):
    for path in journal.glob("*.seg*"):
        path.rename(path.with_name(f"{path.name}.bak"))
    options = ["-o", str(tmp_path / "report.html")] if command == "report" else []
    done = CliRunner().invoke(app, ["journal", command, str(journal), *options])
    assert (done.exit_code, "holds no journal" in done.stderr) == (2, True)
