"""Client certificates: the caller is the holder of a certificate's key (mutual TLS).

This module defines the table ``[identity.NAME]`` of type ``mtls``, and turns the chain that a TLS
server received into an identity. A chain that does not lead to one of the bundle's own roots is
denied, and so is a certificate with no name of the configured kind, or with two. The TLS handshake
proves that the peer holds the key; only chains from a handshake may be passed here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import Field, StringConstraints, model_validator

from guardrail._documents import Section
from guardrail._schema_hints import given, holds, of, when
from guardrail.errors import ConfigurationError, NotAuthenticated, Place
from guardrail.identity.certificates.spiffe import TRUST_DOMAIN, read_spiffe_id
from guardrail.identity.certificates.x509_path import (
    bad_certificate,
    broken_rule,
    lifetime,
    only_name,
    parse_certificate,
    parse_chain,
    parse_or_deny,
    read_roots,
    serial,
    verified_path,
)
from guardrail.identity.field_types import IdPrefixText, Text, TypeName
from guardrail.identity.groups import known_parents
from guardrail.identity.id_prefixes import IdPrefix
from guardrail.identity.settings import ONE_PREFIX, UnknownParents, one_prefix
from guardrail.identity.tokens.claim_mapping import EntityExists
from guardrail.values import Entity, Frozen, Identity, Peer, Principal

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

#: The longest subject, in characters.
_LIMIT_SUBJECT: Final = 2048
_DNS: Final = re.compile(r"(?=.{1,253}\Z)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")
_LOCAL_PART: Final = re.compile(r"[!-?A-~]{1,64}")


class Holder(Section):
    """The holder of a certificate: ``{ type = "Workload", in.Role = ["batch"] }``.

    Attributes:
        type: the entity type of the holders.
        id_prefix: the prefix of the ids of the holders, before a ``#``. It can be in the provider's
            own table instead.
        parents: ids per entity type; every holder is in all of them. Written ``in``.
    """

    type: TypeName
    id_prefix: IdPrefixText = ""
    parents: dict[TypeName, list[Text]] = Field(default_factory=dict, alias="in")


class MtlsSettings(Section):
    """A provider of type ``mtls``.

    Attributes:
        type: ``mtls``: callers present a client certificate.
        ca_file: the file of the bundle with the trusted roots, as PEM.
        unsafe_trust_server: the TLS server has verified the chain. Only then may ``ca_file`` be
            left out; with ``ca_file``, the chain is verified all the same.
        trust_domain: the required trust domain of SPIFFE IDs; without it, any that the roots sign.
        id: what names the principal: its SPIFFE ID, the certificate's subject (RFC 4514), or the
            only DNS name or email address among its alternative names.
        id_prefix: the prefix of the ids of its principals, before a ``#``. If there are several
            providers, all but one must have a prefix.
        principal: the entity type, and the parents of all holders.
        unknown_parents: what happens to parents that the bundle does not have: ``deny`` denies the
            caller, ``drop`` leaves them out.
    """

    hints = (
        {"anyOf": [given("ca_file"), holds("unsafe_trust_server", True)]},
        when(given("trust_domain"), of("id", {"const": "spiffe"})),
        ONE_PREFIX,
    )

    type: Literal["mtls"]
    ca_file: Text | None = None
    unsafe_trust_server: bool = False
    trust_domain: Annotated[str, StringConstraints(pattern=f"^{TRUST_DOMAIN}$")] | None = None
    id: Literal["spiffe", "subject", "dns", "email"] = "spiffe"
    id_prefix: IdPrefixText = ""
    principal: Holder
    unknown_parents: UnknownParents = "deny"

    @model_validator(mode="after")
    def _trusts_somebody(self) -> MtlsSettings:
        if self.ca_file is None and not self.unsafe_trust_server:
            raise ValueError("give `ca_file`, a file of the bundle with the trusted roots")
        if self.trust_domain is not None and self.id != "spiffe":
            raise ValueError(
                '`trust_domain` is only for SPIFFE IDs. Set `id = "spiffe"`, or remove it'
            )
        one_prefix(self, self.principal)
        return self


class Certificates:
    """Turns client certificates into identities.

    Arguments:
        name: the name of the provider's table.
        settings: the provider's settings.
        roots: the contents of ``ca_file``; ``None`` if the settings name none.
        prefix: the prefix of the ids of principals: ``""`` or ``"PREFIX#"``.
        others: the prefixes of the bundle's other providers: no id without a prefix begins with
            one.
        place: the place of the table, for errors.

    Raises:
        ConfigurationError: ``GR400``, for roots that are absent or can verify nothing.
    """

    __slots__ = (
        "_parents",
        "_prefix",
        "_roots",
        "_settings",
        "entity_types",
        "issuer",
        "name",
        "parent_types",
        "principal_types",
    )

    name: str
    #: The trust domain; if none is configured, the name of the table.
    issuer: str
    #: The entity types of principals and parents, each with the place of the table.
    entity_types: Mapping[str, Place]
    #: The entity type of principals, and those of their parents.
    principal_types: frozenset[str]
    parent_types: frozenset[str]

    def __init__(
        self,
        *,
        name: str,
        settings: MtlsSettings,
        roots: bytes | None,
        prefix: str,
        place: Place,
        others: tuple[str, ...] = (),
    ) -> None:
        is_missing = settings.ca_file is not None or not settings.unsafe_trust_server
        complaint = "`ca_file` must name a file of the bundle, outside tests/, by its path."
        self._roots = None
        if roots is not None:
            self._roots, complaint = read_roots(roots)
            is_missing = bool(complaint)
        if is_missing:
            raise ConfigurationError.at(place, "GR400", complaint)
        holder = settings.principal
        self.name = name
        self.issuer = settings.trust_domain or name
        self.entity_types = Frozen(dict.fromkeys((holder.type, *holder.parents), place))
        self.principal_types = frozenset((holder.type,))
        self.parent_types = frozenset(holder.parents)
        self._settings = settings
        self._prefix = IdPrefix(prefix, others)
        parents = [Entity(kind, each) for kind, ids in holder.parents.items() for each in ids]
        self._parents = tuple(dict.fromkeys(parents))

    def accepts(self, token: str) -> bool:  # noqa: ARG002
        """Return false: a certificate is no token."""
        return False

    def authenticate(self, chain: Sequence[bytes], now: float, *, knows: EntityExists) -> Identity:
        """Return the identity of the holder of the first certificate in a chain.

        It is valid until the first certificate of the verified path expires. Its ``token_id``,
        which a revocation names, is the serial number: see `x509_path.serial`.

        Arguments:
            chain: certificates, each as DER or PEM: the holder's, then intermediates; 1 to 8 of at
                most 16,384 bytes each.
            now: seconds since the epoch, by the injected clock; NaN counts as expired.
            knows: returns whether an entity exists in the bundle; called for each parent.

        Raises:
            NotAuthenticated: ``bad_certificate``, ``certificate_expired``, ``wrong_trust_domain``
                or ``unknown_entity``; ``malformed_token`` for an id with another provider's prefix.
        """
        settings = self._settings
        leaf, *above = parse_chain(chain)
        if broken := parse_or_deny(lambda: broken_rule(leaf, is_svid=settings.id == "spiffe")):
            raise bad_certificate(broken)
        since, until = parse_or_deny(lambda: lifetime(leaf))
        if not now < until:
            raise NotAuthenticated(
                "The client's certificate has expired. Connect with a new one.",
                code="certificate_expired",
            )
        if not now >= since:
            raise bad_certificate("The client's certificate is not valid yet. Check the clocks.")
        if self._roots is not None:
            path = verified_path(self._roots, leaf, above, now)
            until = min(lifetime(each).until for each in path)
        holder = parse_or_deny(lambda: self._holder(leaf))
        peer = _peer(leaf)
        parents = known_parents(
            self._parents, knows=knows, unknown=settings.unknown_parents, source="certificate"
        )
        return Identity(
            Principal(settings.principal.type, self._prefix.id_of(holder), parents=parents),
            provider=self.name,
            issuer=self.issuer,
            method="mtls",
            expires_at=until,
            subject=holder,
            token_id=serial(leaf),
            issued_at=since,
            peer=peer,
        )

    def _holder(self, leaf: Certificate) -> str:
        """Return the name of the holder, or deny."""
        from cryptography import x509

        kind = self._settings.id
        if kind == "spiffe":
            return self._workload(only_name(leaf, x509.UniformResourceIdentifier) or "")
        if kind == "subject":
            subject = _subject(leaf)
            if 0 < len(subject) <= _LIMIT_SUBJECT:
                return subject
            raise bad_certificate(
                "The client's certificate has no subject, or one that is too long."
            )
        if kind == "dns":
            name = (
                only_name(leaf, x509.DNSName) or ""
            ).lower()  # RFC 4343: names are case-insensitive
            if _DNS.fullmatch(name):
                return name
            raise bad_certificate(
                "The client's certificate must have exactly one DNS name, without a wildcard."
            )
        local, _, domain = (only_name(leaf, x509.RFC822Name) or "").partition("@")
        if _LOCAL_PART.fullmatch(local) and _DNS.fullmatch(domain.lower()):
            return f"{local}@{domain.lower()}"
        raise bad_certificate("The client's certificate must have exactly one email address.")

    def _workload(self, uri: str) -> str:
        """Return the SPIFFE ID, which is the leaf's only URI (X.509-SVID §2), or deny."""
        workload = read_spiffe_id(uri)
        if workload is None:
            raise bad_certificate(
                "The client's certificate must have exactly one URI, its SPIFFE ID."
            )
        if self._settings.trust_domain not in (None, workload.trust_domain):
            raise NotAuthenticated(
                "The client's certificate is of another trust domain. Connect with one of the "
                "configured domain.",
                code="wrong_trust_domain",
            )
        return workload.text

    def __repr__(self) -> str:
        return f"<Certificates by {self._settings.id}>"


def peer_of(leaf: bytes, *, ip: str | None = None) -> Peer:
    """Return the facts about a connection from a client's certificate, without verifying it.

    Arguments:
        leaf: the certificate as DER or PEM, at most 16,384 bytes.
        ip: the peer's address, if known.

    Raises:
        NotAuthenticated: ``bad_certificate``, if it is not a certificate.
    """
    return _peer(parse_certificate(leaf), ip=ip)


def _subject(leaf: Certificate) -> str:
    return leaf.subject.rfc4514_string()


def _peer(leaf: Certificate, *, ip: str | None = None) -> Peer:
    from cryptography.hazmat.primitives.hashes import SHA256

    return Peer(
        ip=ip,
        certificate_subject=parse_or_deny(lambda: _subject(leaf)) or None,
        certificate_sha256=leaf.fingerprint(SHA256()).hex(),
    )
