"""Faults of a bundle name the wrong key or attribute, its place, and the remedy."""

import json

import pytest
from bundles import ENTITIES, principal

from guardrail import ConfigurationError, Guard, NotAuthorized

TOML = '[bundle]\nname = "small"\nversion = "1.0.0"\n'
PROVIDER = """\
[identity.corp]
type = "jwt"
issuer = "https://idp.example"
audience = "scores"
algorithms = ["HS256"]
secret_env = "SECRET"
[identity.corp.principal]
type = "User"
attrs.{attr} = "dept"
"""


def faults(folder):
    with pytest.raises(ConfigurationError) as caught:
        Guard.from_dir(folder)
    return "\n".join(map(str, caught.value.faults))


@pytest.fixture
def secret(monkeypatch):
    monkeypatch.setenv("SECRET", "s" * 64)


@pytest.mark.usefixtures("secret")
def test_an_attribute_that_the_schema_lacks_is_a_fault(make_bundle):
    told = faults(make_bundle(**{"guardrail.toml": TOML + PROVIDER.format(attr="departmnt")}))
    assert told.startswith("guardrail.toml:12:")
    assert "no attribute departmnt" in told
    assert "Did you mean department?" in told


@pytest.mark.usefixtures("secret")
@pytest.mark.parametrize("attr", ["department", "level", "score"])
def test_an_attribute_that_the_schema_has_is_none(make_bundle, attr):
    Guard.from_dir(make_bundle(**{"guardrail.toml": TOML + PROVIDER.format(attr=attr)})).close()


@pytest.mark.parametrize("key", ["type", "issuer", "inheirt"])
def test_keys_of_a_provider_without_its_name_are_told(make_bundle, key):
    told = faults(make_bundle(**{"guardrail.toml": TOML + f'[identity]\n{key} = "x"\n'}))
    assert f"`{key}` is not a key of [identity] itself" in told
    assert ("inherit?" if key == "inheirt" else "[identity.NAME]") in told


@pytest.mark.parametrize("keep", ["90", "d", "90 d", "0d", "90 days", ""])
def test_a_keep_that_is_no_period_is_told_with_an_example(make_bundle, keep):
    told = faults(
        make_bundle(**{"guardrail.toml": TOML + f'[audit]\njournal = "/j"\nkeep = "{keep}"\n'})
    )
    assert told.startswith("guardrail.toml:6:")
    assert "90d" in told
    assert "[0-9]" not in told


@pytest.mark.parametrize("key", ["uid", "attrs", "parents"])
def test_a_missing_key_of_an_entity_is_named(make_bundle, key):
    entity = {name: value for name, value in ENTITIES[0].items() if name != key}
    told = faults(make_bundle(**{"entities.json": json.dumps([entity])}))
    assert "GR201" in told
    assert f"lacks the key {key}" in told


def test_a_strange_key_of_an_entity_is_named(make_bundle):
    told = faults(make_bundle(**{"entities.json": json.dumps([{**ENTITIES[0], "attr": 1}])}))
    assert "but not 'attr'" in told


@pytest.mark.parametrize(
    ("attrs", "name"),
    [
        ({"department": 7}, "department"), ({"level": "high"}, "level"), ({"levl": 3}, "levl"),
        ({"score": "1.5"}, "score"),
    ],
)  # fmt: skip
def test_an_attribute_of_the_wrong_type_is_named(make_guard, attrs, name):
    guard = make_guard()
    with guard.acting_as(principal(**attrs)), pytest.raises(NotAuthorized) as caught:
        guard.protect(action="predict", resource='Model::"tumour"')(lambda x: x)([1.0])
    assert caught.value.code == "wrong_type"
    assert caught.value.path == f"principal.{name}"
    assert f"attribute {name} does not fit" in str(caught.value)
    assert "high" not in str(caught.value)
