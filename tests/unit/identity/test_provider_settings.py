"""The `[identity.NAME]` tables: valid settings, errors, and parts that are not implemented."""

import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from guardrail._documents import read_toml
from guardrail.errors import ConfigurationError
from guardrail.identity import read_providers

SECRET = "0123456789abcdef" * 4
GOOD = {
    "type": '"jwt"',
    "issuer": '"https://sso.example"',
    "audience": '"scoring"',
    "algorithms": '["HS256"]',
    "secret_env": '"TOKEN_SECRET"',
    "principal": '{ type = "User", id = "sub", in.Role = "roles" }',
}


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def load(folder, *, environ=None, more="", **changes):
    table = {**GOOD, **changes}
    lines = [f"{key} = {value}" for key, value in table.items() if value is not None]
    text = "\n".join(["[identity.sso]", *lines, more])
    document = read_toml("guardrail.toml", text.encode()).below("identity")
    environ = {"TOKEN_SECRET": SECRET} if environ is None else environ
    return read_providers(document, files=files_of(folder), environ=environ)


def fault(folder, **changes):
    with pytest.raises(ConfigurationError) as caught:
        load(folder, **changes)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert SECRET not in str(caught.value)
    assert len(caught.value.faults) == 1, caught.value.faults
    return caught.value.faults[0]


@pytest.fixture(scope="module")
def private_keys():
    return {
        "rsa": rsa.generate_private_key(65537, 2048),
        "weak": rsa.generate_private_key(65537, 1024),  # noqa: S505  to be refused
        "p256": ec.generate_private_key(ec.SECP256R1()),
        "p384": ec.generate_private_key(ec.SECP384R1()),
        "ed25519": ed25519.Ed25519PrivateKey.generate(),
    }


def pem(key):
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def test_a_good_table_loads_and_names_its_entity_types(tmp_path):
    providers = load(tmp_path)
    assert providers.tokens["https://sso.example"].name == "sso"
    assert {kind: str(place) for kind, place in providers.entity_types.items()} == {
        "User": "guardrail.toml:7:1",
        "Role": "guardrail.toml:7:1",
    }


def test_no_table_and_an_empty_one_configure_none(tmp_path):
    document = read_toml("guardrail.toml", b"[identity]\n").below("identity")
    for given in (None, document):
        providers = read_providers(given, files=files_of(tmp_path), environ={})
        assert not providers.tokens
        assert not providers.by_form
        assert providers.certificates is None


@pytest.mark.parametrize("text", [b"identity = 3", b"[[identity]]\nx = 1"])
def test_an_identity_that_holds_no_tables_is_refused(tmp_path, text):
    document = read_toml("guardrail.toml", text).below("identity")
    with pytest.raises(ConfigurationError) as caught:
        read_providers(document, files=files_of(tmp_path), environ={})
    assert caught.value.faults[0].code == "GR003"


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"type": '"jwtt"'}, 2),
        ({"audience": "[]"}, 4),
        ({"audience": '["a", "a"]'}, 4),
        ({"algorithms": '["HS256", "RS256"]'}, 1),
        ({"algorithms": '["HS256", "HS256"]'}, 5),
        ({"secret_env": None, "secret_file": '"relative"'}, 7),
        ({"secret_file": '"/run/secret"'}, 1),
        ({"principal": '{ type = "User", id = "a..b" }'}, 7),
        ({"principal": '{ type = "User", id = [] }'}, 7),
        ({"token_types": "[]"}, 8),
        ({"jwks": '"https://sso.example/jwks.json"'}, 8),
        ({"issuer": '""'}, 3),
        ({"issuer": "7"}, 3),
        ({"algorithms": '["none"]'}, 5),
        ({"algorithms": '["ES256K"]'}, 5),
        ({"algorithms": "[]"}, 5),
        ({"algorithms": '"HS256"'}, 5),
        ({"secret_env": '"TOKEN SECRET"'}, 6),
        ({"principal": '{ id = "sub" }'}, 7),
        ({"principal": '{ type = "Us er" }'}, 7),
        ({"principal": '{ type = "User", parents.Role = "roles" }'}, 7),
        ({"principal": '{ type = "User", in = ["roles"] }'}, 7),
        ({"leeway_s": "121"}, 8),
        ({"leeway_s": "-1"}, 8),
        ({"leeway_s": "nan"}, 8),
        ({"leeway_s": "true"}, 8),
        ({"unknown_parents": '"ignore"'}, 8),
        ({"secret": '"hunter2"'}, 8),
        ({"key_file": '"a.pem"'}, 1),
        ({"secret_env": None}, 1),
    ],
    ids=str,
)
def test_what_is_wrong_is_a_fault_at_its_line(tmp_path, changes, line):
    found = fault(tmp_path, **changes)
    assert (found.code, found.place.line) == ("GR003", line)


