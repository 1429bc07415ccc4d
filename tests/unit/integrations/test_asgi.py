"""The identity of an ASGI request, how long it lasts, and the responses to denials."""

import asyncio
import contextvars
import logging

import pytest
from exchanges import FakeGuard, Naming, ask, exchange, http, websocket

from guardrail import Denied, GuardUnavailable, NotAuthenticated, NotAuthorized, Principal
from guardrail.errors import ConfigurationError
from guardrail.identity import current
from guardrail.integrations.asgi import IdentityMiddleware
from guardrail.values import Peer

TOKEN = "aaaa.bbbb.cccc"
BEARER = ("authorization", f"Bearer {TOKEN}")
PEM = "-----BEGIN CERTIFICATE-----\nleaf\n-----END CERTIFICATE-----\n"
LOG = "guardrail.integrations.asgi"
OK = {"type": "http.response.start", "status": 200, "headers": []}


def answering(body=b"ok"):
    async def app(scope, receive, send):
        await send(OK)
        await send({"type": "http.response.body", "body": body})

    return app


def raising(error, *before):
    async def app(scope, receive, send):
        for message in before:
            await send(message)
        raise error

    return app


def never(scope, receive, send):
    raise AssertionError("the application must not run")


def who(now=0.0):
    """Return the id of whoever this task acts as; ``None`` for nobody."""
    try:
        return current(now).principal.id
    except NotAuthenticated:
        return None


# Who runs it


def test_a_request_runs_inside_the_scope_of_its_credential_to_its_very_end():
    guard = FakeGuard()

    async def app(scope, receive, send):
        await send(OK)
        for _ in range(3):
            await asyncio.sleep(0)
            assert guard.events == ["entered"]
            await send({"type": "http.response.body", "body": b"piece", "more_body": True})
        await send({"type": "http.response.body", "body": b""})
        await asyncio.sleep(0)  # work in the background, after the response
        guard.events.append("background")

    assert ask(IdentityMiddleware(app, guard), http(BEARER)).body == b"piece" * 3
    assert guard.events == ["entered", "background", "left"]
    assert guard.asked == [
        {
            "token": TOKEN,
            "certificate": None,
            "attestation": None,
            "peer": Peer(tls=False, ip="198.51.100.7"),
        }
    ]


def test_token_certificate_and_attestation_go_to_the_guard_together():
    guard = FakeGuard()
    app = IdentityMiddleware(answering(), guard, attestation_header="X-Attestation")
    tls = {"client_cert_chain": [PEM, PEM], "client_cert_error": None}
    assert ask(app, http(BEARER, ("x-attestation", "evidence"), extensions={"tls": tls})).status
    (asked,) = guard.asked
    assert asked["token"] == TOKEN
    assert asked["certificate"] == (PEM.encode(), PEM.encode())
    assert asked["attestation"] == "evidence"
    assert asked["peer"].tls is True


def test_a_certificate_alone_is_a_credential():
    guard = FakeGuard()
    scope = http(extensions={"tls": {"client_cert_chain": iter([PEM])}})
    assert ask(IdentityMiddleware(answering(), guard), scope).status == 200
    assert (guard.asked[0]["token"], guard.asked[0]["certificate"]) == (None, (PEM.encode(),))


def test_a_certificate_that_the_server_could_not_verify_is_refused_whatever_else_came():
    guard = FakeGuard()
    tls = {"client_cert_chain": [PEM], "client_cert_error": "self-signed"}
    scope = http(BEARER, extensions={"tls": tls})
    assert ask(IdentityMiddleware(never, guard, anonymous="pass"), scope).status == 401
    assert guard.asked == []


def test_an_attestation_alone_names_nobody():
    guard = FakeGuard()
    app = IdentityMiddleware(never, guard, attestation_header="x-attestation")
    assert ask(app, http(("x-attestation", "evidence"))).status == 401
    assert guard.asked == []


