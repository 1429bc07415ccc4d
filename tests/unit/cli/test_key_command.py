"""`guardrail key`: a key is printed once, its caller fits the schema, hashes are never printed."""

from __future__ import annotations

import json
import re
import stat
import time

import pytest
from canaries import Hunt
from typer.testing import CliRunner

from guardrail._documents import Document
from guardrail.cli import app
from guardrail.errors import NotAuthenticated, Place
from guardrail.identity.api_keys.verifier import ApiKeys, ApiKeySettings
from guardrail.values import Entity

SECRET = "0123456789abcdef" * 2
HEAD = '[bundle]\nname = "small"\nversion = "1.0.0"\n'
TABLE = """
[identity.services]
type = "api_key"
keys_file = "keys.json"
secret_env = "KEYS_SECRET"
"""
OTHER = """
[identity.hospital]
type = "jwt"
issuer = "https://sso.hospital.example"
audience = "scoring"
algorithms = ["ES256"]
key_file = "issuer.pem"
principal = { type = "User", id_prefix = "hospital" }
"""
WHO = ("--principal", 'User::"nightly"', "--attr", "department=care")
KEY = re.compile(r"gr_[a-z2-7]{12}_[A-Za-z0-9_-]{43}[A-Za-z0-9]{6}")


@pytest.fixture(autouse=True)
def plain_terminal(monkeypatch):
    for name in ("FORCE_COLOR", "GITHUB_ACTIONS", "PY_COLORS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("KEYS_SECRET", SECRET)


@pytest.fixture
def bundle(make_bundle):
    return make_bundle(**{"guardrail.toml": HEAD + TABLE})


def run(*arguments):
    return CliRunner().invoke(app, ["key", *(str(argument) for argument in arguments)])


def issued(folder, *options):
    done = run("issue", folder, *WHO, *options)
    assert done.exit_code == 0, done.stderr
    return done.stdout.removesuffix("\n")


def entries(folder):
    return json.loads((folder / "keys.json").read_text("utf-8"))


def listed(folder):
    done = run("list", folder, "--format", "json")
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)["keys"]


def authenticate(folder, key, *, now=None, prefix=""):
    table = {"type": "api_key", "keys_file": "keys.json", "secret_env": "KEYS_SECRET"}
    keys = ApiKeys(
        name="services",
        settings=Document("guardrail.toml", table).parse(ApiKeySettings),
        keys=(folder / "keys.json").read_bytes(),
        secret=SECRET.encode(),
        prefix=prefix,
        place=Place("guardrail.toml"),
    )
    return keys.authenticate(key, time.time() if now is None else now, knows=lambda entity: True)


# issue


def test_a_key_is_printed_alone_and_holds(bundle):
    done = run("issue", bundle, *WHO, "--in", 'Role::"clinician"', "--note", "nightly scores")
    assert (done.exit_code, done.exception) == (0, None)
    key = done.stdout.removesuffix("\n")
    assert KEY.fullmatch(key)
    assert key not in done.stderr
    identity = authenticate(bundle, key)
    principal = identity.principal
    assert (principal.type, principal.id) == ("User", "nightly")
    assert principal.parents == (Entity("Role", "clinician"),)
    assert dict(principal.attrs) == {"department": "care"}
    assert identity.expires_at is None
    assert identity.token_id in done.stderr
    assert entries(bundle)[0]["note"] == "nightly scores"


def test_the_bundle_keeps_a_hash_and_not_the_key(bundle):
    key = issued(bundle)
    path = bundle / "keys.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    text = path.read_text("utf-8")
    assert key not in text
    assert key[16:] not in text
    assert [entry["id"] for entry in entries(bundle)] == [key[3:15]]


def test_keys_are_added_and_differ(bundle):
    keys = {issued(bundle) for _ in range(3)}
    assert len(keys) == 3
    assert {key[3:15] for key in keys} == {entry["id"] for entry in entries(bundle)}
    for key in keys:
        assert authenticate(bundle, key)


@pytest.mark.parametrize(
    ("span", "seconds"), [("90d", 90 * 86_400), ("12h", 43_200), ("30m", 1_800), ("45s", 45)]
)
def test_a_key_expires_after_its_span(bundle, span, seconds):
    key = issued(bundle, "--expires", span)
    identity = authenticate(bundle, key)
    assert identity.expires_at == identity.issued_at + seconds
    assert abs(identity.issued_at - time.time()) < 60
    with pytest.raises(NotAuthenticated) as caught:
        authenticate(bundle, key, now=identity.expires_at)
    assert caught.value.code == "api_key_expired"


