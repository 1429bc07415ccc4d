"""Arguments of a wrong type are rejected at once, and the message names them."""

import pytest

from guardrail import ConfigurationError, Guard, Principal
from guardrail.integrations.asgi import IdentityMiddleware

CLARA = Principal("User", "clara")


@pytest.fixture
def guard(make_guard):
    return make_guard()


@pytest.mark.parametrize("path", ["policies/hospital", None])
def test_a_guard_is_not_made_of_a_path(path):
    with pytest.raises(TypeError, match="from_dir"):
        Guard(path)


@pytest.mark.parametrize(
    ("name", "value"), [("facts", "x"), ("facts", 5), ("principal", "clara"), ("resource", 5)]
)
def test_protect_says_which_argument_is_wrong(guard, name, value):
    options = {"action": "predict", "resource": 'Model::"tumour"', name: value}
    with pytest.raises(TypeError, match=f"as {name}="):
        guard.protect(**options)


@pytest.mark.parametrize("verb", ["decide", "enforce"])
@pytest.mark.parametrize(
    ("name", "value"),
    [("facts", "x"), ("facts", dict), ("principal", 'User::"clara"'), ("resource", 5)],
)
def test_decide_and_enforce_say_which_argument_is_wrong(guard, verb, name, value):
    options = {
        "action": "predict", "resource": 'Model::"tumour"', "principal": CLARA, name: value,
    }  # fmt: skip
    with pytest.raises(TypeError, match=f"as {name}="):
        getattr(guard, verb)(**options)


async def app(scope, receive, send): ...


def test_a_middleware_with_its_arguments_swapped_is_refused(guard):
    for arguments in ((guard, app), (app, app), (app, "path"), (guard, guard)):
        with pytest.raises(ConfigurationError, match="in this order"):
            IdentityMiddleware(*arguments)
