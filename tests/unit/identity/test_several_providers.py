"""Several providers: a token of one never authenticates for another."""

import base64
import hashlib
import json

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from guardrail._documents import read_toml
from guardrail.errors import Denied
from guardrail.identity import read_providers
from guardrail.values import Entity

NOW = 1_800_000_000
KEYS = {name: ec.generate_private_key(ec.SECP256R1()) for name in ("one", "two")}
CLAIMS = {
    "aud": "scoring", "sub": "clara", "exp": NOW + 300, "iat": NOW - 60, "jti": "t1",
    "realm_access": {"roles": ["clinician"]}, "a.b": "dotted", "dept": "care",
}  # fmt: skip


def table(name):
    return f"""
[identity.{name}]
type = "jwt"
issuer = "https://{name}.example"
audience = ["other", "scoring"]
algorithms = ["ES256"]
key_file = "{name}.json"
required = ["dept"]
principal.type = "User"
principal.id_prefix = "{name}"
principal.in.Role = "realm_access.roles"
principal.attrs.dotted = ["a.b"]
"""


def jwks(name):
    member = ECAlgorithm.to_jwk(KEYS[name].public_key(), as_dict=True)
    return json.dumps({"keys": [{**member, "kid": "k"}]}).encode()


def load(*names):
    document = read_toml("guardrail.toml", "".join(map(table, names)).encode()).below("identity")
    return read_providers(document, files={f"{n}.json": jwks(n) for n in names}, environ={})


def token(name, *, signed_by=None, headers=None, **changes):
    given = {**CLAIMS, "iss": f"https://{name}.example", **changes}
    claims = {key: value for key, value in given.items() if value is not ...}
    headers = {"kid": "k", **(headers or {})}
    payload = json.dumps(claims).encode()  # also what `jwt.encode` would refuse
    return jwt.PyJWS().encode(payload, KEYS[signed_by or name], "ES256", headers)


def identity(text, providers=None, **options):
    providers = load("one", "two") if providers is None else providers
    return providers.authenticate(text, NOW, knows=lambda _: True, **options)


def code(text, providers=None, **options):
    with pytest.raises(Denied) as caught:
        identity(text, providers, **options)
    assert caught.value.__context__ is caught.value.__cause__ is None
    return caught.value.code


def test_ids_are_of_their_provider_and_never_change_because_there_is_another():
    assert [identity(token(name)).principal.id for name in ("one", "two")] == [
        "one#clara",
        "two#clara",
    ]
    assert identity(token("one"), load("one")).principal.id == "one#clara"


def test_a_token_of_one_never_speaks_for_the_other():
    assert code(token("one", signed_by="two")) == "bad_signature"
    assert code(token("two", signed_by="one")) == "bad_signature"
    assert code(token("three", signed_by="one")) == "wrong_issuer"
    assert code(token("one", iss=...)) == "missing_claim"
    assert code(token("one", iss=["https://one.example", "https://two.example"])) == (
        "malformed_token"
    )


def test_what_was_seen_of_one_is_not_taken_for_the_other():
    providers = load("one", "two")
    for _ in range(2):
        for name in ("one", "two"):
            assert identity(token(name), providers).issuer == f"https://{name}.example"


def test_claims_may_nest_and_names_may_have_dots():
    found = identity(token("one"))
    assert found.principal.parents == (Entity("Role", "clinician"),)
    assert dict(found.principal.attrs) == {"dotted": "dotted"}
    assert (found.subject, found.token_id, found.issued_at) == ("clara", "t1", NOW - 60)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"dept": ...}, "missing_claim"),
        ({"realm_access": ...}, "missing_claim"),
        ({"realm_access": {}}, "missing_claim"),
        ({"realm_access": "clinician"}, "malformed_token"),
        ({"realm_access": {"roles": [7]}}, "malformed_token"),
        ({"aud": ["third"]}, "wrong_audience"),
        ({"headers": {"typ": "dpop+jwt"}}, "wrong_token_type"),
        ({"headers": {"typ": 7}}, "malformed_token"),
        ({"headers": {"kid": "K"}}, "unknown_key"),
        ({"headers": {"kid": "../k"}}, "unknown_key"),
        ({"headers": {"kid": "' OR 1=1 --"}}, "unknown_key"),
        ({"headers": {"kid": "k" * 257}}, "malformed_token"),
        ({"headers": {"cty": "JWT"}}, "malformed_token"),
    ],
    ids=str,
)
def test_what_is_missing_or_of_another_kind_denies(changes, expected):
    assert code(token("one", **changes)) == expected


@pytest.mark.parametrize("kind", ["JWT", "jwt", "at+jwt", "application/at+jwt"])
def test_these_types_of_token_hold(kind):
    assert identity(token("one", headers={"typ": kind})).subject == "clara"


@pytest.mark.parametrize(
    ("claims", "scopes"),
    [
        ({}, set()),
        ({"scope": ""}, set()),
        ({"scope": "a b"}, {"a", "b"}),
        ({"scp": ["a", "b"]}, {"a", "b"}),
        ({"scp": "a b"}, {"a", "b"}),
        ({"scope": "a", "scp": ["b"]}, {"a", "b"}),
    ],
    ids=range(6),
)
def test_scopes_are_a_set(claims, scopes):
    assert identity(token("one", **claims)).scopes == frozenset(scopes)


def test_only_the_outermost_actor_counts():
    found = identity(token("one", act={"sub": "robot", "act": {"sub": "before"}}))
    assert (found.delegated, found.actor) == (True, "robot")


# RFC 8705: tokens that are bound to a certificate

DIGEST = hashlib.sha256(b"certificate")
THUMBPRINT = base64.urlsafe_b64encode(DIGEST.digest()).rstrip(b"=").decode()


def test_a_bound_token_holds_beside_its_certificate_only():
    providers = load("one", "two")
    bound = token("one", cnf={"x5t#S256": THUMBPRINT})
    for _ in range(2):
        assert code(bound, providers) == "wrong_certificate"
        assert code(bound, providers, certificate_sha256="0" * 64) == "wrong_certificate"
        assert identity(bound, providers, certificate_sha256=DIGEST.hexdigest())
    assert identity(token("one"), providers, certificate_sha256="0" * 64)


@pytest.mark.parametrize(
    "cnf",
    [
        {"jkt": THUMBPRINT}, {}, {"x5t#S256": THUMBPRINT, "jkt": "x"}, {"x5t#S256": "short"},
        {"x5t#S256": 7}, {"x5t#S256": "!" * 43}, {"jwk": {}},
    ],
    ids=str,
)  # fmt: skip
def test_a_token_bound_in_another_way_holds_for_nobody(cnf):
    assert code(token("one", cnf=cnf), certificate_sha256=DIGEST.hexdigest()) == (
        "wrong_certificate"
    )


def test_a_binding_that_is_no_object_denies():
    assert code(token("one", cnf="x")) in {"malformed_token", "wrong_certificate"}