def test_json_tells_the_key_and_whose_it_is(bundle):
    done = run("issue", bundle, *WHO, "--expires", "1d", "--format", "json")
    output = json.loads(done.stdout)
    assert set(output) == {
        "key", "id", "principal", "parents", "created", "expires", "revoked", "note",
    }  # fmt: skip
    assert KEY.fullmatch(output["key"])
    assert (output["principal"], output["revoked"]) == ('User::"nightly"', None)
    assert output["key"] not in done.stderr


def test_attributes_are_json_or_text(bundle):
    key = issued(bundle, "--attr", "level=3")
    attrs = dict(authenticate(bundle, key).principal.attrs)
    assert attrs == {"department": "care", "level": 3}


def test_a_decimal_attribute_is_taken_as_the_schema_takes_it(bundle):
    key = issued(bundle, "--attr", "score=0.5")
    assert authenticate(bundle, key).principal.attrs["score"] == 0.5


def test_ids_of_any_text_are_kept(bundle):
    done = run("issue", bundle, *WHO[2:], "--principal", r'User::"Zoë \"Z\" \u{1b}[31m"')
    assert done.exit_code == 0
    assert "\x1b" not in done.stdout + done.stderr
    key = done.stdout.removesuffix("\n")
    assert authenticate(bundle, key).principal.id == 'Zoë "Z" \x1b[31m'
    assert "\x1b" not in run("list", bundle).stdout


@pytest.mark.parametrize(
    ("options", "output"),
    [
        (("--principal", 'Service::"nightly"'), "Service"),
        (("--principal", "nightly"), "uid"),
        (("--principal", 'User::"nightly"'), "attributes"),  # the schema demands one
        ((*WHO, "--in", 'Role::"nurse"'), "parents"),
        ((*WHO, "--in", 'Team::"lung"'), "Team"),
        ((*WHO, "--in", 'Nobody::"x"'), "Nobody"),
        ((*WHO, "--in", "clinician"), "uid"),
        ((*WHO, "--attr", "level=high"), "attribute level"),
        ((*WHO, "--attr", "wing=east"), "attribute wing"),
        ((*WHO, "--attr", "level"), "NAME=VALUE"),
        ((*WHO, "--attr", "level=1", "--attr", "level=2"), "twice"),
        ((*WHO, "--attr", "level=null"), "level"),
        ((*WHO, "--attr", 'level={"__entity": {"type": "User", "id": "x"}}'), "__entity"),
        ((*WHO, "--expires", "soon"), "--expires"),
        ((*WHO, "--expires", "0d"), "--expires"),
        ((*WHO, "--expires", "-1d"), "--expires"),
        ((*WHO, "--expires", "999999999d"), "expires"),
        ((*WHO, "--note", "x" * 2000), "note"),
        ((), "--principal"),
    ],
    ids=lambda value: " ".join(value[-2:])[:40] if isinstance(value, tuple) else "",
)
def test_a_caller_that_the_bundle_would_refuse_gets_no_key(bundle, options, output):
    done = run("issue", bundle, *options)
    assert (done.exit_code, done.stdout) == (2, "")
    assert output in done.stderr
    assert not (bundle / "keys.json").exists()


def test_a_caller_of_entities_json_may_leave_out_what_stands_there(bundle):
    done = run("issue", bundle, "--principal", 'User::"carl"')
    assert done.exit_code == 0
    # a second provider renames nobody
    (bundle / "guardrail.toml").write_text(HEAD + TABLE + OTHER)
    assert run("issue", bundle, "--principal", 'User::"carl"').exit_code == 0
    # but with a prefix the caller is somebody else
    (bundle / "guardrail.toml").write_text(HEAD + TABLE + 'id_prefix = "services"\n')
    assert run("issue", bundle, "--principal", 'User::"carl"').exit_code == 2


def test_no_key_is_issued_to_whom_another_provider_could_name(bundle):
    (bundle / "guardrail.toml").write_text(HEAD + TABLE + OTHER)
    done = run("issue", bundle, "--principal", 'User::"hospital#carl"')
    assert (done.exit_code, done.stdout) == (2, "")
    assert "id_prefix" in done.stderr


def test_an_issued_caller_does_not_contradict_the_entity_of_its_uid(bundle):
    done = run("issue", bundle, "--principal", 'User::"carl"', "--attr", "department=x")
    assert done.exit_code == 2
    assert "another value" in done.stderr


