"""Every kind of credential through the guard of one bundle, evidence of machines included."""

import datetime
import json

import jwt
import pytest
from attestations import AUDIENCE, IMAGE, ISSUERS, confidential_space
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from typer.testing import CliRunner

from guardrail import Denied, Guard, NotAuthenticated, Peer, Principal
from guardrail.cli import app
from guardrail.testing import FrozenClock, Recorder

NOW = 1_800_000_000
SECRET = "0123456789abcdef" * 4
SETTINGS = f"""
[bundle]
name = "scoring"
version = "1.0.0"

[identity.partner]
type = "jwt"
issuer = "https://partner.example"
audience = "scoring"
algorithms = ["ES256"]
key_file = "partner.pem"
principal = {{ type = "User", id = "sub", id_prefix = "partner" }}

[identity.mesh]
type = "mtls"
id_prefix = "mesh"
ca_file = "roots.pem"
trust_domain = "prod.example"
principal = {{ type = "Workload" }}

[identity.jobs]
type = "api_key"
id_prefix = "jobs"
keys_file = "keys.json"
secret_env = "KEYS_SECRET"

[evidence.enclaves]
about = "peer"
format = "confidential_space"
issuer = "{ISSUERS["confidential_space"]}"
audience = "{AUDIENCE}"
algorithms = ["RS256"]
key_file = "google.pem"
"""
SCHEMA = """
entity User;
entity Workload;
entity Service;
entity Model;
action predict appliesTo {
  principal: [User, Workload, Service], resource: [Model],
  context: { peer: guardrail::PeerFacts, peer_attestation: guardrail::AttestationFacts }
};
action train appliesTo {
  principal: [User, Workload, Service], resource: [Model],
  context: { peer: guardrail::PeerFacts, peer_attestation: guardrail::AttestationFacts }
};
"""
POLICIES = f"""
@id("all") permit (principal, action, resource);
@id("near") forbid (principal is User, action == Action::"predict", resource)
unless {{ context.peer.tls && context.peer.ip.isInRange(ip("192.0.2.0/24")) }};
@id("attested") forbid (principal, action == Action::"train", resource)
unless {{
  context.peer_attestation.verified && !context.peer_attestation.debug &&
  context.peer_attestation.measurement == "{IMAGE}"
}};
"""
KEYS = {"partner": ec.generate_private_key(ec.SECP256R1())}
GOOGLE = rsa.generate_private_key(65537, 2048)
NEAR = Peer(tls=True, ip="192.0.2.7")


def pem(key):
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def certificate(name, *, issuer=None, uri=None):
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    at = datetime.datetime.fromtimestamp(NOW, datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer[0].subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(at - datetime.timedelta(days=1))
        .not_valid_after(at + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(issuer is None, None), critical=True)
        .add_extension(
            x509.KeyUsage(True, False, False, False, False, issuer is None, False, False, False),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if issuer is not None:
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer[1].public_key())
        builder = builder.add_extension(authority, critical=False)
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
        builder = builder.add_extension(usage, critical=False)
        names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)])
        builder = builder.add_extension(names, critical=False)
    return builder.sign(key if issuer is None else issuer[1], hashes.SHA256()), key


ROOT = certificate("root")
LEAF = certificate("nightly", issuer=ROOT, uri="spiffe://prod.example/sa/nightly")
STRANGER = certificate(
    "nightly", issuer=certificate("root"), uri="spiffe://prod.example/sa/nightly"
)


def der(made):
    return made[0].public_bytes(Encoding.DER)


@pytest.fixture
def bundle(tmp_path, monkeypatch):
    monkeypatch.setenv("KEYS_SECRET", SECRET)
    folder = tmp_path / "scoring"
    folder.mkdir()
    contents = {
        "guardrail.toml": SETTINGS.encode(),
        "schema.cedarschema": SCHEMA.encode(),
        "policies.cedar": POLICIES.encode(),
        "partner.pem": pem(KEYS["partner"]),
        "google.pem": pem(GOOGLE),
        "roots.pem": ROOT[0].public_bytes(Encoding.PEM),
        "keys.json": b"[]\n",
        "entities.json": json.dumps(
            [{"uid": {"type": "Model", "id": "tumour"}, "attrs": {}, "parents": []}]
        ).encode(),
    }
    for name, raw in contents.items():
        (folder / name).write_bytes(raw)
    return folder


@pytest.fixture
def guard(bundle):
    return Guard.from_dir(bundle, clock=FrozenClock(NOW), sinks=[Recorder()])


def token(**changes):
    claims = {
        "iss": "https://partner.example", "aud": "scoring", "sub": "clara", "exp": NOW + 600,
        "iat": NOW - 5, **changes,
    }  # fmt: skip
    return jwt.encode(claims, KEYS["partner"], algorithm="ES256")


