"""A revoked credential is denied at once and everywhere; an unreadable file denies all."""

import json
import os

import pytest

from guardrail.errors import ConfigurationError, NotAuthenticated
from guardrail.identity import ActingAs, Revocations, current
from guardrail.values import Identity, Principal

NOW = 1_800_000_000.0


def identity(*, subject="clara", token_id="t1", issued_at=NOW - 60):  # noqa: S107
    return Identity(
        Principal("User", subject), subject=subject, token_id=token_id, issued_at=issued_at
    )


def held(revocations, found=None, now=NOW):
    try:
        revocations.check(found or identity(), now)
    except NotAuthenticated as refused:
        error = refused
    else:
        return ""
    assert error.__context__ is error.__cause__ is None
    assert "clara" not in str(error)
    return error.code


def test_nothing_is_revoked_at_first():
    assert held(Revocations()) == ""


def test_a_token_is_revoked_by_its_id():
    revocations = Revocations()
    revocations.revoke(token_id="t1", now=NOW)
    assert held(revocations) == "revoked"
    assert held(revocations, identity(token_id="t2")) == ""
    assert held(revocations, identity(token_id="")) == ""


def test_a_subject_is_revoked_up_to_now_and_may_sign_in_again():
    revocations = Revocations()
    revocations.revoke(subject="clara", now=NOW)
    assert held(revocations) == "revoked"
    assert held(revocations, identity(issued_at=NOW)) == "revoked"
    assert held(revocations, identity(issued_at=NOW + 1)) == ""
    assert held(revocations, identity(issued_at=None)) == "revoked"
    assert held(revocations, identity(subject="carl")) == ""


def test_all_is_revoked_up_to_a_time():
    revocations = Revocations()
    revocations.revoke(issued_before=NOW - 60, now=NOW)
    assert held(revocations) == "revoked"
    assert held(revocations, identity(issued_at=NOW - 59)) == ""


def test_a_later_time_stands_beside_an_earlier_one():
    revocations = Revocations()
    revocations.revoke(subject="clara", issued_before=NOW, now=NOW)
    revocations.revoke(subject="clara", issued_before=NOW - 100, now=NOW)
    revocations.revoke(issued_before=NOW - 500, now=NOW)
    revocations.revoke(issued_before=NOW - 900, now=NOW)
    assert held(revocations, identity(issued_at=NOW)) == "revoked"
    assert held(revocations, identity(subject="carl", issued_at=NOW - 500)) == "revoked"


@pytest.mark.parametrize(
    "what", [{}, {"token_id": "a", "subject": "b"}, {"token_id": "a", "issued_before": 1.0}]
)
def test_what_names_nothing_or_too_much_is_an_error(what):
    with pytest.raises(ConfigurationError):
        Revocations().revoke(**what, now=NOW)


def test_a_scope_that_is_open_ends_with_the_revocation():
    revocations = Revocations()
    with ActingAs(identity(), revocations):
        assert current(NOW).subject == "clara"
        revocations.revoke(token_id="other", now=NOW)
        assert current(NOW).subject == "clara"
        revocations.revoke(token_id="t1", now=NOW)
        for _ in range(2):
            with pytest.raises(NotAuthenticated) as caught:
                current(NOW)
            assert caught.value.code == "revoked"


# The file


def write(file, told, *, at):
    raw = told if isinstance(told, bytes) else json.dumps(told).encode()
    temporary = file.with_suffix(".new")
    temporary.write_bytes(raw)
    os.utime(temporary, ns=(at, at))
    temporary.replace(file)


def test_a_file_is_looked_at_again_every_second(tmp_path):
    file = tmp_path / "revoked.json"
    write(file, {}, at=1)
    revocations = Revocations()
    revocations.follow(file)
    with ActingAs(identity(), revocations):
        assert current(NOW)
        write(file, {"tokens": ["t1"]}, at=2)
        assert current(NOW + 0.5)
        with pytest.raises(NotAuthenticated):
            current(NOW + 1)
        write(file, {"subjects": {"carl": NOW}}, at=3)
        assert current(NOW + 2)
        write(file, {"issued_before": NOW}, at=4)
        with pytest.raises(NotAuthenticated):
            current(NOW + 3)


