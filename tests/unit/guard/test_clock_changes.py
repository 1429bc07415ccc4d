"""A clock that goes back or fails: cached results are checked again, or the call is denied."""

import json
import math

import jwt
import pytest
from attestations import ISSUERS, NOW, Service, changed, intel_tdx
from clocks import SetClock
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from guardrail import Denied, Guard, GuardUnavailable, NotAuthenticated, Principal
from guardrail._documents import Document
from guardrail.errors import Place
from guardrail.identity.api_keys.entries import entries_text, issue
from guardrail.identity.api_keys.verifier import ApiKeys, ApiKeySettings
from guardrail.testing import Recorder
from guardrail.values import Entity

SECRET = "0123456789abcdef" * 3
HOUR = 3600.0
SCHEMA = """
entity User;
entity Model;
action predict appliesTo {
  principal: [User], resource: [Model],
  context: { peer_attestation: guardrail::AttestationFacts, host: guardrail::AttestationFacts }
};
"""
ENTITIES = [{"uid": {"type": "Model", "id": "m"}, "attrs": {}, "parents": []}]
GRANT = '@id("g") permit (principal, action, resource);'
PEER = '@id("g") permit (principal, action, resource) when { context.peer_attestation.verified };'
HOST = '@id("g") permit (principal, action, resource) when { context.host.verified };'
FRESH = PEER.replace("verified }", "verified && context.peer_attestation.age_s < 600 }")
NAN, INF = math.nan, math.inf


@pytest.fixture(scope="module")
def service():
    return Service("PS384")


@pytest.fixture
def clock():
    return SetClock(NOW)


@pytest.fixture
def recorder():
    return Recorder()


@pytest.fixture
def revoked(tmp_path):
    file = tmp_path / "revoked.json"
    file.write_text("{}")
    return file


@pytest.fixture
def make(tmp_path, clock, recorder, revoked, service, monkeypatch):
    """Return a function that loads a guard, and one that calls its model."""
    monkeypatch.setenv("SECRET", SECRET)
    folder = tmp_path / "bundle"
    folder.mkdir()
    token_file = tmp_path / "token"

    def load(policies=GRANT):
        evidence = f'issuer = "{ISSUERS["trust_authority"]}"\nalgorithms = ["PS384"]\n'
        evidence += 'format = "trust_authority"\nkey_file = "key.pem"\nmax_age_s = 7200'
        settings = f"""
[bundle]
name = "b"
version = "1"
[identity]
revoked_file = "{revoked}"
[identity.sso]
type = "jwt"
issuer = "https://sso.example"
audience = "a"
algorithms = ["HS256"]
secret_env = "SECRET"
principal = {{ type = "User" }}
[evidence.peers]
about = "peer"
{evidence}
[evidence.here]
about = "host"
token_file = "{token_file}"
{evidence}
"""
        public = service._key.public_key()
        files = {
            "guardrail.toml": settings,
            "schema.cedarschema": SCHEMA,
            "entities.json": json.dumps(ENTITIES),
            "policies.cedar": policies,
            "key.pem": public.public_bytes(
                Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
            ).decode(),
        }
        for name, text in files.items():
            (folder / name).write_text(text)
        token_file.write_text(service.sign(intel_tdx()))
        guard = Guard.from_dir(folder, clock=clock, sinks=[recorder])

        @guard.protect(action="predict", resource='Model::"m"', input=None)
        def predict():
            return "scored"

        return guard, predict

    return load


def token(**claims):
    told = {"iss": "https://sso.example", "aud": "a", "sub": "clara", "exp": int(NOW + 9 * HOUR)}
    return jwt.encode({**told, "jti": "t1", "iat": int(NOW - 9 * HOUR), **claims}, SECRET, "HS256")


def code(call):
    with pytest.raises(Denied) as caught:
        call()
    return caught.value.code


