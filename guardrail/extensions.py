"""What the author of a plug-in imports: the ports, their contexts and their base classes.

- a fact source: `FactSource`, `FactSourceBase`; ``Guard.from_dir(facts=[...])``
- an obligation: `ObligationType`, `ObligationBase`; ``obligations=[...]``
- a sink: `Sink`, `SinkBase`; ``sinks=[...]``
- an identity provider: `IdentityProvider`, `IdentityProviderBase`; ``providers=[...]``, or
  ``[extensions] providers`` of the bundle
- a kind of findings: `DetectorKind`; ``detectors=[...]``, or ``[detectors.NAME] plugin``
- a quota store: `QuotaStore`, `QuotaStoreBase`; ``quota_store=...``, or ``[extensions] stores``

A plug-in is one object. The protocol states what it must have; the base class of the same name has
the defaults, and documents the optional parts. ``docs/extending.md`` has an example of each;
`guardrail.testing.contracts` has a suite of tests for each.
"""

from guardrail._documents import Section
from guardrail._hooks import (
    ArgumentChange,
    AuthenticatorBase,
    Carrier,
    CarryingObligation,
    FactSourceBase,
    IdentityProviderBase,
    MutableObligation,
    ObligationBase,
    QuotaStoreBase,
    SinkBase,
    SpendingObligation,
    Stage,
    StreamingObligation,
    TextFilter,
)
from guardrail._ports import (
    Authenticator,
    BlockingStep,
    BundleSources,
    Clock,
    FactContext,
    FactSource,
    IdentityProvider,
    ObligationContext,
    ObligationNotMet,
    ObligationType,
    PrincipalIds,
    ProviderContext,
    QuotaCounters,
    QuotaHit,
    QuotaStore,
    QuotaStoreError,
    SettingsTable,
    Sink,
    SystemClock,
)
from guardrail.detectors import DetectorKind
from guardrail.errors import (
    ConfigurationError,
    Fault,
    Finding,
    NotAuthenticated,
    Place,
)
from guardrail.identity.attestation.evidence import Appraised
from guardrail.identity.attestation.formats import Reading
from guardrail.identity.settings import ProviderSettings
from guardrail.identity.tokens.verifier import KeysNeeded
from guardrail.obligations.quota.settings import QuotaStoreSettings
from guardrail.values import (
    Clause,
    Entity,
    Evidence,
    FactValue,
    Identity,
    Obligation,
    Path,
    Peer,
    Principal,
    Record,
    RecordAnnotations,
    View,
)

__all__ = [
    "Appraised",
    "ArgumentChange",
    "Authenticator",
    "AuthenticatorBase",
    "BlockingStep",
    "BundleSources",
    "Carrier",
    "CarryingObligation",
    "Clause",
    "Clock",
    "ConfigurationError",
    "DetectorKind",
    "Entity",
    "Evidence",
    "FactContext",
    "FactSource",
    "FactSourceBase",
    "FactValue",
    "Fault",
    "Finding",
    "Identity",
    "IdentityProvider",
    "IdentityProviderBase",
    "KeysNeeded",
    "MutableObligation",
    "NotAuthenticated",
    "Obligation",
    "ObligationBase",
    "ObligationContext",
    "ObligationNotMet",
    "ObligationType",
    "Path",
    "Peer",
    "Place",
    "Principal",
    "PrincipalIds",
    "ProviderContext",
    "ProviderSettings",
    "QuotaCounters",
    "QuotaHit",
    "QuotaStore",
    "QuotaStoreBase",
    "QuotaStoreError",
    "QuotaStoreSettings",
    "Reading",
    "Record",
    "RecordAnnotations",
    "Section",
    "SettingsTable",
    "Sink",
    "SinkBase",
    "SpendingObligation",
    "Stage",
    "StreamingObligation",
    "SystemClock",
    "TextFilter",
    "View",
]
