"""`guardrail journal`: the output and the exit codes of its commands."""

import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from journals import call, denial, journal_in
from records import record
from rich.text import Text
from typer.testing import CliRunner

from guardrail.audit.journal.checkpoints import Checkpoints
from guardrail.audit.journal.keys import add_key, read_keys
from guardrail.audit.journal_read.filters import CallFilter
from guardrail.audit.journal_read.reader import JournalCall, JournalTail
from guardrail.cli import app
from guardrail.cli.io import journal_follow
from guardrail.cli.io.journal_follow import Rates, follow
from guardrail.cli.journal.show import line, moment

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
    assert done.stdout.startswith("whole: 26 entries in 1 segment, ")
    assert done.stdout.endswith(", 1 checkpoints\n")


def test_verify_names_the_place_and_exits_1(journal):
    (segment,) = journal.glob("*.seg")
    data = bytearray(segment.read_bytes())
    data[1000] ^= 1
    segment.write_bytes(data)
    done = run("verify", journal)
    assert done.exit_code == 1
    assert f"{segment.name.removesuffix('.seg')}, byte " in done.stderr
    assert "entry 3: a frame whose check does not match" in done.stderr
    output = json.loads(run("verify", journal, "--format", "json").stdout)
    assert output["whole"] is False
    assert output["flaws"][0]["entry"] == 3


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
        (("--limit", "2", "--outcome", "released"), 2),
        (("--last", "0"), 0),
        (("--guard", "clinical_scoring", "--principal-type", "User"), 11),
        (("--principal", "k1:ab…"), 0),
        (("--resource", "tumour"), 0),
    ],
)
def test_show_filters(journal, options, count):
    assert len(run("show", journal, *options).stdout.splitlines()) == count


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ("--code", "nogrant"),
            "0 of 11 calls match --code. Codes in this journal: allow, no_grant.",
        ),
        (("--policy", "nope"), "Policies in this journal: clinicians-may-score."),
        (("--action", "predct"), "Actions in this journal: "),
        (("--principal", "k1:ffff"), "0 of 11 calls match --principal."),
        (("--id", "canary", "--code", "allow"), "0 of 11 calls match --code --id."),
    ],
)
def test_show_says_that_no_call_matches(journal, options, message):
    done = run("show", journal, *options)
    assert (done.exit_code, done.stdout) == (0, "")
    assert message in done.stderr
    assert "canary" not in done.stderr


def test_show_as_json_has_all_that_is_kept(journal):
    lines = run("show", journal, "--format", "json", "--last", 1).stdout.splitlines()
    output = json.loads(lines[0])
    assert output["outcome"] == "denied"
    assert output["decision_id"] == f"{10:032x}"
    assert {"trace_id", "segment", "sequence", "facts", "counts"} <= set(output)


@pytest.mark.parametrize("text", ["yesterday", "min", "-5s", "9" * 20 + "d", "2026-13-01"])
def test_a_time_that_is_none_exits_2(journal, text):
    for command in ("show", "report"):
        done = run(command, journal, "--since", text)
        assert done.exit_code == 2
        assert "--since" in done.stderr


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("15min", 1.8e9 - 900), ("2h", 1.8e9 - 7200), ("3d", 1.8e9 - 259_200), ("5s", 1.8e9 - 5),
        ("2027-01-15T08:00:00Z", 1.8e9), ("2027-01-15T09:00:00+01:00", 1.8e9),
        ("2027-01-15T08:00:00", 1.8e9), (None, None),
    ],
)  # fmt: skip
def test_a_time_is_a_date_or_so_long_ago(text, seconds):
    assert moment(text, "--since", 1.8e9) == seconds


def test_an_outcome_that_is_none_exits_2(journal):
    done = run("show", journal, "--outcome", "deny")
    assert done.exit_code == 2
    assert "released, denied" in done.stderr


def test_the_last_calls_are_those_of_the_latest_time_whatever_wrote_them(tmp_path):
    folder = tmp_path / "journal"
    first, second = journal_in(folder), journal_in(folder)
    for number in range(6):
        call((first, second)[number % 2], number, started_at=1.8e9 + number)
    first.close()
    second.close()
    lines = run("show", folder, "--last", 3, "--format", "json").stdout.splitlines()
    assert [int(json.loads(line)["decision_id"], 16) for line in lines] == [3, 4, 5]


