"""Ids of principals belong to one provider, and adding a provider changes none."""

import json
import random

import jwt
import pytest

from guardrail._documents import read_toml
from guardrail.errors import ConfigurationError, NotAuthenticated
from guardrail.identity import read_providers
from guardrail.identity.api_keys.entries import issue
from guardrail.values import Entity

NOW = 1_800_000_000
SECRET = "0123456789abcdef" * 4

JWT = """
[identity.{name}]
type = "jwt"
issuer = "{issuer}"
audience = "scoring"
algorithms = ["HS256"]
secret_env = "SECRET"
principal = {{ type = "User" {inner} }}
{more}
"""
KEYS = """
[identity.{name}]
type = "api_key"
keys_file = "keys.json"
secret_env = "SECRET"
{more}
"""
MTLS = """
[identity.{name}]
type = "mtls"
unsafe_trust_server = true
principal = {{ type = "Workload" {inner} }}
{more}
"""


def table(form, name, *, prefix="", inside="", issuer="", more=""):
    own = f'id_prefix = "{prefix}"\n' if prefix else ""
    inner = f', id_prefix = "{inside}"' if inside else ""
    issuer = issuer or f"https://{name}.example"
    return form.format(name=name, inner=inner, issuer=issuer, more=own + more)


def load(*tables, keys=b"[]"):
    document = read_toml("guardrail.toml", "".join(tables).encode()).below("identity")
    return read_providers(document, files={"keys.json": keys}, environ={"SECRET": SECRET})


def faults(*tables):
    with pytest.raises(ConfigurationError) as caught:
        load(*tables)
    return [(fault.code, fault.message) for fault in caught.value.faults]


def signed(sub, name="sso"):
    claims = {"iss": f"https://{name}.example", "aud": "scoring", "sub": sub, "exp": NOW + 60}
    return jwt.encode(claims, SECRET, "HS256")


def id_of(providers, text):
    return providers.authenticate(text, NOW, knows=lambda _: True).principal.id


def code_of(providers, text):
    with pytest.raises(NotAuthenticated) as caught:
        id_of(providers, text)
    assert "clara" not in str(caught.value)
    return caught.value.code


def key(principal="nightly"):
    text, entry = issue(
        Entity("Service", principal), secret=SECRET.encode(), now=NOW - 60,
        random=random.Random(1).randbytes,  # noqa: S311  # the same key each time
    )  # fmt: skip
    keys = json.dumps(
        [{"id": entry.id, "hash": entry.hash, "created": entry.created,
          "principal": {"type": "Service", "id": principal}}]
    )  # fmt: skip
    return text, keys.encode()


