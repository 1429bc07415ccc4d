"""What a provider of identities does wrong denies the caller, and is recorded, without its text."""

import asyncio

import pytest
from exchanges import ask, http
from plugged_provider import BadgeKind, Badges

from guardrail import Denied, GuardUnavailable, NotAuthenticated, Principal
from guardrail.errors import NotAuthorized
from guardrail.extensions import Identity
from guardrail.identity.tokens.verifier import KeysNeeded
from guardrail.integrations.asgi import IdentityMiddleware

CANARY = "canary-5151"
TOML = (
    '[bundle]\nname = "small"\nversion = "1.0.0"\n'
    '[identity.desk]\ntype = "badge"\nid_prefix = "desk"\n'
)


def kind(**methods):
    """Return a provider of badges with some methods replaced."""
    opened = type("Opened", (Badges,), methods)
    return type("Kind", (BadgeKind,), {"open": lambda self, *given: opened(*given)})()


def raising(error):
    def call(*args, **kwargs):
        raise error

    return call


@pytest.fixture
def guarded(make_guard):
    def make(**methods):
        return make_guard(options={"providers": [kind(**methods)]}, **{"guardrail.toml": TOML})

    return make


def denied(guard):
    with pytest.raises(Denied) as caught, guard.acting_as(token="badge:clara"):
        pass
    assert CANARY not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    return caught.value


def denied_later(guard):
    async def enter():
        async with guard.acting_as(token="badge:clara"):
            pass

    with pytest.raises(Denied) as caught:
        asyncio.run(enter())
    assert CANARY not in str(caught.value)
    return caught.value


ERRORS = [ValueError(CANARY), StopIteration(CANARY), RecursionError(CANARY), KeyError(CANARY)]


@pytest.mark.parametrize("error", ERRORS, ids=repr)
@pytest.mark.parametrize("name", ["authenticate", "accepts"])
@pytest.mark.parametrize("enter", [denied, denied_later])
def test_an_exception_of_a_provider_denies(guarded, recorder, enter, name, error):
    denial = enter(guarded(**{name: raising(error)}))
    assert (type(denial), denial.code) == (GuardUnavailable, "internal_error")
    assert f"`{name}` of the identity provider desk raised {type(error).__name__}" in str(denial)
    assert [(each.code, each.stage) for each in recorder.records] == [
        ("internal_error", "identify")
    ]


@pytest.mark.parametrize("fetch", [raising(ValueError(CANARY)), raising(StopIteration()), 5])
@pytest.mark.parametrize("enter", [denied, denied_later])
def test_an_exception_while_keys_are_fetched_denies(guarded, recorder, enter, fetch):
    denial = enter(guarded(authenticate=raising(KeysNeeded(fetch))))
    assert (type(denial), denial.code) == (GuardUnavailable, "internal_error")
    assert [each.code for each in recorder.records] == ["internal_error"]


async def later(*args, **kwargs):
    return None


def clara(**fields):
    known = {"provider": "desk", "issuer": "desk", "method": "badge", "subject": "clara"}
    principal = fields.pop("principal", Principal("User", "desk#clara"))
    return Identity(principal, **{**known, **fields})


class LyingText(str):
    def startswith(self, *args):
        return True

    def __ne__(self, other):
        return False

    __hash__ = str.__hash__


class Lie:
    __class__ = Identity
    provider = "desk"
    principal = Principal("User", "desk#root")
    expires_at = None


class OtherIdentity(Identity):
    pass