@pytest.mark.parametrize("missing", ["type", "issuer", "audience", "algorithms", "principal"])
def test_a_missing_key_is_named(tmp_path, missing):
    found = fault(tmp_path, **{missing: None})
    assert found.code == "GR003"
    assert f"identity.sso.{missing}" in found.message


def test_an_anonymous_principal_is_not_built_and_says_so(tmp_path):
    text = b'[identity]\nanonymous = "User::guest"'
    document = read_toml("guardrail.toml", text).below("identity")
    with pytest.raises(ConfigurationError) as caught:
        read_providers(document, files=files_of(tmp_path), environ={})
    (found,) = caught.value.faults
    assert found.code == "GR004"
    assert "not implemented" in found.message


OIDC = {**GOOD, "type": '"oidc"', "algorithms": '["RS256", "ES256"]', "secret_env": None}


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"issuer": '"http://sso.example"'}, 3),
        ({"issuer": '"https://sso.example?x"'}, 3),
        ({"issuer": '"https://sso.example#x"'}, 3),
        ({"issuer": '"sso"'}, 3),
        ({"algorithms": '["HS256"]'}, 1),
        ({"jwks": '"http://sso.example/keys"'}, 7),
        ({"jwks": '"https://u:p@sso.example/keys"'}, 7),
        ({"jwks": '"file:///etc/passwd"'}, 7),
        ({"jwks": '"https://sso.example:99999/"'}, 7),
        ({"timeout_ms": "0"}, 7),
        ({"refresh_s": "0"}, 7),
        ({"unknown_key_interval_s": "0"}, 7),
        ({"stale_s": "inf"}, 7),
        ({"key_file": '"a.pem"'}, 7),
    ],
    ids=str,
)
def test_what_is_wrong_of_published_keys_is_a_fault(tmp_path, changes, line):
    found = fault(tmp_path, **{**OIDC, **changes})
    assert (found.code, found.place.line) == ("GR003", line)


def test_published_keys_load_and_fetch_nothing(tmp_path):
    providers = load(tmp_path, **OIDC)
    assert repr(providers.tokens["https://sso.example"].verifier.keyring) == (
        "<PublishedKeys unknown>"
    )


@pytest.mark.parametrize("raw", [None, b"", b"no certificate", b"\xff"])
def test_a_ca_file_that_is_none_is_refused(tmp_path, raw):
    if raw is not None:
        (tmp_path / "ca.pem").write_bytes(raw)
    assert fault(tmp_path, **{**OIDC, "ca_file": '"ca.pem"'}).code == "GR400"


def second(**changes):
    table = {**GOOD, "issuer": '"https://other.example"', **changes}
    lines = [f"{key} = {value}" for key, value in table.items() if value is not None]
    return "\n".join(["[identity.other]", *lines])


def test_a_second_provider_needs_a_prefix_and_renames_nobody(tmp_path):
    providers = load(tmp_path, more=second(id_prefix='"other"'))
    assert {name: found.prefix for name, found in providers.tokens.items()} == {
        "https://sso.example": ("", ("other#",)),
        "https://other.example": ("other#", ()),
    }
    assert load(tmp_path).tokens["https://sso.example"].prefix == ("", ())


def test_a_second_provider_without_a_prefix_is_told_which_to_write(tmp_path):
    found = fault(tmp_path, more=second())
    assert (found.code, found.place.line) == ("GR003", 8)
    assert '`id_prefix = "other"`' in found.message
    assert "[identity.sso]" in found.message


def test_two_providers_of_one_issuer_are_refused(tmp_path):
    more = second(issuer='"https://sso.example"', id_prefix='"other"')
    found = fault(tmp_path, more=more)
    assert (found.code, found.place.line) == ("GR003", 10)


@pytest.mark.parametrize("path", ["relative.json", "/nowhere/at/all.json", 7])
def test_a_file_of_revocations_must_be_there(tmp_path, path):
    text = f"[identity]\nrevoked_file = {path!r}".replace("'", '"')
    document = read_toml("guardrail.toml", text.encode()).below("identity")
    with pytest.raises(ConfigurationError) as caught:
        read_providers(document, files={}, environ={})
    assert [str(fault.place) for fault in caught.value.faults] == ["guardrail.toml:2:1"]


def test_a_claim_named_by_a_uri_is_one_name(tmp_path):
    principal = '{ type = "User", in.Role = "https://acme.example/roles" }'
    assert load(tmp_path, principal=principal).tokens


# Keys


