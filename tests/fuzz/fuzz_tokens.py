"""Tokens: denied with a code and no word of what they hold, or claims that hold now.

Half of the inputs are signed as they are, so that what reads claims is reached too.
"""

import base64
import hashlib
import hmac
import json

from tests.fuzz.harness import CANARY, Draw, check_silent, instrumented, main

with instrumented():
    from guardrail._documents import read_toml
    from guardrail.errors import Denied
    from guardrail.identity import read_providers

SECRET = b"0123456789abcdef" * 4
NOW = 1_800_000_000.0
SETTINGS = b"""
[identity.hospital]
type = "jwt"
issuer = "https://sso.hospital.example"
audience = "tumour-scoring"
algorithms = ["HS256"]
secret_env = "TOKEN_SECRET"
principal = { type = "User", id = "sub", in.Role = "roles", attrs = { department = "dept" } }
unknown_parents = "drop"
"""
PROVIDERS = read_providers(
    read_toml("guardrail.toml", SETTINGS).below("identity"),
    files={},
    environ={"TOKEN_SECRET": SECRET.decode()},
)
CODES = {
    "malformed_token", "wrong_algorithm", "bad_signature", "missing_claim", "wrong_issuer",
    "wrong_audience", "token_expired", "token_not_yet_valid", "unknown_entity",
    "wrong_token_type", "unknown_key", "wrong_certificate",
}  # fmt: skip
CLAIMS = {
    "iss": "https://sso.hospital.example",
    "aud": "tumour-scoring",
    "sub": CANARY,
    "exp": int(NOW) + 300,
    "roles": ["clinician", CANARY],
    "dept": CANARY,
}


def segment(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def signed(header: bytes, payload: bytes) -> str:
    message = f"{segment(header)}.{segment(payload)}"
    return f"{message}.{segment(hmac.new(SECRET, message.encode(), hashlib.sha256).digest())}"


def token_of(draw: Draw) -> str:
    form = draw.whole(0, 3)
    if form == 0:
        return draw.rest().decode("utf-8", "surrogateescape")
    head = b'{"alg":"HS256","typ":"JWT"}'
    if form == 1:  # a header of the fuzzer's
        return signed(draw.rest(), json.dumps(CLAIMS).encode())
    if form == 2:  # claims of the fuzzer's
        return signed(head, draw.rest())
    # one claim of the fuzzer's, as JSON, in place of the right one
    name = draw.choice((*CLAIMS, "nbf", "iat", "act", "amr", "auth_time", "crit", "b64"))
    own = {key: json.dumps(value) for key, value in CLAIMS.items()}
    own[name] = draw.rest().decode("utf-8", "replace")
    members = ",".join(f'"{key}":{value}' for key, value in own.items())
    return signed(head, f"{{{members}}}".encode())


def test_one_input(data: bytes) -> None:
    token = token_of(Draw(data))
    try:
        identity = PROVIDERS.authenticate(token, NOW, knows=lambda entity: entity.id != CANARY)
    except Denied as error:
        assert error.code in CODES, error.code
        check_silent(error)
        return
    assert identity.issuer == CLAIMS["iss"]
    assert identity.principal.id
    assert identity.expires_at > NOW
    assert CANARY not in repr(identity)


if __name__ == "__main__":
    main(test_one_input)