@pytest.mark.parametrize(
    "value",
    [
        None, 5, Principal("User", "desk#clara"), Lie(), OtherIdentity(Principal("User", "x")),
        clara(principal=None), clara(principal='User::"x"'),
        clara(principal=Principal("User", LyingText("root"))),
        clara(principal=Principal(LyingText("User"), "desk#clara")),
        clara(provider=LyingText("application")), clara(provider=None), clara(issuer=5),
        clara(method=None), clara(subject=object()), clara(token_id=5), clara(actor=None),
        clara(mfa=1), clara(delegated="no"), clara(scopes=["a"]), clara(scopes=frozenset((1,))),
        clara(expires_at="x"), clara(expires_at=float("nan")), clara(expires_at=True),
        clara(expires_at=10**400), clara(issued_at="x"), clara(peer=5), clara(evidence=5),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_what_is_no_identity_denies(guarded, recorder, value):
    denial = denied(guarded(authenticate=lambda *args, **kwargs: value))
    assert (type(denial), denial.code) == (GuardUnavailable, "internal_error")
    assert "`authenticate` of the identity provider desk must return" in str(denial)
    assert [each.code for each in recorder.records] == ["internal_error"]


def test_a_coroutine_is_no_identity(guarded, recorder):
    assert denied(guarded(authenticate=later)).code == "internal_error"
    assert len(recorder.records) == 1


@pytest.mark.parametrize("value", [None, 1, 0, "no", [], float("nan"), NotImplemented])
def test_accepts_must_return_a_bool(guarded, recorder, value):
    denial = denied(guarded(accepts=lambda self, token: value))
    assert denial.code == "internal_error"
    assert "`accepts` of the identity provider desk must return a bool" in str(denial)
    assert len(recorder.records) == 1


# Denials of a provider.


def test_a_denial_that_is_raised_again_is_recorded_again(guarded, recorder):
    shared = NotAuthenticated("The badge is lost.", code="lost_badge", path="badge")
    guard = guarded(authenticate=raising(shared))
    denials = [denied(guard) for _ in range(3)]
    assert len({id(denial) for denial in (shared, *denials)}) == 4
    assert {(type(each), each.code, each.path, str(each)) for each in denials} == {
        (NotAuthenticated, "lost_badge", "badge", "The badge is lost.")
    }
    assert [each.code for each in recorder.records] == ["lost_badge"] * 3
    assert shared.__dict__.keys() == NotAuthenticated("x", code="y").__dict__.keys()


def test_a_denial_of_an_own_class_keeps_it(guarded, recorder):
    class Lost(NotAuthenticated):
        code = "lost_badge"

        def __init__(self, desk, day):
            super().__init__(f"Lost at {desk} on {day}.")

    denial = denied(guarded(authenticate=raising(Lost("the desk", "Monday"))))
    assert (type(denial), denial.code, str(denial)) == (
        Lost, "lost_badge", "Lost at the desk on Monday."
    )  # fmt: skip
    assert [each.code for each in recorder.records] == ["lost_badge"]


def test_a_denial_of_another_kind_is_recorded(guarded, recorder):
    assert type(denied(guarded(authenticate=raising(NotAuthorized("No."))))) is NotAuthorized
    assert [each.code for each in recorder.records] == ["no_grant"]


@pytest.mark.parametrize(
    "fields",
    [
        {"code": 5}, {"code": ""}, {"code": "a" * 65}, {"code": "a\x1b[31m"}, {"code": b"x"},
        {"policies": "abc"}, {"policies": 7}, {"errors": (1,)}, {"path": None}, {"reason": 5},
        {"retry_after_s": "x"}, {"retry_after_s": 10**400}, {"retry_after_s": -1.0},
        {"retry_after_s": float("nan")}, {"message": 5},
    ],
    ids=repr,
)  # fmt: skip
def test_a_denial_with_a_wrong_field_is_an_internal_error(guarded, recorder, fields):
    error = NotAuthenticated("No.")
    error.__dict__.update(fields)
    denial = denied(guarded(authenticate=raising(error)))
    assert (type(denial), denial.code) == (GuardUnavailable, "internal_error")
    assert [each.code for each in recorder.records] == ["internal_error"]


# Those who call a provider.


def test_the_middleware_responds(guarded):
    guard = guarded(accepts=lambda self, token: True, authenticate=raising(ValueError(CANARY)))

    async def never(scope, receive, send):
        raise AssertionError

    request = http(("authorization", "Bearer clara"))
    answer = ask(IdentityMiddleware(never, guard), request)
    assert (answer.status, answer.problem["code"]) == (503, "internal_error")
    assert CANARY.encode() not in answer.body
