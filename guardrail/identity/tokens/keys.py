"""Read keys that verify tokens, from PEM, JWK, JWKS and secrets, each with its own algorithms.

A key is rejected if it is of another family than the algorithm's (an RSA key under HS256 is the
classic confusion), too weak, for another use (``use``, ``key_ops``), or a private key where a
public one is enough. No message holds key material.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from guardrail.identity.tokens.strict_json import read_object

#: The largest key file or published key set, in bytes, and its largest number of keys.
LIMIT_BYTES: Final = 256 * 1024
_LIMIT_KEYS: Final = 100
_LIMIT_KID: Final = 256
#: RFC 7518 §3.2: a secret must not be shorter than the hash.
_SECRET_BYTES: Final[Mapping[str, int]] = {"HS256": 32, "HS384": 48, "HS512": 64}
#: RFC 7518 §3.4: each algorithm has its curve.
_CURVES: Final[Mapping[str, str]] = {
    "ES256": "secp256r1",
    "ES384": "secp384r1",
    "ES512": "secp521r1",
}
#: RFC 7518 §3.3; a larger key costs more time than it adds security.
_RSA_BITS: Final = (2048, 8192)
#: RFC 9864 §2.2: the names of the two curves; ``EdDSA`` means both.
_EDWARDS: Final = ("Ed25519", "Ed448")
#: The largest nesting depth of a JWK.
_LIMIT_KEY_DEPTH: Final = 16
#: The operations and algorithms of a JWK for encryption (RFC 7517 §4.3, RFC 7518 §4.1).
_ENCRYPTION: Final = frozenset(
    ("encrypt", "decrypt", "wrapKey", "unwrapKey", "deriveKey", "deriveBits")
)
_ENCRYPTS: Final = re.compile(r"RSA1_5|RSA-OAEP.*|ECDH-ES.*|A(128|192|256)(KW|GCMKW|GCM|CBC.*)|dir")
#: The members of a JWK that only a private or a secret key has.
PRIVATE: Final = frozenset(("d", "p", "q", "dp", "dq", "qi", "oth", "k"))


class BadKey(Exception):
    """A key that can't be used; the message says why, and how to correct it."""


class Key:
    """One key, and the algorithms under which it verifies.

    Arguments:
        material: a public key of ``cryptography``, or a secret.
        algorithms: their names.
        kid: its name in a key set.
    """

    __slots__ = ("algorithms", "kid", "material", "verifying")

    def __init__(self, material: Any, algorithms: Sequence[str], kid: str | None = None) -> None:
        self.material = material
        self.algorithms = tuple(algorithms)
        self.kid = kid
        #: Its verifying functions by algorithm; made with the first token: see `verifier`.
        self.verifying: dict[str, Callable[[str], str]] = {}

    def __repr__(self) -> str:
        return f"<Key for {', '.join(self.algorithms)}>"


class KeySet:
    """Keys by their name and algorithm.

    A key that is listed twice counts once. If two keys have the same name and algorithm, the name
    selects neither for that algorithm (RFC 7517 §4.5); keys of other kinds may have the same name.

    Arguments:
        keys: the keys.
        any_name: whether the only key verifies tokens with any key name: a key in PEM.

    Attributes:
        is_ambiguous: whether two keys have the same name and algorithm.
    """

    __slots__ = ("_any_name", "_keys", "_nameless", "is_ambiguous")

    def __init__(self, keys: Iterable[Key], *, any_name: bool = False) -> None:
        self._any_name = any_name
        found: dict[tuple[str | None, str], list[Key]] = {}
        for key in keys:
            for algorithm in key.algorithms:
                same = found.setdefault((key.kid, algorithm), [])
                if all(key.material != other.material for other in same):
                    same.append(key)
        self.is_ambiguous = any(
            kid is not None and len(same) > 1 for (kid, _), same in found.items()
        )
        self._keys = {place: same[0] for place, same in found.items() if len(same) == 1}
        self._nameless: dict[str, Key | None] = {}
        for (_, algorithm), same in found.items():
            is_only = algorithm not in self._nameless and len(same) == 1
            self._nameless[algorithm] = same[0] if is_only else None

    def __bool__(self) -> bool:
        return bool(self._keys)

    @property
    def algorithms(self) -> frozenset[str]:
        """The algorithms for which there is a key."""
        return frozenset([algorithm for _, algorithm in self._keys])

    def find(self, kid: str | None, algorithm: str) -> Key | None:
        """Return the key that a token names; without a name, the only one that fits."""
        if kid is None or self._any_name:
            return self._nameless.get(algorithm)
        return self._keys.get((kid, algorithm))

    def __repr__(self) -> str:
        return f"<KeySet of {len(self._keys)}>"


