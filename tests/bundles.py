"""A small bundle, in parts, that many tests vary."""

from typing import Any

from guardrail import Entity, Principal

SCHEMA = """
entity Role enum ["clinician", "analyst", "auditor"];
entity Team in [Team] { level: Long };
entity User in [Role, Team] { department: String, level?: Long, score?: decimal, team?: Team };
entity Model { purpose: String, owner?: User };
action read;
action predict, explain in [read] appliesTo {
  principal: [User], resource: [Model],
  context: {
    input: guardrail::TensorInput, identity: guardrail::IdentityFacts, time: guardrail::TimeFacts,
    app: {
      purpose?: String, score?: decimal, count?: Long, flag?: Bool, tags?: Set<String>,
      at?: datetime, span?: duration, ip?: ipaddr, owner?: User, note?: { text: String },
    },
  },
};
action summarize appliesTo {
  principal: [User], resource: [Model],
  context: { input: guardrail::RecordInput, app: { purpose?: String } },
};
"""
ENTITIES = [
    {"uid": {"type": "Model", "id": "tumour"}, "attrs": {"purpose": "care"}, "parents": []},
    {"uid": {"type": "Model", "id": "old"}, "attrs": {"purpose": "retired"}, "parents": []},
    {"uid": {"type": "Team", "id": "heart"}, "attrs": {"level": 3}, "parents": []},
    {
        "uid": {"type": "User", "id": "carl"},
        "attrs": {"department": "care"},
        "parents": [{"type": "Role", "id": "clinician"}],
    },
]
GRANT = '@id("grant") permit (principal, action, resource);\n'
PATIENTS = """\
kind: tensor
dtype: [float32, float64]
shape: [1..100, 3]
finite: true
columns:
  - {names: "0..2", min: 0, max: 10}
"""


def principal(role: str = "clinician", name: str = "clara", **attrs: Any) -> Principal:
    return Principal(
        "User", name, parents=[Entity("Role", role)], attrs={"department": "care", **attrs}
    )
