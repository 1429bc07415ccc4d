"""API keys: their format, the file of entries, and the identity that a key gives."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import random
import stat
import string
import threading
import zlib
from pathlib import Path

import pytest
from canaries import Hunt
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail._documents import Document, read_toml
from guardrail.errors import ConfigurationError, NotAuthenticated, Place
from guardrail.identity.api_keys import entries as key_entries
from guardrail.identity.api_keys.entries import (
    ApiKeyEntry,
    edit_entries,
    entries_text,
    issue,
    read_entries,
    with_entry,
    with_revoked,
    without,
)
from guardrail.identity.api_keys.format import hash_of, id_of, new_key
from guardrail.identity.api_keys.verifier import ApiKeys, ApiKeySettings, read_secret
from guardrail.values import Entity

NOW = 1_800_000_000.0
SECRET = b"0123456789abcdef" * 2
PLACE = Place("guardrail.toml", 3, 1)
NIGHTLY = Entity("Service", "nightly")
BATCH = Entity("Role", "batch")
TABLE = {"type": "api_key", "keys_file": "keys.json", "secret_env": "KEYS_SECRET"}


def settings_of(**changes):
    table = {name: value for name, value in {**TABLE, **changes}.items() if value is not ...}
    return Document("guardrail.toml", table).parse(ApiKeySettings)


def knows(entity):
    return entity == BATCH


def randomness(seed=0):
    return random.Random(seed).randbytes  # noqa: S311  # the same keys each time


def made(seed=0, **options):
    chosen = {"secret": SECRET, "now": NOW, "random": randomness(seed), "parents": [BATCH]}
    return issue(NIGHTLY, **{**chosen, **options})


def provider(*entries, secret=SECRET, prefix="", **changes):
    return ApiKeys(
        name="services",
        settings=settings_of(**changes),
        keys=entries_text(entries).encode(),
        secret=secret,
        prefix=prefix,
        place=PLACE,
    )


def denied(keys, key, code, *, now=NOW, knows=knows):
    with pytest.raises(NotAuthenticated) as caught:
        keys.authenticate(key, now, knows=knows)
    error = caught.value
    assert (error.code, error.__cause__, error.__context__) == (code, None, None)
    return error


def faults(read):
    with pytest.raises(ConfigurationError) as caught:
        read()
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    return caught.value.faults


# What holds


def test_a_key_becomes_an_identity():
    key, entry = made(attrs={"tier": 2}, expires_in_s=60, note="nightly scores")
    identity = provider(entry).authenticate(key, NOW, knows=knows)
    principal = identity.principal
    assert (principal.type, principal.id) == ("Service", "nightly")
    assert (principal.parents, dict(principal.attrs)) == ((BATCH,), {"tier": 2})
    assert (identity.provider, identity.issuer, identity.method) == (
        "services",
        "services",
        "api_key",
    )
    assert (identity.subject, identity.token_id) == ("nightly", entry.id)
    assert (identity.issued_at, identity.expires_at) == (NOW, NOW + 60)
    assert (identity.mfa, identity.delegated, identity.authenticated_at) == (False, False, None)


def test_a_prefix_stands_before_the_id_and_not_in_the_subject():
    key, entry = made()
    identity = provider(entry, prefix="services#").authenticate(key, NOW, knows=knows)
    assert (identity.principal.id, identity.subject) == ("services#nightly", "nightly")


def test_the_same_key_is_the_same_identity_so_that_decisions_are_found_again():
    key, entry = made()
    keys = provider(entry)
    first = keys.authenticate(key, NOW, knows=knows)
    assert keys.authenticate(key, NOW + 1, knows=knows) is first


def test_each_of_many_keys_is_its_own_caller():
    keys, entries = zip(
        *(
            issue(Entity("Service", f"s{n}"), secret=SECRET, now=NOW, random=randomness(n))
            for n in range(20)
        ),
        strict=True,
    )
    known = provider(*entries)
    assert len(known) == 20
    for number, key in enumerate(keys):
        assert known.authenticate(key, NOW, knows=knows).principal.id == f"s{number}"


def test_entity_types_are_named_with_the_first_entry_that_has_them():
    _, entry = made()
    _, other = made(1)
    keys = provider(entry, other)
    line = min(place.line for place in keys.entity_types.values())
    assert dict(keys.entity_types) == {
        "Service": Place("keys.json", line, 3),
        "Role": Place("keys.json", line, 3),
    }


# The text of a key


def test_a_key_has_the_form_that_scanners_look_for():
    key, entry = made()
    assert key.startswith(f"gr_{entry.id}_")
    assert len(key) == 65
    head, check = key[:-6], key[-6:]
    digits = string.digits + string.ascii_uppercase + string.ascii_lowercase
    number = 0
    for char in check:
        number = number * 62 + digits.index(char)
    assert number == zlib.crc32(head.encode())
    assert len(base64.urlsafe_b64decode(head[16:] + "=")) == 32


def test_a_key_holds_all_of_its_randomness():
    asked = []

    def fixed(size):
        asked.append(size)
        return bytes(range(size))

    key = new_key(fixed)
    assert asked == [8, 32]
    assert base64.urlsafe_b64decode(key[16:59] + "=") == bytes(range(32))


def test_a_flipped_character_at_every_position_is_refused():
    key, entry = made()
    keys = provider(entry)
    for position, char in enumerate(key):
        for other in "a7Z_-":
            if other == char:
                continue
            wrong = key[:position] + other + key[position + 1 :]
            denied(keys, wrong, "malformed_api_key")


def test_a_flipped_character_with_a_checksum_that_fits_is_unknown():
    key, entry = made()
    keys = provider(entry)
    for position in range(16, 59):
        body = key[:position] + ("A" if key[position] != "A" else "B") + key[position + 1 : 59]
        denied(keys, signed(body), "unknown_api_key")


def signed(body):
    """Return a text with the checksum that fits it."""
    digits = string.digits + string.ascii_uppercase + string.ascii_lowercase
    number, check = zlib.crc32(body.encode()), ""
    for _ in range(6):
        number, digit = divmod(number, 62)
        check = digits[digit] + check
    return body + check


@pytest.mark.parametrize(
    "change",
    [
        lambda key: "",
        lambda key: "gr_",
        lambda key: key[:-1],
        lambda key: key + "a",
        lambda key: key + "\n",
        lambda key: " " + key,
        lambda key: f"Bearer {key}",
        lambda key: key.upper(),
        lambda key: key.encode(),
        lambda key: None,
        lambda key: 7,
        lambda key: [key],
        lambda key: key[:20] + "\ud800" + key[21:],
        lambda key: key[:20] + "ü" + key[21:],
        lambda key: key[:3] + "٣" + key[4:],  # a digit, but none of ours
        lambda key: key * 1000,
        lambda key: "a.b.c",
    ],
)
def test_what_is_no_key_is_malformed(change):
    key, entry = made()
    denied(provider(entry), change(key), "malformed_api_key")


@settings(max_examples=200)
@given(st.one_of(st.text(), st.from_regex(r"gr_[a-z2-7]{0,13}_[A-Za-z0-9_-]{0,60}")))
def test_garbage_is_malformed_and_never_crashes(text):
    with pytest.raises(NotAuthenticated) as caught:
        id_of(text)
    assert caught.value.code == "malformed_api_key"


# What does not hold


def test_a_key_of_another_secret_is_unknown():
    key, entry = made()
    denied(provider(entry, secret=b"x" * 32), key, "unknown_api_key")


def test_a_key_that_nobody_issued_is_unknown():
    key, _ = made(1)
    denied(provider(made(0)[1]), key, "unknown_api_key")
    denied(provider(), key, "unknown_api_key")


def test_the_hash_itself_is_no_key():
    _, entry = made()
    denied(provider(entry), entry.hash, "malformed_api_key")
    denied(provider(entry), signed(f"gr_{entry.id}_{entry.hash[:43]}"), "unknown_api_key")


def test_a_revoked_key_is_denied_whatever_the_time():
    key, entry = made()
    (revoked,) = with_revoked([entry], entry.id, NOW + 100)
    for now in (NOW, NOW + 100, NOW + 200, float("nan")):
        denied(provider(revoked), key, "api_key_revoked", now=now)


def test_a_key_expires_at_the_very_second():
    key, entry = made(expires_in_s=60)
    keys = provider(entry)
    assert keys.authenticate(key, NOW + 59.999, knows=knows).expires_at == NOW + 60
    for now in (NOW + 60, NOW + 61, float("nan"), float("inf")):
        denied(keys, key, "api_key_expired", now=now)


def test_a_key_that_does_not_expire_holds():
    key, entry = made()
    assert provider(entry).authenticate(key, NOW + 1e9, knows=knows).expires_at is None


def test_who_holds_no_key_learns_not_whether_one_was_revoked_or_has_expired():
    key, entry = made(expires_in_s=60)
    (revoked,) = with_revoked([entry], entry.id, NOW)
    guess = signed(key[:58] + ("A" if key[58] != "A" else "E"))
    texts = set()
    for keys, now in ((provider(revoked), NOW), (provider(entry), NOW + 99), (provider(), NOW)):
        texts.add(str(denied(keys, guess, "unknown_api_key", now=now)))
    texts.add(str(denied(provider(revoked), key, "api_key_revoked")))
    texts.add(str(denied(provider(entry), key, "api_key_expired", now=NOW + 99)))
    assert len(texts) == 1


def test_an_unknown_parent_denies_or_is_left_out():
    key, entry = made(parents=[BATCH, Entity("Role", "gone")])
    error = denied(provider(entry), key, "unknown_entity")
    assert "Role" in str(error)
    assert "gone" not in str(error)
    keys = provider(entry, unknown_parents="drop")
    identity = keys.authenticate(key, NOW, knows=knows)
    assert identity.principal.parents == (BATCH,)
    assert (identity.subject, identity.token_id) == ("nightly", entry.id)


def test_a_wrong_key_learns_nothing_of_parents():
    key, entry = made(parents=[Entity("Role", "gone")])
    guess = signed(key[:58] + ("A" if key[58] != "A" else "E"))
    denied(provider(entry), guess, "unknown_api_key", knows=lambda entity: pytest.fail("asked"))


# Time tells nothing


@settings(max_examples=60)
@given(seed=st.integers(1, 2**32), is_known=st.booleans())
def test_every_well_formed_key_is_compared_in_constant_time(seed, is_known):
    own, entry = made()
    stranger = new_key(randomness(seed))
    keys = provider(entry)
    calls = []
    compare, digest = hmac.compare_digest, hmac.digest
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hmac, "compare_digest", lambda *pair: calls.append(pair) or compare(*pair))
        patch.setattr(hmac, "digest", lambda *data: calls.append("hash") or digest(*data))
        if is_known:
            keys.authenticate(own, NOW, knows=knows)
        else:
            denied(keys, stranger, "unknown_api_key")
    work, pair = calls
    assert work == "hash"
    assert [len(part) for part in pair] == [64, 64]
    assert pair[0] == hash_of(own if is_known else stranger, SECRET)


def test_the_hash_is_keyed_and_of_the_whole_text():
    key, entry = made()
    assert entry.hash == hmac.new(SECRET, key.encode(), hashlib.sha256).hexdigest()


# Nothing leaks


def test_the_repr_of_an_entry_names_its_class_and_shows_only_the_id():
    _, entry = made(note="a comment")
    assert repr(entry) == str(entry) == f"ApiKeyEntry(id={entry.id!r})"


def test_no_key_hash_or_secret_leaks():
    hunt = Hunt()
    key, entry = made(note=hunt.text("note"), attrs={"x": hunt.text("attribute")})
    hunt.plant("key", key)
    hunt.plant("secret part", key[16:59])
    hunt.plant("hash", entry.hash)
    hunt.plant("secret", SECRET.decode())
    keys = provider(entry)
    (revoked,) = with_revoked([entry], entry.id, NOW)
    hunt.see("repr", repr(keys), str(keys), repr(entry), str(entry), f"{entry}", repr([entry]))
    hunt.see("settings", repr(settings_of()))
    hunt.see("identity", repr(keys.authenticate(key, NOW, knows=knows)))
    for given_key, known in (
        (key[:-1], keys),
        (key + "\n", keys),
        (signed(key[:58] + "-"), keys),
        (key, provider(revoked)),
        (key, provider(entry, secret=b"y" * 32)),
        (key, provider(made(parents=[Entity("Role", "gone")])[1])),
    ):
        with pytest.raises(NotAuthenticated) as caught:
            known.authenticate(given_key, NOW, knows=knows)
        hunt.see_error(caught.value)
    data = json.loads(entries_text([entry]))
    for change in (
        {"hash": entry.hash.upper() + entry.hash},
        {"hash": [entry.hash]},
        {"created": entry.hash},
        {"key": key},
        {"principal": key},
        {"attrs": [key]},
        {"attrs": {"a": None, "b": key}},
        {"note": [key]},
        {"expires": "1999-01-01T00:00:00Z"},
    ):
        broken = json.dumps([{**data[0], **change}]).encode()
        with pytest.raises(ConfigurationError) as wrong:
            read_entries("keys.json", broken)
        hunt.see_error(wrong.value)
    with pytest.raises(ConfigurationError) as wrong:
        issue(NIGHTLY, secret=SECRET, now=NOW, random=randomness(), expires_in_s=1e18)
    hunt.see_error(wrong.value)
    assert hunt.leaks() == set()


# The file of entries


def test_the_file_is_sorted_indented_and_without_what_is_empty():
    entries = [made(seed)[1] for seed in range(5)]
    text = entries_text(entries)
    assert text == entries_text(entries[::-1])
    data = json.loads(text)
    assert [entry["id"] for entry in data] == sorted(entry.id for entry in entries)
    assert text == json.dumps(data, indent=2, sort_keys=True) + "\n"
    assert set(data[0]) == {"id", "hash", "principal", "parents", "created"}
    assert data[0]["created"] == "2027-01-15T08:00:00Z"
    assert data[0]["principal"] == {"type": "Service", "id": "nightly"}
    assert entries_text([]) == "[]\n"


@settings(max_examples=60)
@given(
    id=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20),
    note=st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    attrs=st.dictionaries(
        st.text("abc", min_size=1),
        st.recursive(
            st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text("xyzü"),
            lambda inner: st.lists(inner) | st.dictionaries(st.text("ab"), inner),
            max_leaves=5,
        ),
    ),
    now=st.integers(0, 4_000_000_000),
    life=st.none() | st.integers(1, 10**9),
)
def test_what_is_written_is_read(id, note, attrs, now, life):
    principal = Entity("Ns::Service", id)
    _, entry = issue(
        principal,
        secret=SECRET,
        now=now,
        random=randomness(now),
        attrs=attrs,
        expires_in_s=life,
        note=note,
    )
    text = entries_text([entry])
    assert text.isascii()
    assert read_entries("keys.json", text.encode()) == (entry,)
    assert entry.principal.entity == principal


def entry_data(**changes):
    data = {
        "id": "abcdefghijkl",
        "hash": "0" * 64,
        "principal": {"type": "Service", "id": "nightly"},
        "created": 1_700_000_000,
        **changes,
    }
    return {name: value for name, value in data.items() if value is not ...}


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        (0, 0.0),
        (1_700_000_000, 1.7e9),
        (1_700_000_000.5, 1_700_000_000.5),
        ("2023-11-14T22:13:20Z", 1.7e9),
        ("2023-11-14T23:13:20+01:00", 1.7e9),
        ("2023-11-14 22:13:20.500Z", 1_700_000_000.5),
    ],
)
def test_a_time_is_seconds_or_iso_with_a_zone(written, seconds):
    raw = json.dumps([entry_data(created=written)]).encode()
    (entry,) = read_entries("keys.json", raw)
    assert entry.created == seconds
    assert read_entries("keys.json", entries_text([entry]).encode()) == (entry,)


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"id": ...}, "id"),
        ({"id": "ABCDEFGHIJKL"}, "id"),
        ({"id": "abcdefghijk1"}, "id"),
        ({"id": "abcdefghijklm"}, "id"),
        ({"id": 7}, "id"),
        ({"hash": ...}, "hash"),
        ({"hash": "0" * 63}, "hash"),
        ({"hash": "A" * 64}, "hash"),
        ({"hash": "0" * 64 + "\n"}, "hash"),
        ({"principal": ...}, "principal"),
        ({"principal": 'Service::"nightly"'}, "principal"),
        ({"principal": {"type": "Service"}}, "principal.id"),
        ({"principal": {"type": "Ser vice", "id": "a"}}, "principal.type"),
        ({"principal": {"type": "Service", "id": ""}}, "principal.id"),
        ({"principal": {"type": "Service", "id": "\ud800"}}, "principal.id"),
        ({"principal": {"type": "Service", "id": "a", "x": 1}}, "principal.x"),
        ({"parents": {"type": "Role", "id": "a"}}, "parents"),
        ({"parents": ["Role"]}, "parents.0"),
        ({"attrs": []}, "attrs"),
        ({"attrs": {"a": None}}, "attrs"),
        ({"attrs": {"a": [{"b": None}]}}, "attrs"),
        ({"created": ...}, "created"),
        ({"created": None}, "created"),
        ({"created": True}, "created"),
        ({"created": -1}, "created"),
        ({"created": 1_700_000_000_000}, "created"),
        ({"created": "2023-11-14T22:13:20"}, "created"),
        ({"created": "yesterday"}, "created"),
        ({"created": "0001-01-01T00:00:00+23:59"}, "created"),
        ({"expires": "2023-11-14"}, "expires"),
        ({"expires": 10**30}, "expires"),
        ({"expires": 1_700_000_000}, "expires"),
        ({"revoked": True}, "revoked"),
        ({"revoked": "yes"}, "revoked"),
        ({"note": None}, "note"),
        ({"note": "x" * 1025}, "note"),
        ({"key": "gr_x"}, "key"),
    ],
    ids=repr,
)
def test_an_entry_that_is_not_understood_is_a_fault_at_its_place(changes, key):
    raw = json.dumps([entry_data(id="a" * 12), entry_data(**changes)], indent=1).encode()
    lines = raw.decode().splitlines()
    line = [number for number, text in enumerate(lines, 1) if text == " {"][1]
    found = faults(lambda: read_entries("keys.json", raw))
    assert [(fault.code, fault.place) for fault in found] == [
        ("GR003", Place("keys.json", line, 2))
    ]
    assert f"`{key}`" in found[0].message


def test_every_fault_is_reported():
    raw = json.dumps([entry_data(id=7, hash=7), entry_data(note=7), 7, None, []]).encode()
    assert len(faults(lambda: read_entries("keys.json", raw))) == 6


def test_an_id_that_stands_twice_is_refused_with_both_places():
    raw = b"[" + b",\n".join([json.dumps(entry_data()).encode()] * 2) + b"]"
    (fault,) = faults(lambda: read_entries("keys.json", raw))
    assert (fault.code, fault.place) == ("GR003", Place("keys.json", 2, 1))
    assert "keys.json:1:2" in fault.message


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "GR002"),
        (b"{", "GR002"),
        (b"{}", "GR003"),
        (b"null", "GR003"),
        (b'{"keys": []}', "GR003"),
        (b"\xff", "GR005"),
        (b"[" * 100 + b"]" * 100, "GR005"),
        (b'[{"id": "a", "id": "b"}]', "GR002"),
        (b"[NaN]", "GR002"),
    ],
)
def test_what_is_no_file_of_keys_is_refused(raw, code):
    assert [fault.code for fault in faults(lambda: read_entries("keys.json", raw))] == [code]
    with pytest.raises(ConfigurationError):
        ApiKeys(
            name="services",
            settings=settings_of(),
            keys=raw,
            secret=SECRET,
            prefix="",
            place=PLACE,
        )


def test_too_many_entries_are_refused(monkeypatch):
    monkeypatch.setattr(key_entries, "LIMIT_ENTRIES", 1)
    raw = entries_text([made(0)[1], made(1)[1]]).encode()
    assert [fault.code for fault in faults(lambda: read_entries("keys.json", raw))] == ["GR005"]


# Changing the entries


def test_an_entry_is_added_once():
    _, entry = made()
    entries = with_entry([], entry)
    assert entries == (entry,)
    with pytest.raises(ConfigurationError):
        with_entry(entries, entry)


def test_a_revocation_keeps_its_first_time_and_all_else():
    entries = tuple(made(seed)[1] for seed in range(3))
    once = with_revoked(entries, entries[1].id, NOW + 5.7)
    assert [entry.revoked for entry in once] == [None, NOW + 5, None]
    assert once[1].model_copy(update={"revoked": None}) == entries[1]
    assert with_revoked(once, entries[1].id, NOW + 99) == once


def test_an_entry_is_removed():
    entries = tuple(made(seed)[1] for seed in range(3))
    assert without(entries, entries[0].id) == entries[1:]


@pytest.mark.parametrize("change", [without, lambda e, i: with_revoked(e, i, NOW)])
def test_an_id_that_nobody_has_is_an_error(change):
    with pytest.raises(LookupError):
        change([made()[1]], "zzzzzzzzzzzz")


def added(seed):
    return lambda entries: with_entry(entries, made(seed)[1])


def test_the_file_is_written_for_its_owner_alone_and_nothing_is_left(tmp_path):
    path = tmp_path / "deep" / "keys.json"
    edit_entries(path, "keys.json", added(0))
    path.chmod(0o644)
    edit_entries(path, "keys.json", added(1))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["keys.json"]
    ids = {entry.id for entry in read_entries("keys.json", path.read_bytes())}
    assert ids == {made(0)[1].id, made(1)[1].id}


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch, step):
    path = tmp_path / "keys.json"
    edit_entries(path, "keys.json", added(0))
    before = path.read_bytes()

    def fail(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(*((os, "fsync", fail) if step == "fsync" else (Path, "replace", fail)))
    with pytest.raises(OSError, match="No space"):
        edit_entries(path, "keys.json", added(1))
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["keys.json"]


def test_a_file_that_does_not_read_is_never_written_over(tmp_path):
    path = tmp_path / "keys.json"
    path.write_text("[{}]")
    with pytest.raises(ConfigurationError):
        edit_entries(path, "keys.json", added(0))
    assert path.read_text() == "[{}]"


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real.json").write_text("[]")
    (tmp_path / "keys.json").symlink_to("real.json")
    edit_entries(tmp_path / "keys.json", "keys.json", added(0))
    assert (tmp_path / "keys.json").is_symlink()
    assert len(read_entries("keys.json", (tmp_path / "real.json").read_bytes())) == 1


def test_edits_at_once_lose_nothing(tmp_path):
    path = tmp_path / "keys.json"
    threads = [
        threading.Thread(target=edit_entries, args=(path, "keys.json", added(seed)))
        for seed in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(read_entries("keys.json", path.read_bytes())) == 12


# Settings


def test_settings_are_read_from_toml():
    text = b"""
