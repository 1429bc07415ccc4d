"""The documentation of the ASGI middleware runs as it stands."""

import json
import re
import shutil
import time
from pathlib import Path

import jwt
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from exchanges import ask, fit, http

from guardrail.errors import (
    GuardUnavailable,
    InputRejected,
    NotAuthenticated,
    NotAuthorized,
    OutputBlocked,
    QuotaExceeded,
)
from guardrail.integrations.asgi import IdentityMiddleware
from guardrail.integrations.http import problem_response

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/asgi.md").read_text(encoding="utf-8")


@pytest.fixture
def issuer(tmp_path, monkeypatch):
    """Stand in a copy of the policies, whose issuer is ours."""
    key = ec.generate_private_key(ec.SECP256R1())
    shutil.copytree(ROOT / "policies", tmp_path / "policies")
    (tmp_path / "policies/clinical_scoring/keys/hospital.pem").write_bytes(
        key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    monkeypatch.chdir(tmp_path)
    return key


def test_the_example_runs(issuer):
    (block,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    scope = {}
    exec(compile(block, "docs/asgi.md", "exec"), scope)  # noqa: S102
    guard, app = scope["guard"], scope["app"]
    if fit(guard) is not guard:
        app = IdentityMiddleware(scope["service"], fit(guard), realm="scores")
    claims = {
        "iss": "https://sso.hospital.example",
        "aud": "tumour-scoring",
        "sub": "clara",
        "exp": int(time.time()) + 300,
        "roles": ["clinician"],
        "dept": "oncology",
    }
    bearer = ("authorization", "Bearer " + jwt.encode(claims, issuer, algorithm="ES256"))

    def post(rows, *headers):
        body = json.dumps(rows.tolist()).encode()
        return ask(app, http(*headers, method="POST"), {"type": "http.request", "body": body})

    answer = post(np.zeros((2, 30)), bearer)
    assert (answer.status, json.loads(answer.body)) == (200, [[0.5, 0.5]] * 2)
    assert post(np.zeros((2, 30))).headers["www-authenticate"] == 'Bearer realm="scores"'
    refused = post(np.full((2, 30), -1.0), bearer)
    assert (refused.status, refused.problem["path"]) == (422, "patients[0, 0]")


def test_the_table_of_statuses_is_the_codes():
    rows = dict(re.findall(r"^\| `(\w+)` \| (\d{3})", TEXT, re.MULTILINE))
    kinds = (
        NotAuthenticated,
        NotAuthorized,
        InputRejected,
        QuotaExceeded,
        OutputBlocked,
        GuardUnavailable,
    )
    assert rows == {kind.__name__: str(problem_response(kind("x")).status) for kind in kinds}
