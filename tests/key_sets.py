"""A provider that publishes keys, as far as whoever asks it can tell, and sets of keys for it."""

import json

from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from guardrail.identity.tokens.https import FetchFailed
from guardrail.identity.tokens.key_sources import PublishedKeys

NOW = 1_800_000_000.0
ISSUER = "https://sso.example"
CONFIGURATION = f"{ISSUER}/.well-known/openid-configuration"
JWKS = f"{ISSUER}/keys"
KEY = ec.generate_private_key(ec.SECP256R1())
OTHER = ec.generate_private_key(ec.SECP256R1())
RSA = rsa.generate_private_key(65537, 2048)


def jwk(key=KEY, **members):
    kinds = {
        ec.EllipticCurvePrivateKey: ECAlgorithm,
        rsa.RSAPrivateKey: RSAAlgorithm,
        ed25519.Ed25519PrivateKey: OKPAlgorithm,
        ed448.Ed448PrivateKey: OKPAlgorithm,
    }
    (made,) = (kind for base, kind in kinds.items() if isinstance(key, base))
    found = made.to_jwk(key.public_key(), as_dict=True)
    return {name: value for name, value in {**found, **members}.items() if value is not ...}


def jwks(*keys):
    return json.dumps({"keys": list(keys)}).encode()


class Provider:
    """What answers: documents by address, or an error for all of them; counts the questions."""

    def __init__(self, **documents):
        self.documents = {
            CONFIGURATION: json.dumps({"issuer": ISSUER, "jwks_uri": JWKS}).encode(),
            JWKS: jwks(jwk(kid="a")),
        }
        self.asked = []
        self.down = False
        self.waits = None

    def __call__(self, url):
        self.asked.append(url)
        if self.waits is not None:
            self.waits.wait(10)
        if self.down or url not in self.documents:
            raise FetchFailed("the connection failed (TimeoutError)")
        return self.documents[url]

    @property
    def fetches(self):
        return self.asked.count(JWKS)


def keyring(provider, **changes):
    given = {
        "issuer": ISSUER,
        "jwks": None,
        "algorithms": ("ES256", "RS256"),
        "timeout_s": 5.0,
        "refresh_s": 300.0,
        "stale_s": 3600.0,
        "interval_s": 30.0,
    }
    return PublishedKeys(provider, **{**given, **changes})