@pytest.mark.parametrize("kind", ["lifespan", "other.protocol"])
def test_what_is_no_request_passes_through(kind):
    seen = []

    async def app(scope, receive, send):
        seen.append((scope, receive, send))

    async def run():
        scope, receive, send = {"type": kind}, object(), object()
        await IdentityMiddleware(app, FakeGuard())(scope, receive, send)
        return scope, receive, send

    passed = asyncio.run(run())
    assert all(one is other for one, other in zip(seen[0], passed, strict=True))


@pytest.mark.parametrize("error", [ValueError("x"), asyncio.CancelledError(), SystemExit(3)])
def test_what_is_no_denial_passes_through_and_the_scope_is_left(error):
    guard = FakeGuard()

    async def run():
        await exchange(IdentityMiddleware(raising(error), guard), http(BEARER))

    with pytest.raises(type(error)) as caught:
        asyncio.run(run())
    assert caught.value is error or isinstance(error, asyncio.CancelledError)
    assert guard.events == ["entered", "left"]


# Nobody


@pytest.fixture
def guard(make_guard):
    return make_guard()


async def inside(guard, name, run):
    """Run in a task that a server started inside somebody's scope, and that still is open."""
    with guard.acting_as(Principal("User", name)):
        assert who() == name
        return await asyncio.create_task(run())


async def telling(scope, receive, send):
    await send(OK)
    await send({"type": "http.response.body", "body": str(who()).encode()})


@pytest.mark.parametrize(
    "options",
    [{"anonymous": "pass"}, {"public": lambda scope: scope["path"] == "/score"}],
    ids=["anonymous", "public"],
)
def test_without_a_credential_a_request_is_nobody_even_in_anothers_context(guard, options):
    app = IdentityMiddleware(telling, FakeGuard(), **options)

    async def run():
        answer = await exchange(app, http())
        return answer.body, who()

    # What the server's own task had before, it has again.
    assert asyncio.run(inside(guard, "alice", run)) == (b"None", "alice")


def test_another_protocol_is_nobody_even_in_anothers_context(guard):
    seen = []

    async def app(scope, receive, send):
        seen.append(who())

    async def run():
        await IdentityMiddleware(app, FakeGuard())({"type": "other"}, None, None)

    asyncio.run(inside(guard, "alice", run))
    assert seen == [None]


def test_a_task_that_outlives_a_request_is_nobody(guard):
    seen, left = [], []

    async def app(scope, receive, send):
        async def later():
            seen.append(who())
            await left[0].wait()
            seen.append(who())

        left.append(asyncio.Event())
        left.append(asyncio.create_task(later()))
        await asyncio.sleep(0)
        await telling(scope, receive, send)

    async def run():
        answer = await exchange(IdentityMiddleware(app, Naming(guard)), http(BEARER))
        left[0].set()
        await left[1]
        return answer.body

    assert asyncio.run(run()) == TOKEN.encode()
    assert seen == [TOKEN, None]


# Without a credential


def test_without_a_credential_a_request_is_refused_and_no_error_is_named():
    answer = ask(IdentityMiddleware(never, FakeGuard(), realm="scores"), http())
    assert answer.status == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="scores"'
    assert answer.problem == {
        "type": "urn:guardrail:not_authenticated",
        "title": "The caller is not authenticated.",
        "status": 401,
        "code": "not_authenticated",
    }


@pytest.mark.parametrize(
    "scope",
    [
        http(("authorization", "Basic dXNlcjpwYXNz")),
        http(query=f"access_token={TOKEN}&token={TOKEN}".encode()),
        http(("cookie", f"access_token={TOKEN}"), ("x-api-key", "gr_key")),
        http(("authorization", "")),
        http(extensions={"tls": {"client_cert_chain": [], "client_cert_name": "CN=clara"}}),
        http(extensions=None),
        http(method="OPTIONS"),
    ],
    ids=["basic", "query", "cookie", "empty", "name_only", "no_extensions", "preflight"],
)
def test_what_is_no_credential_of_ours_counts_as_none(scope):
    guard = FakeGuard()
    answer = ask(IdentityMiddleware(never, guard), scope)
    assert answer.headers["www-authenticate"] == 'Bearer realm="guardrail"'
    assert ask(IdentityMiddleware(answering(), guard, anonymous="pass"), scope).status == 200
    assert guard.asked == []