@pytest.mark.parametrize("back", [HOUR, 1.5, 0.5])
def test_what_is_revoked_is_looked_at_again(make, clock, revoked, back):
    guard, predict = make()
    with guard.acting_as(token=token(sub="carl", jti="t2")):
        assert predict() == "scored"
    clock.at -= back
    assert revoked.write_text('{"tokens": ["t1"]}')
    assert code(lambda: guard.acting_as(token=token())) == "revoked"
    with guard.acting_as(token=token(sub="carl", jti="t2")):
        assert predict() == "scored"


def test_what_is_revoked_is_looked_at_again_in_a_scope_that_is_open(make, clock, revoked):
    guard, predict = make()
    clock.at -= HOUR
    with guard.acting_as(token=token()):
        assert predict() == "scored"
        clock.at += HOUR
        assert predict() == "scored"
        clock.at -= HOUR / 2
        revoked.write_text(json.dumps({"subjects": {"clara": NOW}}))
        assert code(predict) == "revoked"


def test_a_scope_must_be_verified_anew(make, clock):
    guard, predict = make()
    with guard.acting_as(token=token()):
        clock.at -= 1
        assert code(predict) == "token_not_yet_valid"
        with guard.acting_as(token=token()):
            assert predict() == "scored"
        clock.at += 1
        assert predict() == "scored"


def test_whoever_the_application_vouches_for_has_no_time(make, clock):
    guard, predict = make()
    with guard.acting_as(Principal("User", "clara")):
        clock.at -= HOUR
        assert predict() == "scored"


def test_what_the_application_says_of_a_sign_in_lasts_no_longer(make, clock):
    guard, predict = make()
    who = Principal("User", "clara", expires_at=NOW + 60)
    with guard.acting_as(who):
        assert predict() == "scored"
        clock.at -= HOUR
        assert code(predict) == "token_not_yet_valid"
        clock.at = NOW + 60
        assert code(predict) == "token_expired"


@pytest.mark.parametrize("brings", ["token", "principal"])
@pytest.mark.parametrize("back", [HOUR, 5.0])
def test_evidence_in_an_open_scope_no_longer_holds(make, clock, service, brings, back):
    guard, predict = make(FRESH)
    attestation = service.sign(intel_tdx(guard.challenge()))
    who = {"token": token()} if brings == "token" else {"principal": Principal("User", "clara")}
    with guard.acting_as(**who, attestation=attestation):
        assert predict() == "scored"
        clock.at -= back
        with pytest.raises(Denied):
            predict()
        clock.at += back
        assert predict() == "scored"


def test_a_nonce_that_was_given_out_before_is_not_taken(make, clock, service):
    guard, _ = make(PEER)
    who = Principal("User", "clara")
    for back in (HOUR, 1.0):
        nonce = guard.challenge()
        clock.at -= back
        claims = intel_tdx(nonce)
        for name in ("iat", "nbf"):
            claims = changed(claims, int(clock.at) - 1, name)
        brought = service.sign(claims)
        assert code(lambda brought=brought: guard.acting_as(who, attestation=brought)) == (
            "replayed_nonce"
        )
        clock.at = NOW


def test_nonces_that_a_clock_left_behind_are_forgotten(make, clock):
    guard, _ = make()
    challenges = guard._serving.runtime.bundle.challenges
    for _ in range(10):
        guard.challenge()
    clock.at -= HOUR
    guard.challenge()
    assert len(challenges._issued) == 1


def test_evidence_of_this_host_is_verified_anew(make, clock):
    guard, predict = make(HOST)
    with guard.acting_as(Principal("User", "clara")):
        assert predict() == "scored"
        clock.at -= 5  # the token was issued before
        assert predict() == "scored"
        clock.at -= HOUR  # and now after
        assert code(predict) == "no_grant"
        clock.at = NOW + 10
        assert predict() == "scored"


def test_a_token_that_was_verified_is_verified_anew(make, clock):
    guard, _ = make()
    fresh = token(iat=int(NOW))
    with guard.acting_as(token=fresh):
        pass
    clock.at -= HOUR
    assert code(lambda: guard.acting_as(token=fresh)) == "token_not_yet_valid"


