"""The examples of docs/services.md run: behind Flask, and behind a gRPC server on loopback."""

from __future__ import annotations

import json
import re
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import jwt
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ROOT = Path(__file__).parents[2]
FLASK, GRPC = re.findall(
    r"```python\n(.*?)```", (ROOT / "docs/services.md").read_text("utf-8"), re.DOTALL
)
ROWS, BAD_ROWS = np.zeros((2, 30)).tolist(), np.full((2, 30), -1.0).tolist()


@pytest.fixture
def bearer(tmp_path, monkeypatch):
    """Stand in a copy of the policies, whose issuer is ours; return a header of a clinician."""
    key = ec.generate_private_key(ec.SECP256R1())
    shutil.copytree(ROOT / "policies", tmp_path / "policies")
    (tmp_path / "policies/clinical_scoring/keys/hospital.pem").write_bytes(
        key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    monkeypatch.chdir(tmp_path)
    claims = {
        "iss": "https://sso.hospital.example", "aud": "tumour-scoring", "sub": "clara",
        "exp": int(time.time()) + 300, "roles": ["clinician"], "dept": "oncology",
    }  # fmt: skip
    return "Bearer " + jwt.encode(claims, key, algorithm="ES256")


def run(text):
    scope = {"__name__": "documented"}
    exec(compile(text, "docs/services.md", "exec"), scope)  # noqa: S102
    return scope


def test_flask_answers_and_refuses(bearer):
    client = run(FLASK)["app"].test_client()

    def post(rows, **headers):
        return client.post("/score", json=rows, headers=headers)

    assert post(ROWS, Authorization=bearer).get_json() == [[0.5, 0.5]] * 2
    refused = post(BAD_ROWS, Authorization=bearer)
    assert (refused.status_code, refused.json["path"]) == (422, "patients[0, 0]")
    assert refused.headers["Content-Type"] == "application/problem+json"
    nobody = post(ROWS)
    assert (nobody.status_code, nobody.headers["WWW-Authenticate"]) == (
        401, 'Bearer realm="scores"',
    )  # fmt: skip
    wrong = post(ROWS, Authorization=bearer[:-4] + "AAAA")
    assert (wrong.status_code, wrong.json["code"]) == (401, "not_authenticated")


def test_grpc_answers_and_refuses(bearer):
    service = run(FLASK)
    predict = service["predict"]
    interceptor = run(GRPC)["Identity"](service["guard"])

    def score(rows, context):
        return predict(np.array(rows, np.float64)).tolist()

    def dumps(value):
        return json.dumps(value).encode()

    handler = grpc.unary_unary_rpc_method_handler(score, json.loads, dumps)
    server = grpc.server(ThreadPoolExecutor(2), interceptors=[interceptor])
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler("Scores", {"Score": handler})]
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            ask = channel.unary_unary("/Scores/Score", dumps, json.loads)

            def refusal(rows, *metadata):
                with pytest.raises(grpc.RpcError) as caught:
                    ask(rows, metadata=metadata, timeout=20)
                return caught.value.code().name, caught.value.details()

            who = ("authorization", bearer)
            assert ask(ROWS, metadata=[who], timeout=20) == [[0.5, 0.5]] * 2
            assert refusal(BAD_ROWS, who) == ("INVALID_ARGUMENT", "input_rejected")
            assert refusal(ROWS) == ("UNAUTHENTICATED", "not_authenticated")
            assert refusal(ROWS, ("authorization", bearer[:-4] + "AAAA")) == (
                "UNAUTHENTICATED", "not_authenticated",
            )  # fmt: skip
    finally:
        server.stop(None).wait(10)
