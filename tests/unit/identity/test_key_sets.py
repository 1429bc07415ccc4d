"""Published key sets: duplicate names, names that move to another key, odd members."""

import json

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from key_sets import ISSUER, JWKS, NOW, Provider, jwk, jwks, keyring
from speed import relative_time

from guardrail._documents import read_toml
from guardrail.errors import ConfigurationError, NotAuthenticated
from guardrail.identity.load import read_providers
from guardrail.identity.providers import PendingIdentity, resolve_or_defer
from guardrail.identity.settings import OidcSettings
from guardrail.identity.tokens.keys import BadKey, read_keys, read_published
from guardrail.identity.tokens.strict_json import LIMIT_DEPTH, read_object
from guardrail.identity.tokens.verifier import SignedToken, Verifier

EC, EC2 = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
RSA, RSA2 = (rsa.generate_private_key(65537, 2048) for _ in range(2))
ED, ED448 = ed25519.Ed25519PrivateKey.generate(), ed448.Ed448PrivateKey.generate()
BOTH = ("ES256", "RS256")


def verifier(keys, *algorithms):
    settings = OidcSettings(
        type="oidc",
        issuer=ISSUER,
        audience="scoring",
        algorithms=list(algorithms or BOTH),
        principal={"type": "User"},
    )
    return Verifier(settings, keys)


def token(key=EC, kid="a", algorithm="ES256"):
    claims = {"iss": ISSUER, "aud": "scoring", "sub": "clara", "exp": int(NOW) + 10_000}
    header = {"kid": kid}
    if algorithm in ("Ed25519", "Ed448"):  # of which PyJWT knows the older name alone
        made = jwt.PyJWS()
        made.register_algorithm(algorithm, made.get_algorithm_by_name("EdDSA"))
        return made.encode(json.dumps(claims).encode(), key, algorithm, headers=header)
    return jwt.encode(claims, key, algorithm, headers=header)


def verify(verifying, text, now=NOW):
    """Verify as the flow does: what must be fetched is fetched once."""
    found = resolve_or_defer(lambda: verifying.verify(SignedToken(text), now))
    return found.resolve() if isinstance(found, PendingIdentity) else found


def code(verifying, text, now=NOW):
    with pytest.raises(NotAuthenticated) as caught:
        verify(verifying, text, now)
    return caught.value.code


# One name, several keys (RFC 7517 §4.5).


def test_a_key_that_stands_twice_is_one():
    twice = jwks(jwk(EC, kid="a"), jwk(EC, kid="a", use="sig"), jwk(RSA, kid="b"))
    for keys in (read_published(twice, BOTH), read_keys(twice, BOTH)):
        assert keys.find("a", "ES256").kid == "a"
        assert keys.find("b", "RS256").kid == "b"
        assert keys.find(None, "ES256").kid == "a"  # one key, and so the only one that fits


def test_a_name_of_two_keys_is_left_out_and_the_rest_serves():
    doubled = jwks(jwk(EC, kid="a"), jwk(EC2, kid="a"), jwk(RSA, kid="b"))
    keys = read_published(doubled, BOTH)
    assert keys.find("a", "ES256") is None
    assert keys.find("b", "RS256").kid == "b"


def test_which_of_two_keys_comes_first_changes_nothing():
    for pair in ((EC, EC2), (EC2, EC)):
        provider = Provider()
        provider.documents[JWKS] = jwks(*[jwk(key, kid="a") for key in pair], jwk(RSA, kid="b"))
        verifying = verifier(keyring(provider))
        assert code(verifying, token(EC)) == code(verifying, token(EC2)) == "unknown_key"
        assert verify(verifying, token(RSA, "b", "RS256")).claims["sub"] == "clara"


def test_three_keys_of_one_name_are_no_key_either():
    third = ec.generate_private_key(ec.SECP256R1())
    keys = read_published(
        jwks(*[jwk(key, kid="a") for key in (EC, EC2, EC, third)], jwk(RSA, kid="b")), BOTH
    )
    assert keys.find("a", "ES256") is None


def test_keys_of_other_kinds_share_a_name():
    keys = read_published(jwks(jwk(EC, kid="a"), jwk(RSA, kid="a")), BOTH)
    assert keys.find("a", "ES256").algorithms == ("ES256",)
    assert keys.find("a", "RS256").algorithms == ("RS256",)


