"""A failed authentication leaves a record, a metric and a warning; their number is limited."""

import asyncio
import json
import logging
import os
import pickle
from base64 import urlsafe_b64encode

import jwt
import pytest
from exchanges import ask, http
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from guardrail import Denied, NotAuthenticated, Peer, Principal
from guardrail.audit import FailedAuthentications, Metrics, Spans
from guardrail.audit.failed_authentication import LIMIT_PER_S
from guardrail.audit.journal_read.reader import read_calls
from guardrail.audit.telemetry.signals import Signals
from guardrail.cli.journal.show import line
from guardrail.integrations.asgi import IdentityMiddleware
from guardrail.testing import FrozenClock

NOW = 1_700_000_000
SECRET = "0123456789abcdef" * 4
SETTINGS = """
[bundle]
name = "small"
version = "1.0.0"

[identity]
revoked_file = "REVOKED"

[identity.sso]
type = "jwt"
issuer = "https://sso.example"
audience = "scoring"
algorithms = ["HS256"]
secret_env = "TOKEN_SECRET"
principal = { type = "User", in.Role = "roles", attrs = { department = "dept" } }

[identity.far]
type = "oidc"
issuer = "https://127.0.0.1:9"
jwks = "https://127.0.0.1:9/keys"
audience = "scoring"
algorithms = ["RS256"]
timeout_ms = 50
principal = { type = "User", id_prefix = "far" }

[identity.jobs]
type = "api_key"
id_prefix = "jobs"
keys_file = "keys.json"
secret_env = "TOKEN_SECRET"

[identity.mesh]
type = "mtls"
id_prefix = "mesh"
unsafe_trust_server = true
principal = { type = "User" }
"""
PEER = Peer(tls=True, ip="192.0.2.7")


@pytest.fixture
def guard(make_guard, monkeypatch, tmp_path):
    monkeypatch.setenv("TOKEN_SECRET", SECRET)
    revoked = tmp_path / "revoked.json"
    revoked.write_text('{"tokens": ["gone"]}')
    text = SETTINGS.replace("REVOKED", str(revoked))
    return make_guard(**{"guardrail.toml": text, "keys.json": "[]"})


def token(**changes):
    claims = {
        "iss": "https://sso.example", "aud": "scoring", "sub": "clara", "exp": NOW + 60,
        "roles": ["clinician"], "dept": "care", **changes,
    }  # fmt: skip
    kept = {name: value for name, value in claims.items() if value is not ...}
    return jwt.encode(kept, SECRET, "HS256")


def far():
    """Return a token of the issuer whose keys can't be had."""
    head = {"alg": "RS256", "kid": "k", "typ": "JWT"}
    parts = [head, {"iss": "https://127.0.0.1:9", "aud": "scoring", "exp": NOW + 60, "sub": "x"}]
    text = [urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts]
    return ".".join((*text, "c2ln"))


def refuse(guard, **brought):
    with pytest.raises(Denied) as caught, guard.acting_as(**brought):
        raise AssertionError("it must not be let in")
    return caught.value


