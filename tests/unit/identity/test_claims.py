"""Required values of claims, the audience in another claim, and optional parents."""

from dataclasses import replace

import jwt
import pytest

from guardrail._documents import read_toml
from guardrail.errors import ConfigurationError, Denied, NotAuthenticated, NotAuthorized
from guardrail.identity import read_providers
from guardrail.values import Entity

NOW = 1_800_000_000
SECRET = "0123456789abcdef" * 4
CLAIMS = {"iss": "https://sso.example", "aud": "scoring", "sub": "clara", "exp": NOW + 60}


def load(*lines, principal='principal = { type = "User" }'):
    text = "\n".join(
        (
            "[identity.sso]", 'type = "jwt"', 'issuer = "https://sso.example"',
            'audience = "scoring"', 'algorithms = ["HS256"]', 'secret_env = "SECRET"',
            principal, *lines,
        )
    )  # fmt: skip
    document = read_toml("guardrail.toml", text.encode()).below("identity")
    return read_providers(document, files={}, environ={"SECRET": SECRET})


def identity(providers, **changes):
    claims = {key: value for key, value in {**CLAIMS, **changes}.items() if value is not ...}
    text = jwt.PyJWS().encode(jwt.api_jwt.json.dumps(claims).encode(), SECRET, "HS256")
    return providers.authenticate(text, NOW, knows=lambda _: True)


def denied(providers, **changes):
    with pytest.raises(Denied) as caught:
        identity(providers, **changes)
    error = caught.value
    assert error.__cause__ is error.__context__ is None
    return error


def code(providers, **changes):
    error = denied(providers, **changes)
    assert isinstance(error, NotAuthenticated)
    return error.code


# The audience


def test_the_audience_can_stand_in_another_claim():
    """An access token of Cognito has no ``aud``: its ``client_id`` says for whom it is."""
    cognito = load('audience_claim = "client_id"', 'claims = { token_use = "access" }')
    held = {"aud": ..., "client_id": "scoring", "token_use": "access"}
    assert identity(cognito, **held).subject == "clara"
    assert code(cognito, **{**held, "client_id": "other"}) == "wrong_audience"
    assert code(cognito, **{**held, "client_id": ...}) == "missing_claim"
    assert code(cognito, **{**held, "client_id": None}) == "malformed_token"
    assert code(cognito, **{**held, "client_id": ..., "aud": "scoring"}) == "missing_claim"
    assert code(cognito, **{**held, "token_use": "id"}) == "wrong_claim"


def test_a_nested_audience_is_found():
    nested = load('audience_claim = "app.client"')
    assert identity(nested, aud=..., app={"client": ["other", "scoring"]})
    assert code(nested, aud=..., app={}) == "missing_claim"


# Claims held to values


@pytest.mark.parametrize(
    ("setting", "holds", "fails"),
    [
        ('"access"', ["access", ["x", "access"]], ["id", "Access", "", ["x"], [], {"access": 1}]),
        ('["a", "b"]', ["a", "b", ["b", "c"]], ["c", "a b", [["a"]]]),
        ("true", [True, [True]], [1, "true", False, 1.0]),
        ("1", [1], [True, 1.0, "1", 2]),
        ("1.5", [1.5], ["1.5", 1]),
        ('[true, "yes"]', [True, "yes"], [False, "true", 1]),
    ],
    ids=range(6),
)
def test_a_claim_is_held_to_values_of_its_own_type(setting, holds, fails):
    providers = load(f"claims = {{ x = {setting} }}")
    for value in holds:
        assert identity(providers, x=value)
    for value in fails:
        error = denied(providers, x=value)
        assert isinstance(error, NotAuthenticated)
        assert (error.code, error.path) == ("wrong_claim", "token.x")


def test_a_claim_that_is_held_must_be_there():
    providers = load('claims = { "realm.x" = "a", y = 1 }')
    assert identity(providers, realm={"x": "a"}, y=1)
    assert code(providers, realm={"x": "a"}) == "missing_claim"
    assert code(providers, y=1) == "missing_claim"
    assert code(providers, realm=None, y=1) == "missing_claim"
    assert code(providers, realm={"x": "a"}, y=None) == "malformed_token"
    assert code(providers, realm="x", y=1) == "malformed_token"