def test_a_credential_that_does_not_hold_never_makes_an_anonymous_request():
    for guard in (
        FakeGuard(at_call=NotAuthenticated("no", code="bad_signature")),
        FakeGuard(at_entry=NotAuthenticated("no", code="bad_signature")),
    ):
        answer = ask(IdentityMiddleware(never, guard, anonymous="pass"), http(BEARER))
        assert answer.status == 401
        assert answer.headers["www-authenticate"].endswith(', error="invalid_token"')


@pytest.mark.parametrize("header", [b"Bearer", b"Bearer a b", b"Bearer \xe4", b"Bearer,x"])
def test_a_malformed_credential_never_makes_an_anonymous_request(header):
    app = IdentityMiddleware(never, FakeGuard(), anonymous="pass")
    answer = ask(app, http((b"authorization", header)))
    assert answer.status == 401
    assert answer.headers["www-authenticate"].endswith(', error="invalid_token"')


def test_two_credentials_of_a_kind_are_a_bad_request():
    app = IdentityMiddleware(never, FakeGuard(), anonymous="pass", api_key_header="X-API-Key")
    for scope in (http(BEARER, BEARER), http(BEARER, ("X-Api-Key", "gr_key"))):
        answer = ask(app, scope)
        assert answer.status == 400  # RFC 6750 §3.1
        assert answer.headers["www-authenticate"].endswith(', error="invalid_request"')
        assert answer.problem["code"] == "ambiguous_credential"


# Public


def test_a_public_request_runs_whatever_it_brings():
    guard = FakeGuard(at_call=NotAuthenticated("no"))
    app = IdentityMiddleware(
        answering(), guard, public=lambda scope: scope.get("method") == "OPTIONS"
    )
    assert ask(app, http(BEARER, BEARER, method="OPTIONS")).status == 200
    assert guard.asked == []
    assert ask(app, http(BEARER)).status == 401


def test_only_true_makes_a_request_public():
    for said in (1, "yes", object(), None):
        app = IdentityMiddleware(never, FakeGuard(), public=lambda scope, said=said: said)
        assert ask(app, http()).status == 401


def test_a_coroutine_function_makes_no_request_public():
    async def public(scope):
        return True

    with pytest.warns(RuntimeWarning, match="never awaited"):
        assert ask(IdentityMiddleware(never, FakeGuard(), public=public), http()).status == 401


def test_what_public_raises_passes_through():
    def public(scope):
        return scope["missing"]

    with pytest.raises(KeyError):
        ask(IdentityMiddleware(never, FakeGuard(), public=public), http())


# Denials


def denial(kind=NotAuthorized, **options):
    error = kind("a message for operators", **options)
    error.decision_id = "0190"
    return error


def test_a_denial_of_the_application_is_answered():
    error = denial(code="prohibited", policies=("p",), path="context.app.x", reason="Not now.")
    answer = ask(IdentityMiddleware(raising(error), FakeGuard()), http(BEARER))
    assert answer.status == 403
    assert "www-authenticate" not in answer.headers
    assert answer.problem == {
        "type": "urn:guardrail:prohibited",
        "title": "The call is not allowed.",
        "status": 403,
        "code": "prohibited",
        "decision_id": "0190",
        "path": "context.app.x",
        "reason": "Not now.",
    }


def test_a_denial_of_an_anonymous_request_names_no_error():
    app = IdentityMiddleware(raising(denial(NotAuthenticated)), FakeGuard(), anonymous="pass")
    assert ask(app, http()).headers["www-authenticate"] == 'Bearer realm="guardrail"'