WAYS = {
    "a token that has expired": ({"token": token(exp=NOW - 1)}, "token_expired"),
    "a token of nobody": ({"token": "x"}, "malformed_token"),
    "a token without roles": ({"token": token(roles=...)}, "missing_claim"),
    "a revoked token": ({"token": token(jti="gone")}, "revoked"),
    "keys that can't be had": ({"token": far()}, "provider_unavailable"),
    "an API key": ({"token": "gr_nope"}, "malformed_api_key"),
    "a certificate": ({"certificate": b"no certificate"}, "bad_certificate"),
    "evidence": ({"token": token(), "attestation": "x"}, None),
    "evidence beside a principal": (
        {"principal": Principal("User", "x"), "attestation": "x"},
        None,
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_each_way_in_leaves_one_record_and_one_warning(guard, recorder, caplog, way):
    brought, code = WAYS[way]
    with caplog.at_level(logging.WARNING):
        error = refuse(guard, peer=PEER, **brought)
    assert code in (None, error.code)
    (record,) = recorder.records
    assert (record.outcome, record.code, record.stage) == ("denied", error.code, "identify")
    assert (record.principal, record.principal_type, record.action) == ("", "", "")
    assert record.path == error.path
    assert record.decision_id
    (name, peer), *rest = record.facts
    assert (name, rest) == ("peer", [])
    assert PEER.ip not in peer
    (warning,) = caplog.records
    assert (warning.levelname, warning.name) == ("WARNING", "guardrail.audit")
    said = warning.getMessage()
    assert error.code in said
    assert peer in said
    assert record.decision_id in said
    assert not {"clara", "care", PEER.ip, "clinician", SECRET} & set(said.split())


def test_in_an_event_loop_it_is_one_as_well(guard, recorder):
    async def run():
        with pytest.raises(NotAuthenticated):
            async with guard.acting_as(token=far()):
                raise AssertionError
        # a plain block would stop the loop
        with pytest.raises(NotAuthenticated), guard.acting_as(token=far()):
            raise AssertionError

    asyncio.run(run())
    assert [record.code for record in recorder.records] == ["provider_unavailable"] * 2


def test_who_is_let_in_leaves_none(guard, recorder, caplog):
    with caplog.at_level(logging.WARNING), guard.acting_as(token=token()):
        pass
    assert (recorder.records, caplog.records) == ([], [])


def test_a_guarded_call_by_nobody_has_its_own_record_and_no_other(guard, recorder):
    with (
        pytest.raises(NotAuthenticated),
        guard.enforce(action="predict", resource='Model::"tumour"', input=[[1.0]]),
    ):
        pass
    assert [record.action for record in recorder.records] == ["predict"]


# HTTP


def served(guard, **options):
    async def app(scope, receive, send):
        raise AssertionError("the application must not run")

    return IdentityMiddleware(app, guard, **options)


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ((), "not_authenticated"),
        ((("authorization", "Bearer x"),), "malformed_token"),
        ((("authorization", "Bearer x y"),), "malformed_token"),
        ((("authorization", "Bearer x"), ("authorization", "Bearer y")), "ambiguous_credential"),
        ((("authorization", f"Bearer {token(roles=...)}"),), "missing_claim"),
    ],
)
def test_each_request_that_is_refused_leaves_one_record(guard, recorder, headers, code):
    answer = ask(served(guard), http(*headers))
    assert answer.status == {"missing_claim": 403, "ambiguous_credential": 400}.get(code, 401)
    assert "roles" not in answer.body.decode()  # which claim is mapped is nobody's business
    (record,) = recorder.records
    assert (record.code, dict(record.facts).keys()) == (code, {"peer"})


def test_the_peer_of_a_request_is_the_same_whatever_it_brings(guard, recorder):
    for headers in ((), (("authorization", "Bearer x y"),), (("authorization", "Bearer x"),)):
        ask(served(guard), http(*headers))
    ask(served(guard), http(client=("203.0.113.9", 1)))
    names = [dict(record.facts)["peer"] for record in recorder.records]
    assert names[0] == names[1] == names[2] != names[3]


def test_a_request_that_is_let_in_as_nobody_leaves_none(guard, recorder):
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    assert ask(IdentityMiddleware(app, guard, anonymous="pass"), http()).status == 200
    assert ask(IdentityMiddleware(app, guard, public=lambda scope: True), http()).status == 200
    assert recorder.records == []


# Floods


def flood(guard, count, **brought):
    for _ in range(count):
        refuse(guard, peer=PEER, **(brought or {"token": "x"}))


def told(records):
    """Return how many attempts some records tell of."""
    return len(records) + sum(
        count for record in records for name, count in record.counts
        if name.startswith("unrecorded/")
    )  # fmt: skip


def test_a_flood_leaves_few_records_and_warnings_and_all_are_told(guard, recorder, clock, caplog):
    with caplog.at_level(logging.WARNING):
        flood(guard, 500)
        assert len(recorder.records) == len(caplog.records) == LIMIT_PER_S
        clock.advance(1)
        flood(guard, 1, token=token(exp=NOW - 1))
    assert told(recorder.records) == 501
    summary = recorder.records[LIMIT_PER_S]
    assert summary.counts == (("unrecorded/malformed_token", 500 - LIMIT_PER_S - 1),)
    assert summary.code == "malformed_token"
    assert recorder.records[-1].code == "token_expired"
    assert "489 more" in caplog.records[LIMIT_PER_S].getMessage()


def test_each_second_has_its_own_few(guard, recorder, clock):
    for second in range(1, 4):
        flood(guard, 50)
        assert len(recorder.records) == LIMIT_PER_S * second
        clock.advance(1)
    guard.close()
    assert told(recorder.records) == 150


