"""Weaknesses that Cedar's validator reports as errors with a place, so no finding does."""

from __future__ import annotations

import pytest
from weak_bundles import HEAD, PATIENTS, SOUND, when

from guardrail._ports import SystemClock
from guardrail.bundle.assembly import load_bundle
from guardrail.errors import ConfigurationError

SCHEMA = """\
entity Role in [Role];
entity Team { level?: Long };
entity User in [Role] { level?: Long, team?: Team, desk: { floor?: Long } } tags String;
entity Model { purpose: String };
action predict appliesTo {
  principal: [User], resource: [Model],
  context: { input: guardrail::TensorInput, app: { count?: Long, note: String } },
};
action explain appliesTo { principal: [User], resource: [Model], context: {} };
"""
ENTITIES = '[{"uid": {"type": "Role", "id": "clinician"}, "attrs": {}, "parents": []}]'


def load(make_bundle, policies):
    folder = make_bundle(
        policies,
        **{
            "guardrail.toml": HEAD,
            "schema.cedarschema": SCHEMA,
            "entities.json": ENTITIES,
            "inputs/patients.yaml": PATIENTS,
        },
    )
    return load_bundle(folder, clock=SystemClock())


@pytest.mark.parametrize("kind", ["permit", "forbid"])
@pytest.mark.parametrize(
    "clause",
    [
        "principal.level > 1",
        "context.app.count > 1",
        "principal.team.level > 1",
        "principal.desk.floor > 1",
        'principal.getTag("site") == "x"',
        'User::"clara".level > 1',
        "principal has team && principal.team.level > 1",
        "principal has level || principal.level > 1",
        "!(principal has level) && principal.level > 1",
        'context.app.note in ["rm"]',
        'context.app.note in "rm"',
        'principal in ["clinician"]',
    ],
)
def test_an_unguarded_optional_or_a_string_in_does_not_load(make_bundle, clause, kind):
    with pytest.raises(ConfigurationError) as caught:
        load(make_bundle, when(clause, kind=kind))
    fault = caught.value.faults[0]
    assert (fault.code, fault.place.file, fault.place.line) == ("GR108", "policies.cedar", 3)


@pytest.mark.parametrize(
    "clause",
    [
        "principal has level && principal.level > 1",
        "context.app has count && context.app.count > 1",
        "principal has team && principal.team has level && principal.team.level > 1",
        "principal has team.level && principal.team.level > 1",
        'principal.hasTag("site") && principal.getTag("site") == "x"',
        "if principal has level then principal.level > 1 else false",
        "principal has level } when { principal.level > 1",
        '["rm"].contains(context.app.note)',
        'principal in [Role::"clinician"]',
    ],
)
def test_a_guarded_one_loads(make_bundle, clause):
    assert load(make_bundle, when(clause)).snapshot.policies[0].id == "it"


def test_a_sound_bundle_loads(make_bundle):
    assert len(load(make_bundle, SOUND).snapshot.policies) == 3