def test_without_problems_denials_of_the_application_go_on_and_others_do_not():
    error = denial()
    with pytest.raises(NotAuthorized) as caught:
        ask(IdentityMiddleware(raising(error), FakeGuard(), problems=False), http(BEARER))
    assert caught.value is error
    app = IdentityMiddleware(never, FakeGuard(at_entry=denial(NotAuthenticated)), problems=False)
    assert ask(app, http(BEARER)).status == 401
    assert ask(app, http()).status == 401


def test_a_denial_after_the_response_began_is_raised():
    error = denial()
    with pytest.raises(NotAuthorized) as caught:
        ask(IdentityMiddleware(raising(error, OK), FakeGuard()), http(BEARER))
    assert caught.value is error


def test_a_response_whose_start_failed_counts_as_begun():
    sent = []

    async def send(message):
        sent.append(message)
        raise OSError("gone")

    async def app(scope, receive, send):
        try:
            await send(OK)
        except OSError:
            raise denial() from None

    with pytest.raises(NotAuthorized):
        asyncio.run(IdentityMiddleware(app, FakeGuard())(http(BEARER), None, send))
    assert sent == [OK]


def test_an_early_hint_is_no_response():
    hint = {"type": "http.response.early_hint", "links": []}
    answer = ask(IdentityMiddleware(raising(denial(), hint), FakeGuard()), http(BEARER))
    assert (answer.messages[0], answer.status) == (hint, 403)


def test_the_head_of_a_problem_has_no_body():
    answer = ask(IdentityMiddleware(never, FakeGuard()), http(method="HEAD"))
    assert (answer.status, answer.body) == (401, b"")
    assert int(answer.headers["content-length"]) > 0


def test_keys_that_can_not_be_had_are_no_fault_of_the_caller():
    error = NotAuthenticated("no keys", code="provider_unavailable", retry_after_s=2.5)
    answer = ask(IdentityMiddleware(never, FakeGuard(at_entry=error)), http(BEARER))
    assert (answer.status, answer.headers["retry-after"]) == (503, "3")
    assert "www-authenticate" not in answer.headers


# WebSockets


def closed(answer):
    return [(sent["code"], sent["reason"]) for sent in answer.messages if "code" in sent]


def test_a_websocket_runs_inside_the_scope_of_its_credential():
    guard = FakeGuard()

    async def app(scope, receive, send):
        assert (await receive())["type"] == "websocket.connect"
        await send({"type": "websocket.accept"})
        assert guard.events == ["entered"]
        await send({"type": "websocket.close", "code": 1000})

    ask(IdentityMiddleware(app, guard), websocket(BEARER, scheme="wss"))
    assert guard.events == ["entered", "left"]
    assert guard.asked[0]["peer"].tls is True


def test_a_websocket_is_refused_before_it_is_accepted():
    answer = ask(IdentityMiddleware(never, FakeGuard()), websocket())
    assert [sent["type"] for sent in answer.messages] == ["websocket.close"]
    assert closed(answer) == [(4401, "not_authenticated")]


def test_a_websocket_is_refused_with_a_response_where_the_server_can():
    answer = ask(IdentityMiddleware(never, FakeGuard()), websocket(denial=True))
    assert [sent["type"] for sent in answer.messages] == [
        "websocket.http.response.start",
        "websocket.http.response.body",
    ]
    assert answer.status == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="guardrail"'
    assert answer.problem["code"] == "not_authenticated"


@pytest.mark.parametrize("denial_response", [False, True])
@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NotAuthenticated("x", code="token_expired"), (4401, "token_expired")),
        (NotAuthorized("x", code="prohibited"), (4403, "prohibited")),
        (GuardUnavailable("x", code="store_unavailable"), (4503, "store_unavailable")),
    ],
    ids=lambda value: getattr(value, "code", ""),
)
def test_a_denial_in_mid_connection_closes_it(error, code, denial_response):
    app = IdentityMiddleware(raising(error, {"type": "websocket.accept"}), FakeGuard())
    answer = ask(app, websocket(BEARER, denial=denial_response))
    assert closed(answer) == [code]
    assert len(answer.messages) == 2


