"""The pinned key of a provider, read once at load.

Owns the way from ``key_file`` or ``secret_env`` to a key that fits its algorithm. Refuses
a key of another family than the algorithm's (an RSA key under HS256 is the classic
confusion), one that is too weak, a private key where a public one is enough, and a file
that is not the bundle's. All of its faults are ``GR400``, and none holds key material.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from guardrail.errors import ConfigurationError, Place
from guardrail.identity.settings import JwtSettings

_LIMIT_BYTES: Final = 64 * 1024
#: RFC 7518 §3.2: a secret no shorter than the hash.
_SECRET_BYTES: Final = {"HS256": 32, "HS384": 48, "HS512": 64}
#: RFC 7518 §3.4: each algorithm has its curve.
_CURVES: Final = {"ES256": "secp256r1", "ES384": "secp384r1", "ES512": "secp521r1"}
#: RFC 7518 §3.3.
_RSA_BITS: Final = 2048


def read_key(
    settings: JwtSettings, *, place: Place, files: Mapping[str, bytes], environ: Mapping[str, str]
) -> Any:
    """Return the key: ``bytes`` for HS*, else a public key of ``cryptography``.

    Arguments:
        settings: the provider's.
        place: where its key is named, for the fault.
        files: the bundle's files by their path, among them ``key_file``: the very bytes that
            the bundle's digest is over.
        environ: the environment in which ``secret_env`` is looked up.

    Raises:
        ConfigurationError: ``GR400``, for any key that is absent, unfit or weak.
    """
    is_shared = settings.algorithm in _SECRET_BYTES
    if settings.secret_env is not None:
        key, complaint = (
            _secret(settings.algorithm, settings.secret_env, environ)
            if is_shared
            else (None, f"{settings.algorithm} takes a public key. Give it as `key_file`.")
        )
    elif is_shared:
        key, complaint = None, f"{settings.algorithm} takes a secret. Name it in `secret_env`."
    else:
        raw, complaint = _contents(files, settings.key_file or "")
        key, complaint = (None, complaint) if complaint else _public(settings.algorithm, raw)
    if complaint:
        raise ConfigurationError.at(place, "GR400", complaint)
    return key


def _secret(algorithm: str, name: str, environ: Mapping[str, str]) -> tuple[bytes, str]:
    from jwt import PyJWS
    from jwt.exceptions import InvalidKeyError

    secret = environ.get(name, "").encode("utf-8", "surrogateescape")
    if not secret:
        return b"", f"The environment has no `{name}`. Set it to the secret."
    least = _SECRET_BYTES[algorithm]
    if len(secret) < least:
        return b"", f"The secret in `{name}` is too short. {algorithm} needs {least} bytes."
    try:
        PyJWS(algorithms=[algorithm]).get_algorithm_by_name(algorithm).prepare_key(secret)
    except InvalidKeyError:
        return b"", f"`{name}` holds an asymmetric key or a JWK, not a secret. Set a random one."
    return secret, ""


def _contents(files: Mapping[str, bytes], name: str) -> tuple[bytes, str]:
    raw = files.get(name)
    if raw is None:
        return b"", (
            "`key_file` must name a file of the bundle, outside tests/, by its path within it. "
            "Put the issuer's public key there, as PEM."
        )
    if len(raw) > _LIMIT_BYTES:
        return b"", f"`key_file` is over {_LIMIT_BYTES} bytes. It holds one public key, as PEM."
    return raw, ""


def _public(algorithm: str, raw: bytes) -> tuple[Any, str]:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    if b"PRIVATE KEY-----" in raw:
        return None, "`key_file` holds a private key. Put only the public one there."
    if raw.count(b"-----BEGIN ") > 1:
        return None, "`key_file` holds several keys. Put one there."
    try:
        key = load_pem_public_key(raw)
    except (ValueError, UnsupportedAlgorithm):
        return None, '`key_file` is no public key in PEM ("-----BEGIN PUBLIC KEY-----").'
    return key, _misfit(algorithm, key)


def _misfit(algorithm: str, key: Any) -> str:
    """Say why a public key does not fit; empty where it does."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

    if algorithm in _CURVES:
        curve = _CURVES[algorithm]
        fits = isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name == curve
        return "" if fits else f"{algorithm} needs an EC key on {curve}."
    if algorithm == "EdDSA":
        fits = isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey)
        return "" if fits else "EdDSA needs an Ed25519 or Ed448 key."
    fits = isinstance(key, rsa.RSAPublicKey) and key.key_size >= _RSA_BITS
    return "" if fits else f"{algorithm} needs an RSA key of {_RSA_BITS} bits or more."
