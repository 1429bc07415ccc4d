"""A guarded service behind a real server, over TLS: real bundle, real tokens, real sockets."""

import asyncio
import contextlib
import json
import math
import re
import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import httpx
import jwt
import numpy as np
import pytest
import uvicorn
from bundles import GRANT
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from exchanges import Naming, fit
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import connect

from guardrail import NotAuthenticated
from guardrail.identity import current
from guardrail.integrations.asgi import IdentityMiddleware
from guardrail.testing import Recorder

ROOT = Path(__file__).parents[2]
POLICIES = GRANT + (
    '@id("no-auditors") @reason("Auditors look on.")\n'
    'forbid (principal in Role::"auditor", action, resource);\n'
    '@id("checked") @input("patients") forbid (principal, action == Action::"predict", resource);\n'
    '@id("fair") @quota("2/minute per principal")\n'
    'forbid (principal in Role::"analyst", action, resource);\n'
    '@id("blocked") @output("short") forbid (principal, action == Action::"explain", resource);\n'
)
SETTINGS = """
[bundle]
name = "small"
version = "1.0.0"

[identity.hospital]
type = "jwt"
issuer = "https://sso.hospital.example"
audience = "scores"
algorithms = ["ES256"]
key_file = "issuer.pem"
principal = { type = "User", id = "sub", in.Role = "roles", attrs = { department = "dept" } }

[bounds]
input_bytes = 4800
"""
SHORT = "kind: text\nmax_chars: 3\n"
GOOD = [[1.0, 2.0, 3.0]]


class Failing(Recorder):
    """A sink that fails for one action."""

    def end(self, handle, record):
        if record.action == "summarize":
            raise OSError("disk full")
        super().end(handle, record)