def test_a_name_is_left_out_for_the_algorithm_alone_that_two_keys_share():
    names = ("RS256", "RS512", "ES256")
    raw = jwks(jwk(RSA, kid="a"), jwk(RSA2, kid="a", alg="RS256"), jwk(EC, kid="a"))
    keys = read_published(raw, names)
    assert keys.find("a", "RS256") is None
    assert keys.find("a", "RS512").material == RSA.public_key()
    assert keys.find("a", "ES256").material == EC.public_key()


def test_a_token_without_a_name_means_none_of_two_keys_of_one_name():
    raw = jwks(jwk(EC, kid="a"), jwk(EC2, kid="a"), jwk(RSA, kid="b"))
    assert read_published(raw, BOTH).find(None, "ES256") is None
    third = ec.generate_private_key(ec.SECP256R1())
    raw = jwks(jwk(EC, kid="a"), jwk(EC2, kid="a"), jwk(third, kid="c"))
    assert read_published(raw, BOTH).find(None, "ES256") is None  # not the one that is left


def test_a_set_of_nothing_but_a_doubled_name_is_none():
    with pytest.raises(BadKey, match="no key"):
        read_published(jwks(jwk(EC, kid="a"), jwk(EC2, kid="a")), BOTH)


def test_a_file_in_which_a_name_means_two_keys_does_not_load():
    with pytest.raises(BadKey, match="same `kid`"):
        read_keys(jwks(jwk(EC, kid="a"), jwk(EC2, kid="a"), jwk(RSA, kid="b")), BOTH)


def test_a_doubled_name_takes_a_key_away_that_served():
    provider = Provider()
    provider.documents[JWKS] = jwks(jwk(EC, kid="a"), jwk(RSA, kid="b"))
    verifying = verifier(keyring(provider, stale_s=86_400.0))
    assert verify(verifying, token())
    provider.documents[JWKS] = jwks(jwk(EC, kid="a"), jwk(EC2, kid="a"), jwk(RSA, kid="b"))
    assert code(verifying, token(kid="new"), NOW + 31) == "unknown_key"  # fetches
    assert code(verifying, token(), NOW + 32) == "unknown_key"
    assert verify(verifying, token(RSA, "b", "RS256"), NOW + 32)


# Odd members.


def nested(levels):
    """Return a set whose second key has a member of so many levels."""
    deep = {**jwk(RSA, kid="b"), "deep": "@"}
    second = json.dumps(deep).replace('"@"', "[" * levels + "]" * levels)
    return f'{{"keys": [{json.dumps(jwk(EC, kid="a"))}, {second}]}}'.encode()


@pytest.mark.parametrize("levels", [16, 100, LIMIT_DEPTH - 4])
def test_a_key_that_nests_too_deep_is_left_out_alone(levels):
    keys = read_published(nested(levels), BOTH)
    assert keys.find("a", "ES256").kid == "a"
    assert keys.find("b", "RS256") is None


def test_a_key_may_have_members_that_we_do_not_know():
    assert read_published(nested(15), BOTH).find("b", "RS256").kid == "b"


@pytest.mark.parametrize("levels", [LIMIT_DEPTH, 5_000, 100_000])
def test_a_set_that_nests_deeper_leaves_the_one_before_in_place(levels):
    provider = Provider()
    provider.documents[JWKS] = jwks(jwk(EC, kid="a"))
    keys = keyring(provider)
    verifying = verifier(keys)
    assert verify(verifying, token())
    provider.documents[JWKS] = nested(levels)
    assert code(verifying, token(kid="new"), NOW + 31) == "unknown_key"
    assert keys.complaint
    assert verify(verifying, token(), NOW + 32)
    with pytest.raises(BadKey):
        read_published(nested(levels), BOTH)


def test_the_depth_of_json_is_fixed_whoever_reads_it():
    whole = b'{"a":' * (LIMIT_DEPTH - 1) + b"[]" + b"}" * (LIMIT_DEPTH - 1)
    assert read_object(whole)
    with pytest.raises(ValueError, match="deep"):
        read_object(b'{"a":' + whole + b"}")
    brackets = json.dumps({"a": "[{" * 5000 + '\\" [', "b": ["\\", '"' * 600, "[" * 900]})
    assert len(read_object(brackets.encode())["b"]) == 3  # brackets within texts nest nothing