@pytest.mark.parametrize("end", ["flush", "close"])
def test_what_is_only_counted_is_told_at_the_end(guard, recorder, end):
    flood(guard, 30)
    flood(guard, 5, token=token(exp=NOW - 1))
    getattr(guard, end)()
    assert told(recorder.records) == 35
    assert dict(recorder.records[-1].counts) == {
        "unrecorded/malformed_token": 30 - LIMIT_PER_S, "unrecorded/token_expired": 4,
    }  # fmt: skip
    getattr(guard, end)()
    assert told(recorder.records) == 35


@pytest.mark.parametrize("moves", [float("nan"), -5.0, float("-inf")])
def test_a_clock_that_fails_lets_no_flood_through(make_guard, recorder, moves, monkeypatch):
    class Clock(FrozenClock):
        def elapsed(self):
            return moves

    guard = make_guard(options={"clock": Clock(NOW)})
    flood(guard, 300)
    assert len(recorder.records) <= LIMIT_PER_S
    guard.flush()
    assert told(recorder.records) == 300


def test_a_denial_is_recorded_once_however_often_it_is_told(guard, recorder):
    denial = refuse(guard, token="x")
    guard.record_refusal(denial, peer=PEER)
    other = NotAuthenticated("No credential.")
    guard.record_refusal(other, peer=PEER)
    guard.record_refusal(other)
    guard.record_refusal(pickle.loads(pickle.dumps(other)))  # noqa: S301
    assert len(recorder.records) == 2


def test_a_sink_that_fails_changes_nothing_for_the_caller(make_guard):
    class Broken:
        frames = False

        def begin(self, guard, action, function):
            raise OSError("full")

        end = enter = leave = begin

    guard = make_guard(options={"sinks": (Broken(),)})
    assert refuse(guard, token="x").code == "not_authenticated"  # the bundle takes no tokens


def test_the_journal_keeps_it_and_show_tells_it(make_guard, tmp_path, clock):
    guard = make_guard(options={"sinks": None, "journal": tmp_path / "journal"})
    flood(guard, LIMIT_PER_S + 7)
    other = Peer(ip="203.0.113.9")
    clock.advance(1)
    refuse(guard, token="x", peer=other)
    guard.close()
    records = [kept.record for kept in read_calls(tmp_path / "journal")]
    assert told(records) == LIMIT_PER_S + 8
    peers = {dict(record.facts)["peer"] for record in records}
    assert len(peers) == 2
    assert not any(PEER.ip in str(record) for record in records)
    _, outcome, rest = line(records[0])
    assert outcome.strip() == "denied"
    assert "acting_as" in rest
    assert "from k1:" in rest or "from " in rest
    (summary,) = [line(record)[2] for record in records if record.counts]
    assert "and 6 more without a record of their own" in summary


def test_a_journal_that_names_nobody_names_no_peer(make_guard, tmp_path):
    audit = f'[audit]\njournal = "{tmp_path / "journal"}"\nprincipal = "none"\n'
    settings = f'[bundle]\nname = "small"\nversion = "1"\n{audit}'
    guard = make_guard(options={"sinks": None}, **{"guardrail.toml": settings})
    flood(guard, 1)
    guard.close()
    (record,) = [kept.record for kept in read_calls(tmp_path / "journal")]
    assert (record.code, record.facts) == ("not_authenticated", ())


def test_each_is_counted_by_its_code(make_guard, recorder):
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    guard = make_guard()
    guard._refusals = FailedAuthentications(Metrics("small", meter_provider=provider))
    guard._serving.runtime.refusals = guard._refusals
    flood(guard, 25)
    points = {
        (metric.name, point.attributes["guardrail.decision.reason"]): point.value
        for resource in reader.get_metrics_data().resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.name == "guardrail.authentication.failures"
        for point in metric.data.data_points
    }
    provider.shutdown()
    assert points == {("guardrail.authentication.failures", "not_authenticated"): 25}


def test_no_metric_of_calls_counts_what_is_no_call(make_guard):
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    signals = Signals(meter_provider=provider)
    guard = make_guard(options={"sinks": (Spans(signals=signals),)})
    flood(guard, 1)
    signals.flush(5)
    assert reader.get_metrics_data() is None
    provider.shutdown()


def test_a_forked_child_counts_anew(guard, recorder):
    flood(guard, LIMIT_PER_S + 5)
    child = os.fork()
    if child == 0:  # pragma: no cover
        before = len(recorder.records)
        flood(guard, 1)
        guard.flush()
        os._exit(0 if len(recorder.records) == before + 1 else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    guard.flush()
    assert told(recorder.records) == LIMIT_PER_S + 5
