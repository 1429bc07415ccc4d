"""`guardrail token` prints the principal of a token, and never the token."""

from __future__ import annotations

import json

import jwt
import pytest
from typer.testing import CliRunner

from guardrail.cli import app

NOW = 1_800_000_000
SECRET = "0123456789abcdef" * 4
IDENTITY = """
[identity.sso]
type = "jwt"
issuer = "https://sso.example"
audience = "scoring"
algorithms = ["HS256"]
secret_env = "TOKEN_SECRET"
principal = { type = "User", id = "sub", in.Role = "roles", attrs = { department = "dept" } }
"""
CLAIMS = {
    "iss": "https://sso.example",
    "aud": "scoring",
    "sub": "clara",
    "exp": NOW + 240,
    "roles": ["clinician"],
    "dept": "leak-4711",
    "scope": "predict explain",
}


@pytest.fixture
def bundle(make_bundle, monkeypatch):
    monkeypatch.setenv("TOKEN_SECRET", SECRET)
    folder = make_bundle()
    toml = folder / "guardrail.toml"
    toml.write_text(toml.read_text() + IDENTITY)
    return folder


def run(*arguments, token=None, **changes):
    if token is None:
        token = jwt.encode({**CLAIMS, **changes}, SECRET, algorithm="HS256")
    given = [str(argument) for argument in arguments]
    result = CliRunner().invoke(app, ["token", *given, "--at", str(NOW)], input=token)
    shown = result.stdout + result.stderr
    assert "leak-4711" not in shown
    assert not token or token not in shown
    return result


def test_a_token_that_holds_is_told(bundle):
    result = run(bundle)
    assert result.exit_code == 0
    assert result.stdout == (
        'User::"clara" in Role::"clinician"\n'
        "  attributes  department\n"
        "  provider    sso (jwt), issuer https://sso.example\n"
        "  mfa         no\n"
        "  delegated   no\n"
        "  scopes      explain, predict\n"
        "  expires     in 240 s\n"
        "  claims      aud, dept, exp, iss, roles, scope, sub\n"
    )


def test_a_token_that_holds_is_told_to_programs(bundle):
    output = json.loads(run(bundle, "--format", "json").stdout)
    assert output["holds"] is True
    assert output["principal"] == 'User::"clara"'
    assert output["claims"] == sorted(CLAIMS)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"exp": NOW}, "token_expired"),
        ({"aud": "other"}, "wrong_audience"),
        ({"roles": ["nobody"]}, "unknown_entity"),
        ({"roles": None}, "missing_claim"),
    ],
)
def test_why_a_token_does_not_hold_is_told(bundle, changes, code):
    result = run(bundle, **changes)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"{code}: ")
    assert "claims      aud, dept" in result.stdout
    output = json.loads(run(bundle, "--format", "json", **changes).stdout)
    assert (output["holds"], output["code"]) == (False, code)


def test_what_is_no_token_is_told(bundle):
    result = run(bundle, token="leak-47.no")
    assert result.exit_code == 1
    assert result.stderr.startswith("malformed_token: ")


def test_a_file_may_hold_it(bundle, tmp_path):
    file = tmp_path / "token.txt"
    file.write_text(jwt.encode(CLAIMS, SECRET, algorithm="HS256") + "\n")
    assert run(bundle, file, token="").exit_code == 0


def test_no_token_is_a_wrong_call(bundle, tmp_path):
    assert run(bundle, token="").exit_code == 2
    assert run(bundle, tmp_path / "absent", token="").exit_code == 2
    assert run(tmp_path / "absent", token="no.token.here").exit_code == 2
