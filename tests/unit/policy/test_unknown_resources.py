"""`[resources] unknown`: calls may name resources that the bundle does not have."""

from __future__ import annotations

import pytest
from bundles import GRANT, SCHEMA, principal

from guardrail import ConfigurationError, Entity, Guard

ALLOW = '[bundle]\nname = "small"\nversion = "1.0.0"\n[resources]\nunknown = "allow"\n'
DENY = ALLOW.replace('"allow"', '"deny"')


def decide(guard, resource, **facts):
    return guard.decide(
        principal=principal(), action="predict", resource=resource, facts={"app": {}, **facts}
    )


@pytest.mark.parametrize("files", [{}, {"guardrail.toml": DENY}])
def test_an_unknown_resource_is_denied_unless_the_bundle_says_otherwise(make_guard, files):
    assert decide(make_guard(**files), 'Model::"new"').code == "unknown_entity"


def test_an_unknown_resource_is_let_through_where_the_bundle_says_so(make_guard):
    guard = make_guard(**{"guardrail.toml": ALLOW})
    assert decide(guard, 'Model::"new"').code == "allow"
    assert decide(guard, 'Model::"tumour"').code == "allow"


def test_an_unknown_resource_of_another_type_is_denied(make_guard):
    guard = make_guard(**{"guardrail.toml": ALLOW})
    assert decide(guard, 'Team::"new"').code == "wrong_type"
    assert decide(guard, 'Nothing::"new"').code == "wrong_type"


def test_a_uid_that_is_no_text_is_denied(make_guard):
    guard = make_guard(**{"guardrail.toml": ALLOW})
    assert decide(guard, Entity("Model", "\ud800")).code == "unknown_entity"


def test_a_prohibition_that_reads_an_unknown_resource_denies(make_guard):
    text = GRANT + (
        '@id("retired") forbid (principal, action, resource is Model) '
        'when { resource.purpose == "retired" };'
    )
    guard = make_guard(text, **{"guardrail.toml": ALLOW})
    assert decide(guard, 'Model::"new"').code == "evaluation_error"
    assert decide(guard, 'Model::"tumour"').code == "allow"


def test_a_grant_that_reads_an_unknown_resource_does_not_grant(make_guard):
    text = '@id("g") permit (principal, action, resource) when { resource.purpose == "care" };'
    guard = make_guard(text, **{"guardrail.toml": ALLOW})
    assert decide(guard, 'Model::"new"').code == "no_grant"
    assert decide(guard, 'Model::"tumour"').code == "allow"


def test_a_resource_that_an_enum_does_not_list_is_denied(make_guard):
    schema = SCHEMA.replace(
        "entity Model { purpose: String, owner?: User };", 'entity Model enum ["tumour"];'
    )
    files = {"schema.cedarschema": schema, "entities.json": "[]", "guardrail.toml": ALLOW}
    guard = make_guard(**files)
    assert decide(guard, 'Model::"new"').code == "unknown_entity"
    assert decide(guard, 'Model::"tumour"').code == "allow"


@pytest.mark.parametrize("value", ['"maybe"', "true", '"Allow"'])
def test_any_other_value_does_not_load(make_bundle, value):
    text = ALLOW.replace('"allow"', value)
    with pytest.raises(ConfigurationError) as caught:
        Guard.from_dir(make_bundle(**{"guardrail.toml": text}))
    assert str(caught.value.faults[0]).startswith("guardrail.toml:5:1 GR003")