# One line.


def test_a_line_steers_no_terminal():
    bad = "a\x1b[2Jb\n\u202e"
    made = record(
        guard=bad, action=bad, principal_type=bad, principal=bad, resource=bad, code=bad,
        policies=(bad,), error_type=bad, path=bad, decision_id=bad, outcome=bad,
    )  # fmt: skip
    assert all(part.isprintable() for part in line(made))


def test_a_line_names_a_caller_as_the_filter_takes_it():
    made = record(principal="k1:" + "ab" * 16)
    *_, rest = line(made)
    name = next(word for word in rest.split() if word.startswith('"k1:'))
    assert name == '"k1:ababababababababa"…'
    assert CallFilter(principal=name.replace('"', "")).takes(made)


@pytest.mark.parametrize("at", [0.0, -1e13, 1e300, float("nan")])
def test_a_line_without_a_time_has_dashes(at):
    at_none, *_ = line(record(started_at=at))
    at_some, *_ = line(record())
    assert len(at_none) == len(at_some)
    assert set(at_none) == {"-", " "}


# Calls as they come.


def kept(number, outcome="released"):
    made = record(decision_id=f"{number:032x}", outcome=outcome, started_at=1.8e9 + number)
    return JournalCall(made, ("", "", ""), "s", number)


def test_rates_are_of_the_last_seconds():
    rates = Rates(100.0)
    assert rates.line(100.1).startswith("0.0 calls/s  0.0 denials/s")
    rates.count(102.0, [kept(1), kept(2, "denied"), kept(3, "blocked"), kept(4)])
    assert rates.line(102.0).startswith("2.0 calls/s  1.0 denials/s")
    assert rates.line(110.0).startswith("0.4 calls/s  0.2 denials/s")
    assert rates.line(112.1).startswith("0.0 calls/s  0.0 denials/s")


class Script:
    """A tail that gives what it is told to, and then is interrupted."""

    def __init__(self, *polls):
        self.polls = list(polls)

    def poll(self):
        if not self.polls:
            raise KeyboardInterrupt
        return self.polls.pop(0)


def test_following_writes_plain_lines_to_a_pipe_and_ends_on_an_interrupt(capsys, monkeypatch):
    monkeypatch.setattr(journal_follow, "_POLL_S", 0)
    tail = Script([kept(1), kept(2)], [], [kept(3)])
    follow(tail, lambda found: found, lambda one: Text(str(one.sequence), style="red"))
    assert capsys.readouterr().out == "1\n2\n3\n"


def test_follow_shows_the_last_and_then_those_that_come(journal, monkeypatch):
    monkeypatch.setattr(journal_follow, "_POLL_S", 0)
    polled = JournalTail.poll
    later = [[kept(20), kept(21, "denied")]]

    def poll(self):
        if not later:
            raise KeyboardInterrupt
        return polled(self) + later.pop()

    monkeypatch.setattr(JournalTail, "poll", poll)
    done = run("show", journal, "--last", 2, "--follow", "--outcome", "released")
    assert done.exit_code == 0
    assert [text.split()[3] for text in done.stdout.splitlines()] == ["00000000"] * 3
    later.append([kept(22)])
    done = run("show", journal, "--last", 0, "--follow", "--format", "json")
    assert [json.loads(text)["decision_id"] for text in done.stdout.splitlines()] == [f"{22:032x}"]


def test_one_segment_is_not_followed(journal):
    (segment,) = journal.glob("*.seg")
    assert run("show", segment, "--follow").exit_code == 2


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
    assert "is the key from now on" in run("key", key_file).stdout
    folder = tmp_path / "journal"
    for number in range(2):
        made = journal_in(folder, keys=read_keys(key_file), encrypt=True)
        call(made, number)
        made.close()
        run("key", key_file)
    shown = run("show", folder, "--key-file", key_file)
    assert len(shown.stdout.splitlines()) == 2
    key_file.write_text(
        "".join(key_file.read_text().splitlines(keepends=True)[:-1])
    )  # the first is gone
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
    output = json.loads(run("report", journal, "--format", "json").stdout)
    assert output["calls"] == 11
    assert output["outcomes"] == {"released": 10, "denied": 1}
    assert output["codes"] == {"no_grant": 1}
    assert (output["first_at"], output["last_at"], output["undated"]) == (1.8e9, 1.8e9 + 10.5, 0)
    assert sum(bar.get("released", 0) for bar in output["over_time"]["bars"]) == 10
    text = run("report", journal, "--format", "text").stdout
    assert "11 calls" in text
    assert "no_grant" in text