@pytest.mark.parametrize(
    "last",
    [{"type": "websocket.close"}, {"type": "websocket.http.response.start", "status": 404}],
    ids=["closed", "denied"],
)
def test_a_denial_after_the_connection_ended_is_raised(last):
    app = IdentityMiddleware(raising(denial(), last), FakeGuard())
    with pytest.raises(NotAuthorized):
        ask(app, websocket(BEARER))


def test_a_denial_after_the_client_left_is_raised():
    async def app(scope, receive, send):
        await send({"type": "websocket.accept"})
        assert (await receive())["type"] == "websocket.disconnect"
        raise denial()

    with pytest.raises(NotAuthorized):
        ask(
            IdentityMiddleware(app, FakeGuard()),
            websocket(BEARER),
            {"type": "websocket.disconnect", "code": 1001},
        )


# The log


def test_the_cause_stands_in_the_log_and_no_value_does(caplog):
    guard = FakeGuard(at_call=NotAuthenticated("no", code="wrong_audience", path="token.aud"))
    with caplog.at_level(logging.INFO, LOG):
        answer = ask(
            IdentityMiddleware(never, guard),
            http(BEARER, path="/score\n\x1b[2J\u2028forged", query=b"q=secret"),
        )
    assert answer.problem["code"] == "not_authenticated"
    assert b"wrong_audience" not in answer.body
    assert b"token.aud" not in answer.body
    (record,) = caplog.records
    assert (record.name, record.levelno) == (LOG, logging.INFO)
    assert record.getMessage() == r"401 wrong_audience '/score\n\x1b[2J\u2028forged' -"
    assert record.exc_info is None


def test_a_long_path_is_cut_in_the_log(caplog):
    with caplog.at_level(logging.INFO, LOG):
        ask(IdentityMiddleware(never, FakeGuard()), http(path="/" + "a" * 100_000))
    assert len(caplog.records[0].getMessage()) < 300


# Options


@pytest.mark.parametrize(
    "options",
    [
        {"realm": 'a"b'},
        {"realm": "a\\b"},
        {"realm": "a\r\nset-cookie: x"},
        {"realm": "\u00e4"},
        {"anonymous": "allow"},
        {"anonymous": True},
        {"api_key_header": "Authorization"},
        {"api_key_header": "x api"},
        {"api_key_header": ""},
        {"attestation_header": "x:y"},
        {"attestation_header": "X-Same", "api_key_header": "x-same"},
        {"trusted_proxies": ["10.0.0.1/8"]},
        {"trusted_proxies": ["proxy.example"]},
        {"trusted_proxies": ["*"]},
        {"trusted_proxies": "10.0.0.0/8"},
    ],
    ids=str,
)
def test_options_that_are_not_as_said_are_refused(options):
    with pytest.raises(ConfigurationError) as caught:
        IdentityMiddleware(never, FakeGuard(), **options)
    assert caught.value.__context__ is None


# With a real guard


def test_requests_of_many_callers_never_see_each_other(guard):
    """Tasks take turns at every step, and half of them start inside another's context."""

    async def app(scope, receive, send):
        told = [who()]
        await send(OK)
        for _ in range(5):
            await asyncio.sleep(0)
            told.append(who())
        spawn(scope["spawn"])
        await asyncio.sleep(0)
        told.append(who())
        await send({"type": "http.response.body", "body": "|".join(map(str, told)).encode()})

    middleware = IdentityMiddleware(app, Naming(guard), anonymous="pass")
    tasks = []

    def spawn(waiting):
        if waiting:
            tasks.append((waiting[0], asyncio.create_task(request(*waiting))))

    async def request(name, *waiting):
        headers = [] if name is None else [("authorization", f"Bearer {name}")]
        return await exchange(middleware, http(*headers, spawn=waiting))

    async def run():
        for first in range(20):
            names = [f"user-{first}", None, f"user-{first}-second", None]
            tasks.append((names[0], asyncio.create_task(request(*names))))
        answers = [(name, (await task).body) for name, task in iter_growing(tasks)]
        assert who() is None
        return answers

    answers = asyncio.run(run())
    assert len(answers) == 80
    for name, body in answers:
        assert body == "|".join([str(name)] * 7).encode()


