"""Evidence of every kind has the same limit: 65,536 bytes."""

from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from guardrail._documents import read_toml
from guardrail.errors import NotAuthenticated
from guardrail.identity.attestation.evidence import LIMIT_BYTES
from guardrail.identity.attestation.open_evidence import evidence_opener
from guardrail.identity.attestation.settings import TokenEvidenceSettings
from guardrail.identity.sources import Sources
from guardrail.identity.tokens.verifier import LIMIT_CHARS, SignedToken

KEY = ec.generate_private_key(ec.SECP256R1())
TABLE = """
about = "peer"
format = "azure_maa"
issuer = "https://maa.example"
algorithms = ["ES256"]
key_file = "key.pem"
"""


@pytest.fixture
def check_signature_of():
    raw = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    document = read_toml("guardrail.toml", TABLE.encode())
    settings = document.parse(TokenEvidenceSettings)
    return evidence_opener(Sources({"key.pem": raw}, {}))(settings, document)


def token(size, *, in_header=False):
    """Return a token of just so many characters."""
    filling = size * 3 // 4
    while True:
        filler = "x" * filling
        header = {"x5c": filler} if in_header else {}
        claims = {"iss": "a"} if in_header else {"iss": "a", "filler": filler}
        text = jwt.encode(claims, KEY, "ES256", headers=header)
        if len(text) <= size:
            return text
        filling -= (len(text) - size) * 3 // 4 + 1


@pytest.mark.parametrize("in_header", [False, True])
def test_a_token_of_evidence_may_be_longer_than_one_of_a_caller(check_signature_of, in_header):
    for size in (LIMIT_CHARS + 1_000, LIMIT_BYTES):
        text = token(size, in_header=in_header)
        assert LIMIT_CHARS < len(text) <= LIMIT_BYTES
        assert check_signature_of(text, 0.0)["iss"] == "a"
        with pytest.raises(NotAuthenticated, match="16384"):
            SignedToken(text)


def test_a_token_of_evidence_has_the_bound_of_all_evidence(check_signature_of):
    with pytest.raises(NotAuthenticated) as caught:
        check_signature_of(token(LIMIT_BYTES) + "A" * 100, 0.0)
    assert caught.value.code == "malformed_token"


def test_the_bound_is_the_one_that_is_documented():
    docs = Path(__file__).parents[3] / "docs"
    assert f"{LIMIT_BYTES:,} bytes" in (docs / "evidence.md").read_text("utf-8")
    assert f"{LIMIT_CHARS:,} characters" in (docs / "identity.md").read_text("utf-8")
