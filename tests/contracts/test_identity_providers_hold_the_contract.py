"""Our own identity providers, and one that is plugged in, hold the contract of providers."""

import base64
import json
import random
from datetime import UTC, datetime, timedelta

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import strategies as st
from plugged_provider import BadgeKind

from guardrail.extensions import Entity
from guardrail.identity.api_keys.entries import entries_text, issue
from guardrail.identity.api_keys.kind import ApiKeyKind
from guardrail.identity.certificates.kind import MtlsKind
from guardrail.identity.tokens import open_keys
from guardrail.identity.tokens.kinds import JwtKind, OidcKind
from guardrail.testing.contracts import IdentityProviderContract

NOW = 1_700_000_000
SECRET = "0123456789abcdef" * 4
ISSUER = "https://sso.example"
KEY = ec.generate_private_key(ec.SECP256R1())
OTHER = ec.generate_private_key(ec.SECP256R1())
TOKENS = """\
issuer = "https://sso.example"
audience = "scoring"
algorithms = ["ES256"]
principal = { type = "User", in.Role = "roles" }
"""


def signed(key=KEY, **changes):
    claims = {
        "iss": ISSUER, "aud": "scoring", "sub": "clara", "exp": NOW + 60, "roles": ["clinician"],
        **changes,
    }  # fmt: skip
    return jwt.encode(claims, key, "ES256", headers={"kid": "one"})


def number(value):
    return base64.urlsafe_b64encode(value.to_bytes(32, "big")).rstrip(b"=").decode()


POINT = KEY.public_key().public_numbers()
JWKS = json.dumps(
    {"keys": [{"kty": "EC", "crv": "P-256", "kid": "one", "alg": "ES256",
               "x": number(POINT.x), "y": number(POINT.y)}]}
).encode()  # fmt: skip
BAD_TOKENS = st.one_of(
    st.text(),
    st.sampled_from(
        [
            signed(OTHER), signed(exp=NOW - 1), signed(aud="other"), signed(iss="https://x.example"),
            signed(sub=3), signed()[:-8],
        ]
    ),
)  # fmt: skip


PEM = {"key.pem": KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)}


class TestJwt(IdentityProviderContract):
    table = TOKENS + 'key_file = "key.pem"\n'
    files = PEM
    now = NOW
    refused = BAD_TOKENS

    def make(self):
        return JwtKind()

    def credential(self):
        return signed()


@pytest.fixture(autouse=True, scope="module")
def _published():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(open_keys, "fetch", lambda *_, **__: JWKS)
        yield


class TestOidc(IdentityProviderContract):
    table = TOKENS + 'jwks = "https://sso.example/jwks"\n'
    now = NOW
    refused = BAD_TOKENS

    def make(self):
        return OidcKind()

    def credential(self):
        return signed()


def key_entry(seed, **changes):
    return issue(
        Entity("User", "clara"),
        secret=SECRET.encode(),
        now=NOW,
        random=random.Random(seed).randbytes,  # noqa: S311  # the same key each time
        parents=(Entity("Role", "clinician"),),
        **changes,
    )


ENVIRON = {"SECRET": SECRET}
KEYS = {"keys.json": entries_text((key_entry(1)[1], key_entry(2, expires_in_s=60)[1])).encode()}


class TestApiKey(IdentityProviderContract):
    table = 'keys_file = "keys.json"\nsecret_env = "SECRET"\n'
    files = KEYS
    environ = ENVIRON
    now = NOW + 100
    refused = st.one_of(
        st.text(),
        st.sampled_from([key_entry(2, expires_in_s=60)[0], key_entry(3)[0], key_entry(1)[0][:-1]]),
    )

    def make(self):
        return ApiKeyKind()

    def credential(self):
        return key_entry(1)[0]


def certificate(name, *, issuer=None, key=OTHER, until=None):
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer or subject)
        .public_key(OTHER.public_key())
        .serial_number(7)
        .not_valid_before(datetime.fromtimestamp(NOW, UTC) - timedelta(days=1))
        .not_valid_after(until or datetime.fromtimestamp(NOW, UTC) + timedelta(days=1))
    )
    made = made.add_extension(
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
    )
    return made.sign(key, SHA256()).public_bytes(Encoding.PEM)


class TestMtls(IdentityProviderContract):
    table = """\
unsafe_trust_server = true
id = "subject"
principal = { type = "Workload", in.Role = ["batch"] }
"""
    now = NOW
    refused = st.one_of(
        st.lists(st.binary(), min_size=1, max_size=3).map(tuple),
        st.just((certificate("old", until=datetime.fromtimestamp(NOW - 1, UTC)),)),
    )

    def make(self):
        return MtlsKind()

    def credential(self):
        return (certificate("scoring"),)


class TestPluggedIn(IdentityProviderContract):
    table = 'department = "care"\n'
    refused = st.one_of(st.text().filter(lambda text: not text.startswith("badge:")),
                        st.integers().map("badge:{}".format))  # fmt: skip

    def make(self):
        return BadgeKind()

    def credential(self):
        return "badge:clara"
