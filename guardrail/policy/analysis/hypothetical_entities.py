"""Makes snapshots with changed attributes of entities, for tools that compare policies.

Entities are data, and change independently of the policies. Two versions of a policy may differ
only for a value that no entity has today. No call runs this.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from guardrail.policy.engine.read_sets import access_of
from guardrail.policy.engine.snapshot import Snapshot
from guardrail.policy.schema.entities import EntityStore, Entry
from guardrail.policy.schema.to_cedar import BadFact, to_cedar

#: The value of an attribute that is absent.
ABSENT: Final = object()


@dataclass(frozen=True, slots=True)
class HypotheticalAttribute:
    """The assumption that all entities of a type have one value of an attribute, or lack it.

    ``json`` is the value in Cedar's JSON; ``None`` if the attribute is absent.
    """

    type: str
    name: str
    value: Any
    json: Any

    def __str__(self) -> str:
        if self.json is None:
            return f"every {self.type} were without {self.name}"
        return f"every {self.type} had {self.name} {self.value}"


def hypothetical_attribute(
    kind: str, name: str, value: Any, expected: Any
) -> HypotheticalAttribute | None:
    """Return the assumption of a value; ``None`` if the type does not have this value."""
    if value is ABSENT:
        return HypotheticalAttribute(kind, name, None, None)
    try:
        return HypotheticalAttribute(kind, name, value, to_cedar(value, expected, name))
    except BadFact:
        return None


def with_hypothetical_attribute(snapshot: Snapshot, what: HypotheticalAttribute) -> Snapshot:
    """Return the snapshot with a changed attribute."""
    store = snapshot.store
    entries: dict[Any, Entry] = {}
    for entity in store:
        entry = store.entry(entity)
        if entry is None:
            continue
        if entity.type == what.type:
            attrs = {name: value for name, value in entry.attrs.items() if name != what.name}
            if what.json is not None:
                attrs[what.name] = what.json
            entry = Entry(attrs, entry.parents, entry.tags)
        entries[entity] = entry
    return Snapshot(
        name=snapshot.name,
        version=snapshot.version,
        revision=snapshot.revision,
        policies=snapshot.policies,
        accesses={policy.key: access_of(policy) for policy in snapshot.policies},
        schema=snapshot.schema,
        store=EntityStore(snapshot.schema, entries),
        plans=snapshot.plans,
        obligations=snapshot.obligations,
        allow_unknown_resources=snapshot._allow_unknown_resources,
    )
