"""Plain cedarpy over the world of `random_bundles`: a reference that shares only Cedar with us.

Entities are built with the schema, and facts are whole, not only those that are read.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import cedarpy
from bundles import SCHEMA
from random_bundles import CARL, WORLD, Request

from guardrail import Entity, Principal
from guardrail.policy.schema.schema import standard_facts

CEDAR_SCHEMA = cedarpy.Schema.from_str(standard_facts() + SCHEMA)


def as_cedar(value: Any, name: str = "") -> Any:
    """Write a fact or an attribute as Cedar's JSON, in the simplest way that is right."""
    match value:
        case Entity(type=kind, id=uid):
            return {"__entity": {"type": kind, "id": uid}}
        case float():
            return {"__extn": {"fn": "decimal", "arg": f"{value:.4f}"}}
        case datetime():
            return {"__extn": {"fn": "datetime", "arg": value.strftime("%Y-%m-%dT%H:%M:%SZ")}}
        case str() if name == "ip":
            return {"__extn": {"fn": "ip", "arg": value}}
        case dict():
            return {key: as_cedar(item, key) for key, item in value.items()}
    return value


def entities(principal: Principal) -> cedarpy.Entities:
    parents = [{"type": up.type, "id": up.id} for up in principal.parents]
    attrs = as_cedar(dict(principal.attrs))
    others = [item for item in WORLD if item is not CARL]
    if principal.id == "carl":
        me = {**CARL, "parents": [*CARL["parents"], *parents]}
    else:
        others.append(CARL)
        me = {"uid": {"type": "User", "id": principal.id}, "attrs": attrs, "parents": parents}
    return cedarpy.Entities.from_json_str(json.dumps([*others, me]), CEDAR_SCHEMA)


@dataclass(frozen=True)
class Result:
    decision: str
    named: frozenset[str]
    erred: frozenset[str]


class PlainSet:
    """A set of policies evaluated by cedarpy and nothing else."""

    def __init__(self, rules: list[tuple[str, str]]) -> None:
        self.ids = [name for name, _ in rules]
        self.handle = cedarpy.PolicySet.from_str("".join(text for _, text in rules))

    def ask(self, request: Request, world: cedarpy.Entities) -> Result:
        who, what = request.principal, request.resource
        answer = cedarpy.is_authorized(
            {
                "principal": {"type": who.type, "id": who.id},
                "action": {"type": "Action", "id": request.action},
                "resource": {"type": what.type, "id": what.id},
                "context": json.dumps(as_cedar({"app": {}, **request.facts})),
            },
            self.handle,
            world,
        )
        errors = [re.search(r"policy `policy(\d+)`", e)[1] for e in answer.diagnostics.errors]
        reasons = [name.removeprefix("policy") for name in answer.diagnostics.reasons]
        named, erred = (frozenset(self.ids[int(i)] for i in each) for each in (reasons, errors))
        return Result(answer.decision.value, named, erred)
