"""Loads a folder into snapshots, with all checks that are possible before a call.

The tables ``[bundle]``, ``[resources]`` and ``[check]`` are read strictly. A load collects all
faults that it can find and raises them together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator

from guardrail._documents import Section
from guardrail._faults import faults_of
from guardrail._ports import FactSource
from guardrail._schema_hints import of
from guardrail._timezones import find_zone
from guardrail.errors import FINDINGS, ConfigurationError, Fault, Place
from guardrail.policy.engine.plan import Plan, make_plans
from guardrail.policy.engine.read_sets import Access, access_of
from guardrail.policy.engine.snapshot import Snapshot
from guardrail.policy.schema.entities import read_entities
from guardrail.policy.schema.schema import Schema, read_schema
from guardrail.policy.source.folder import Folder
from guardrail.policy.source.links import read_links
from guardrail.policy.source.parser import ParsedPolicies, Policy, Vocabulary, read_policies
from guardrail.policy.source.templates import fill, unfit, unlinked
from guardrail.policy.source.validation import validate
from guardrail.values import Entity


class BundleSettings(Section):
    """The ``[bundle]`` table.

    Attributes:
        name: the name of the bundle in records and in the keys of its quotas' counters.
        version: its version, such as 1.0.0.
        timezone: the time zone of the facts of time: a name of the IANA database, such as
            Europe/Berlin. The package `tzdata` has its rules; names that only a machine has,
            such as ``localtime``, are errors.
    """

    expected: ClassVar[Mapping[str, str]] = {
        "name": 'a text of letters, digits, "_", "." and "-", in quotes, such as "hospital"',
        "version": 'a text of letters, digits, ".", "+" and "-", in quotes, such as "0.1"',
    }

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$")]
    version: Annotated[str, Field(pattern=r"^[0-9A-Za-z][0-9A-Za-z.+-]{0,63}$")]
    timezone: str = "UTC"

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            find_zone(value)
        except LookupError:
            known = False
        else:
            known = True
        if not known:
            raise ValueError(
                "expected a name of the IANA database of time zones, such as Europe/Berlin"
            )
        return value


class ResourceSettings(Section):
    """The ``[resources]`` table.

    Attributes:
        unknown: ``allow`` lets calls name resources that are not entities of the bundle.
    """

    unknown: Literal["deny", "allow"] = "deny"


class CheckSettings(Section):
    """The ``[check]`` table.

    Attributes:
        allow: codes of findings of ``guardrail check`` that the bundle's author accepts.
    """

    hints = (of("allow", {"items": {"enum": sorted(FINDINGS)}}),)

    allow: list[str] = Field(default=[])

    @field_validator("allow")
    @classmethod
    def _findings_only(cls, value: list[str]) -> list[str]:
        if not FINDINGS.issuperset(value):
            raise ValueError(
                "expected codes of findings, such as GR508. Errors, which keep a bundle from "
                "loading, can't be accepted"
            )
        return value


def load_snapshots(
    folder: Folder,
    *,
    bundle: BundleSettings,
    vocabulary: Vocabulary,
    sources: Sequence[FactSource],
    resources: ResourceSettings | None = None,
) -> tuple[Snapshot, Snapshot | None]:
    """Return the enforced snapshot of a folder and its shadow snapshot.

    The enforced snapshot leaves out the policies with ``@mode("shadow")``. The shadow snapshot has
    all policies, as if all were enforced; it is ``None`` if no policy has this annotation.

    Raises:
        ConfigurationError: with all faults, also those of shadow policies.
    """
    parsed = read_policies(folder.named(".cedar"), vocabulary)
    linked, link_faults = _read_linked(folder, parsed, vocabulary)
    faults = [*parsed.faults, *link_faults]
    schema, schema_faults = _read_one_schema(folder)
    faults += schema_faults
    if schema is None:
        raise ConfigurationError(faults=tuple(faults))
    store, entity_faults = read_entities(folder.files, schema)
    faults += entity_faults
    invalid = validate((*parsed.policies, *parsed.templates), schema) or unfit(linked, schema)
    faults += invalid
    policies = parsed.policies + linked
    live = tuple(policy for policy in policies if not policy.is_shadow)
    plans: dict[Entity, Plan] = {}
    live_plans: dict[Entity, Plan] = {}
    accesses = _read_accesses(policies)
    if not invalid:
        plans, plan_faults = make_plans(policies, accesses, schema, vocabulary, sources)
        faults += plan_faults
        live_plans = plans
        if len(live) < len(policies):
            live_plans, _ = make_plans(live, accesses, schema, vocabulary, sources)
    if faults or store is None:
        raise ConfigurationError(faults=tuple(faults))
    freeze = partial(
        Snapshot,
        name=bundle.name,
        version=bundle.version,
        revision=folder.revision,
        accesses=accesses,
        schema=schema,
        store=store,
        obligations=vocabulary.obligations,
        allow_unknown_resources=resources is not None and resources.unknown == "allow",
    )
    shadow = freeze(policies=policies, plans=plans) if len(live) < len(policies) else None
    return freeze(policies=live, plans=live_plans), shadow


def _read_linked(
    folder: Folder, parsed: ParsedPolicies, vocabulary: Vocabulary
) -> tuple[tuple[Policy, ...], list[Fault]]:
    """Return the policies that ``links.yaml`` makes from the templates."""
    links, faults = read_links(folder.files)
    linked, unfilled = fill(parsed, links, vocabulary)
    if not faults:  # otherwise the missing link may be the faulty one
        faults += unlinked(parsed.templates, links)
    return linked, faults + unfilled


def _read_accesses(policies: Sequence[Policy]) -> dict[str, Access]:
    """Return what each policy can read; the links of a template share one result."""
    accesses: dict[str, Access] = {}
    by_template: dict[str, Access] = {}
    for policy in policies:
        access = by_template.get(policy.template) if policy.template else None
        if access is None:
            access = access_of(policy)
            if policy.template:
                by_template[policy.template] = access
        accesses[policy.key] = access
    return accesses


def _read_one_schema(folder: Folder) -> tuple[Schema | None, list[Fault]]:
    schemas = list(folder.named(".cedarschema"))
    if [name for name, _ in schemas] != ["schema.cedarschema"]:
        message = "A bundle needs exactly one schema, schema.cedarschema. Add it, or remove others."
        return None, [Fault("GR010", Place("schema.cedarschema"), message)]
    try:
        return read_schema(*schemas[0]), []
    except ConfigurationError as error:
        return None, list(faults_of(error, Place(schemas[0][0])))
