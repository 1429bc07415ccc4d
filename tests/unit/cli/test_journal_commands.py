"""`guardrail journal`: what it shows, and what it exits with."""

import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from journals import call, denial, journal_in
from typer.testing import CliRunner

from guardrail.audit.checkpoints import Checkpoints
from guardrail.audit.journal_keys import add_key, read_keys
from guardrail.cli import app

KEY = Ed25519PrivateKey.generate()


def run(*arguments):
    return CliRunner().invoke(app, ["journal", *map(str, arguments)])


@pytest.fixture
def journal(tmp_path):
    folder = tmp_path / "journal"
    made = journal_in(folder)
    for number in range(10):
        call(made, number, started_at=1_800_000_000.0 + number)
    denial(made, 10, started_at=1_800_000_010.5)
    Checkpoints(folder, key=KEY, every_records=1, every_s=1, deliver=None).make(1e9, 0.0, 1)
    made.close()
    return folder


@pytest.fixture
def public(tmp_path):
    file = tmp_path / "public.pem"
    file.write_bytes(KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return file


def test_verify_says_whole_and_exits_0(journal, public):
    done = run("verify", journal, "--key", public)
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.startswith("whole: 26 entries in 1 segments, ")
    assert done.stdout.endswith(", 1 checkpoints\n")


def test_verify_names_the_place_and_exits_1(journal):
    (segment,) = journal.glob("*.seg")
    data = bytearray(segment.read_bytes())
    data[1000] ^= 1
    segment.write_bytes(data)
    done = run("verify", journal)
    assert done.exit_code == 1
    assert f"{segment.name.removesuffix('.seg')}, byte " in done.stderr
    assert "entry 3: a frame whose check does not hold" in done.stderr
    told = json.loads(run("verify", journal, "--format", "json").stdout)
    assert told["whole"] is False
    assert told["flaws"][0]["entry"] == 3


@pytest.mark.parametrize("argument", ["--checkpoints", "--key"])
def test_verify_with_a_key_or_checkpoints_that_are_none_exits_2(journal, argument, tmp_path):
    (tmp_path / "none").write_text("none")
    assert run("verify", journal, argument, tmp_path / "none").exit_code == 2


def test_a_path_that_is_not_there_exits_2(tmp_path):
    for command in ("verify", "show", "report"):
        assert run(command, tmp_path / "none").exit_code == 2


def test_show_has_a_line_per_call_in_the_order_of_time(journal):
    done = run("show", journal)
    lines = done.stdout.splitlines()
    assert len(lines) == 11
    assert lines[0].startswith("2027-01-15 08:00:00.000  released   00000000  clinical_scoring")
    assert "denied" in lines[-1]
    assert "no_grant" in lines[-1]


@pytest.mark.parametrize(
    ("options", "count"),
    [
        (("--outcome", "denied"), 1),
        (("--last", "3"), 3),
        (("--since", "2027-01-15T08:00:05Z"), 6),
        (("--until", "2027-01-15T08:00:05Z"), 5),
        (("--policy", "clinicians-may-score", "--code", "allow"), 10),
        (("--id", f"{7:032x}"), 1),
        (("--action", "explain"), 0),
    ],
)
def test_show_filters(journal, options, count):
    assert len(run("show", journal, *options).stdout.splitlines()) == count


def test_show_as_json_has_all_that_is_kept(journal):
    lines = run("show", journal, "--format", "json", "--last", 1).stdout.splitlines()
    told = json.loads(lines[0])
    assert told["outcome"] == "denied"
    assert told["decision_id"] == f"{10:032x}"
    assert {"trace_id", "segment", "sequence", "facts", "counts"} <= set(told)


def test_a_time_that_is_none_exits_2(journal):
    done = run("show", journal, "--since", "yesterday")
    assert done.exit_code == 2
    assert "--since" in done.stderr


def test_an_encrypted_journal_needs_its_key(tmp_path):
    key_file = tmp_path / "keys"
    add_key(key_file)
    made = journal_in(tmp_path / "journal", keys=read_keys(key_file), encrypt=True)
    call(made, 1)
    made.close()
    (segment,) = (tmp_path / "journal").glob("*.seg")
    assert b"clinical_scoring" not in segment.read_bytes()
    refused = run("show", tmp_path / "journal")
    assert refused.exit_code == 2
    assert "encrypted" in refused.stderr
    shown = run("show", tmp_path / "journal", "--key-file", key_file)
    assert "clinical_scoring" in shown.stdout
    assert run("verify", tmp_path / "journal").exit_code == 0


def test_keys_rotate_and_both_are_read(tmp_path):
    key_file = tmp_path / "keys"
    assert "k1 is the key" in run("key", key_file).stdout
    folder = tmp_path / "journal"
    for number in range(2):
        made = journal_in(folder, keys=read_keys(key_file), encrypt=True)
        call(made, number)
        made.close()
        run("key", key_file)
    shown = run("show", folder, "--key-file", key_file)
    assert len(shown.stdout.splitlines()) == 2
    key_file.write_text("".join(key_file.read_text().splitlines(keepends=True)[:-1]))  # k1 is gone
    assert run("show", folder, "--key-file", key_file).exit_code == 2


@pytest.mark.parametrize("text", ["", "k1", "k1 AAAA", "k1 " + "A" * 44, "K " + "A" * 43 + "="])
def test_a_file_that_has_no_keys_is_refused(tmp_path, text):
    key_file = tmp_path / "keys"
    key_file.write_text(text)
    key_file.chmod(0o600)
    assert run("key", key_file).exit_code == 2
    assert key_file.read_text() == text


def test_report_writes_a_page_and_prints_its_path(journal, tmp_path):
    page = tmp_path / "report.html"
    done = run("report", journal, "-o", page)
    assert (done.exit_code, done.stdout) == (0, f"{page}\n")
    assert "<svg" in page.read_text("utf-8")


def test_report_as_json_and_text(journal):
    told = json.loads(run("report", journal, "--format", "json").stdout)
    assert told["calls"] == 11
    assert told["outcomes"] == {"released": 10, "denied": 1}
    assert "11 calls" in run("report", journal, "--format", "text").stdout
