"""PyJWT's verification, with a fixed key and algorithm.

One step of PyJWT is replaced by a faster and stricter one, and nothing in a token can choose a key.
Nothing is signed, and no key is exposed. Imported with the first token.
"""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from collections.abc import Callable
from typing import Any, Final

from jwt import PyJWS
from jwt.algorithms import Algorithm
from jwt.exceptions import (
    DecodeError,
    InvalidAlgorithmError,
    InvalidSignatureError,
    PyJWTError,
)

#: From the alphabet of base64url to that of base64, and back. `base64` does the same in six calls.
_TO_BASE64: Final = bytes.maketrans(b"-_", b"+/")
_TO_BASE64URL: Final = bytes.maketrans(b"+/", b"-_")


class StrictJWS(PyJWS):
    """PyJWT's class for signed tokens, with one step made faster.

    PyJWT checks in Python for each letter whether it is base64url: a third of a verification.
    Decoding and encoding again checks all letters at once, and more: if the result is equal, the
    text is the only encoding of these bytes, without padding (RFC 7515 §2).
    """

    @staticmethod
    def _decode_base64url_segment(segment: bytes, name: str) -> bytes:
        try:
            decoded = a2b_base64(segment.translate(_TO_BASE64) + b"=" * (-len(segment) % 4))
        except ValueError:
            decoded = b""
        encoded = b2a_base64(decoded, newline=False).translate(_TO_BASE64URL)
        if encoded.rstrip(b"=") != segment:
            raise DecodeError(f"The {name} is not base64url")
        return decoded


def pinned(key: Any, algorithm: str) -> Callable[[str], str]:
    """Return a function that verifies tokens with one key and algorithm, and with no other.

    It returns the code with which a token is denied, empty if the signature is valid.

    Arguments:
        key: a secret, or a public key of ``cryptography``.
        algorithm: its name, such as ``"RS256"``.
    """
    known = "EdDSA" if algorithm in ("Ed25519", "Ed448") else algorithm  # PyJWT's name of both
    jws = StrictJWS(
        algorithms=[known],
        options={"verify_signature": True, "enforce_minimum_key_length": True},
    )
    made = pin(jws.get_algorithm_by_name(known), key)
    jws.unregister_algorithm(known)
    jws.register_algorithm(algorithm, made)
    algorithms = [algorithm]

    def refusal(token: str) -> str:
        try:
            jws.decode_complete(token, algorithms=algorithms)
        except InvalidAlgorithmError:
            return "wrong_algorithm"
        except InvalidSignatureError:
            return "bad_signature"
        except (PyJWTError, ValueError, TypeError, RecursionError):
            return "malformed_token"
        return ""

    return refusal


def pin(algorithm: Any, key: Any) -> Any:
    """Return one of PyJWT's algorithms with its key prepared once, not for every token.

    Whatever key is passed later, it verifies with this one, and signs nothing.
    """
    prepared = algorithm.prepare_key(key)

    class Pinned(Algorithm):
        """See `pin`."""

        def prepare_key(self, key: Any) -> Any:  # noqa: ARG002
            return prepared

        def check_key_length(self, key: Any) -> str | None:
            complaint: str | None = algorithm.check_key_length(key)
            return complaint

        def verify(self, msg: bytes, key: Any, sig: bytes) -> bool:
            return bool(algorithm.verify(msg, key, sig))

        def sign(self, msg: bytes, key: Any) -> bytes:
            raise NotImplementedError("a pinned key verifies, and signs nothing")

        @staticmethod
        def to_jwk(key_obj: Any, as_dict: bool = False) -> Any:
            raise NotImplementedError("a pinned key is not handed out")

        @staticmethod
        def from_jwk(jwk: Any) -> Any:
            raise NotImplementedError("a key is pinned by the bundle alone")

    return Pinned()
