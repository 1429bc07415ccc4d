"""What is revoked holds no more, at once and everywhere; what can't be read denies."""

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
