"""Tokens: what a caller's token costs, against ``jwt.decode`` of the same token.

Run with ``python -m benchmarks.identity``. Each baseline is PyJWT as its documentation has it, with
the key, the algorithm, the audience and the issuer given, and nothing else: no mapping, no strict
reading, no choice of a key. Ours is `Guard.acting_as` and what goes before its block: a token that
was seen, and one that is new in every call (a cold one). Its key comes of a set that was fetched,
where the algorithm is one of public keys.

The gates: a token that was seen costs at most 1/25 of decoding it (HS256); a new one at most 1.6
times that for HS256, and 1.2 times for RS256, ES256 and EdDSA.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from itertools import cycle
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from benchmarks.harness import Case, main
from guardrail._documents import read_toml
from guardrail.identity import Providers, read_providers
from guardrail.identity.tokens.key_sources import PinnedKeys
from guardrail.identity.tokens.keys import read_published
from guardrail.identity.tokens.verifier import Verifier

NOW = 1_800_000_000
SECRET = "0123456789abcdef" * 4
AUDIENCE, ISSUER = "scoring", "https://sso.example"
CLAIMS = {
    "iss": ISSUER,
    "aud": AUDIENCE,
    "exp": NOW * 10,
    "iat": 1_700_000_000,
    "roles": ["clinician"],
    "dept": "oncology",
    "scope": "predict explain",
}
#: New tokens, each used once in a turn: more than are remembered.
TOKENS = 4096
COLD = {"HS256": 1.6, "RS256": 1.2, "ES256": 1.2, "EdDSA": 1.2}
SEEN = 1 / 25


def private_keys() -> dict[str, Any]:
    """Return what signs, by algorithm."""
    return {
        "HS256": SECRET,
        "RS256": rsa.generate_private_key(65537, 2048),
        "ES256": ec.generate_private_key(ec.SECP256R1()),
        "EdDSA": ed25519.Ed25519PrivateKey.generate(),
    }


def tokens(algorithm: str, key: Any, count: int) -> list[str]:
    """Return tokens of as many callers."""
    return [
        jwt.encode(
            {**CLAIMS, "sub": f"user-{number:05}"}, key, algorithm=algorithm, headers={"kid": "k1"}
        )
        for number in range(count)
    ]


def providers(algorithm: str, key: Any) -> Providers:
    """Return what a bundle with one provider has."""
    text = f"""
[identity.sso]
type = "jwt"
issuer = "{ISSUER}"
audience = "{AUDIENCE}"
algorithms = ["{algorithm}"]
{'secret_env = "S"' if algorithm == "HS256" else 'key_file = "keys.json"'}
principal = {{ type = "User", id = "sub", in.Role = "roles", attrs = {{ department = "dept" }} }}
"""
    document = read_toml("guardrail.toml", text.encode()).below("identity")
    files = {} if algorithm == "HS256" else {"keys.json": jwks(key)}
    found = read_providers(document, files=files, environ={"S": SECRET})
    if algorithm != "HS256":
        (provider,) = found.tokens.values()
        keyring = PinnedKeys(read_published(jwks(key), [algorithm]))
        assert Verifier(provider.settings, keyring)
    return found


def jwks(key: Any) -> bytes:
    """Return the public key as a set of keys."""
    name = {
        rsa.RSAPrivateKey: "RSAAlgorithm",
        ec.EllipticCurvePrivateKey: "ECAlgorithm",
        ed25519.Ed25519PrivateKey: "OKPAlgorithm",
    }
    kind = next(text for base, text in name.items() if isinstance(key, base))
    member = getattr(jwt.algorithms, kind).to_jwk(key.public_key(), as_dict=True)
    return json.dumps({"keys": [{**member, "kid": "k1", "use": "sig"}]}).encode()


def decoding(texts: Iterator[str], key: Any, algorithm: str) -> Callable[[], object]:
    """Return the call that decodes the next token with PyJWT."""
    public = key if isinstance(key, str) else key.public_key()

    def decode() -> object:
        return jwt.decode(
            next(texts), public, algorithms=[algorithm], audience=AUDIENCE, issuer=ISSUER
        )

    return decode


def ours(texts: Iterator[str], found: Providers) -> Callable[[], object]:
    """Return the call that turns the next token into an identity."""

    def authenticate() -> object:
        return found.authenticate(next(texts), NOW, knows=lambda _: True)

    return authenticate


def cases() -> list[Case]:
    """Return for each algorithm PyJWT, a new token, and for HS256 one that was seen."""
    made = []
    for algorithm, key in private_keys().items():
        count = TOKENS if algorithm != "RS256" else 2048
        texts = tokens(algorithm, key, count)
        baseline = f"jwt.decode, {algorithm}"
        found = providers(algorithm, key)
        made += [
            Case(baseline, decoding(cycle(texts), key, algorithm)),
            Case(
                f"new token, {algorithm}",
                ours(cycle(texts), found),
                baseline,
                goal=COLD[algorithm],
            ),
        ]
        if algorithm == "HS256":
            seen = providers(algorithm, key)
            made.append(
                Case("token seen, HS256", ours(cycle(texts[:1]), seen), baseline, goal=SEEN)
            )
    return made


if __name__ == "__main__":
    sys.exit(main(cases(), title=str(__doc__).splitlines()[0]))