[identity.services]
type = "api_key"
keys_file = "secrets/keys.json"
secret_file = "/run/secrets/keys"
unknown_parents = "drop"
"""
    document = read_toml("guardrail.toml", text).below("identity", "services")
    found = document.parse(ApiKeySettings)
    assert (found.keys_file, found.secret_file) == ("secrets/keys.json", "/run/secrets/keys")
    assert (found.secret_env, found.unknown_parents) == (None, "drop")


@pytest.mark.parametrize(
    "changes",
    [
        {"keys_file": ...},
        {"keys_file": ""},
        {"keys_file": "keys.toml"},
        {"keys_file": ".json"},
        {"keys_file": "/etc/keys.json"},
        {"keys_file": "../keys.json"},
        {"keys_file": "a/../keys.json"},
        {"keys_file": "./keys.json"},
        {"keys_file": "a//keys.json"},
        {"keys_file": ".hidden/keys.json"},
        {"keys_file": "tests/keys.json"},
        {"keys_file": "inputs/keys.json"},
        {"keys_file": "outputs/keys.json"},
        {"keys_file": "entities.json"},
        {"keys_file": "a\0.json"},
        {"secret_env": ...},
        {"secret_env": "1X"},
        {"secret_file": "/run/secret"},
        {"secret_env": ..., "secret_file": "run/secret"},
        {"secret_env": ..., "secret_file": ""},
        {"secret_env": ..., "secret_file": "/run/\0"},
        {"unknown_parents": "keep"},
        {"type": "jwt"},
        {"issuer": "x"},
    ],
    ids=repr,
)
def test_settings_that_are_wrong_are_faults(changes):
    assert {fault.code for fault in faults(lambda: settings_of(**changes))} == {"GR003"}


# The secret


def test_the_secret_comes_from_the_environment():
    found = read_secret(settings_of(), place=PLACE, environ={"KEYS_SECRET": SECRET.decode()})
    assert found == SECRET


def file_settings(path):
    return settings_of(secret_env=..., secret_file=str(path))


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_the_secret_comes_from_a_file_without_its_line_end(tmp_path, end):
    path = tmp_path / "secret"
    path.write_bytes(SECRET + end)
    assert read_secret(file_settings(path), place=PLACE, environ={}) == SECRET


@pytest.mark.parametrize("value", ["", "4711-short", "x" * 31])
def test_a_secret_that_is_absent_or_short_is_refused(tmp_path, value):
    path = tmp_path / "secret"
    path.write_text(value)
    for chosen, environ in (
        (settings_of(), {"KEYS_SECRET": value}),
        (settings_of(), {}),
        (file_settings(path), {}),
        (file_settings(tmp_path / "gone"), {}),
        (file_settings(tmp_path), {}),
    ):
        (fault,) = faults(lambda c=chosen, e=environ: read_secret(c, place=PLACE, environ=e))
        assert (fault.code, fault.place) == ("GR400", PLACE)
        assert not value or value not in fault.message


def test_a_secret_that_is_no_secret_by_its_size_is_refused(tmp_path):
    path = tmp_path / "secret"
    path.write_bytes(b"x" * 70_000)
    (fault,) = faults(lambda: read_secret(file_settings(path), place=PLACE, environ={}))
    assert fault.code == "GR400"


def test_a_secret_in_the_bundle_is_refused(tmp_path):
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "secret").write_bytes(SECRET)
    outside = tmp_path / "link"
    outside.symlink_to(bundle / "secret")
    for path in (bundle / "secret", outside):
        chosen = file_settings(path)
        (fault,) = faults(lambda c=chosen: read_secret(c, place=PLACE, environ={}, bundle=bundle))
        assert fault.code == "GR400"
        assert "bundle" in fault.message


def test_a_secret_file_that_leads_in_circles_is_refused(tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    chosen = file_settings(tmp_path / "a")
    (fault,) = faults(
        lambda: read_secret(chosen, place=PLACE, environ={}, bundle=tmp_path / "bundle")
    )
    assert fault.code == "GR400"


def test_keys_under_a_short_secret_are_refused():
    (fault,) = faults(lambda: provider(made()[1], secret=b"x" * 31))
    assert (fault.code, fault.place) == ("GR400", PLACE)


def test_an_entry_is_frozen():
    _, entry = made()
    with pytest.raises(ValueError, match="frozen"):
        entry.revoked = None
    assert isinstance(entry, ApiKeyEntry)