@pytest.mark.parametrize("secret", [None, "", "short"])
def test_without_a_secret_no_key_is_issued(bundle, monkeypatch, secret):
    if secret is None:
        monkeypatch.delenv("KEYS_SECRET")
    else:
        monkeypatch.setenv("KEYS_SECRET", secret)
    done = run("issue", bundle, *WHO)
    assert (done.exit_code, done.stdout) == (1, "")
    assert re.match(r"guardrail\.toml:8:1 GR400 ", done.stderr)
    assert not (bundle / "keys.json").exists()


def test_a_secret_file_in_the_bundle_is_refused(bundle):
    table = TABLE.replace('secret_env = "KEYS_SECRET"', f'secret_file = "{bundle}/secret"')
    (bundle / "guardrail.toml").write_text(HEAD + table)
    (bundle / "secret").write_text(SECRET)
    done = run("issue", bundle, *WHO)
    assert (done.exit_code, done.stdout) == (1, "")
    assert "GR400" in done.stderr


def test_a_file_of_keys_that_is_wrong_is_told_and_kept(bundle):
    (bundle / "keys.json").write_text('[\n  {"id": "x"}\n]')
    for command in (("issue", bundle, *WHO), ("list", bundle), ("revoke", bundle, "x")):
        done = run(*command)
        assert (done.exit_code, done.stdout) == (1, "")
        assert "keys.json:2:3 GR003" in done.stderr
    assert (bundle / "keys.json").read_text() == '[\n  {"id": "x"}\n]'


@pytest.mark.parametrize(
    ("files", "code"),
    [
        ({"schema.cedarschema": None}, "GR010"),
        ({"schema.cedarschema": "entity A {"}, "GR011"),
        ({"entities.json": "[{}]"}, "GR201"),
    ],
)
def test_a_schema_or_entities_that_do_not_load_exit_1(make_bundle, files, code):
    folder = make_bundle(**{"guardrail.toml": HEAD + TABLE, **files})
    done = run("issue", folder, *WHO)
    assert (done.exit_code, done.stdout) == (1, "")
    assert code in done.stderr


def test_policies_that_are_being_written_are_in_nobody_s_way(make_bundle):
    folder = make_bundle("permit (", **{"guardrail.toml": HEAD + TABLE})
    assert KEY.fullmatch(issued(folder))