BROKEN = [
    b"", b"[]", b"{", b'{"tokens": "t1"}', b'{"tokens": [""]}', b'{"tokens": [1]}',
    b'{"token": []}',
    b'{"subjects": ["a"]}', b'{"subjects": {"a": "now"}}', b'{"subjects": {"a": true}}',
    b'{"issued_before": null}', b'{"issued_before": NaN}', b'{"tokens": [], "tokens": []}',
]  # fmt: skip


@pytest.mark.parametrize("raw", BROKEN)
def test_a_file_that_breaks_lets_nobody_in_until_it_is_whole(tmp_path, raw):
    file = tmp_path / "revoked.json"
    write(file, {}, at=1)
    revocations = Revocations()
    revocations.follow(file)
    assert held(revocations) == ""
    write(file, raw, at=2)
    assert held(revocations, now=NOW + 1) == "revocations_unavailable"
    assert held(revocations, now=NOW + 1.5) == "revocations_unavailable"
    write(file, {}, at=3)
    assert held(revocations, now=NOW + 3) == ""
    file.unlink()
    assert held(revocations, now=NOW + 5) == "revocations_unavailable"


def test_a_clock_set_back_looks_again(tmp_path):
    file = tmp_path / "revoked.json"
    write(file, {}, at=1)
    revocations = Revocations()
    revocations.follow(file)
    assert held(revocations, now=NOW + 100) == ""
    write(file, {"tokens": ["t1"]}, at=2)
    revocations.revoke(subject="nobody", now=NOW)
    assert held(revocations, now=NOW + 101) == "revoked"


def test_another_file_or_none_is_followed_and_what_was_revoked_by_hand_stays(tmp_path):
    file = tmp_path / "revoked.json"
    write(file, {"tokens": ["t1"]}, at=1)
    revocations = Revocations()
    revocations.follow(file)
    revocations.revoke(token_id="t2", now=NOW)
    assert held(revocations) == "revoked"
    revocations.follow(None)
    assert held(revocations) == ""
    assert held(revocations, identity(token_id="t2")) == "revoked"


# What names what


SERIALS = ["0A1B", "0a1b", "a1b", "A1B", "0a:1b", "0A 1B", "0x0a1b", "0Xa1B", "serial=0A1B",
           "00:00:0a:1b", " 0a1b\n", "000a1b", "0A-1B", "Serial Number: 0a:1b",
           "Serial Number:\n            00:0a:1b\n", "Serial Number: 2587 (0xa1b)", "2587 (0xa1b)",
           "Serial number: a1b", "serialNumber=0A1B", "serial=0A1B\n"]  # fmt: skip


@pytest.mark.parametrize("text", SERIALS, ids=repr)
@pytest.mark.parametrize("by", ["call", "file"])
def test_a_serial_number_is_revoked_in_whichever_form_a_tool_prints_it(tmp_path, text, by):
    revocations = Revocations()
    if by == "call":
        revocations.revoke(token_id=text, now=NOW)
    else:
        write(tmp_path / "revoked.json", {"tokens": [text]}, at=1)
        revocations.follow(tmp_path / "revoked.json")
    assert held(revocations, identity(token_id="0A1B")) == "revoked"
    assert held(revocations, identity(token_id="1B")) == ""
    assert held(revocations, identity(token_id="0A1B00")) == ""


@pytest.mark.parametrize(
    ("text", "serial"), [("5", "05"), ("0", "00"), ("f", "0F"), ("100", "0100")]
)
def test_a_short_serial_number_is_filled_up(text, serial):
    revocations = Revocations()
    revocations.revoke(token_id=text, now=NOW)
    assert held(revocations, identity(token_id=serial)) == "revoked"


@pytest.mark.parametrize(
    "text", ["t1", "0a1b", "a-b:c", "2f1c7a60-5e5a", "serial=", "0x", "ä", "5 "]
)
def test_a_text_names_the_token_of_just_this_id_as_well(text):
    revocations = Revocations()
    revocations.revoke(token_id=text, now=NOW)
    assert held(revocations, identity(token_id=text)) == "revoked"


NOTHING = ["", " ", "\n", 5, 0, True, b"t1", ["t1"], 1.5, float("nan")]