def call(guard, action="predict", **credential):
    @guard.protect(action=action, resource='Model::"tumour"', input=None)
    def run():
        return "ran"

    with guard.acting_as(**credential) as principal:
        return str(principal.uid), run()


def code(guard, action="predict", **credential):
    with pytest.raises(Denied) as caught:
        call(guard, action, **credential)
    return caught.value.code


def test_a_token_from_nearby_over_tls(guard):
    assert call(guard, token=token(), peer=NEAR) == (
        'User::"partner#clara"',
        "ran",
    )
    assert code(guard, token=token(), peer=Peer(tls=True, ip="198.51.100.7")) == "prohibited"
    assert code(guard, token=token(), peer=Peer(tls=False, ip="192.0.2.7")) == "prohibited"
    assert code(guard, token=token()) == "evaluation_error"  # nobody says: that denies


def test_a_certificate_names_a_workload(guard):
    uid, ran = call(guard, certificate=der(LEAF))
    assert (uid, ran) == ('Workload::"mesh#spiffe://prod.example/sa/nightly"', "ran")
    assert code(guard, certificate=der(STRANGER)) == "bad_certificate"


def test_a_token_beside_a_certificate_names_the_user_and_both_must_hold(guard):
    uid, _ = call(guard, token=token(), certificate=[der(LEAF)], peer=NEAR)
    assert uid.startswith("User::")
    assert code(guard, token=token(), certificate=[der(STRANGER)], peer=NEAR) == "bad_certificate"


def test_an_api_key_that_the_command_issued(bundle, guard):
    run = CliRunner().invoke(app, ["key", "issue", str(bundle), "--principal", 'Service::"jobs"'])
    assert run.exit_code == 0, run.output
    key = run.stdout.strip()
    assert code(guard, token=key) in {"unknown_api_key"}
    assert guard.reload().changed
    uid, ran = call(guard, token=key)
    assert (uid, ran) == ('Service::"jobs#jobs"', "ran")
    guard.revoke(token_id=key.split("_")[1])
    assert code(guard, token=key) == "revoked"
    assert key not in (bundle / "keys.json").read_text()


def evidence(nonce, *, key=GOOGLE, **changes):
    claims = {**confidential_space(nonce), **changes}
    return jwt.encode(claims, key, algorithm="RS256")


def test_evidence_of_the_callers_machine(guard):
    assert code(guard, "train", token=token()) == "prohibited"
    attested = evidence(guard.challenge())
    assert call(guard, "train", token=token(), attestation=attested)[1] == "ran"
    assert code(guard, "train", token=token(), attestation=attested) == "replayed_nonce"
    assert call(guard, "train", principal=Principal("User", "clara"),
                attestation=evidence(guard.challenge()))[1] == "ran"  # fmt: skip


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"dbgstat": "enabled"}, "prohibited"),
        ({"submods": {"container": {"image_digest": f"sha256:{'0' * 64}"}}}, "prohibited"),
        ({"iat": NOW - 900, "nbf": NOW - 900}, "stale_evidence"),
        ({"key": rsa.generate_private_key(65537, 2048)}, "bad_signature"),
        ({"aud": "other"}, "wrong_audience"),
    ],
    ids=["debug", "measurement", "stale", "root", "audience"],
)
def test_evidence_that_does_not_do(guard, change, expected):
    attested = evidence(guard.challenge(), **change)
    assert code(guard, "train", token=token(), attestation=attested) == expected


def test_a_flipped_byte_of_evidence_denies(guard):
    attested = evidence(guard.challenge())
    head, body, signature = attested.split(".")
    flipped = ("B" if signature[5] == "A" else "A").join((signature[:5], signature[6:]))
    assert code(guard, "train", token=token(), attestation=f"{head}.{body}.{flipped}") == (
        "bad_signature"
    )


def test_nonces_outlive_a_reload(guard, bundle):
    nonce = guard.challenge()
    settings = bundle / "guardrail.toml"
    settings.write_text(settings.read_text().replace("1.0.0", "1.0.1"))
    assert guard.reload().changed
    assert call(guard, "train", token=token(), attestation=evidence(nonce))[1] == "ran"


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"principal": Principal("User", "clara"), "token": "x"},
        {"principal": Principal("User", "clara"), "certificate": b"x"},
    ],
    ids=["none", "token", "certificate"],
)
def test_somebody_is_named_once(guard, given):
    with pytest.raises(TypeError):
        guard.acting_as(**given)


def test_what_is_no_credential_is_refused(guard):
    for given in ({"token": ""}, {"token": "gr_x"}, {"certificate": b"x"}, {"token": "a.b.c"}):
        with pytest.raises(NotAuthenticated):
            guard.acting_as(**given)