def test_measuring_the_depth_takes_a_time_that_grows_with_the_text_alone():
    def read():
        for raw in (
            b"[" * 501 + b'"' + b'\\"' * 120_000,
            b"[" * 501 + b'"' * 240_001,
            b"[" * 501 + b"\\" * 240_000,
            b"[" * 240_000,
        ):
            with pytest.raises((ValueError, RecursionError)):
                read_object(raw)

    assert relative_time(read, 500) < 500


@pytest.mark.parametrize("raw", [b'{"a": 1}', b' {"a": 1}', b'{"a": 1} \t\r\n', b'\n{"a": 1}\n'])
def test_white_space_around_an_object_is_none_of_it(raw: bytes) -> None:
    assert read_object(raw) == {"a": 1}


@pytest.mark.parametrize(
    "raw",
    [
        b"", b" ", b'{"a": 1}x', b'{"a": 1} {}', b'{"a": 1}\x00', b'{"a": 1}\xc2\xa0', b'{"a": 1',
        b'{"a":}', b'\xef\xbb\xbf{"a": 1}', b'\xc2\xa0{"a": 1}',
    ],
)  # fmt: skip
def test_whatever_else_stands_around_an_object_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  which text it has is Python's own
        read_object(raw)


# Names of Edwards curves (RFC 9864).


@pytest.mark.parametrize(
    ("configured", "alg", "named"),
    [
        ("Ed25519", "Ed25519", "Ed25519"), ("Ed25519", ..., "Ed25519"),
        ("Ed25519", "EdDSA", "Ed25519"), ("EdDSA", "EdDSA", "EdDSA"), ("EdDSA", ..., "EdDSA"),
        ("EdDSA", "Ed25519", "EdDSA"), ("EdDSA", "Ed25519", "Ed25519"),
        ("EdDSA", ..., "Ed25519"), ("EdDSA", "EdDSA", "Ed25519"),
    ],
)  # fmt: skip
def test_the_new_name_of_a_curve_is_taken_and_the_old_one_goes_on(configured, alg, named):
    provider = Provider()
    provider.documents[JWKS] = jwks(jwk(ED, kid="a", alg=alg), jwk(RSA, kid="b"))
    verifying = verifier(keyring(provider, algorithms=(configured,)), configured)
    assert verify(verifying, token(ED, algorithm=named)).claims["sub"] == "clara"
    other = ed25519.Ed25519PrivateKey.generate()
    assert code(verifying, token(other, algorithm=named)) == "bad_signature"


def test_a_name_of_one_curve_does_not_stand_for_another():
    provider = Provider()
    provider.documents[JWKS] = jwks(jwk(ED448, kid="a"), jwk(ED, kid="b", alg="Ed448"))
    verifying = verifier(keyring(provider, algorithms=("EdDSA",)), "EdDSA")
    assert verify(verifying, token(ED448, algorithm="EdDSA"))
    assert verify(verifying, token(ED448, algorithm="Ed448"))
    assert code(verifying, token(ED448, algorithm="Ed25519")) == "unknown_key"
    assert code(verifying, token(ED, "b", "EdDSA")) == "unknown_key"  # a key of no curve
    only = verifier(keyring(provider, algorithms=("Ed448",)), "Ed448")
    assert verify(only, token(ED448, algorithm="Ed448"))
    assert code(only, token(ED448, algorithm="EdDSA")) == "wrong_algorithm"


def test_a_file_of_one_edwards_key_is_enough_for_the_name_of_both_curves():
    for key in (ED, ED448):
        raw = json.dumps(jwk(key)).encode()
        assert read_keys(raw, ["EdDSA"]).find(None, "EdDSA")
    with pytest.raises(BadKey, match="Ed25519"):
        read_keys(json.dumps(jwk(ED448)).encode(), ["Ed25519"])


# Names that move to a new key, and the first call of a process.


def test_a_name_that_was_given_to_a_new_key_is_fetched_once_more():
    provider = Provider()
    provider.documents[JWKS] = jwks(jwk(EC, kid="a"))
    verifying = verifier(keyring(provider))
    assert verify(verifying, token())
    provider.documents[JWKS] = jwks(jwk(EC2, kid="a"))
    assert verify(verifying, token(EC2), NOW + 1)
    assert provider.fetches == 2
    assert code(verifying, token(EC), NOW + 2) == "bad_signature"
    assert provider.fetches == 2