def iter_growing(tasks):
    done = 0
    while done < len(tasks):
        yield tasks[done]
        done += 1


def test_one_task_serves_one_caller_after_another(guard):
    app = IdentityMiddleware(telling, Naming(guard), anonymous="pass")

    async def run():
        bodies = []
        for headers in ([("authorization", "Bearer a")], [], [("authorization", "Bearer b")], []):
            bodies.append((await exchange(app, http(*headers))).body)
            assert who() is None
        return bodies

    assert contextvars.copy_context().run(asyncio.run, run()) == [b"a", b"None", b"b", b"None"]


def test_every_denial_is_caught_by_its_base():
    answer = ask(IdentityMiddleware(raising(Denied("x")), FakeGuard()), http(BEARER))
    assert (answer.status, answer.problem["code"]) == (403, "denied")


# Groups of denials, as a TaskGroup raises them


def refusal(code="no_grant"):
    return NotAuthorized("No.", code=code)


@pytest.mark.parametrize(
    ("group", "code"),
    [
        (ExceptionGroup("g", [refusal("prohibited")]), "prohibited"),
        (ExceptionGroup("g", [refusal("prohibited"), refusal()]), "prohibited"),
        (
            ExceptionGroup("g", [ExceptionGroup("h", [refusal(), refusal("prohibited")])]),
            "no_grant",
        ),
        (
            ExceptionGroup(
                "g", [ExceptionGroup("h", [refusal("bad_fact")]), refusal("prohibited")]
            ),
            "bad_fact",
        ),
    ],
)
def test_a_group_of_denials_alone_is_answered_as_its_first(group, code):
    answer = ask(IdentityMiddleware(raising(group), FakeGuard()), http(BEARER))
    assert (answer.status, answer.problem["code"]) == (403, code)


@pytest.mark.parametrize(
    "group",
    [
        ExceptionGroup("g", [refusal(), ValueError("x")]),
        ExceptionGroup("g", [ExceptionGroup("h", [ValueError("x")]), refusal()]),
        BaseExceptionGroup("g", [refusal(), KeyboardInterrupt()]),
    ],
)
def test_a_group_with_anything_else_passes_through_whole(group):
    with pytest.raises(BaseExceptionGroup) as caught:
        ask(IdentityMiddleware(raising(group), FakeGuard()), http(BEARER))
    assert caught.value is group


def test_a_group_goes_to_the_server_where_denials_do():
    group = ExceptionGroup("g", [refusal()])
    for app in (
        IdentityMiddleware(raising(group), FakeGuard(), problems=False),
        IdentityMiddleware(raising(group, OK), FakeGuard()),
    ):
        with pytest.raises(ExceptionGroup) as caught:
            ask(app, http(BEARER))
        assert caught.value is group


def test_a_denial_out_of_a_task_group(guard):
    @guard.protect(action="predict", resource='Model::"none"')
    async def predict(patients):
        return patients

    async def app(scope, receive, send):
        async with asyncio.TaskGroup() as outer, asyncio.TaskGroup() as inner:
            outer.create_task(predict("x"))
            inner.create_task(predict("y"))

    outer = IdentityMiddleware(app, FakeGuard(), anonymous="pass")
    assert ask(outer, http()).status == 401


# Headers that can be read once


