"""From a folder to a snapshot: every check that can be made before a call, made once.

Owns the order of the load and the strict reading of ``[bundle]``, ``[resources]`` and
``[check]``. Collects every fault it can find before it refuses: whoever mends a bundle
wants to see all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator

from guardrail.documents import Section
from guardrail.errors import ConfigurationError, Fault, Place
from guardrail.policy.entities import read_entities
from guardrail.policy.folder import Folder
from guardrail.policy.language import Vocabulary, as_one_set, read_policies
from guardrail.policy.plan import Plan, make_plans
from guardrail.policy.schema import Schema, read_schema, validate
from guardrail.policy.snapshot import Snapshot
from guardrail.ports import FactSource
from guardrail.values import Entity


class BundleSettings(Section):
    """The ``[bundle]`` table."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$")]
    version: Annotated[str, Field(pattern=r"^[0-9A-Za-z][0-9A-Za-z.+-]{0,63}$")]
    timezone: str = "UTC"

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ValueError, OSError, KeyError):
            known = False
        else:
            known = True
        if not known:
            raise ValueError("expected a time zone of the IANA database, such as Europe/Berlin")
        return value


class ResourceSettings(Section):
    """The ``[resources]`` table."""

    unknown: Literal["deny"] = "deny"


class CheckSettings(Section):
    """The ``[check]`` table. Every finding of this version is an error: none can be accepted."""

    allow: list[str] = Field(default=[])

    @field_validator("allow")
    @classmethod
    def _nothing_yet(cls, value: list[str]) -> list[str]:
        if value:
            raise ValueError("accepting findings is not built yet, and errors never can be")
        return value


def load_snapshot(
    folder: Folder,
    *,
    bundle: BundleSettings,
    vocabulary: Vocabulary,
    sources: Sequence[FactSource],
) -> Snapshot:
    """Return the snapshot of a folder, or raise `ConfigurationError` with all faults."""
    policies, faults = read_policies(folder.named(".cedar"), vocabulary)
    schema, schema_faults = _read_one_schema(folder)
    faults += schema_faults
    if schema is None:
        raise ConfigurationError(faults=tuple(faults))
    store, entity_faults = read_entities(folder.files, schema)
    faults += entity_faults
    invalid = validate(policies, schema)
    faults += invalid
    plans: dict[Entity, Plan] = {}
    if not invalid:
        plans, plan_faults = make_plans(policies, schema, vocabulary, sources)
        faults += plan_faults
    if faults or store is None:
        raise ConfigurationError(faults=tuple(faults))
    return Snapshot(
        name=bundle.name,
        version=bundle.version,
        revision=folder.revision,
        policies=policies,
        one_set=as_one_set(policies),
        schema=schema,
        store=store,
        plans=plans,
        obligations=vocabulary.obligations,
    )


def _read_one_schema(folder: Folder) -> tuple[Schema | None, list[Fault]]:
    found = list(folder.named(".cedarschema"))
    if [name for name, _ in found] != ["schema.cedarschema"]:
        message = "A bundle has exactly one schema, schema.cedarschema: policies are checked by it."
        return None, [Fault("GR010", Place("schema.cedarschema"), message)]
    try:
        return read_schema(*found[0]), []
    except ConfigurationError as error:
        return None, list(error.faults)