@pytest.mark.parametrize("name", ["token_id", "subject"])
@pytest.mark.parametrize("value", NOTHING, ids=repr)
def test_a_name_that_can_match_nothing_is_an_error(name, value):
    revocations = Revocations()
    epoch = revocations.epoch
    with pytest.raises(ConfigurationError, match=name):
        revocations.revoke(**{name: value}, now=NOW)
    assert revocations.epoch == epoch
    assert held(revocations, identity(token_id="")) == ""


NEVER = [float("nan"), float("inf"), float("-inf"), True, False, "1800000000", -1, -0.5, 1.8e12,
         [NOW], 10**400]  # fmt: skip


@pytest.mark.parametrize("who", [{}, {"subject": "clara"}])
@pytest.mark.parametrize("value", NEVER, ids=lambda value: repr(value)[:20])
def test_a_time_that_is_none_is_an_error_and_undoes_nothing(who, value):
    revocations = Revocations()
    revocations.revoke(**who, issued_before=NOW, now=NOW)
    revocations.revoke(token_id="t9", now=NOW)
    with pytest.raises(ConfigurationError, match="issued_before"):
        revocations.revoke(**who, issued_before=value, now=NOW)
    assert held(revocations) == "revoked"
    assert held(revocations, identity(token_id="t9", issued_at=NOW + 9)) == "revoked"
    assert held(revocations, identity(issued_at=NOW + 1)) == ""


@pytest.mark.parametrize("now", [float("nan"), float("inf"), float("-inf")])
def test_a_subject_is_not_revoked_up_to_a_time_that_there_is_not(now):
    revocations = Revocations()
    with pytest.raises(ConfigurationError):
        revocations.revoke(subject="clara", now=now)
    revocations.revoke(token_id="t1", now=now)  # which needs no time
    assert held(revocations) == "revoked"


def test_nothing_takes_a_revocation_back(tmp_path):
    revocations = Revocations()
    revocations.revoke(token_id="t1", now=NOW)
    revocations.revoke(subject="carl", issued_before=NOW, now=NOW)
    revocations.revoke(issued_before=NOW - 600, now=NOW)
    steps = [
        lambda: revocations.revoke(token_id="t2", now=NOW),
        lambda: revocations.revoke(subject="carl", issued_before=0, now=NOW),
        lambda: revocations.revoke(subject="dora", now=NOW),
        lambda: revocations.revoke(issued_before=0, now=NOW),
        lambda: write(tmp_path / "revoked.json", {"tokens": ["t7"]}, at=1),
        lambda: revocations.follow(tmp_path / "revoked.json"),
        lambda: write(tmp_path / "revoked.json", {}, at=2),
        lambda: revocations.follow(None),
    ]
    for step in steps:
        step()
        now = NOW + 2 * steps.index(step)
        assert held(revocations, now=now) == "revoked"
        assert held(revocations, identity(subject="carl", token_id="x"), now) == "revoked"
        assert held(revocations, identity(token_id="x", issued_at=NOW - 600), now) == "revoked"


@pytest.mark.parametrize(
    "told",
    [{"tokens": [""]}, {"tokens": [" "]}, {"tokens": [5]}, {"tokens": [True]},
     {"subjects": {"": NOW}}, {"subjects": {"a": -1}}, {"subjects": {"a": 1.8e12}},
     {"issued_before": True},
     {"issued_before": -1}, {"issued_before": 1.8e12}, {"issued_before": "now"}],
    ids=str,
)  # fmt: skip
def test_a_file_that_can_match_nothing_lets_nobody_in(tmp_path, told):
    file = tmp_path / "revoked.json"
    write(file, told, at=1)
    revocations = Revocations()
    revocations.follow(file)
    assert held(revocations) == "revocations_unavailable"


def test_a_change_that_leaves_size_and_time_is_seen(tmp_path):
    file = tmp_path / "revoked.json"
    file.write_text('{"tokens": ["t8"]}')
    os.utime(file, ns=(1, 1))
    revocations = Revocations()
    revocations.follow(file)
    assert held(revocations) == ""
    with file.open("r+") as same:
        same.write('{"tokens": ["t1"]}')
    os.utime(file, ns=(1, 1))  # as `cp -p` leaves it
    assert held(revocations, now=NOW + 1) == "revoked"