@pytest.mark.parametrize(
    "line",
    [
        "claims = { x = [] }", "claims = { x = { y = 1 } }", "claims = { x = nan }",
        "claims = { x = 2026-01-01 }", 'claims = { "a..b" = 1 }', 'claims = { "" = 1 }',
        'audience_claim = ""', "audience_claim = []", "claims = { x = [[1]] }", "claims = 7",
    ],
)  # fmt: skip
def test_what_no_claim_can_be_held_to_does_not_load(line):
    with pytest.raises(ConfigurationError) as caught:
        load(line)
    assert {fault.code for fault in caught.value.faults} == {"GR003"}


# Parents


def roles(found):
    return [parent.id for parent in found.principal.parents]


def parents(text):
    return load(principal=f'principal = {{ type = "User", in.Role = {text} }}')


@pytest.mark.parametrize("absent", [..., None])
def test_an_optional_claim_that_is_absent_names_no_parents(absent):
    for text in (
        '{ claim = "roles", optional = true }', '[{ claim = "roles", optional = true }]',
    ):  # fmt: skip
        assert roles(identity(parents(text), roles=absent)) == []
        assert roles(identity(parents(text), roles=["a"])) == ["a"]


@pytest.mark.parametrize("absent", [..., None])
@pytest.mark.parametrize("text", ['"roles"', '["roles"]', '{ claim = "roles" }'])
def test_a_required_one_that_is_absent_denies_a_good_token(absent, text):
    error = denied(parents(text), roles=absent)
    assert isinstance(error, NotAuthorized)
    assert (error.code, error.path) == ("missing_claim", "token.roles")


@pytest.mark.parametrize("claim", ["iss", "exp", "aud", "sub"])
def test_what_makes_a_token_good_is_never_optional(claim):
    for value, expected in ((..., "missing_claim"), (None, "malformed_token")):
        found = denied(parents('{ claim = "roles", optional = true }'), **{claim: value})
        assert isinstance(found, NotAuthenticated)
        assert found.code == expected


def test_a_required_claim_of_the_token_is_never_optional():
    providers = load('required = ["dept"]')
    assert code(providers) == "missing_claim"
    assert code(providers, dept=None) == "malformed_token"


@pytest.mark.parametrize("value", [7, {"a": 1}, ["a", 7], ["a", None], "", [""], True])
def test_an_optional_claim_of_another_type_denies(value):
    optional = parents('{ claim = "roles", optional = true }')
    assert code(optional, roles=value) == "malformed_token"


def test_an_optional_claim_below_what_is_no_object_denies():
    nested = parents('{ claim = "realm_access.roles", optional = true }')
    for absent in (..., None, {}, {"roles": None}):
        assert roles(identity(nested, realm_access=absent)) == []
    for value in ("clinician", ["clinician"], 7):
        assert code(nested, realm_access=value) == "malformed_token"


