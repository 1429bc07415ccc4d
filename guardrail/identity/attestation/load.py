"""Make the verifiers for the ``[evidence]`` tables of a bundle, once per bundle.

Each table names a format, built-in or an application's own, and gets the check of its signatures.
Two formats of one name are an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeAlias

from guardrail._documents import Document
from guardrail.errors import ConfigurationError
from guardrail.identity.attestation.evidence import (
    Appraiser,
    EvidenceTable,
    SignatureCheck,
    TokenAppraiser,
)
from guardrail.identity.attestation.formats import FORMATS, EvidenceFormat
from guardrail.identity.attestation.host import HostEvidence, RunInBackground, run_in_thread
from guardrail.identity.attestation.nonces import Challenges
from guardrail.identity.attestation.peer import PeerEvidence
from guardrail.identity.attestation.settings import TokenEvidenceSettings, read_evidence

#: Returns the signature check for a table's tokens. Its arguments are the table's settings and the
#: table, for the place of an error; raises `ConfigurationError`.
SignatureCheckFactory: TypeAlias = Callable[[TokenEvidenceSettings, Document], SignatureCheck]


class EvidenceVerifiers(NamedTuple):
    """The verifiers of evidence: of callers, and of this host if a table is about it."""

    peer: PeerEvidence
    host: HostEvidence | None

    def __repr__(self) -> str:
        return f"EvidenceVerifiers(peer={self.peer!r}, host={self.host!r})"


def read_evidence_verifiers(
    document: Document | None,
    *,
    challenges: Challenges,
    signature_check_for: SignatureCheckFactory,
    formats: Sequence[EvidenceFormat] = (),
    appraisers: Sequence[Appraiser] = (),
    run_in_background: RunInBackground = run_in_thread,
) -> EvidenceVerifiers:
    """Return the verifiers for the evidence that a bundle configures.

    Arguments:
        document: the ``[evidence]`` table; ``None`` if ``guardrail.toml`` has none.
        challenges: the issued nonces; they outlive a bundle.
        signature_check_for: returns the signature check of a table.
        formats: the application's own kinds of attestation tokens.
        appraisers: its own kinds of evidence that are not signed tokens.
        run_in_background: see `HostEvidence`.

    Raises:
        ConfigurationError: ``GR003`` for errors in the tables, and the errors of
            ``signature_check_for``.
    """
    tokens = {kind.name: kind for kind in (*FORMATS, *formats)}
    own = {appraiser.name: appraiser for appraiser in appraisers}
    _check_names([*FORMATS, *formats, *appraisers])
    tables: list[EvidenceTable] = []
    for name, settings in read_evidence(document, formats=tokens, own=own).items():
        appraiser = own.get(settings.format)
        if isinstance(settings, TokenEvidenceSettings) and document is not None:
            appraiser = TokenAppraiser(
                settings,
                format=tokens[settings.format],
                check_signature_of=signature_check_for(settings, document.below(name)),
            )
        if appraiser is not None:
            tables.append(EvidenceTable(name, settings, appraiser))
    hosts = [table for table in tables if table.settings.about == "host"]
    peers = [table for table in tables if table.settings.about == "peer"]
    return EvidenceVerifiers(
        PeerEvidence(peers, challenges=challenges),
        HostEvidence(hosts[0], run_in_background=run_in_background) if hosts else None,
    )


def _check_names(kinds: Iterable[EvidenceFormat | Appraiser]) -> None:
    seen: set[str] = set()
    for kind in kinds:
        if kind.name in seen:
            raise ConfigurationError(f"Two formats of evidence are called {kind.name}. Rename one.")
        seen.add(kind.name)
