"""``python -m guardrail.testing.jws FILE`` replays public test vectors of signed tokens.

It reads vectors in the JSON format of Project Wycheproof (``testGroups``, each with a key and
``tests`` of ``jws`` and ``result``) and verifies each with the verifier that serves calls. Vectors
that can't be run are counted apart.
"""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from guardrail.errors import NotAuthenticated
from guardrail.identity.tokens.keys import PRIVATE, BadKey, Key, KeySet, read_jwk, read_secret
from guardrail.identity.tokens.verifier import SignedToken, check_signature

_PUBLIC: Final = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
    "Ed25519", "Ed448",
)  # fmt: skip
#: The code of a token whose key no bundle would load.
_UNUSABLE: Final = "unusable_key"
_SHARED: Final = ("HS256", "HS384", "HS512")


class VectorResult(NamedTuple):
    """The result of one vector: ``result`` in the file, and our ``code`` (empty if accepted)."""

    number: int
    comment: str
    result: str
    code: str

    @property
    def is_wrong(self) -> bool:
        """Whether we accepted an invalid token."""
        return self.result == "invalid" and not self.code

    @property
    def is_strict(self) -> bool:
        """Whether we refused a valid token."""
        return self.result == "valid" and bool(self.code)


def replay(vectors: Mapping[str, Any]) -> Iterator[VectorResult]:
    """Verify every vector of a file, and yield the results.

    If the key of a group can't be used, all its tokens are refused with ``unusable_key``, since a
    bundle with such a key does not load.
    """
    for group in vectors["testGroups"]:
        try:
            keys: KeySet | None = keys_of(group)
        except BadKey:
            keys = None
        for test in group["tests"]:
            code = _UNUSABLE if keys is None else refused(test["jws"], keys)
            yield VectorResult(test["tcId"], test.get("comment", ""), test["result"], code)


def keys_of(group: Mapping[str, Any]) -> KeySet:
    """Return the keys of a group of vectors; raise `BadKey` if a bundle would refuse them.

    Shared secrets must meet the rules of a JWK, too, although no bundle accepts them as a JWK.
    """
    jwk = group.get("public", group.get("jwk", group.get("key")))
    if jwk is None:
        jwk = group["private"]
    members = jwk["keys"] if isinstance(jwk, dict) and "keys" in jwk else [jwk]
    keys: list[Key] = []
    for member in members:
        try:
            keys.append(_secret(member) if member.get("kty") == "oct" else _public(member))
        except BadKey:
            continue
    if not keys:
        raise BadKey("has no key that verifies tokens")
    return KeySet(keys)


def _public(member: Mapping[str, Any]) -> Key:
    """Return the public key, also if the file has only the private form."""
    return read_jwk({name: member[name] for name in member if name not in PRIVATE}, _PUBLIC)


def _secret(member: Mapping[str, Any]) -> Key:
    if member.get("use", "sig") != "sig" or "verify" not in member.get("key_ops", ["verify"]):
        raise BadKey("is not a key for signatures")
    named = member.get("alg")
    text = member["k"]
    secret = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    algorithms = [named] if named in _SHARED else []
    if named is None:
        algorithms = [name for name in _SHARED if len(secret) * 8 >= int(name[2:])]
    if not algorithms:
        raise BadKey("fits no algorithm")
    read_secret(secret, algorithms)
    return Key(secret, algorithms, member.get("kid"))


def refused(text: Any, keys: KeySet) -> str:
    """Return the code with which a token is refused; empty if it is valid under these keys."""
    try:
        token = SignedToken(text)
        key = keys.find(token.head.kid, token.head.algorithm)
        if key is None:
            return "unknown_key"
        check_signature(token, key)
    except NotAuthenticated as error:
        return error.code
    return ""


def main(arguments: Sequence[str]) -> int:
    """Replay the files; return 1 if an invalid token was accepted, 2 for wrong usage."""
    if not arguments or any(name.startswith("-") for name in arguments):
        is_help = any(name in ("-h", "--help") for name in arguments)
        print((__doc__ or "").strip(), file=sys.stdout if is_help else sys.stderr)
        return 0 if is_help else 2
    wrong = 0
    for name in arguments:
        try:
            outcomes = list(replay(json.loads(Path(name).read_bytes())))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            kind = type(error).__name__
            print(f"{name}: the file has no readable vectors: {kind}", file=sys.stderr)  # noqa: T201
            return 2
        for outcome in outcomes:
            if outcome.is_wrong or outcome.is_strict:
                code = outcome.code or "ACCEPTED"
                print(f"{name}: {outcome.number}: {outcome.result}, {code}: {outcome.comment}")  # noqa: T201
        accepted = sum(outcome.is_wrong for outcome in outcomes)
        strict = sum(outcome.is_strict for outcome in outcomes)
        print(  # noqa: T201
            f"{name}: {len(outcomes)} vectors, {accepted} invalid ones accepted, "
            f"{strict} valid ones refused"
        )
        wrong += accepted
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