def read_secret(raw: bytes, algorithms: Sequence[str]) -> KeySet:
    """Return the key set of a shared secret; raise `BadKey` if it is too short, or not a secret."""
    from jwt import PyJWS
    from jwt.exceptions import InvalidKeyError

    least = max(_SECRET_BYTES[algorithm] for algorithm in algorithms)
    if len(raw) < least:
        raise BadKey(f"is too short: {', '.join(algorithms)} needs {least} bytes")
    try:
        PyJWS(algorithms=[algorithms[0]]).get_algorithm_by_name(algorithms[0]).prepare_key(raw)
    except InvalidKeyError:
        complaint = "holds an asymmetric key or a JWK, not a secret: set a random one"
    else:
        return KeySet([Key(raw, algorithms)], any_name=True)
    raise BadKey(complaint)


def read_keys(raw: bytes, algorithms: Sequence[str]) -> KeySet:
    """Return the public keys of a file: one in PEM, a JWK, or a JWKS.

    Every algorithm must have a key, and every key an algorithm; keys for encryption, which
    providers publish in the same set, are skipped. Raises `BadKey`.
    """
    if len(raw) > LIMIT_BYTES:
        raise BadKey(f"is over {LIMIT_BYTES} bytes")
    text = raw.lstrip()
    if not text.startswith(b"{"):
        keys = KeySet([_from_pem(raw, algorithms)], any_name=True)
    else:
        members = _parse(raw)
        if "keys" not in members:
            keys = KeySet([read_jwk(members, algorithms)])
        else:
            signing = [each for each in _members(members) if not _is_for_encryption(each)]
            keys = KeySet([read_jwk(member, algorithms) for member in signing])
    if keys.is_ambiguous:
        raise BadKey("has two keys with the same `kid` for one algorithm. Rename one")
    if not keys:
        raise BadKey("holds no key")
    for algorithm in algorithms:
        if algorithm not in keys.algorithms:
            raise BadKey(f"has no key for {algorithm}")
    return keys


def read_published(raw: bytes, algorithms: Sequence[str]) -> KeySet:
    """Return the keys of a published JWKS.

    Unusable keys are skipped (RFC 7517 §5): keys for encryption, of unknown kinds, too weak, for
    other algorithms, nested too deep, and private ones, which are compromised by being published;
    and a name with two keys for one algorithm. Raises `BadKey` if the set is invalid, or no key is
    left.
    """
    if len(raw) > LIMIT_BYTES:
        raise BadKey(f"is over {LIMIT_BYTES} bytes")
    keys = []
    for member in _members(_parse(raw)):
        try:
            keys.append(read_jwk(member, algorithms))
        except BadKey:
            continue
    found = KeySet(keys)
    if not found:
        raise BadKey("holds no key that verifies tokens")
    return found


def _parse(raw: bytes) -> Mapping[str, Any]:
    try:
        return read_object(raw)
    except (ValueError, TypeError, RecursionError):
        pass
    raise BadKey("is not a JSON object with unique keys")


def _members(parsed: Mapping[str, Any]) -> list[Any]:
    members = parsed.get("keys")
    if not isinstance(members, list) or len(members) > _LIMIT_KEYS:
        raise BadKey(f"must hold `keys`, a list of {_LIMIT_KEYS} keys at most")
    return members


def _from_pem(raw: bytes, algorithms: Sequence[str]) -> Key:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    if b"PRIVATE KEY-----" in raw:
        raise BadKey("holds a private key. Use only the public key")
    if raw.count(b"-----BEGIN ") > 1:
        raise BadKey("holds several keys. Use one key, or a JWKS")
    try:
        material = load_pem_public_key(raw)
    except (ValueError, UnsupportedAlgorithm):
        material = None
    if material is None:
        raise BadKey('is not a public key in PEM ("-----BEGIN PUBLIC KEY-----"), a JWK or a JWKS')
    for algorithm in algorithms:
        complaint = why_unsuitable(algorithm, material)
        if complaint:
            raise BadKey(complaint)
    fitting = [each for each in accepted(algorithms) if not why_unsuitable(each, material)]
    return Key(material, fitting)


def accepted(algorithms: Iterable[str]) -> tuple[str, ...]:
    """Return all names of a provider's algorithms: ``EdDSA`` includes the names of its curves."""
    named = list(algorithms)
    return tuple(dict.fromkeys([*named, *(_EDWARDS if "EdDSA" in named else ())]))