@pytest.fixture(scope="module")
def issuer():
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    """Return the files of a certificate for this machine, and a context that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    (folder / "key.pem").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    trusting = ssl.create_default_context(cafile=folder / "certificate.pem")
    return folder / "key.pem", folder / "certificate.pem", trusting


@pytest.fixture
def guard(make_guard, issuer):
    public = issuer.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return make_guard(
        POLICIES,
        options={"sinks": (Failing(),)},
        **{
            "guardrail.toml": SETTINGS,
            "issuer.pem": public.decode(),
            "outputs/short.yaml": SHORT,
        },
    )


@pytest.fixture
def bearer(issuer, clock):
    def make(role="clinician", name="clara", **claims):
        payload = {
            "iss": "https://sso.hospital.example",
            "aud": "scores",
            "sub": name,
            "exp": int(clock.now()) + 300,
            "iat": int(clock.now()),
            "roles": [role],
            "dept": "care",
            **claims,
        }
        return {"Authorization": "Bearer " + jwt.encode(payload, issuer, algorithm="ES256")}

    return make


@contextlib.contextmanager
def serving(app, tls=None, **options):
    """Serve an application on this machine; yield its port."""
    if tls is not None:
        options |= {"ssl_keyfile": tls[0], "ssl_certfile": tls[1]}
    config = uvicorn.Config(
        app, http="h11", ws="websockets-sansio", lifespan="on", log_config=None, **options
    )
    server = uvicorn.Server(config)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(256)  # whoever connects before the server runs waits
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(30)
    assert not thread.is_alive()


def who(clock):
    try:
        return current(clock.now()).principal.id
    except NotAuthenticated:
        return None


def service(guard, clock):
    """Return an application whose endpoints are guarded functions."""
    on = {"resource": 'Model::"tumour"', "input": "patients"}

    @guard.protect(action="predict", **on)
    async def predict(patients):
        await asyncio.sleep(0)
        return patients.sum(axis=1)

    @guard.protect(action="explain", **on)
    def explain(patients):
        return "too long"

    @guard.protect(action="summarize", resource='Model::"tumour"', input="record")
    def summarize(record):
        return record

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            while True:
                stage = (await receive())["type"].rpartition(".")[2]
                await send({"type": f"lifespan.{stage}.complete"})
                if stage == "shutdown":
                    return
        if scope["type"] == "websocket":
            await talk(receive, send)
            return
        body, more = b"", True
        while more:
            message = await receive()
            body += message["body"]
            more = message["more_body"]
        path = scope["path"]
        if path == "/stream":
            await stream(send)
            return
        data = json.loads(body, parse_constant=float)
        if path == "/score":
            output = (await predict(np.array(data, np.float64))).tolist()
        elif path == "/explain":
            output = explain(np.array(data, np.float64))
        else:
            output = summarize(data)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send(
            {"type": "http.response.body", "body": json.dumps([who(clock), output]).encode()}
        )

    async def stream(send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(5):
            await asyncio.sleep(0)
            await predict(np.array(GOOD))
            piece = f"{who(clock)} ".encode()
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def talk(receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            output = (await predict(np.array(json.loads(message["text"])))).tolist()
            await send({"type": "websocket.send", "text": json.dumps(output)})

    return app


@pytest.fixture
def port(guard, clock, tls):
    app = IdentityMiddleware(service(guard, clock), fit(guard), realm="scores")
    # Large headers reach us; the server's own bound is 64 KiB.
    with serving(app, tls, h11_max_incomplete_event_size=2**22) as port:
        yield port


@pytest.fixture
def client(port, tls):
    with httpx.Client(base_url=f"https://127.0.0.1:{port}", verify=tls[2]) as client:
        yield client


def problem(response, status, code):
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert (body["status"], body["code"]) == (status, code)
    return body


# The answers


def test_a_caller_with_a_token_is_served(client, bearer):
    response = client.post("/score", headers=bearer(), json=GOOD)
    assert (response.status_code, response.json()) == (200, ["clara", [6.0]])


def test_without_a_token_nobody_is_served(client):
    response = client.post("/score", json=GOOD)
    problem(response, 401, "not_authenticated")
    assert response.headers["www-authenticate"] == 'Bearer realm="scores"'


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ({"aud": "another"}, "not_authenticated"),
        ({"iss": "https://another.example"}, "not_authenticated"),
        ({"roles": ["nurse"]}, "not_authenticated"),
        ({"exp": 1}, "token_expired"),
    ],
)
def test_a_token_that_does_not_hold_is_refused(client, bearer, claims, code):
    response = client.post("/score", headers=bearer(**claims), json=GOOD)
    assert problem(response, 401, code).keys() == {"type", "title", "status", "code"}
    assert response.headers["www-authenticate"] == 'Bearer realm="scores", error="invalid_token"'


def test_a_prohibition_is_a_403_with_its_reason(client, bearer):
    response = client.post("/score", headers=bearer("auditor"), json=GOOD)
    body = problem(response, 403, "prohibited")
    assert body["reason"] == "Auditors look on."
    assert body["decision_id"]
    assert "no-auditors" not in response.text


def test_an_input_that_does_not_fit_is_a_422_with_its_place(client, bearer):
    rows = json.dumps([[1.0, math.nan, 3.0]])
    body = problem(client.post("/score", headers=bearer(), content=rows), 422, "input_rejected")
    assert body["path"] == "patients[0, 1]"


def test_an_input_beyond_the_bounds_is_a_413(client, bearer):
    problem(client.post("/score", headers=bearer(), json=GOOD * 201), 413, "too_large")


def test_a_spent_quota_is_a_429_and_says_when_to_come_back(client, bearer, clock):
    token = bearer("analyst", "ana")
    clock.advance(0.5)
    answers = [client.post("/score", headers=token, json=GOOD) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    problem(answers[2], 429, "quota_exceeded")
    seconds = answers[2].headers["retry-after"]
    assert seconds.isdecimal()
    assert 1 <= int(seconds) <= 60
    clock.advance(int(seconds))
    assert client.post("/score", headers=token, json=GOOD).status_code == 200


def test_an_output_that_may_not_leave_is_a_403(client, bearer):
    response = client.post("/explain", headers=bearer(), json=GOOD)
    assert problem(response, 403, "output_blocked")["title"] == "The output may not leave."
    assert "too long" not in response.text


def test_a_record_that_can_not_be_kept_is_a_503(client, bearer):
    response = client.post("/summarize", headers=bearer(), json={"a": 1})
    problem(response, 503, "audit_unavailable")
    assert "disk" not in response.text


def test_a_head_has_the_headers_of_its_problem_and_the_connection_lives(client, bearer):
    response = client.head("/score")
    assert (response.status_code, response.content) == (401, b"")
    assert int(response.headers["content-length"]) > 0
    assert client.post("/score", headers=bearer(), json=GOOD).status_code == 200


# What a header can hold


def test_two_headers_are_a_bad_request(client, bearer):
    one = bearer()["Authorization"]
    headers = [("Authorization", one), ("authorization", one)]
    problem(client.post("/score", headers=headers, json=GOOD), 400, "ambiguous_credential")


@pytest.mark.parametrize("scheme", ["bearer  ", "BEARER ", "bEARER   "])
def test_a_scheme_in_any_case_and_more_spaces_hold(client, bearer, scheme):
    token = bearer()["Authorization"].removeprefix("Bearer ")
    response = client.post("/score", headers={"Authorization": scheme + token}, json=GOOD)
    assert response.status_code == 200


@pytest.mark.parametrize("value", [b"Bearer", b"bearer", b"Bearer \xc3\xa4", b"Bearer a b"])
def test_a_malformed_header_is_refused(client, value):
    headers = [(b"Authorization", value)]
    problem(client.post("/score", headers=headers, json=GOOD), 401, "not_authenticated")


def test_a_token_in_the_query_is_no_token(client, bearer):
    token = bearer()["Authorization"].removeprefix("Bearer ")
    query = {"access_token": token, "token": token, "Authorization": f"Bearer {token}"}
    response = client.post("/score", params=query, json=GOOD)
    problem(response, 401, "not_authenticated")
    assert "error" not in response.headers["www-authenticate"]


def test_a_header_of_a_megabyte_is_refused(client):
    headers = {"Authorization": "Bearer " + "a" * 1_000_000}
    problem(client.post("/score", headers=headers, json=GOOD), 401, "not_authenticated")


# Many at once


def test_callers_at_the_same_time_never_see_each_other(port, tls, bearer):
    tokens = {f"user-{number}": bearer(name=f"user-{number}") for number in range(20)}
    names = [name for name in tokens for _ in range(10)]

    async def one(client, name):
        response = await client.post("/stream", headers=tokens[name])
        return response.text.split()

    async def run():
        limits = httpx.Limits(max_connections=40)
        async with httpx.AsyncClient(
            base_url=f"https://127.0.0.1:{port}", verify=tls[2], limits=limits, timeout=60
        ) as client:
            return await asyncio.gather(*(one(client, name) for name in names))

    assert asyncio.run(run()) == [[name] * 5 for name in names]


def test_a_request_on_anothers_connection_is_not_the_other(make_guard, clock):
    """Two requests in one packet: the server begins the second from within the first, whose
    work in the background has not ended."""
    guard = make_guard()
    released = threading.Event()

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            await service(guard, clock)(scope, receive, send)
            return
        name = f"<{who(clock)}>".encode()
        headers = [(b"content-length", str(len(name)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": name})
        if scope["path"] == "/first":
            await asyncio.to_thread(released.wait, 60)

    middleware = IdentityMiddleware(app, Naming(guard), anonymous="pass")

    requests = (
        b"GET /first HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer alice\r\n\r\n"
        b"GET /second HTTP/1.1\r\nHost: x\r\n\r\n"
    )
    with (
        serving(middleware) as port,
        socket.create_connection(("127.0.0.1", port), timeout=60) as line,
    ):
        line.sendall(requests)
        got = b""
        while len(found := re.findall(rb"<(\w+)>", got)) < 2:
            got += line.recv(65536)
        released.set()
    assert found == [b"alice", b"None"]


# WebSockets


def test_a_websocket_without_a_token_gets_the_answer_of_a_request(port, tls):
    with pytest.raises(InvalidStatus) as caught:
        connect(f"wss://127.0.0.1:{port}/talk", ssl=tls[2])
    response = caught.value.response
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == 'Bearer realm="scores"'
    assert json.loads(response.body)["code"] == "not_authenticated"


def test_a_token_that_expires_in_mid_connection_ends_it(port, tls, bearer, clock):
    with connect(f"wss://127.0.0.1:{port}/talk", ssl=tls[2], additional_headers=bearer()) as line:
        line.send(json.dumps(GOOD))
        assert json.loads(line.recv(timeout=60)) == [6.0]
        clock.advance(301)
        line.send(json.dumps(GOOD))
        with pytest.raises(ConnectionClosedError) as caught:
            line.recv(timeout=60)
    assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (4401, "token_expired")
