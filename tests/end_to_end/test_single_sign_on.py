"""A guard and a real OpenID Connect provider: rotations, outages, floods, and who is who."""

import asyncio
import base64
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from guardrail import Denied, Entity, Guard, NotAuthenticated, Principal
from guardrail.testing import FrozenClock, Recorder

SCHEMA = """
entity Role enum ["clinician", "analyst"];
entity User in [Role];
entity Model;
action predict appliesTo {
  principal: [User], resource: [Model], context: { identity: guardrail::IdentityFacts }
};
"""
POLICIES = """
@id("score") permit (principal in Role::"clinician", action == Action::"predict", resource)
when { context.identity has scopes && context.identity.scopes.contains("predict") };
@id("theirs") permit (principal, action == Action::"predict", resource)
when { context.identity has actor && context.identity.actor == "robot" };
"""


@pytest.fixture
def bundle(tmp_path, sso):
    folder = tmp_path / "scoring"
    folder.mkdir()
    settings = f"""
[bundle]
name = "scoring"
version = "1.0.0"

[identity.sso]
type = "oidc"
issuer = "{sso.issuer}"
audience = "{sso.audience}"
algorithms = ["RS256", "ES256"]
ca_file = "ca.pem"
timeout_ms = 800
principal = {{ type = "User", id = "sub", in.Role = "realm_access.roles" }}
"""
    (folder / "guardrail.toml").write_text(settings)
    (folder / "ca.pem").write_bytes(sso.ca_pem)
    (folder / "schema.cedarschema").write_text(SCHEMA)
    (folder / "policies.cedar").write_text(POLICIES)
    entities = [{"uid": {"type": "Model", "id": "tumour"}, "attrs": {}, "parents": []}]
    (folder / "entities.json").write_text(json.dumps(entities))
    return folder


@pytest.fixture
def clock():
    return FrozenClock(time.time() + 60)  # what the provider issues from now on is of the past


@pytest.fixture
def guard(bundle, clock):
    return Guard.from_dir(bundle, clock=clock, sinks=[Recorder()])


@pytest.fixture
def predict(guard):
    @guard.protect(action="predict", resource='Model::"tumour"', input=None)
    def predict():
        return "scored"

    return predict


def login(sso, user="clara", **options):
    given = {"scope": "openid predict", "roles": ["clinician"], "lifetime_s": 7200, **options}
    return sso.login(user, **given).access


def call(guard, predict, token):
    with guard.acting_as(token=token):
        return predict()


def code(guard, token):
    with pytest.raises(NotAuthenticated) as caught:
        guard.acting_as(token=token).__enter__()
    assert token not in str(caught.value)
    return caught.value.code


def forged(token, kid):
    """Return a token with another key's name, whose signature cannot hold."""
    _, body, signature = token.split(".")
    head = json.dumps({"alg": "RS256", "kid": kid}).encode()
    return f"{base64.urlsafe_b64encode(head).rstrip(b'=').decode()}.{body}.{signature}"


def test_whoever_logged_in_may_call(sso, guard, predict):
    assert call(guard, predict, login(sso)) == "scored"
    for denied in ({"roles": ["analyst"]}, {"scope": "openid"}):
        with pytest.raises(Denied) as caught:
            call(guard, predict, login(sso, **denied))
        assert caught.value.code == "no_grant"


def test_who_acts_for_another_is_told(sso, guard, predict):
    token = sso.exchange(login(sso, roles=["analyst"]), actor="robot").access
    assert call(guard, predict, token) == "scored"


def test_an_id_token_is_no_access_token(sso, guard):
    assert code(guard, sso.login("clara", roles=["clinician"]).id) == "wrong_audience"


def test_a_rotation_fails_no_call(sso, guard, predict, clock):
    before = login(sso)
    assert call(guard, predict, before) == "scored"
    for algorithm in ("RS256", "ES256"):
        sso.rotate(algorithm=algorithm)
        clock.advance(31)
        assert call(guard, predict, login(sso)) == "scored"
        assert call(guard, predict, before) == "scored"
    sso.rotate(algorithm="RS256")


def test_known_keys_go_on_through_ten_minutes_of_outage(sso, guard, predict, clock):
    tokens = [login(sso, f"user-{number}") for number in range(60)]
    assert call(guard, predict, tokens.pop()) == "scored"
    sso.misbehave("down")
    for token in tokens:
        clock.advance(10)
        assert call(guard, predict, token) == "scored"
    sso.behave()
    assert call(guard, predict, login(sso)) == "scored"


def test_a_flood_of_unknown_keys_makes_one_fetch_in_an_interval(sso, guard, predict, clock):
    token = login(sso)
    call(guard, predict, token)
    path = sso.jwks_uri.removeprefix(sso.issuer)
    before = sso.hits(path)
    for number in range(10_000):
        assert code(guard, forged(token, f"unknown-{number}")) == "unknown_key"
    assert sso.hits(path) == before + 1
    clock.advance(30)
    assert code(guard, forged(token, "unknown")) == "unknown_key"
    assert sso.hits(path) == before + 2
    assert call(guard, predict, login(sso)) == "scored"