def test_forged_tokens_under_a_known_name_cause_one_fetch_in_an_interval():
    provider = Provider()
    provider.documents[JWKS] = jwks(jwk(EC, kid="a"))
    verifying = verifier(keyring(provider))
    assert verify(verifying, token())
    forged = token(EC2)
    for number in range(200):
        assert code(verifying, forged, NOW + 1 + number / 10) == "bad_signature"
    assert provider.fetches == 2
    assert code(verifying, forged, NOW + 31) == "bad_signature"
    assert provider.fetches == 3
    assert verify(verifying, token(), NOW + 31)


def test_a_forged_token_while_the_provider_is_down_is_still_a_forged_token():
    provider = Provider()
    provider.documents[JWKS] = jwks(jwk(EC, kid="a"))
    verifying = verifier(keyring(provider))
    assert verify(verifying, token())
    provider.down = True
    assert code(verifying, token(EC2), NOW + 1) == "bad_signature"
    assert verify(verifying, token(), NOW + 2)


def test_the_first_call_of_a_process_with_an_unknown_key_is_no_outage():
    provider = Provider()
    provider.documents[JWKS] = jwks(jwk(EC, kid="a"))
    verifying = verifier(keyring(provider))
    assert code(verifying, token(kid="unknown")) == "unknown_key"
    assert provider.fetches == 1
    assert verify(verifying, token())
    provider.down = True
    assert code(verifier(keyring(provider)), token(kid="unknown")) == "provider_unavailable"


def test_the_first_call_of_a_process_with_a_forged_token_is_no_outage():
    provider = Provider()
    provider.documents[JWKS] = jwks(jwk(EC, kid="a"))
    assert code(verifier(keyring(provider)), token(EC2)) == "bad_signature"


# Keys for encryption beside those for signatures, as Keycloak publishes them.

ENCRYPTION = [
    {"use": "enc", "alg": "RSA-OAEP"},
    {"use": "enc"},
    {"alg": "RSA-OAEP-256"},
    {"alg": "RSA1_5"},
    {"key_ops": ["encrypt", "wrapKey"]},
]


@pytest.mark.parametrize("members", ENCRYPTION, ids=str)
def test_a_key_for_encryption_is_passed_over_in_a_file(members):
    raw = jwks(jwk(RSA2, kid="e", **members), jwk(RSA, kid="s", use="sig", alg="RS256"))
    keys = read_keys(raw, ["RS256"])
    assert keys.find("s", "RS256").kid == "s"
    assert keys.find("e", "RS256") is None
    assert keys.find(None, "RS256").kid == "s"
    with pytest.raises(BadKey, match="no key"):
        read_keys(jwks(jwk(RSA2, kid="e", **members)), ["RS256"])


def test_a_key_for_key_agreement_is_passed_over_in_a_file():
    raw = jwks(jwk(EC2, kid="e", alg="ECDH-ES+A256KW"), jwk(EC, kid="s"))
    assert read_keys(raw, ["ES256"]).find("e", "ES256") is None


@pytest.mark.parametrize(
    "members",
    [{"use": "enc", "d": "AAAA"}, {"use": "other"}, {"key_ops": ["sign"]}, {"key_ops": []},
     {"key_ops": ["encrypt", "sign"]}, {"alg": "RS999"}, {"alg": ["RSA-OAEP"]}],
    ids=str,
)  # fmt: skip
def test_what_is_no_key_for_encryption_still_stops_the_load(members):
    with pytest.raises(BadKey):
        read_keys(jwks(jwk(RSA2, kid="e", **members), jwk(RSA, kid="s")), ["RS256"])


def test_a_bundle_with_a_set_of_keycloak_loads():
    table = """
[identity.keycloak]
type = "jwt"
issuer = "https://sso.example/realms/r"
audience = "scoring"
algorithms = ["RS256"]
key_file = "keys.json"
principal = { type = "User" }
"""
    enc = jwk(RSA2, kid="e", use="enc", alg="RSA-OAEP")
    document = read_toml("guardrail.toml", table.encode()).below("identity")
    files = {"keys.json": jwks(enc, jwk(RSA, kid="s", use="sig", alg="RS256"))}
    assert read_providers(document, files=files, environ={}).tokens
    with pytest.raises(ConfigurationError):
        read_providers(document, files={"keys.json": jwks(enc)}, environ={})
