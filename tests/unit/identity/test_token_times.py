"""Times in tokens (RFC 7519 §2): numbers of seconds, with a fraction or without."""

import json
import math

import jwt
import pytest

from guardrail.errors import NotAuthenticated
from guardrail.identity.id_prefixes import IdPrefix
from guardrail.identity.revocation import Revocations
from guardrail.identity.settings import JwtSettings
from guardrail.identity.tokens.claim_mapping import identify
from guardrail.identity.tokens.key_sources import PinnedKeys
from guardrail.identity.tokens.keys import read_secret
from guardrail.identity.tokens.verifier import SignedToken, Verifier

NOW = 1_796_098_000.0
SECRET = b"a secret of thirty-two bytes, no less"
TIMES = ("exp", "nbf", "iat", "auth_time")


def settings(leeway_s=0.0):
    return JwtSettings(
        type="jwt",
        issuer="https://sso.example",
        audience="scoring",
        algorithms=["HS256"],
        secret_env="SECRET",
        leeway_s=leeway_s,
        principal={"type": "User"},
    )


def identity(now=NOW, leeway_s=0.0, **times):
    """Return the identity of a token whose times are written as given, digit by digit."""
    told = settings(leeway_s)
    claims = {"iss": told.issuer, "aud": "scoring", "sub": "clara"}
    written = {"exp": "1796098350", **times}
    text = json.dumps(claims)[:-1] + "".join(f', "{n}": {v}' for n, v in written.items()) + "}"
    token = jwt.PyJWS().encode(text.encode(), SECRET, "HS256")
    verifier = Verifier(told, PinnedKeys(read_secret(SECRET, ["HS256"])))
    verified = verifier.verify(SignedToken(token), now)
    prefix = IdPrefix("", ())
    return identify(verified, provider="p", prefix=prefix, settings=told, knows=lambda _: True)


def code(now=NOW, leeway_s=0.0, **times):
    with pytest.raises(NotAuthenticated) as caught:
        identity(now, leeway_s, **times)
    return caught.value.code


@pytest.mark.parametrize("name", TIMES)
@pytest.mark.parametrize("text", ["1796098350.0", "1796098350.000", "1796098350.25"])
def test_a_fraction_is_a_time(name, text):
    now = NOW if name == "exp" else 1_796_098_351
    assert identity(now, **{"exp": "1796099000", name: text}).principal.id == "clara"


def test_an_end_is_rounded_down():
    for text in ("1796098350", "1796098350.0", "1796098350.01", "1796098350.99"):
        assert identity(1_796_098_349.9, exp=text).expires_at == 1_796_098_350.0
        assert code(1_796_098_350.0, exp=text) == "token_expired"
        assert identity(1_796_098_379.9, 30.0, exp=text).expires_at == 1_796_098_380.0


@pytest.mark.parametrize("name", ["nbf", "iat"])
def test_a_beginning_is_rounded_up(name):
    for text in ("1796097999.01", "1796097999.99", "1796098000", "1796098000.0"):
        assert identity(NOW, **{name: text})
        assert code(NOW - 0.001, **{name: text}) == "token_not_yet_valid"
    assert code(NOW, **{name: "1796098000.000001"}) == "token_not_yet_valid"


def test_a_sign_in_never_looks_fresher_than_it_is():
    signed_in = identity(auth_time="1796097000.9", iat="1796097999.5")
    assert signed_in.authenticated_at == 1_796_097_000.0
    assert identity(iat="1796097999.5").authenticated_at == 1_796_097_999.0


def test_a_fraction_escapes_no_revocation():
    issued = identity(iat="1796097999.2")
    revocations = Revocations()
    revocations.revoke(subject="clara", issued_before=1_796_097_999.5, now=NOW)
    with pytest.raises(NotAuthenticated) as caught:
        revocations.check(issued, NOW)
    assert caught.value.code == "revoked"


NONE = [
    "NaN", "Infinity", "-Infinity", "1e400", "-1e400", "-1", "-0.5", "-1796098350.5", "1e9",
    "1.7960983505e9", "1796098350E0", "17960983500e-1", "253402300800", "253402300799.5",
    "1796098350000", "9" * 400, "9" * 400 + ".5", "9" * 5000, "true", "false", '"1796098350"',
    '"1796098350.5"', "[1796098350.5]", '{"a": 1796098350.5}', '""',
]  # fmt: skip


@pytest.mark.parametrize("name", TIMES)
@pytest.mark.parametrize("text", NONE, ids=lambda text: text[:16])
def test_what_is_no_time_is_denied(name, text):
    assert code(**{name: text}) == "malformed_token"


def test_a_clock_that_makes_no_sense_denies():
    for now in (math.nan, math.inf, -math.inf):
        assert code(now, exp="1796098350.5", iat="1796097999.5") in (
            "token_expired",
            "token_not_yet_valid",
        )
