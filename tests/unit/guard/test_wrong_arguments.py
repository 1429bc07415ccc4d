"""Arguments of a wrong type are rejected at once, and the message names them."""

import logging

import pytest
from bundles import principal

from guardrail import ConfigurationError, Entity, Guard, NotAuthorized, Principal, Resource
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


@pytest.mark.parametrize("public", ["/healthz", ["/healthz"], True])
def test_public_paths_of_a_middleware_are_a_function(guard, public):
    with pytest.raises(ConfigurationError, match="`public` must be a function"):
        IdentityMiddleware(app, guard, public=public)


def test_protect_without_parentheses_names_the_way_to_write_it(guard):
    with pytest.raises(TypeError, match=r"@guard\.protect\(action=\.\.\., resource=\.\.\.\)"):

        @guard.protect
        def predict(patients): ...


@pytest.mark.parametrize("name", ["resource", "action"])
def test_a_uid_that_cannot_be_read_names_its_argument(guard, name):
    wrong = {"resource": "prices", "action": 'Action::"predict'}[name]
    options = {"action": "predict", "resource": 'Model::"tumour"', name: wrong}
    for verb in (guard.protect, guard.enforce, guard.decide):
        principal = {} if verb == guard.protect else {"principal": CLARA}
        with pytest.raises(ConfigurationError, match=f"^{name}=: expected a uid such as"):
            verb(**options, **principal)


@pytest.mark.parametrize("resource", ['User::"anna"', 'Modell::"tumour"', Resource("Usr", "x")])
def test_protect_rejects_a_resource_of_a_type_that_no_call_may_have(guard, resource):
    with pytest.raises(ConfigurationError, match=r"resource=: .* (type|mean) ?.*Model") as raised:
        guard.protect(action="predict", resource=resource)
    assert "anna" not in str(raised.value)


def test_protect_warns_of_a_resource_that_the_bundle_lacks(guard, caplog):
    with caplog.at_level(logging.WARNING, "guardrail.protect"):
        guard.protect(action="predict", resource='Model::"tumour"')
        assert not caplog.records
        guard.protect(action="predict", resource='Model::"tumor"')
    (record,) = caplog.records
    assert 'Did you mean Model::"tumour"?' in record.getMessage()
    assert '"tumor"' not in record.getMessage()


def test_protect_accepts_any_resource_where_the_bundle_does(make_guard, caplog):
    toml = '[bundle]\nname = "small"\nversion = "1"\n[resources]\nunknown = "allow"\n'
    guard = make_guard(**{"guardrail.toml": toml})
    guard.protect(action="predict", resource='Model::"tumor"')
    assert not caplog.records


@pytest.mark.parametrize("name", ["resource", "principal", "facts"])
@pytest.mark.parametrize(
    "wrong", [lambda: None, lambda patients: None, lambda patients, other, third: None]
)
def test_a_callable_that_cannot_take_the_arguments_is_rejected_at_decoration(
    make_guard, name, wrong
):
    guard = make_guard(
        '@id("grant") permit (principal, action, resource) when '
        '{ context.app has purpose && context.app.purpose == "care" };\n'
    )
    options = {"action": "predict", "resource": 'Model::"tumour"', "input": "patients"}
    decorator = guard.protect(**{**options, name: wrong})
    with pytest.raises(ConfigurationError, match=f"^{name}= is called with the arguments of"):

        @decorator
        def predict(patients, other): ...


@pytest.mark.parametrize(
    "right",
    [
        lambda patients, other: Resource("Model", "tumour"),
        lambda *args, **rest: Resource("Model", "tumour"),
        lambda patients, other=None, third=None: Resource("Model", "tumour"),
    ],
)
def test_a_callable_that_takes_the_arguments_is_called_with_them(guard, right):
    @guard.protect(action="predict", resource=right, input=None)
    def predict(patients, other):
        return 1

    @guard.protect(action="predict", resource=lambda: Resource("Model", "tumour"), input=None)
    def predict_any(*args):
        return 1

    with guard.acting_as(principal()):
        assert predict(1, other=2) == predict_any() == 1


def test_facts_that_no_policy_reads_are_never_called(guard):
    @guard.protect(action="predict", resource='Model::"tumour"', input=None, facts=lambda: {})
    def predict(patients):
        return 1

    with guard.acting_as(principal()):
        assert predict(1) == 1


@pytest.mark.parametrize("parents", [["agent"], [Entity("Role", "agent"), 5], 5, None])
def test_parents_that_are_no_entities_are_rejected_when_the_principal_is_made(parents):
    with pytest.raises(ConfigurationError, match="parents") as raised:
        Principal("User", "anna", parents=parents)
    if parents == ["agent"]:
        assert str(raised.value) == (
            '`parents[0]`: expected an Entity, such as Entity("Role", "agent"); got str.'
        )


def test_parents_may_come_from_an_iterator():
    role = Entity("Role", "agent")
    assert Principal("User", "anna", parents=iter([role])).parents == (role,)


def test_acting_as_shows_what_to_pass(guard):
    with pytest.raises(TypeError, match=r'Pass Principal\("User", "anna"\)'):
        guard.acting_as("anna")
    with pytest.raises(TypeError, match=r"got both.*these two together"):
        guard.acting_as(CLARA, token="x")
    with pytest.raises(TypeError, match=r"got neither.*these two together"):
        guard.acting_as()


def denial(guard, caller):
    @guard.protect(action="predict", resource='Model::"tumour"', input=None)
    def predict(): ...

    with pytest.raises(NotAuthorized) as raised, guard.acting_as(caller):
        predict()
    return raised.value


def test_a_role_that_the_enum_does_not_list_is_named_as_the_fault(guard):
    refused = denial(guard, principal("agnt"))
    assert refused.message.startswith("`parents` has a Role that the schema does not list")
    assert (refused.code, refused.path) == ("wrong_type", "principal")
    assert "agnt" not in refused.message


def test_a_type_is_named_only_if_the_schema_declares_it(guard):
    refused = denial(guard, Principal("Team", "heart"))
    assert "a principal of type Team and a resource of type Model" in refused.message
    refused = denial(guard, Principal("Usr", "anna"))
    assert "a principal of a type that the schema does not declare" in refused.message
    assert "Usr" not in refused.message


def test_a_bundle_is_not_a_file(make_bundle):
    with pytest.raises(ConfigurationError, match=r"This is a file. Give the folder"):
        Guard.from_dir(make_bundle() / "policies.cedar")
