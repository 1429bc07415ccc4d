"""The `[audit]` table: valid settings, errors, and the sinks that it names."""

import os
from pathlib import Path

import pytest

from guardrail._documents import read_toml
from guardrail._ports import SystemClock
from guardrail.audit import (
    DeferredSpans,
    Journal,
    Spans,
    open_journal,
    open_sinks,
    read_audit,
)
from guardrail.audit.journal.keys import add_key
from guardrail.errors import ConfigurationError

JOURNAL = b'[audit]\njournal = "var"\n'


def audit(text):
    return read_audit(read_toml("guardrail.toml", text).below("audit"))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (b'[audit]\nspans = "inlined"', 2),
        (b"[audit]\nspans = true", 2),
        (b"[audit]\nspan = 1", 2),
        (b"audit = 3", 1),
        (b'[audit]\nspans = ["deferred"]', 2),
        (b'[audit]\n\ndurability = "each"', 3),  # of what?
        (JOURNAL + b"encrypt = true", 3),  # with which key?
        (JOURNAL + b'durability = "sometimes"', 3),
        (JOURNAL + b"segment_bytes = 1000", 3),
        (JOURNAL + b'keep = "90"', 3),
        (JOURNAL + b'keep = "0d"', 3),
        (JOURNAL + b'principal = "plain"', 3),
        (JOURNAL + b'facts = ["input"]', 3),
        (JOURNAL + b'digests = ["claims"]', 3),
        (JOURNAL + b"[audit.checkpoints]", 3),
        (JOURNAL + b'[audit.checkpoints]\nkey_file = "k"\nurl = "http://h.example/"', 4),
        (JOURNAL + b'[audit.checkpoints]\nkey_file = "k"\nurl = "https://h/"\nfile = "f"', 3),
        (JOURNAL + b'[audit.checkpoints]\nkey_file = "k"\nevery_s = 0', 5),
    ],
)
def test_what_is_wrong_is_a_fault(text, line):
    with pytest.raises(ConfigurationError) as caught:
        audit(text)
    (fault,) = caught.value.faults
    assert fault.code == "GR003"
    assert fault.place.line >= line - 1


def test_every_fault_is_reported():
    with pytest.raises(ConfigurationError) as caught:
        audit(b'[audit]\nkeep = "1d"\ndurability = "each"\nspans = "deferred"')
    assert [fault.place.line for fault in caught.value.faults] == [3, 2]


def test_inline_spans_are_the_default_and_no_journal():
    assert read_audit(None) == audit(b"[audit]") == audit(b'[audit]\nspans = "inline"')
    assert read_audit(None).spans == "inline"
    assert open_journal(read_audit(None), guard="g", clock=SystemClock()) is None


@pytest.mark.parametrize(("spans", "kind"), [("inline", Spans), ("deferred", DeferredSpans)])
def test_the_settings_name_the_sinks(spans, kind, tmp_path):
    settings = audit(f'[audit]\nspans = "{spans}"\njournal = "{tmp_path}/j"'.encode())
    journal = open_journal(settings, guard="g", clock=SystemClock())
    assert [type(sink) for sink in open_sinks(settings, journal)] == [kind, Journal]
    assert [type(sink) for sink in open_sinks(settings, None)] == [kind]
    assert not (tmp_path / "j").exists()  # it is made by the first call


def test_a_key_file_that_others_can_read_is_refused(tmp_path):
    key_file = tmp_path / "keys"
    add_key(key_file)
    settings = audit(JOURNAL + f'key_file = "{key_file}"'.encode())
    assert open_journal(settings, guard="g", clock=SystemClock()) is not None
    key_file.chmod(0o644)
    with pytest.raises(ConfigurationError, match="other users can read it"):
        open_journal(settings, guard="g", clock=SystemClock())


def test_a_signing_key_of_another_kind_is_refused(tmp_path):
    key_file = tmp_path / "key.pem"
    key_file.write_text("no key")
    settings = audit(JOURNAL + f'[audit.checkpoints]\nkey_file = "{key_file}"'.encode())
    with pytest.raises(ConfigurationError, match="no unencrypted Ed25519 private key"):
        open_journal(settings, guard="g", clock=SystemClock())


def test_http_to_loopback_is_a_place_for_checkpoints():
    text = b'[audit.checkpoints]\nkey_file = "k"\nurl = "http://127.0.0.1:9/"'
    assert audit(JOURNAL + text).checkpoints.leaves


@pytest.fixture
def as_nobody():
    """Have this process do as a user that owns nothing; its own rights come back."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    yield
    os.seteuid(user)


def opened(folder):
    settings = audit(f'[audit]\njournal = "{folder}"\n'.encode())
    return open_journal(settings, guard="hospital", clock=SystemClock())


def test_a_journal_in_a_folder_of_others_does_not_load(as_nobody):
    with pytest.raises(ConfigurationError, match=r"may not write in .* Correct \[audit\] journal"):
        opened("/usr/guardrail/journal")


def test_a_journal_where_a_file_is_does_not_load(tmp_path):
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "journal"):
        with pytest.raises(ConfigurationError, match="file is not a folder"):
            opened(folder)


def test_a_journal_that_is_not_there_yet_loads_and_nothing_is_made(tmp_path):
    assert opened(tmp_path / "new" / "journal") is not None
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs Linux's /proc")
def test_a_journal_where_nobody_can_make_a_folder_does_not_load():
    with pytest.raises(ConfigurationError, match="can't be written: "):
        opened("/proc/nope")


def test_the_check_of_a_journal_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    assert opened(tmp_path / "new") is not None
    assert not list(tmp_path.iterdir())