def test_report_takes_a_span_of_time(journal):
    options = ("--since", "2027-01-15T08:00:05Z", "--until", "2027-01-15T08:00:08Z")
    assert json.loads(run("report", journal, *options, "--format", "json").stdout)["calls"] == 3


def test_report_where_nothing_can_be_written_exits_2(journal, tmp_path):
    done = run("report", journal, "-o", tmp_path / "none" / "report.html")
    assert done.exit_code == 2
    assert "report.html" in done.stderr


@pytest.mark.parametrize("text", ["", "\n", " \n\n", "\r\n"])
@pytest.mark.parametrize("is_elsewhere", [True, False])
def test_verify_without_one_checkpoint_to_look_at_exits_2(
    journal, public, tmp_path, text, is_elsewhere
):
    file = tmp_path / "elsewhere.jws" if is_elsewhere else journal / "checkpoints.jws"
    file.write_text(text)
    options = ("--checkpoints", file) if is_elsewhere else ()
    done = run("verify", journal, "--key", public, *options)
    assert done.exit_code == 2
    assert "There are no checkpoints in" in done.stderr


@pytest.mark.parametrize(
    ("id", "shown"),
    [
        ("", '""'), (" ", '" "'), ("a b", '"a b"'), ('a"b', '"a\\"b"'), ("\x1b[2J", '"\\x1b[2J"'),
        ("\x00", '"\\x00"'), ("\x07", '"\\x07"'), ("\u202eabc", '"\\u202eabc"'),
        ("\u2066", '"\\u2066"'), ("a\u00a0", '"a\\xa0"'), ("\u200b", '"\\u200b"'),
        ("\x9b1m", '"\\x9b1m"'), ("\n", '"\\n"'), ("\x7f", '"\\x7f"'), ("Ünal", '"Ünal"'),
    ],
)  # fmt: skip
def test_ids_are_quoted_on_a_line(id, shown):
    *_, rest = line(record(principal=id, resource=id))
    assert f"User {shown}  Model {shown}  " in rest


def test_hostile_texts_reach_no_output_of_a_journal(tmp_path):
    """Through the files, and every command: no control character, and no turned line."""
    bad = "a\x1b[2Jb\x00\x07\u202ec"
    folder = tmp_path / "journal"
    made = journal_in(folder)
    for number, outcome in enumerate(("released", "denied", "raised", "admitted")):
        one = record(
            decision_id=f"{bad}{number}", guard=bad, version=bad, revision=bad, action=bad,
            principal_type=bad, principal=bad, resource_type=bad, resource=bad, outcome=outcome,
            code=bad, policies=(bad,), obligations=(bad,), errors=(bad,), error_type=bad, path=bad,
            counts=((f"quota/{bad}/{bad}", 1), (f"redact/{bad}", 1)),
        )  # fmt: skip
        made.end(None, one)
    made.close()
    page = tmp_path / "page.html"
    outputs = [run("show", folder), run("report", folder, "-o", page), run("verify", folder)]
    outputs += [run("show", folder, "--format", "json"), run("report", folder, "--format", "text")]
    outputs += [run("report", folder, "--format", "json")]
    assert [done.exit_code for done in outputs] == [0] * len(outputs)
    texts = [page.read_text("utf-8"), *(done.output for done in outputs)]
    for text in texts:
        assert not [char for char in text if not char.isprintable() and char != "\n"]
    assert "\\x1b[2Jb\\x00\\x07\\u202ec" in texts[0]


@pytest.mark.parametrize("command", ["verify", "show", "report"])
def test_a_folder_that_holds_no_journal_is_no_whole_one(tmp_path, command):
    (tmp_path / "app.py").write_text("")
    done = run(command, tmp_path)
    assert done.exit_code == 2
    assert "holds no journal" in done.stderr


def test_a_journal_without_a_segment_has_nothing_to_verify(journal):
    for segment in journal.glob("*.seg*"):
        segment.unlink()
    done = run("verify", journal)
    assert done.exit_code == 2
    assert "no segment" in done.stderr
