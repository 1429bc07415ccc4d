"""The ``[evidence]`` tables of a bundle, made ready.

Owns the way from settings to what verifies: which format each table names, ours or an
application's own, and what checks its signatures. Refuses two formats of one name. Built once
per bundle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeAlias

from guardrail._documents import Document
from guardrail.errors import ConfigurationError
from guardrail.identity.attestation.evidence import Appraiser, EvidenceTable, Opens, TokenAppraiser
from guardrail.identity.attestation.formats import FORMATS, EvidenceFormat
from guardrail.identity.attestation.host import Elsewhere, HostEvidence, beside
from guardrail.identity.attestation.nonces import Challenges
from guardrail.identity.attestation.peer import PeerEvidence
from guardrail.identity.attestation.settings import TokenEvidenceSettings, read_evidence

#: Returns what checks the signatures of a table's tokens. Gets the table's settings and the
#: table itself, for the place of a fault; raises `ConfigurationError`.
Opener: TypeAlias = Callable[[TokenEvidenceSettings, Document], Opens]


class Machines(NamedTuple):
    """What verifies evidence: of callers, and of this host where a table is about it."""

    peer: PeerEvidence
    host: HostEvidence | None

    def __repr__(self) -> str:
        return f"Machines(peer={self.peer!r}, host={self.host!r})"


def read_machines(
    document: Document | None,
    *,
    challenges: Challenges,
    opener: Opener,
    formats: Sequence[EvidenceFormat] = (),
    appraisers: Sequence[Appraiser] = (),
    elsewhere: Elsewhere = beside,
) -> Machines:
    """Return what verifies the evidence that a bundle configures.

    Arguments:
        document: the ``[evidence]`` table; ``None`` where ``guardrail.toml`` has none.
        challenges: the nonces that were given out; they outlive a bundle.
        opener: finds a table's keys.
        formats: the application's own kinds of attestation tokens.
        appraisers: its own kinds of evidence that are no signed token.
        elsewhere: see `HostEvidence`.

    Raises:
        ConfigurationError: ``GR003`` for what is wrong in the tables, and the opener's.
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
                opens=opener(settings, document.below(name)),
            )
        if appraiser is not None:
            tables.append(EvidenceTable(name, settings, appraiser))
    hosts = [table for table in tables if table.settings.about == "host"]
    peers = [table for table in tables if table.settings.about == "peer"]
    return Machines(
        PeerEvidence(peers, challenges=challenges),
        HostEvidence(hosts[0], elsewhere=elsewhere) if hosts else None,
    )


def _check_names(kinds: Iterable[EvidenceFormat | Appraiser]) -> None:
    seen: set[str] = set()
    for kind in kinds:
        if kind.name in seen:
            raise ConfigurationError(f"Two formats of evidence are called {kind.name}. Rename one.")
        seen.add(kind.name)
