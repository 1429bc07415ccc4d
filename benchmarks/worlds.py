"""Bundles of any size, made for benchmarks: the same few policies among few or among many.

Owns `World`, the folder of a made bundle, with what cedarpy alone needs of it. Each policy
has its scope and conditions; the extra ones are filed under models, ten to each, as tenants'
grants are. Refuses nothing: whatever it makes must load.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

SETTINGS = """\
[bundle]
name = "world"
version = "1.0.0"
"""

SCHEMA = """\
entity Team in [Team] { members: Set<User> };
entity User in [Team] { department: String, level: Long, manager?: User };
entity Model { purpose: String, team: Team };
action predict appliesTo {
  principal: [User],
  resource: [Model],
  context: { input: guardrail::TensorInput, identity: guardrail::IdentityFacts },
};
"""

#: Three that decide access, and two conditions. The first grants; the second looks along the
#: chain of managers; the third looks into the set of members.
GRANTS = """\
@id("clinicians-may-score")
permit (principal in Team::"clinicians", action == Action::"predict", resource)
when { principal.department == "oncology" && context.input.rows <= 1000000000 };

@id("leads-may-score")
permit (principal, action == Action::"predict", resource)
when { principal has manager && principal.manager.level > 3 && context.input.rows < 0 };

@id("no-borrowed-identities")
forbid (principal, action, resource)
when { context.identity.delegated || resource.team.members.contains(principal) };
"""

CONDITIONS = """\
@id("fair-use") @quota("1000000/second per principal")
forbid (principal, action == Action::"predict", resource)
unless { principal in Team::"auditors" };

@id("coarse-scores") @round("2")
forbid (principal, action == Action::"predict", resource);
"""

#: What stands in the schema of every bundle before its own.
STANDARD = (files("guardrail.policy.schema") / "standard.cedarschema").read_text("utf-8")


@dataclass(frozen=True, slots=True)
class World:
    """A made bundle.

    Attributes:
        folder: where it stands.
        models: how many models it has, ``m0`` and on.
        chain: how long the chain of managers is that begins at the user ``lead``.
        crowd: how many further users it has.
        policies: all policies as one text, the conditions as they stand.
    """

    folder: Path
    models: int
    chain: int
    crowd: int
    policies: str

    @property
    def schema(self) -> str:
        """The whole schema, as any Cedar tool reads it."""
        return f"{STANDARD}\n{SCHEMA}"

    @property
    def entities(self) -> str:
        """The entities in Cedar's JSON."""
        return (self.folder / "entities.json").read_text("utf-8")


def make_world(
    folder: Path,
    *,
    models: int = 5,
    per_model: int = 0,
    crowd: int = 0,
    members: int = 0,
    chain: int = 3,
) -> World:
    """Write a bundle into an empty folder and return what was made.

    Arguments:
        folder: made where it does not exist.
        models: how many models there are; each policy of a model names it in its scope.
        per_model: policies that each model has beside the common five.
        crowd: users beside the chain of managers.
        members: how many of the crowd the team of every model has as members.
        chain: how many managers stand above one another.
    """
    folder.mkdir(parents=True, exist_ok=True)
    extra = "".join(_policies_of(number, per_model) for number in range(models))
    entities = list(_entities(models, crowd, members, chain))
    written = {
        "guardrail.toml": SETTINGS,
        "schema.cedarschema": SCHEMA,
        "grants.cedar": GRANTS,
        "conditions.cedar": CONDITIONS,
        "entities.json": json.dumps(entities),
    }
    if extra:
        written["models.cedar"] = extra
    for name, text in written.items():
        (folder / name).write_text(text, "utf-8")
    return World(folder, models, chain, crowd, GRANTS + CONDITIONS + extra)


def _policies_of(model: int, count: int) -> str:
    """Return a model's own policies: two for everybody, the others for one team each."""
    parts = []
    for number in range(count):
        effect = "permit" if number % 2 else "forbid"
        who = "principal is User" if number < 2 else f'principal in Team::"t{number}"'
        parts.append(
            f'@id("m{model}-{number}")\n'
            f'{effect} ({who}, action == Action::"predict", resource == Model::"m{model}")\n'
            f'when {{ principal.department == "d{number}" && context.input.rows > {number} }};\n\n'
        )
    return "".join(parts)


def _entities(models: int, crowd: int, members: int, chain: int) -> Iterator[object]:
    def uid(kind: str, name: str) -> dict[str, str]:
        return {"type": kind, "id": name}

    def ref(kind: str, name: str) -> dict[str, dict[str, str]]:
        return {"__entity": uid(kind, name)}

    def entity(kind: str, name: str, parents: list[dict[str, str]], **attrs: object) -> object:
        return {"uid": uid(kind, name), "attrs": attrs, "parents": parents}

    common = ["hospital", "clinicians", "auditors"]
    for name in (*common, "t1"):
        up = [uid("Team", "hospital")] if name != "hospital" else []
        yield entity("Team", name, up, members=[])
    yield entity("Team", "crowd", [], members=[ref("User", f"c{n}") for n in range(members)])
    for number in range(models):
        yield entity("Model", f"m{number}", [], purpose="scoring", team=ref("Team", "crowd"))
    for number in range(chain):
        name = "lead" if number == 0 else f"lead{number}"
        above = {"manager": ref("User", f"lead{number + 1}")} if number + 1 < chain else {}
        team = uid("Team", "clinicians")
        yield entity("User", name, [team], department="oncology", level=5, **above)
    for number in range(crowd):
        attrs = {"department": "oncology", "level": number % 7, "manager": ref("User", "lead")}
        yield entity("User", f"c{number}", [uid("Team", "clinicians")], **attrs)