@pytest.mark.parametrize(
    "marks",
    [
        {"_claim_names": {"groups": "src1"}},
        {"_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {"endpoint": "x"}}},
        {"_claim_names": {"groups": "src1"}, "groups": []},
        {"_claim_names": {"groups": "src1"}, "groups": ["a"]},
        {"_claim_names": "groups"},
        {"hasgroups": True},
        {"hasgroups": "true"},
        {"hasgroups": True, "groups": []},
        {"hasgroups": True, "groups": None},
    ],
    ids=str,
)
def test_groups_that_are_kept_elsewhere_are_never_no_groups(marks):
    for text in ('{ claim = "groups", optional = true }', '"groups"'):
        error = denied(parents(text), **marks)
        assert isinstance(error, NotAuthorized)
        assert (error.code, error.path) == ("missing_claim", "token.groups")


@pytest.mark.parametrize("none", ["", ",", " , ", [","], [" "], [",", " "], []], ids=repr)
def test_a_claim_that_is_split_into_no_names_names_no_groups_either(none):
    split = parents('{ claim = "groups", split = ",", optional = true }')
    assert roles(identity(split, groups=none)) == []
    for marks in ({"_claim_names": {"groups": "src1"}}, {"hasgroups": True}):
        assert denied(split, groups=none, **marks).code == "missing_claim"
    assert roles(identity(parents('{ claim = "roles", split = "," }'), roles=none)) == []
    assert denied(parents('{ claim = "roles", split = "," }'), roles=none, hasgroups=True)


def test_roles_that_are_absent_beside_groups_kept_elsewhere_deny_too():
    """Azure can be told to send groups as roles."""
    optional = parents('{ claim = "roles", optional = true }')
    for marks in ({"_claim_names": {"groups": "src1"}}, {"hasgroups": True}):
        assert denied(optional, **marks).code == "missing_claim"
        assert roles(identity(optional, roles=["a"], **marks)) == ["a"]
    for none in ({"_claim_names": None}, {"_claim_names": {}}, {"hasgroups": False}):
        assert roles(identity(optional, **none)) == []


def test_an_attribute_that_is_kept_elsewhere_denies():
    mapped = load(principal='principal = { type = "User", attrs = { department = "dept" } }')
    assert not identity(mapped).principal.attrs
    error = denied(mapped, _claim_names={"dept": "src1"})
    assert (type(error), error.code) == (NotAuthorized, "missing_claim")


def test_several_claims_name_parents_of_one_type():
    both = parents(
        '[{ claim = "realm_access.roles" }, { claim = "resource_access.svc.roles", optional = true '
        "}]"
    )
    mine = {"realm_access": {"roles": ["a", "b"]}}
    theirs = {"resource_access": {"svc": {"roles": ["b", "c"]}}}
    assert roles(identity(both, **mine, **theirs)) == ["a", "b", "c"]
    assert roles(identity(both, **mine)) == ["a", "b"]
    assert denied(both, **theirs).path == "token.realm_access.roles"


def test_a_list_of_names_is_one_path_as_ever():
    path = parents('["realm_access", "roles"]')
    assert roles(identity(path, realm_access={"roles": "a"})) == ["a"]
    table = parents('{ claim = ["a.b", "roles"] }')
    assert roles(identity(table, **{"a.b": {"roles": ["x"]}})) == ["x"]


@pytest.mark.parametrize(
    ("split", "value", "found"),
    [
        (" ", "a b", ["a", "b"]),
        (" ", "a", ["a"]),
        (" ", " a  b ", ["a", "b"]),
        (" ", "", []),
        (",", "a,b", ["a", "b"]),
        (",", "a, b,", ["a", "b"]),
        (",", "a b", ["a b"]),
        (" ", ["a b", "c"], ["a", "b", "c"]),
        (" ", [], []),
    ],
    ids=range(9),
)
def test_one_text_is_split_where_the_bundle_says_so(split, value, found):
    providers = parents(f'[{{ claim = "scope", split = "{split}" }}]')
    assert roles(identity(providers, scope=value)) == found


def test_a_text_is_one_name_where_it_says_nothing():
    assert roles(identity(parents('{ claim = "roles" }'), roles="a b")) == ["a b"]
    assert code(parents('{ claim = "roles", split = "," }'), roles=["a", 7]) == "malformed_token"


@pytest.mark.parametrize(
    "text",
    [
        "[]", "{}", '{ optional = true }', '{ claim = "" }', '{ claim = "a", split = "" }',
        '[{ claim = "a" }, "b"]', '{ claim = "a", optional = "yes" }', '{ claim = "a", or = "b" }',
        "7", '{ claim = "a..b" }',
    ],
)  # fmt: skip
def test_what_names_no_parents_does_not_load(text):
    with pytest.raises(ConfigurationError) as caught:
        parents(text)
    assert {fault.code for fault in caught.value.faults} == {"GR003"}


# Null


@pytest.mark.parametrize(
    "claim", ["jti", "nbf", "iat", "auth_time", "act", "amr", "scope", "scp", "dept"]
)
def test_a_null_in_an_optional_claim_is_an_absent_one(claim):
    providers = load(principal='principal = { type = "User", attrs = { department = "dept" } }')
    found, plain = identity(providers, **{claim: None}), identity(providers)
    assert replace(found, principal=plain.principal) == plain
    assert not found.principal.attrs


def test_a_null_binding_or_actor_is_none_that_holds():
    providers = load()
    assert code(providers, cnf=None) == "wrong_certificate"
    assert code(providers, act={"sub": None}) == "malformed_token"
    assert code(providers, act={}) == "missing_claim"


def test_unknown_parents_of_every_claim_are_looked_at():
    providers = parents('[{ claim = "a", optional = true }, { claim = "b", split = "," }]')
    claims = {**CLAIMS, "a": ["x"], "b": "x,y"}
    text = jwt.encode(claims, SECRET, "HS256")
    with pytest.raises(NotAuthenticated) as caught:
        providers.authenticate(text, NOW, knows=lambda entity: entity == Entity("Role", "x"))
    assert (caught.value.code, caught.value.path) == ("unknown_entity", "token.b")