def read_jwk(member: Any, algorithms: Sequence[str]) -> Key:
    """Return the key of a JWK (RFC 7517), with the algorithms that it may be used with."""
    if not isinstance(member, dict):
        raise BadKey("holds a key that is not an object")
    if PRIVATE & member.keys():
        raise BadKey("holds a private or secret key. Use only public keys")
    if _nests_deeper(member, _LIMIT_KEY_DEPTH):
        raise BadKey(f"holds a key that nests deeper than {_LIMIT_KEY_DEPTH} levels")
    kid, use, operations = member.get("kid"), member.get("use"), member.get("key_ops")
    if kid is not None and not (isinstance(kid, str) and 0 < len(kid) <= _LIMIT_KID):
        raise BadKey(f"has a `kid` that is not a text of 1 to {_LIMIT_KID} characters")
    if use is not None and use != "sig":
        raise BadKey('has a key that is not for signatures: its `use` is not "sig"')
    if operations is not None and not (isinstance(operations, list) and "verify" in operations):
        raise BadKey('has a key that may not verify: its `key_ops` lack "verify"')
    named = member.get("alg")
    wanted = [each for each in accepted(algorithms) if named is None or _means(named, each)]
    if not wanted:
        raise BadKey("has a key whose `alg` is not one of the provider's `algorithms`")
    material = _material(member)
    fitting = [algorithm for algorithm in wanted if not why_unsuitable(algorithm, material)]
    complaint = why_unsuitable(wanted[0] if named is None else named, material)
    if not fitting or (named is not None and complaint):
        raise BadKey(complaint)
    return Key(material, fitting, kid)


def _means(named: Any, algorithm: str) -> bool:
    """Return whether a key whose ``alg`` is ``named`` may verify with an algorithm."""
    if named == algorithm or not isinstance(named, str):
        return bool(named == algorithm)
    # One curve has two names (RFC 9864 §2.2); `why_unsuitable` distinguishes the curves.
    return "EdDSA" in (named, algorithm) and {named, algorithm} <= {"EdDSA", *_EDWARDS}


def _is_for_encryption(member: Any) -> bool:
    """Return whether a JWK is declared to be for encryption; a private one never counts."""
    if not isinstance(member, dict) or PRIVATE & member.keys():
        return False
    use, operations, named = member.get("use"), member.get("key_ops"), member.get("alg")
    if use is not None:
        return bool(use == "enc")
    if isinstance(named, str) and _ENCRYPTS.fullmatch(named):
        return True
    listed = operations if isinstance(operations, list) else []
    return bool(listed) and all(isinstance(each, str) and each in _ENCRYPTION for each in listed)


def _nests_deeper(value: Any, levels: int) -> bool:
    """Return whether JSON data nests deeper than a number of levels."""
    layer = [value]
    for _ in range(levels):
        layer = [
            inner
            for each in layer
            for inner in (each.values() if isinstance(each, dict) else each)
            if isinstance(inner, dict | list)
        ]
        if not layer:
            return False
    return True


def _material(member: Mapping[str, Any]) -> Any:
    from cryptography.exceptions import UnsupportedAlgorithm
    from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
    from jwt.exceptions import PyJWTError

    readers: Mapping[Any, Any] = {"RSA": RSAAlgorithm, "EC": ECAlgorithm, "OKP": OKPAlgorithm}
    kind = member.get("kty")
    reader = readers.get(kind) if isinstance(kind, str) else None
    if reader is None:
        raise BadKey("has a key whose `kty` is not RSA, EC or OKP")
    try:
        return reader.from_jwk(member)
    except (PyJWTError, UnsupportedAlgorithm, ValueError, TypeError, AttributeError, KeyError):
        pass
    raise BadKey("has a key whose parameters do not match its `kty`")


def why_unsuitable(algorithm: str, key: Any) -> str:
    """Return why a public key does not suit an algorithm; empty if it does."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

    if algorithm in _CURVES:
        curve = _CURVES[algorithm]
        fits = isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name == curve
        return "" if fits else f"{algorithm} needs an EC key on {curve}"
    if algorithm == "EdDSA":
        fits = isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey)
        return "" if fits else "EdDSA needs an Ed25519 or Ed448 key"
    if algorithm in _EDWARDS:
        curve_kind = {"Ed25519": ed25519.Ed25519PublicKey, "Ed448": ed448.Ed448PublicKey}[algorithm]
        return "" if isinstance(key, curve_kind) else f"{algorithm} needs an {algorithm} key"
    if algorithm in _SECRET_BYTES:
        return f"{algorithm} takes a secret, not a public key"
    least, most = _RSA_BITS
    fits = isinstance(key, rsa.RSAPublicKey) and least <= key.key_size <= most
    return "" if fits else f"{algorithm} needs an RSA key of {least} to {most} bits"