def test_a_file_that_can_not_be_written_exits_2(bundle, monkeypatch):
    from guardrail.identity.api_keys import entries as key_entries

    def fail(*arguments, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(key_entries.tempfile, "mkstemp", fail)
    done = run("issue", bundle, *WHO)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "Permission denied" in done.stderr


# Which provider


@pytest.mark.parametrize(
    ("text", "options"),
    [
        (HEAD, ()),
        (HEAD + OTHER, ()),
        (HEAD + "identity = 7\n", ()),
        (HEAD + "[identity]\nx = 1\n", ()),
        (HEAD + TABLE, ("--provider", "hospital")),
        (HEAD + TABLE + OTHER, ("--provider", "hospital")),
        (HEAD + TABLE + TABLE.replace("services", "more"), ()),
        (HEAD + TABLE.replace("keys.json", "../keys.json"), ()),
        (HEAD + TABLE.replace("keys.json", "entities.json"), ()),
        (HEAD + TABLE + "extra = 1\n", ()),
        (HEAD + TABLE.replace("secret_env", "secret_file"), ()),
    ],
)
@pytest.mark.parametrize("command", ["issue", "list", "revoke"])
def test_a_bundle_without_one_sound_table_exits_1(make_bundle, text, options, command):
    folder = make_bundle(**{"guardrail.toml": text})
    before = (folder / "entities.json").read_bytes()
    arguments = {"issue": WHO, "list": (), "revoke": ("abcdefghijkl",)}[command]
    done = run(command, folder, *arguments, *options)
    assert (done.exit_code, done.stdout) == (1, "")
    assert re.match(r"guardrail\.toml(:\d+:\d+)? GR003 ", done.stderr)
    assert (folder / "entities.json").read_bytes() == before


def test_a_provider_is_named_where_there_are_several(make_bundle):
    text = HEAD + TABLE + TABLE.replace("services", "more").replace("keys.json", "more.json")
    folder = make_bundle(**{"guardrail.toml": text})
    key = issued(folder, "--provider", "more")
    assert key[3:15] in (folder / "more.json").read_text()
    assert not (folder / "keys.json").exists()


@pytest.mark.parametrize("command", ["issue", "list", "revoke"])
def test_a_folder_that_is_not_there_exits_2(command):
    assert run(command, "no/such/folder").exit_code == 2


def test_a_folder_that_is_no_bundle_exits_1(tmp_path):
    done = run("list", tmp_path)
    assert done.exit_code == 1
    assert "GR001" in done.stderr


# revoke


def test_a_revoked_key_is_denied_and_stays_on_record(bundle):
    key, other = issued(bundle), issued(bundle)
    done = run("revoke", bundle, key[3:15])
    assert (done.exit_code, done.stdout) == (0, "")
    with pytest.raises(NotAuthenticated) as caught:
        authenticate(bundle, key)
    assert caught.value.code == "api_key_revoked"
    assert authenticate(bundle, other)
    times = {entry["id"]: entry["revoked"] for entry in listed(bundle)}
    assert times[key[3:15]]
    assert times[other[3:15]] is None


def test_a_key_is_revoked_without_the_secret(bundle, monkeypatch):
    key = issued(bundle)
    monkeypatch.delenv("KEYS_SECRET")
    assert run("revoke", bundle, key[3:15]).exit_code == 0


def test_to_revoke_twice_changes_nothing(bundle):
    key = issued(bundle)
    assert run("revoke", bundle, key[3:15]).exit_code == 0
    before = entries(bundle)
    assert run("revoke", bundle, key[3:15]).exit_code == 0
    assert entries(bundle) == before


def test_a_key_is_forgotten_on_demand(bundle):
    key = issued(bundle)
    assert run("revoke", bundle, key[3:15], "--forget").exit_code == 0
    assert entries(bundle) == []
    with pytest.raises(NotAuthenticated) as caught:
        authenticate(bundle, key)
    assert caught.value.code == "unknown_api_key"


@pytest.mark.parametrize("options", [(), ("--forget",)])
def test_a_key_that_is_not_there_exits_2(bundle, options):
    key = issued(bundle)
    before = (bundle / "keys.json").read_bytes()
    for name in ("zzzzzzzzzzzz", "", key):
        done = run("revoke", bundle, *options, "--", name)
        assert (done.exit_code, done.stdout) == (2, "")
        assert key not in done.stderr  # whoever pastes a whole key has it in no log
    assert (bundle / "keys.json").read_bytes() == before


# list


def test_keys_are_listed_for_people(bundle):
    first = issued(bundle, "--note", "nightly scores")
    second = issued(bundle, "--expires", "1d")
    run("revoke", bundle, second[3:15])
    done = run("list", bundle)
    assert (done.exit_code, done.stderr) == (0, "")
    head, *rows = [line.split() for line in done.stdout.splitlines()]
    assert head == ["id", "principal", "created", "expires", "revoked", "note"]
    output = {row[0]: row for row in rows}
    assert output[first[3:15]][1] == 'User::"nightly"'
    assert output[first[3:15]][3:] == ["-", "-", "nightly", "scores"]
    assert "-" not in output[second[3:15]][2:5]


def test_keys_are_listed_for_programs(bundle):
    key = issued(bundle, "--in", 'Role::"clinician"')
    (output,) = listed(bundle)
    assert set(output) == {"id", "principal", "parents", "created", "expires", "revoked", "note"}
    assert (output["id"], output["parents"]) == (key[3:15], ['Role::"clinician"'])


def test_no_keys_are_said_to_be_none(bundle):
    done = run("list", bundle)
    assert (done.exit_code, done.stdout) == (0, "")
    assert "has no keys" in done.stderr
    assert listed(bundle) == []


def test_neither_key_nor_hash_nor_secret_is_ever_shown_again(bundle):
    hunt = Hunt()
    hunt.plant("secret", SECRET)
    key = issued(bundle)
    hunt.plant("key", key)
    hunt.plant("secret part", key[16:59])
    hunt.plant("hash", entries(bundle)[0]["hash"])
    for command in (
        ("list", bundle),
        ("list", bundle, "--format", "json"),
        ("issue", bundle, *WHO),
        ("issue", bundle, *WHO, "--format", "json"),
        ("issue", bundle, "--principal", 'Nobody::"x"'),
        ("revoke", bundle, key[3:15]),
        ("revoke", bundle, "zzzzzzzzzzzz"),
        ("revoke", bundle, key[3:15], "--forget"),
    ):
        done = run(*command)
        hunt.see(" ".join(map(str, command)), done.stdout, done.stderr)
    assert hunt.leaks() == set()


# Help


@pytest.mark.parametrize("command", ["issue", "revoke", "list"])
def test_help_teaches_with_an_example(command):
    done = run(command, "--help")
    assert done.exit_code == 0
    assert f"Example:\n\n    guardrail key {command}" in done.stdout
    assert command in run("--help").stdout