def test_an_api_key_that_has_expired_stays_so():
    at = {"type": "api_key", "keys_file": "keys.json", "secret_env": "S"}
    secret = SECRET.encode()
    keys = [
        issue(Entity("Service", name), secret=secret, now=NOW, random=made, expires_in_s=60)
        for name, made in (("a", lambda size: b"a" * size), ("b", lambda size: b"b" * size))
    ]
    provider = ApiKeys(
        name="services",
        settings=Document("guardrail.toml", at).parse(ApiKeySettings),
        keys=entries_text([entry for _, entry in keys]).encode(),
        secret=secret,
        prefix="",
        place=Place("guardrail.toml", 1, 1),
    )

    def ask(key, now):
        return provider.authenticate(key, now, knows=lambda _: True)

    (first, _), (second, _) = keys
    assert ask(first, NOW + 59)
    assert code(lambda: ask(first, NOW + 60)) == "api_key_expired"
    assert code(lambda: ask(first, NOW + 30)) == "api_key_expired"
    assert ask(second, NOW + 30)
    for now in (NAN, INF, -INF):
        assert code(lambda now=now: ask(second, now)) == "api_key_expired"
    assert ask(second, NOW + 30)


# Clocks that give no time.


@pytest.mark.parametrize("broken", [NAN, INF, -INF])
def test_a_clock_without_a_time_denies_every_call(make, clock, recorder, broken):
    guard, predict = make()
    with guard.acting_as(Principal("User", "clara")):
        clock.at = broken
        assert code(predict) == "internal_error"
        clock.at, clock.run = NOW, broken
        with pytest.raises(GuardUnavailable, match="clock"):
            predict()
        clock.run = 0.0
        assert predict() == "scored"
    outcomes = [record.outcome for record in recorder.records]
    assert outcomes == ["denied", "denied", "released"]
    assert all(math.isfinite(record.started_at) for record in recorder.records)


@pytest.mark.parametrize("broken", [NAN, INF, -INF])
def test_a_clock_without_a_time_lets_nobody_in(make, clock, broken):
    guard, _ = make()
    timeless = jwt.encode(
        {"iss": "https://sso.example", "aud": "a", "sub": "clara", "exp": int(NOW + HOUR)},
        SECRET,
        "HS256",
    )
    clock.at = broken
    for brought in (token(), timeless):
        with pytest.raises(NotAuthenticated):
            guard.acting_as(token=brought)


@pytest.mark.parametrize("broken", [NAN, INF, -INF])
def test_a_nonce_that_was_given_out_at_no_time_is_not_taken(make, clock, service, broken):
    guard, _ = make()
    clock.at = broken
    nonce = guard.challenge()
    clock.at = NOW
    brought = service.sign(intel_tdx(nonce))
    who = Principal("User", "clara")
    assert code(lambda: guard.acting_as(who, attestation=brought)) == "replayed_nonce"


@pytest.mark.parametrize("broken", [NAN, INF, -INF, -1.0, 0.0])
@pytest.mark.parametrize("kind", ["fixed", "moving", "sliding"])
def test_a_quota_denies_by_a_clock_that_makes_no_sense(make, clock, kind, broken):
    guard, predict = make(
        GRANT + f'@id("q") @quota("3/minute using {kind}") forbid (principal, action, resource);'
    )
    clock.run = 1.0
    with guard.acting_as(Principal("User", "clara")):
        for _ in range(3):
            assert predict() == "scored"
        assert code(predict) == "quota_exceeded"
        clock.run = broken
        for _ in range(5):
            assert code(predict) in ("store_unavailable", "internal_error")
        clock.run = 1.5
        assert code(predict) == "quota_exceeded"
        clock.run = 200.0
        assert predict() == "scored"


def test_a_quota_of_several_limits_denies_by_a_clock_that_goes_back(make, clock):
    guard, predict = make(
        GRANT + '@id("q") @quota("3/minute; 9/hour") forbid (principal, action, resource);'
    )
    clock.run = 100.0
    with guard.acting_as(Principal("User", "clara")):
        assert predict() == "scored"
        clock.run = 99.0
        assert code(predict) == "store_unavailable"