KINDS = ["hang", "drip", "status", "rubbish", "huge", "redirect", "private", "wrong_issuer", "down"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_provider_that_misbehaves_costs_no_known_key_and_little_time(
    sso, bundle, guard, predict, clock, kind
):
    token, other = login(sso), login(sso, "carl")
    call(guard, predict, token)
    stranger = Guard.from_dir(bundle, clock=clock, sinks=[Recorder()])
    sso.misbehave(kind)
    clock.advance(301)
    assert call(guard, predict, other) == "scored"
    start = time.monotonic()
    # whether the key is unknown or the provider does not say, nobody is let in
    found = code(guard, forged(token, "unknown"))
    assert found in {"unknown_key", "provider_unavailable"}
    assert code(stranger, token) == "provider_unavailable"
    assert time.monotonic() - start < 60  # `hang` never answers, `drip` takes longer
    assert sso.hits("/elsewhere") == 0
    assert call(guard, predict, other) == "scored"


# The event loop


def test_keys_are_fetched_beside_the_event_loop(sso, guard, predict):
    token = login(sso)
    sso.misbehave("hang")

    async def main():
        ticks = 0

        async def tick():
            nonlocal ticks
            while True:
                await asyncio.sleep(0.01)
                ticks += 1

        ticking = asyncio.create_task(tick())
        with pytest.raises(NotAuthenticated) as caught:
            async with guard.acting_as(token=token):
                raise AssertionError("entered")
        ticking.cancel()
        return caught.value.code, ticks

    found, ticks = asyncio.run(main())
    assert found == "provider_unavailable"
    assert ticks > 20


def test_a_plain_block_does_not_stop_the_event_loop(sso, guard, predict):
    token = login(sso)

    async def main():
        with pytest.raises(NotAuthenticated) as caught, guard.acting_as(token=token):
            raise AssertionError("entered")
        assert caught.value.code == "provider_unavailable"
        assert "async with" in str(caught.value)
        async with guard.acting_as(token=token):
            assert predict() == "scored"
        with guard.acting_as(token=token):  # known by now
            assert predict() == "scored"

    asyncio.run(main())


# Revocation and expiry


def test_a_revoked_token_stops_at_once_and_everywhere(sso, guard, predict):
    tokens = [login(sso), login(sso)]
    with guard.acting_as(token=tokens[0]):
        assert predict() == "scored"
        guard.revoke(token_id=claims(tokens[0])["jti"])
        with pytest.raises(NotAuthenticated) as caught:
            predict()
        assert caught.value.code == "revoked"
    assert code(guard, tokens[0]) == "revoked"
    assert call(guard, predict, tokens[1]) == "scored"
    guard.revoke(subject="clara")
    assert code(guard, tokens[1]) == "revoked"


def test_a_revocation_outlives_a_reload(sso, guard, predict, bundle):
    token = login(sso)
    call(guard, predict, token)
    guard.revoke(subject="clara")
    settings = bundle / "guardrail.toml"
    settings.write_text(settings.read_text().replace("1.0.0", "1.0.1"))
    assert guard.reload().changed
    assert code(guard, token) == "revoked"


def test_a_token_stops_at_its_second_though_it_was_seen(sso, guard, predict, clock):
    token = login(sso)
    expires = claims(token)["exp"]
    with guard.acting_as(token=token):
        clock.advance(expires - clock.now() - 0.5)
        assert predict() == "scored"
        assert call(guard, predict, token) == "scored"
        clock.advance(0.5)
        with pytest.raises(NotAuthenticated) as caught:
            predict()
        assert caught.value.code == "token_expired"
    assert code(guard, token) == "token_expired"


def claims(token):
    body = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))


# Who is who

CALLS = 100_000


def test_no_call_of_many_kinds_is_under_another_identity(guard):
    """Threads, tasks, `create_task`, `to_thread` and executors, each as its own caller."""
    wrong: list[object] = []
    done = threading.Semaphore(0)

    @guard.protect(
        action="predict",
        resource='Model::"tumour"',
        input=None,
        principal=None,
    )
    def whoami():
        return "scored"

    def principal(name):
        return Principal("User", name, parents=[Entity("Role", "clinician")])

    def check(name, times):
        from guardrail.identity import current

        for _ in range(times):
            if current(0.0).principal.id != name:
                wrong.append(name)
            done.release()

    def unknown(times):
        for _ in range(times):
            try:
                whoami()
            except NotAuthenticated:
                done.release()
            else:
                wrong.append("nobody")

    def on_threads(name):
        with guard.acting_as(principal(name)):
            check(name, 100)
            with guard.acting_as(principal(f"{name}-inner")):
                check(f"{name}-inner", 50)
            check(name, 50)
        unknown(5)

    async def on_tasks():
        async def one(name):
            with guard.acting_as(principal(name)):
                check(name, 40)
                inner = asyncio.create_task(later(name))
                await asyncio.sleep(0)
                await asyncio.to_thread(check, name, 40)
                await asyncio.get_running_loop().run_in_executor(pool, unknown, 5)
                await inner
                check(name, 40)
            unknown(5)

        async def later(name):
            await asyncio.sleep(0)
            check(name, 40)

        async def outlives(name):
            with guard.acting_as(principal(name)):
                task = asyncio.create_task(after_the_end())
                check(name, 10)
            await task

        async def after_the_end():
            await asyncio.sleep(0.001)
            unknown(5)

        for start in range(0, 300, 50):
            callers = [one(f"task-{number}") for number in range(start, start + 50)]
            callers += [outlives(f"gone-{number}") for number in range(start, start + 50)]
            await asyncio.gather(*callers)

    with ThreadPoolExecutor(8) as pool:
        threads = [pool.submit(on_threads, f"thread-{number}") for number in range(220)]
        asyncio.run(on_tasks())
        for thread in threads:
            thread.result()
    assert not wrong
    count = 0
    while done.acquire(blocking=False):
        count += 1
    assert count > CALLS
