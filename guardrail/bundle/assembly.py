"""Loads a bundle's folder into everything that a guard needs.

The packages below never import each other; this module connects them. It passes each table of
``guardrail.toml`` to its package, the names of obligations to the policies, the input specs to the
obligations, and the time zone to the facts. An unknown table is an error. Everything is read and
checked once, and all faults that can be found are reported together.
"""

from __future__ import annotations

import math
import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from guardrail import _core, facts, obligations
from guardrail._documents import Document, Section, read_json, read_toml, read_yaml
from guardrail._faults import Faults
from guardrail._hooks import in_order, keys_of, plain_of, prepare
from guardrail._nearest import did_you_mean, nearest
from guardrail._plugins import at_load, check_object, check_obligation, texts_of, without_exits
from guardrail._ports import (
    Clock,
    FactSource,
    IdentityProvider,
    ObligationType,
    QuotaStore,
    RecordSink,
    Runtime,
    Sink,
)
from guardrail._type_names import type_name
from guardrail.audit import (
    AuditSettings,
    FailedAuthentications,
    FanOut,
    Journal,
    Pseudonyms,
    open_journal,
    open_sinks,
    read_audit,
)
from guardrail.bundle.named_extensions import NamedExtensions, read_extensions
from guardrail.errors import ConfigurationError, Denied, Fault, Place
from guardrail.facts import Bounds, Viewer
from guardrail.identity import (
    ActingAs,
    Challenges,
    Credentials,
    CurrentIdentity,
    EvidenceVerifiers,
    Identification,
    Providers,
    Revocations,
    Sources,
    evidence_opener,
    origin_of,
    read_evidence_verifiers,
    read_providers,
    resolve_or_defer,
)
from guardrail.obligations import StorageHandle
from guardrail.policy import (
    BundleSettings,
    CheckSettings,
    Folder,
    ResourceSettings,
    Shadow,
    Snapshot,
    Vocabulary,
    load_snapshots,
    read_folder,
    read_uid,
)
from guardrail.policy.engine.read_sets import read_of_callers
from guardrail.values import Auto, Identity, Peer, Principal, vouched_for

if TYPE_CHECKING:
    from pydantic import BaseModel

    from guardrail.detectors import DetectorKind

S = TypeVar("S", bound=Section)
T = TypeVar("T")

