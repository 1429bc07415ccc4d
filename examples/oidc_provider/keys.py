"""What the provider signs with, and which keys it publishes.

Owns one key in use and those that were. A new key may be of another algorithm, so that a
provider changes over from RSA as real ones do.
"""

from __future__ import annotations

from typing import Any, Final

from joserfc import jwt
from joserfc.jwk import ECKey, Key, KeySet, OKPKey, RSAKey

ALGORITHMS: Final = ("RS256", "ES256", "EdDSA")


def make_key(algorithm: str) -> Key:
    """Return a new key for an algorithm; its ``kid`` is its thumbprint (RFC 7638)."""
    named: dict[str, Any] = {"alg": algorithm, "use": "sig"}
    if algorithm == "RS256":
        return RSAKey.generate_key(2048, named, auto_kid=True)
    if algorithm == "ES256":
        return ECKey.generate_key("P-256", named, auto_kid=True)
    if algorithm == "EdDSA":
        return OKPKey.generate_key("Ed25519", named, auto_kid=True)
    raise ValueError(f"expected one of {', '.join(ALGORITHMS)}")


class SigningKeys:
    """The provider's keys.

    Arguments:
        algorithm: of the first key: ``RS256``, ``ES256`` or ``EdDSA``.
    """

    def __init__(self, algorithm: str) -> None:
        self._keys: list[Key] = [make_key(algorithm)]

    @property
    def current(self) -> Key:
        """The key in use."""
        return self._keys[-1]

    @property
    def algorithm(self) -> str:
        """What the key in use signs with."""
        return str(self.current.alg)

    def rotate(self, *, algorithm: str | None, keep_old: bool) -> str:
        """Sign with a new key from now on, and return its ``kid``.

        Arguments:
            algorithm: the new key's; by default that of the old one.
            keep_old: go on to publish the keys that were.
        """
        key = make_key(algorithm or self.algorithm)
        self._keys = [*(self._keys if keep_old else ()), key]
        return str(key.kid)

    def published(self, *, private: bool = False) -> dict[str, Any]:
        """Return the key set; with what must stay secret only where a test wants to see that."""
        return dict(KeySet(self._keys).as_dict(private=private))

    def sign(self, claims: dict[str, Any], *, kind: str) -> str:
        """Return a signed token; ``kind`` is its ``typ``."""
        key, algorithm = self.current, self.algorithm
        header = {"alg": algorithm, "typ": kind, "kid": key.kid}
        return jwt.encode(header, claims, key, [algorithm])