@pytest.mark.parametrize(
    ("algorithm", "name"),
    [
        ("RS256", "rsa"),
        ("PS512", "rsa"),
        ("ES256", "p256"),
        ("ES384", "p384"),
        ("EdDSA", "ed25519"),
    ],
)
def test_a_fitting_public_key_loads(tmp_path, private_keys, algorithm, name):
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "issuer.pem").write_bytes(pem(private_keys[name]))
    given = {"algorithms": f'["{algorithm}"]', "secret_env": None}
    assert load(tmp_path, key_file='"keys/issuer.pem"', **given).tokens


@pytest.mark.parametrize(
    ("algorithm", "name"),
    [
        ("RS256", "weak"),
        ("RS256", "p256"),
        ("PS256", "ed25519"),
        ("ES256", "rsa"),
        ("ES256", "p384"),
        ("ES512", "p384"),
        ("EdDSA", "p256"),
        ("HS256", "rsa"),
    ],
)
def test_a_key_that_does_not_fit_is_refused(tmp_path, private_keys, algorithm, name):
    (tmp_path / "issuer.pem").write_bytes(pem(private_keys[name]))
    given = {"algorithms": f'["{algorithm}"]', "secret_env": None}
    found = fault(tmp_path, key_file='"issuer.pem"', **given)
    assert found.code == "GR400"
    assert found.place.line == 7


def test_a_secret_for_an_asymmetric_algorithm_is_refused(tmp_path):
    assert fault(tmp_path, algorithms='["RS256"]').code == "GR400"


def test_a_file_that_is_no_single_public_key_is_refused(tmp_path, private_keys):
    key = private_keys["rsa"]
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "dir.pem").mkdir()
    contents = {
        "empty": b"",
        "text": b"ssh-rsa AAAA",
        "private": private,
        "two": pem(key) * 2,
        "broken": pem(key)[:200],
        "large": pem(key) + b"\n" * 300_000,
        "binary": b"\x00\xff" * 50,
    }
    for name, raw in contents.items():
        (tmp_path / f"{name}.pem").write_bytes(raw)
    for name in (*contents, "absent", "dir"):
        given = {"algorithms": '["RS256"]', "secret_env": None}
        assert fault(tmp_path, key_file=f'"{name}.pem"', **given).code == "GR400"


@pytest.mark.parametrize("name", ["../issuer.pem", "a/../../issuer.pem", "/ABS", "."])
def test_a_key_outside_the_bundle_is_refused(tmp_path, private_keys, name):
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    outside = tmp_path / "issuer.pem"
    outside.write_bytes(pem(private_keys["rsa"]))
    named = name.replace("/ABS", str(outside))
    given = {"algorithms": '["RS256"]', "secret_env": None}
    assert fault(bundle, key_file=f'"{named}"', **given).code == "GR400"


@pytest.mark.parametrize("name", ["a\\u0000.pem", "x" * 1000])
def test_a_name_that_no_file_can_have_is_refused(tmp_path, name):
    given = {"algorithms": '["RS256"]', "secret_env": None}
    assert fault(tmp_path, key_file=f'"{name}"', **given).code == "GR400"


@pytest.mark.parametrize(
    ("algorithm", "secret"),
    [
        ("HS256", None),
        ("HS256", ""),
        ("HS256", SECRET[:31]),
        ("HS384", SECRET[:47]),
        ("HS512", SECRET[:63]),
        ("HS256", '{"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQ"}'),
    ],
)
def test_a_secret_that_is_absent_or_weak_is_refused(tmp_path, algorithm, secret):
    environ = {} if secret is None else {"TOKEN_SECRET": secret}
    found = fault(tmp_path, environ=environ, algorithms=f'["{algorithm}"]')
    assert found.code == "GR400"
    assert "TOKEN_SECRET" in found.message
    assert not secret or secret not in found.message


def test_a_public_key_as_secret_is_refused(tmp_path, private_keys):
    environ = {"TOKEN_SECRET": pem(private_keys["rsa"]).decode()}
    assert fault(tmp_path, environ=environ).code == "GR400"


@pytest.mark.parametrize(("algorithm", "length"), [("HS256", 32), ("HS384", 48), ("HS512", 64)])
def test_a_secret_as_long_as_the_hash_loads(tmp_path, algorithm, length):
    environ = {"TOKEN_SECRET": SECRET[:length]}
    given = {"algorithms": f'["{algorithm}"]'}
    assert load(tmp_path, environ=environ, **given).tokens


def test_importing_the_room_imports_no_cryptography():
    code = (
        "import sys, guardrail.identity;sys.exit(bool({'jwt', 'cryptography'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code]
    assert subprocess.run(command, check=False).returncode == 0  # noqa: S603  our own text