_TABLES: Final = (
    "bundle", "identity", "evidence", "bounds", "quota", "audit", "resources", "check",
    "detectors", "extensions",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Bundle:
    """A loaded bundle: the snapshot that decides, and the settings of the other packages.

    ``storage`` has the counters of quotas, and ``challenges`` the issued nonces; a reload passes
    both on. ``plain_facts`` are the paths of facts whose texts contain nothing from a caller.
    ``clock`` is the injected clock. ``shadow`` is the snapshot that is evaluated but not enforced:
    all policies of the bundle if some have ``@mode("shadow")``, or those of a second bundle
    (`guardrail.bundle.reload`). ``keys`` are the keys of inputs that the specs name; paths in
    messages show no others. ``own_kinds`` are the application's own kinds of identity providers.
    """

    snapshot: Snapshot
    providers: Providers
    machines: EvidenceVerifiers
    challenges: Challenges
    bounds: Bounds
    audit: AuditSettings
    storage: StorageHandle
    clock: Clock
    plain_facts: frozenset[str] = frozenset()
    shadow: Snapshot | None = None
    keys: frozenset[str] = frozenset()
    own_kinds: tuple[IdentityProvider, ...] = ()


class BundleRuntime(Runtime):
    """The runtime of one bundle: what its calls need, and the bundle for everything else."""

    __slots__ = ("_identification", "bundle", "group", "refusals", "revocations")

    read_uid = staticmethod(read_uid)

    def __init__(
        self,
        bundle: Bundle,
        *,
        sink: RecordSink,
        clock: Clock,
        new_id: Callable[[], str],
        revocations: Revocations,
        group: object,
        refusals: FailedAuthentications,
        journal: Journal | None = None,
    ) -> None:
        super().__init__(
            snapshot=bundle.snapshot,
            identify=CurrentIdentity(group, inherits=bundle.providers.inherits).current,
            take_view=Viewer(bundle.bounds, bundle.keys).take,
            sink=sink,
            clock=clock,
            new_id=new_id,
            backend=_core.BACKEND,
            digest_of=facts.digest_of,
            naming=None if journal is None else _names(bundle, journal),
            shadow=None if bundle.shadow is None else Shadow(bundle.shadow, bundle.snapshot),
        )
        self.bundle = bundle
        self.group = group
        self.revocations = revocations
        self.refusals = refusals
        self._identification = Identification(
            bundle.providers, bundle.machines, revocations, bundle.snapshot.store.knows
        )

    def act_under(self, credentials: Credentials) -> ActingAs:
        """Return the scope of the identity that credentials prove; raises `NotAuthenticated`."""

        def identify() -> Identity:
            return self._identification.identify(credentials, self.now())

        identity = resolve_or_defer(identify, partial(self.note, credentials.origin))
        return ActingAs(identity, self.revocations, since=self.now(), group=self.group)

    def act_as(
        self, principal: Principal, peer: Peer | None, attestation: str | bytes | None
    ) -> ActingAs:
        """Return the scope of a principal that the application vouches for."""
        vouched = vouched_for(principal, peer=peer)
        since = -math.inf if vouched.expires_at is None else self.now()
        if attestation is None:
            return ActingAs(vouched, group=self.group, since=since)

        def identify() -> Identity:
            evidence = self._identification.verify_attestation(attestation, self.now())
            return replace(vouched, evidence=evidence)

        identity = resolve_or_defer(identify, partial(self.note, origin_of(peer)))
        return ActingAs(identity, group=self.group, since=since)

    def note(self, origin: str, denial: Denied) -> None:
        """Record a failed authentication: see `FailedAuthentications.note`."""
        self.refusals.note(denial, origin, self)


def _names(bundle: Bundle, journal: Journal) -> Pseudonyms:
    audit, plans = bundle.audit, bundle.snapshot.plans
    return Pseudonyms(
        journal.keys,
        principal=audit.principal,
        facts=audit.paths,
        reads={
            action: {source.namespace: names for source, names in plan.wants}
            for action, plan in plans.items()
        },
        plain=bundle.plain_facts | audit.plain,
        knows=bundle.snapshot.store.knows,
        digests=frozenset(audit.digests),
        digest_of=facts.digest_of,
        take_view=Viewer(bundle.bounds).take,
    )


def open_trail(
    bundle: Bundle,
    *,
    sinks: Sequence[Sink] | None,
    tracer_provider: Any,
    clock: Clock,
    journal: Path | Auto | None,
) -> tuple[FanOut, Journal | None]:
    """Return the fan-out of a guard's sinks, and its journal.

    Arguments:
        bundle: the bundle, whose ``[audit]`` table configures the sinks.
        sinks: the application's own sinks, instead of the one that makes spans.
        tracer_provider: for spans.
        clock: the injected clock.
        journal: the folder of the journal; `AUTO`: as in the table; ``None``: no journal.
    """
    opened: Journal | None = None
    if journal is not None:
        folder = None if isinstance(journal, Auto) else journal
        name = bundle.snapshot.name
        opened = open_journal(bundle.audit, guard=name, clock=clock, folder=folder)
    if sinks is None:
        return FanOut(open_sinks(bundle.audit, opened, tracer_provider=tracer_provider)), opened
    return FanOut((*sinks, opened) if opened is not None else tuple(sinks)), opened


@without_exits
def load_bundle(
    source: str | Path | Folder,
    *,
    clock: Clock,
    storage: StorageHandle | None = None,
    challenges: Challenges | None = None,
    own_facts: Sequence[FactSource] = (),
    own_obligations: Sequence[ObligationType] = (),
    own_models: Mapping[str, type[BaseModel]] | None = None,
    own_providers: Sequence[IdentityProvider] = (),
    own_quota_store: QuotaStore | None = None,
    own_detectors: Sequence[DetectorKind] = (),
    environ: Mapping[str, str] | None = None,
) -> Bundle:
    """Return the bundle of a folder; raise `ConfigurationError` with all faults.

    Arguments:
        source: the folder, or its files.
        clock: the injected clock.
        storage: the quota store to continue with, if ``[quota]`` has not changed.
        challenges: the nonces to continue with.
        own_facts: the application's own fact sources.
        own_obligations: its own obligation types.
        own_models: its own pydantic models, each an input spec of its name.
        own_providers: its own kinds of identity providers.
        own_quota_store: its own quota store.
        own_detectors: its own kinds of detector findings.
        environ: the environment for secrets that the bundle names; the process's by default.
    """
    folder = source if isinstance(source, Folder) else read_folder(Path(source))
    settings = read_toml("guardrail.toml", folder.files["guardrail.toml"])
    faults = Faults()
    for table in settings.data:
        if table not in _TABLES:
            hint = did_you_mean(table, _TABLES, f"The tables are: {', '.join(_TABLES)}.")
            message = f"[{table}] is not a table of this version. {hint}"
            faults.found.append(Fault("GR003", settings.at(table), message))
    if "bundle" not in settings.data:
        message = "[bundle] is required. Add it, with name and version."
        faults.found.append(Fault("GR003", settings.at(), message))
    faults.stop()
    environment = os.environ if environ is None else environ

    def of(name: str) -> Document | None:
        return settings.below(name) if name in settings.data else None

    bundle = faults.gather(lambda: settings.below("bundle").parse(BundleSettings))
    resources = faults.gather(lambda: _parse(of("resources"), ResourceSettings))
    faults.gather(lambda: _parse(of("check"), CheckSettings))
    bounds = faults.gather(lambda: _parse(of("bounds"), Bounds))
    detectors = _unique(
        "detector",
        faults.gather(lambda: facts.read_detectors(of("detectors"), own_detectors)) or (),
        "name",
    )
    audit = faults.gather(lambda: read_audit(of("audit")))
    named = _read_named(of("extensions"), faults)
    own_kinds = (*own_providers, *named.providers)
    providers = faults.gather(
        lambda: read_providers(
            of("identity"), files=folder.files, environ=environment, own=own_kinds
        )
    )
    given = challenges or Challenges(random=secrets.token_bytes)
    machines = faults.gather(
        lambda: read_evidence_verifiers(
            of("evidence"),
            challenges=given,
            signature_check_for=evidence_opener(Sources(folder.files, environment)),
        )
    )
    _check_own(own_obligations, own_facts)
    own_stores = (*named.stores, *(() if own_quota_store is None else (own_quota_store,)))
    store = faults.gather(
        lambda: at_load(
            lambda: _storage(of("quota"), clock, own_stores, storage), "Opening the quota store"
        )
    )
    specs = _read_specs(folder, "inputs", faults)
    facts.load_libraries(for_tables=_takes_tables(folder, specs))
    types = faults.gather(
        lambda: (
            *obligations.standard(
                specs_documents=specs,
                output_documents=_read_specs(folder, "outputs", faults),
                take_view=Viewer(bounds or Bounds()).take,
                limit_findings=(bounds or Bounds()).findings,
                detectors=detectors,
                bundle=bundle.name if bundle is not None else "",
                clock=clock,
                storage=store,
                models=own_models,
            ),
            *own_obligations,
        )
    )
    if bundle is None or types is None or store is None:
        faults.stop()
        raise ConfigurationError("The bundle could not be read.")
    zone = bundle.timezone
    sources = _unique(
        "fact source",
        (
            *facts.standard(
                timezone=zone,
                bounds=bounds or Bounds(),
                host=None if machines is None else machines.host,
                detectors=detectors,
            ),
            *own_facts,
        ),
        "namespace",
    )
    _unique("obligation", types, "name")
    loaded = faults.gather(
        lambda: load_snapshots(
            folder,
            bundle=bundle,
            vocabulary=Vocabulary(in_order(types), obligations.NOT_BUILT),
            sources=sources,
            resources=resources,
        )
    )
    snapshot, shadow = loaded if loaded is not None else (None, None)
    _prepare_sources(snapshot, shadow)
    if snapshot is not None and providers is not None:
        faults.found.extend(_unknown_types(providers, snapshot))
        faults.found.extend(_unknown_attributes(providers, snapshot))
    if snapshot is not None and audit is not None:
        faults.found.extend(_unfit_audit(audit, snapshot, settings, folder.path))
    faults.stop()
    if snapshot is None or providers is None or bounds is None or audit is None or machines is None:
        raise ConfigurationError("The bundle could not be read.")
    plain = frozenset(
        f"{source.namespace}.{name}" for source in sources for name in plain_of(source)
    )
    keys: frozenset[str] = frozenset().union(*[keys_of(kind) for kind in types])
    return Bundle(
        snapshot, providers, machines, given, bounds, audit, store, clock, plain, shadow, keys,
        own_kinds,
    )  # fmt: skip


def _read_named(document: Document | None, faults: Faults) -> NamedExtensions:
    """Return the plug-ins that the bundle names; raise all faults if one does not load.

    Without a plug-in, a correct table that uses it would be reported as a fault.
    """
    named = faults.gather(lambda: read_extensions(document))
    if named is None:
        faults.stop()
    return named or NamedExtensions()


def _check_own(obligations: Sequence[ObligationType], sources: Sequence[FactSource]) -> None:
    """Raise `ConfigurationError` if a plug-in of the application lacks a part."""
    for kind in obligations:
        check_obligation(kind)
    for source in sources:
        _check_source(source)


def _storage(
    document: Document | None,
    clock: Clock,
    own: Sequence[QuotaStore],
    held: StorageHandle | None,
) -> StorageHandle:
    """Return the configured quota store; the held one with its counters if it is the same."""
    for store in own:
        check_object(store, "quota store", texts=("name",), methods=("open",))
    opened = obligations.open_storage(document, clock, own)
    return held if held is not None and held.counts_as(opened) else opened


def _prepare_sources(*snapshots: Snapshot | None) -> None:
    """Let the fact sources prepare the facts that the policies of each action read."""
    for snapshot in snapshots:
        for plan in snapshot.plans.values() if snapshot is not None else ():
            for source, names in plan.wants:
                what = f"`prepare` of the fact source {source.namespace}"
                at_load(partial(prepare, source, names), what)


def _check_source(source: FactSource) -> None:
    """Raise `ConfigurationError` if a fact source of the application lacks a part."""
    check_object(source, "fact source", methods=("compute",))
    name: object = at_load(
        partial(getattr, source, "namespace", None), "`namespace` of the fact source"
    )
    for part in ("facts", "plain") if isinstance(name, str) else ():
        texts_of(source, part, f"the fact source {name}")


def _unknown_types(providers: Providers, snapshot: Snapshot) -> Iterator[Fault]:
    """Yield a fault for each entity type that a provider names and the schema lacks."""
    places = dict(providers.entity_types)
    for name, place in sorted(providers.tables_of_types.items()):
        places.setdefault(name, place)
    for name, place in places.items():
        if not snapshot.schema.declares(name):
            message = f"The schema has no entity type {name}. Correct the name, or declare it."
            yield Fault("GR003", place, message)


def _unknown_attributes(providers: Providers, snapshot: Snapshot) -> Iterator[Fault]:
    """Yield a fault for each attribute that a provider sets and the schema lacks."""
    from guardrail.policy.engine.request_names import RequestNames

    for kind, attr, place in providers.attributes:
        if snapshot.schema.declares(kind):
            for message in RequestNames(snapshot).unknown_attribute(kind, attr):
                yield Fault("GR003", place, message)


def _unfit_audit(
    audit: AuditSettings, snapshot: Snapshot, settings: Document, home: Path
) -> Iterator[Fault]:
    """Yield the faults of the ``[audit]`` table that depend on the rest of the bundle."""
    missing, read = _never_read(audit.paths, snapshot)
    for path in missing:
        place, _, name = path.removeprefix("context.").partition(".")
        place = nearest(place, [each.partition(".")[0] for each in read])
        names = [each.partition(".")[2] for each in read if each.startswith(f"{place}.")]
        near = nearest(name, names)
        hint = f"Did you mean {place}.{near}?" if near else "Remove it."
        message = f"No policy reads {path}, so it is never computed or recorded. {hint}"
        yield Fault("GR003", settings.at("audit", "facts"), message)
    if audit.journal and Path(audit.journal).resolve().is_relative_to(home.resolve()):
        message = "The journal is in the bundle's folder. Keep it elsewhere."
        yield Fault("GR003", settings.at("audit", "journal"), message)


def _never_read(paths: Sequence[str], snapshot: Snapshot) -> tuple[list[str], list[str]]:
    """Return the paths of facts and of the caller's attributes that no policy reads.

    The second list has the paths that policies read, if there are any of the first kind.
    """
    read: dict[str, set[str] | None] = {}
    for plan in snapshot.plans.values():
        for source, names in plan.wants:
            known = read.setdefault(source.namespace, set())
            if not names or known is None:
                read[source.namespace] = None  # all of it
            else:
                known |= names
    if any(path.startswith("principal.") for path in paths):
        read["principal"] = read_of_callers(snapshot)
    missing = []
    for path in paths:
        place, _, name = path.partition(".")
        known = read.get(place, set())
        if known is not None and name not in known:
            missing.append(path if place == "principal" else f"context.{path}")
    if not missing:
        return [], []
    read["principal"] = read_of_callers(snapshot)
    return missing, [f"{place}.{name}" for place in read for name in sorted(read[place] or ())]


def _takes_tables(folder: Folder, specs: Mapping[str, Document]) -> bool:
    """Whether the input of any action can be a table, by the schema and the specs."""
    if b"TableInput" in folder.files.get("schema.cedarschema", b""):
        return True
    return any(
        isinstance(spec.data, dict) and spec.data.get("kind") == "table" for spec in specs.values()
    )


def _parse(document: Document | None, model: type[S]) -> S:
    """Return a table as its model; the defaults if the file has no such table."""
    return model() if document is None else document.parse(model)


def _read_specs(folder: Folder, below: str, faults: Faults) -> dict[str, Document]:
    documents: dict[str, Document] = {}
    for suffix, read in ((".yaml", read_yaml), (".json", read_json)):
        for file, raw in folder.named(suffix, below=below):
            name = Path(file).stem
            if name in documents:
                message = (
                    f"{documents[name].file} defines a spec of the same name. Rename one of them."
                )
                faults.found.append(Fault("GR300", Place(file), message))
                continue
            document = faults.gather(partial(read, file, raw))
            if document is not None:
                documents[name] = document
    return documents


def _unique(what: str, items: tuple[T, ...], attribute: str) -> tuple[T, ...]:
    seen: set[str] = set()
    for item in items:
        name = at_load(partial(getattr, item, attribute, None), f"`{attribute}` of a {what}")
        if not isinstance(name, str):
            kind = type_name(item)
            raise ConfigurationError(f"The {what} {kind} has no `{attribute}`. Add it, as a str.")
        if name in seen:
            raise ConfigurationError(f"Two {what}s have the name {name}. Rename one.")
        seen.add(name)
    return items