OTHERS = {
    "jwt": table(JWT, "partner", prefix="partner"),
    "api_key": table(KEYS, "jobs", prefix="jobs"),
    "mtls": table(MTLS, "mesh", prefix="mesh"),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_adding_a_provider_renames_nobody(kind):
    first = table(JWT, "sso")
    assert id_of(load(first), signed("clara")) == "clara"
    assert id_of(load(first, OTHERS[kind]), signed("clara")) == "clara"


def test_a_prefix_holds_for_a_provider_alone_too():
    assert id_of(load(table(JWT, "sso", prefix="hospital")), signed("clara")) == "hospital#clara"
    text, keys = key()
    assert id_of(load(OTHERS["api_key"], keys=keys), text) == "jobs#nightly"


def test_a_prefix_stands_in_the_table_or_in_its_principal():
    assert id_of(load(table(JWT, "sso", inside="hospital")), signed("clara")) == "hospital#clara"
    for form, name in ((JWT, "sso"), (MTLS, "mesh")):
        ((code, message),) = faults(table(form, name, prefix="a", inside="b"))
        assert code == "GR003"
        assert "id_prefix" in message


def test_an_empty_prefix_is_none():
    providers = load(table(JWT, "sso", more='id_prefix = ""'), OTHERS["jwt"])
    assert id_of(providers, signed("clara")) == "clara"


@pytest.mark.parametrize("prefix", ["a#b", "a b", "ä", "a/b", "x" * 65, "a\\n"])
def test_what_is_no_prefix_is_refused(prefix):
    for form in (JWT, KEYS, MTLS):
        assert [code for code, _ in faults(table(form, "one", prefix=prefix))] == ["GR003"]


@pytest.mark.parametrize(
    "tables",
    [
        (table(JWT, "sso"), table(JWT, "partner")),
        (table(JWT, "sso"), table(KEYS, "partner")),
        (table(KEYS, "sso"), table(MTLS, "partner")),
    ],
    ids=["two issuers", "tokens and keys", "keys and certificates"],
)
def test_a_second_provider_without_a_prefix_does_not_load_and_says_what_to_write(tables):
    ((code, message),) = faults(*tables)
    assert code == "GR003"
    assert '`id_prefix = "partner"`' in message
    assert "[identity.sso]" in message


@pytest.mark.parametrize(("one", "other"), [("a", "a"), ("pool", "pool2"), ("pool2", "pool")])
def test_no_prefix_begins_another(one, other):
    for form in (JWT, KEYS, MTLS):
        found = faults(table(JWT, "sso", prefix=one), table(form, "x", prefix=other))
        assert [code for code, _ in found] == ["GR003"]


def test_an_id_that_begins_as_another_providers_do_is_denied():
    providers = load(table(JWT, "sso"), OTHERS["api_key"])
    for pose in ("jobs#nightly", "jobs#", "jobs##clara"):
        assert code_of(providers, signed(pose)) == "malformed_token"
    for name in ("jobs", "job#clara", "Jobs#clara", "x jobs#clara", "#clara"):
        assert id_of(providers, signed(name)) == name
    # with a prefix of its own it can't pose as anybody
    prefixed = load(table(JWT, "sso", prefix="sso"), OTHERS["api_key"])
    assert id_of(prefixed, signed("jobs#nightly")) == "sso#jobs#nightly"


def test_an_api_key_whose_id_begins_as_another_providers_do_is_denied():
    text, keys = key("partner#clara")
    providers = load(table(KEYS, "jobs"), OTHERS["jwt"], keys=keys)
    assert code_of(providers, text) == "malformed_token"
    assert code_of(providers, text[:-1] + "x") != "malformed_token"  # only its holder learns why


@pytest.mark.parametrize(
    "tables",
    [
        (table(JWT, "sso", issuer="internal"), table(KEYS, "internal", prefix="i")),
        (table(KEYS, "internal"), table(JWT, "sso", issuer="internal", prefix="s")),
        (table(JWT, "sso", issuer="jobs"), table(KEYS, "keys", prefix="jobs")),
        (table(JWT, "jobs"), table(KEYS, "keys", prefix="jobs")),
        (
            table(JWT, "sso", issuer="prod.example"),
            table(MTLS, "mesh", prefix="m", more='trust_domain = "prod.example"'),
        ),
        (
            table(KEYS, "prod.example".replace(".", "_")),
            table(MTLS, "mesh", prefix="m", more='trust_domain = "prod_example"'),
        ),
        (
            table(MTLS, "mesh", more='trust_domain = "pool"'),
            table(JWT, "sso", prefix="pool"),
        ),
    ],
    ids=[
        "issuer and table", "table and issuer", "issuer and prefix", "table and prefix",
        "issuer and trust domain", "table and trust domain", "trust domain and prefix",
    ],
)  # fmt: skip
def test_whatever_providers_are_called_is_one_namespace(tables):
    found = faults(*tables)
    assert [code for code, _ in found] == ["GR003"]
    assert "namespace" in found[0][1]


def test_one_provider_may_be_called_the_same_in_all_ways():
    providers = load(
        table(JWT, "pool", prefix="pool", issuer="pool"),
        table(MTLS, "mesh", prefix="mesh", more='trust_domain = "mesh"'),
    )
    assert list(providers.tokens) == ["pool"]


def test_who_can_make_an_id():
    providers = load(table(JWT, "sso", prefix="sso"), OTHERS["mtls"])
    assert providers.can_make(Entity("User", "sso#clara"))
    assert not providers.can_make(Entity("User", "clara"))
    assert not providers.can_make(Entity("User", "sso#"))
    assert not providers.can_make(Entity("User", "mesh#clara"))  # that one makes workloads
    assert providers.can_make(Entity("Role", "clinician"))  # nobody makes roles
    bare = load(table(JWT, "sso"), OTHERS["mtls"])
    assert bare.can_make(Entity("User", "clara"))
    assert not bare.can_make(Entity("User", "mesh#clara"))


def test_a_type_whose_entities_are_parents_too_can_be_called_anything():
    more = 'principal.in.User = "managers"'
    providers = load(
        JWT.format(name="sso", issuer="https://sso.example", inner="", more="").replace(
            'principal = { type = "User"  }',
            'principal.type = "User"\nprincipal.id_prefix = "sso"\n' + more,
        )
    )
    assert providers.can_make(Entity("User", "clara"))