@pytest.mark.parametrize("public", [None, lambda scope: False, lambda scope: True])
@pytest.mark.parametrize("pairs", [iter, tuple, list, lambda pairs: (iter(p) for p in pairs)])
def test_headers_are_read_without_using_them_up(public, pairs):
    seen = []

    async def app(scope, receive, send):
        seen.extend(tuple(pair) for pair in scope["headers"])
        await answering()(scope, receive, send)

    def looking(scope):
        assert len([tuple(pair) for pair in scope["headers"]]) == 2
        return public(scope)

    scope = http(BEARER, ("x-other", "1"))
    expected = scope["headers"]
    scope["headers"] = pairs(expected)
    app = IdentityMiddleware(app, FakeGuard(), public=None if public is None else looking)
    assert ask(app, scope).status == 200
    assert seen == expected


def test_a_chain_of_certificates_is_read_without_using_it_up():
    seen = []

    async def app(scope, receive, send):
        seen.extend(scope["extensions"]["tls"]["client_cert_chain"])
        await answering()(scope, receive, send)

    tls = {"client_cert_chain": iter([PEM, PEM])}
    guard = FakeGuard()
    ask(IdentityMiddleware(app, guard), http(extensions={"tls": tls}))
    assert seen == [PEM, PEM]
    assert len(guard.asked[0]["certificate"]) == 2


# The end of a server


class Closing(FakeGuard):
    def close(self):
        self.events.append("closed")

    def force_flush(self):
        self.events.append("exported")


def living(app, guard):
    """Run a server's lifespan; return what the application sent and what the guard did."""
    answer = ask(
        IdentityMiddleware(app, guard),
        {"type": "lifespan"},
        {"type": "lifespan.startup"},
        {"type": "lifespan.shutdown"},
    )
    return [message["type"] for message in answer.messages]


BOTH = ["lifespan.startup.complete", "lifespan.shutdown.complete"]


def test_the_guard_is_closed_when_the_application_has_stopped():
    guard = Closing()

    async def app(scope, receive, send):
        for stage in ("startup", "shutdown"):
            assert (await receive())["type"] == f"lifespan.{stage}"
            assert guard.events == []
            await send({"type": f"lifespan.{stage}.complete"})

    assert living(app, guard) == BOTH
    assert guard.events == ["closed", "exported"]


def test_an_application_that_knows_no_lifespan_is_answered_for():
    async def raises(scope, receive, send):
        raise ValueError(scope["type"])

    async def returns(scope, receive, send):
        return

    for app in (raises, returns):
        guard = Closing()
        assert living(app, guard) == BOTH
        assert guard.events == ["closed", "exported"]


@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(3), KeyboardInterrupt()])
def test_an_application_that_fails_to_start_fails(error):
    async def app(scope, receive, send):
        await receive()
        raise error

    guard = Closing()
    with pytest.raises(type(error)) as caught:
        living(app, guard)
    assert caught.value is error
    assert guard.events == []


def test_a_failed_start_and_a_failed_end_are_told_as_they_are():
    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no"})

    guard = Closing()
    assert living(app, guard) == ["lifespan.startup.failed"]
    assert guard.events == []

    async def ends(scope, receive, send):
        await send({"type": "lifespan.shutdown.failed", "message": "no"})

    assert living(ends, guard) == ["lifespan.shutdown.failed"]
    assert guard.events == ["closed", "exported"]


def test_a_guard_that_cannot_be_closed_does_not_keep_the_server():
    class Broken(Closing):
        def close(self):
            raise KeyError("x")

    async def app(scope, receive, send):
        await send({"type": "lifespan.shutdown.complete"})

    answer = []

    async def run():
        async def send(message):
            answer.append(message["type"])

        await IdentityMiddleware(app, Broken())({"type": "lifespan"}, None, send)

    with pytest.raises(KeyError, match="x"):
        asyncio.run(run())
    assert answer == ["lifespan.shutdown.complete"]
