"""Ids that no identity provider gives to anybody: found wherever a bundle names them."""

import json

import pytest
from bundles import ENTITIES, GRANT, SCHEMA
from typer.testing import CliRunner

from guardrail._ports import SystemClock
from guardrail.bundle.assembly import load_bundle
from guardrail.bundle.lint import TAGS, findings
from guardrail.cli import app
from guardrail.policy import read_folder
from guardrail.testing.files import yaml_values as notation

HEAD = '[bundle]\nname = "small"\nversion = "1.0.0"\n'
PROVIDER = """
[identity.{name}]
type = "jwt"
issuer = "https://{name}.example"
audience = "scoring"
algorithms = ["HS256"]
secret_env = "TOKEN_SECRET"
{more}
principal = {{ type = "User", in.Role = "roles" }}
"""


def provider(name="sso", prefix=""):
    return PROVIDER.format(name=name, more=f'id_prefix = "{prefix}"' if prefix else "")


@pytest.fixture
def found(make_bundle, monkeypatch):
    monkeypatch.setenv("TOKEN_SECRET", "0123456789abcdef" * 4)

    def find(policies="", *tables, **files):
        entities = [entity for entity in ENTITIES if entity["uid"]["type"] != "User"]
        contents = {
            "guardrail.toml": HEAD + "".join(tables), "entities.json": json.dumps(entities),
            **files,
        }  # fmt: skip
        folder = read_folder(make_bundle(GRANT + policies, **contents))
        output = findings(load_bundle(folder, clock=SystemClock()), folder)
        return [str(each.place) for each in output if each.code == "GR536"]

    return find


BAN = '@id("ban") forbid (principal == User::"{id}", action, resource);\n'
PREFIXED = provider(prefix="sso")


@pytest.mark.parametrize(
    "policy",
    [
        BAN.format(id="mallory"),
        '@id("ban") forbid (principal, action, resource) when { principal == User::"mallory" };',
        '@id("b") forbid (principal, action, resource)'
        ' when { [User::"mallory", User::"sso#x"].contains(principal) };',
        BAN.format(id="SSO#mallory"),
        BAN.format(id="sso#"),
        '@id("ban") @mode("shadow") forbid (principal == User::"mallory", action, resource);',
    ],
)
def test_a_ban_of_whom_nobody_makes_is_found(found, policy):
    assert found(policy, PREFIXED) == [f"policies.cedar:2:{policy.index('::') + 3}"]


def test_with_the_prefix_it_is_not(found):
    assert found(BAN.format(id="sso#mallory"), PREFIXED) == []


def test_the_old_form_of_an_id_is_found_after_a_second_provider_came(found):
    both = (provider(), provider("partner", "partner"))
    assert found(BAN.format(id="mallory"), *both) == []
    assert found(BAN.format(id="partner#mallory"), *both) == []
    prefixed = (PREFIXED, provider("partner", "partner"))
    assert found(BAN.format(id="https://sso.example#mallory"), *prefixed)
    assert found(BAN.format(id="mallory"), *prefixed)


def test_whom_only_the_application_vouches_for_is_left_alone(found):
    assert found(BAN.format(id="mallory")) == []
    schema = SCHEMA.replace("principal: [User]", "principal: [User, Robot]") + "entity Robot;\n"
    text = '@id("ban") forbid (principal == Robot::"r2", action, resource);'
    assert found(text, PREFIXED, **{"schema.cedarschema": schema}) == []


def test_a_link_is_found_where_it_is_made(found):
    text = '@id("ban") forbid (principal == ?principal, action, resource);'
    links = (
        "- {template: ban, id: one, principal: 'User::\"sso#mallory\"'}\n"
        "- {template: ban, id: two, principal: 'User::\"mallory\"'}\n"
    )
    assert found(text, PREFIXED, **{"links.yaml": links}) == ["links.yaml:2:3"]


def test_entities_are_found(found):
    users = [
        {"uid": {"type": "User", "id": "sso#carl"}, "attrs": {"department": "a"}, "parents": []},
        {"uid": {"type": "User", "id": "carl"}, "attrs": {"department": "a"}, "parents": []},
    ]
    text = json.dumps(users, indent=1)
    (place,) = found("", PREFIXED, **{"entities.json": text})
    assert place == f"entities.json:{text[: text.rindex('uid')].count(chr(10))}:2"


TESTS = """\
given:
  principals:
    clara: {uid: 'User::"sso#clara"', attrs: {department: care}}
    carl: {uid: 'User::"carl"', attrs: {department: care}}
  action: predict
  resource: Model::"tumour"
tests:
  - {name: a, as: clara, facts: {app: {owner: !entity 'User::"owner"'}}, expect: deny}
  - {name: b, as: 'User::"dora"', expect: deny}
  - {name: c, steps: [{principal: {uid: 'User::"emil"'}, expect: deny}]}
  - name: d
    matrix:
      actions: [predict]
      resources: ['Model::"tumour"']
      table:
        User::"fred": {predict: deny}
"""


def test_principals_of_tests_are_found(found):
    places = found("", PREFIXED, **{"tests/a_test.yaml": TESTS})
    assert [place.split(":")[1] for place in places] == ["4", "8", "9", "10", "16"]
    assert found("", provider(), **{"tests/a_test.yaml": TESTS}) == []


@pytest.mark.parametrize("text", ["{", "- !odd x", "tests: 7\n", ""])
def test_a_test_that_does_not_read_is_another_commands(found, text):
    assert found("", PREFIXED, **{"tests/a_test.yaml": text}) == []


def test_the_tags_of_tests_are_known():
    assert set(TAGS) == set(notation.TAGS)


def test_the_command_tells_it_and_the_code_can_be_accepted(make_bundle, monkeypatch):
    monkeypatch.setenv("TOKEN_SECRET", "0123456789abcdef" * 4)
    for allow, exit_code in (("", 1), ('"GR536"', 0)):
        rest = ", ".join(f'"GR{n}"' for n in (507, 508, 520, 530, 540))
        accepted = f"[check]\nallow = [{rest}, {allow}]\n"
        folder = make_bundle(
            GRANT + BAN.format(id="sso#mallory"),
            **{"guardrail.toml": HEAD + PREFIXED + accepted, "tests/a_test.yaml": TESTS,
               "entities.json": json.dumps(ENTITIES[:-1])},
        )  # fmt: skip
        done = CliRunner().invoke(app, ["check", str(folder)])
        assert done.exit_code == exit_code, done.output
        assert ("GR536" in done.output) == (not allow)
