"""Name constraints on URIs and directory names, which `cryptography` does not evaluate.

A CA may be restricted to names (RFC 5280 §4.2.1.10), as SPIFFE restricts one to the URIs of a trust
domain. `cryptography` denies every path with such a CA, even if it permits the names. This module
evaluates these constraints, and the library checks everything else: it verifies a copy of the path
(see `x509_path`), which is identical but lacks these constraints and is signed with temporary keys.
This module also checks on the originals what the copy can't show: that each certificate is signed
by the one above, and with which algorithm.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from cryptography import x509

#: The relative distinguished names of a directory name, in the form for comparison.
_Rdns: TypeAlias = tuple[frozenset[tuple[str, str]], ...]

#: RFC 5280 requires a URI with a host name; one with a user, a port or an address does not match.
_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://([A-Za-z0-9._-]+)(?:[/?#].*)?")
_HOST: Final = re.compile(r"\.?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
_HASHES: Final = frozenset(("sha256", "sha384", "sha512"))


def has_own_constraints(path: Sequence[x509.Certificate]) -> bool:
    """Return whether a CA of a path has constraints that this module evaluates."""
    return any(_own_name_kinds(_constraints(each)) for each in path[1:])


def candidate_paths(
    leaf: x509.Certificate, above: Iterable[x509.Certificate], roots: Iterable[x509.Certificate]
) -> list[list[x509.Certificate]]:
    """Return each path from a leaf to a root, by the names alone.

    No two certificates in ``above`` have the same subject.
    """
    by_subject = {each.subject: each for each in above}
    trusted = list(roots)
    path, found = [leaf], []
    while len(path) <= len(by_subject) + 1:
        found += [[*path, root] for root in trusted if root.subject == path[-1].issuer]
        following = by_subject.get(path[-1].issuer)
        if following is None:
            break
        path.append(following)
    return found


def is_signed_by_issuers(path: Sequence[x509.Certificate]) -> bool:
    """Return whether each certificate of a path is signed by the next one, with a strong hash."""
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

    with suppress(ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        for certificate, issuer in pairwise(path):
            hashed = certificate.signature_hash_algorithm
            if hashed is None or hashed.name not in _HASHES:
                return False
            certificate.verify_directly_issued_by(issuer)
        return True
    return False


def are_satisfied(path: Sequence[x509.Certificate]) -> bool:
    """Return whether the names in a path satisfy this module's constraints of the CAs above."""
    for at in range(1, len(path)):
        constraints = _constraints(path[at])
        for kind in _own_name_kinds(constraints):
            permitted = [each.value for each in _of_kind(constraints.permitted_subtrees, kind)]
            excluded = [each.value for each in _of_kind(constraints.excluded_subtrees, kind)]
            for name in (name for below in path[:at] for name in _names(below, kind)):
                if any(_is_within(kind, name, each, unsure=True) for each in excluded):
                    return False
                is_permitted = any(_is_within(kind, name, each, unsure=False) for each in permitted)
                if permitted and not is_permitted:
                    return False
    return True


def reissue_without_own(path: Sequence[x509.Certificate]) -> list[x509.Certificate]:
    """Return a copy of a path with other keys and without this module's constraints."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in path]
    made = []
    for at, (certificate, key) in enumerate(zip(path, keys, strict=True)):
        public: Any = certificate.public_key() if at == 0 else key.public_key()
        builder = (
            x509.CertificateBuilder()
            .subject_name(certificate.subject)
            .issuer_name(certificate.issuer)
            .public_key(public)
            .serial_number(certificate.serial_number)
            .not_valid_before(certificate.not_valid_before_utc)
            .not_valid_after(certificate.not_valid_after_utc)
        )
        for extension in certificate.extensions:
            value: Any = extension.value
            if isinstance(value, x509.NameConstraints) and at > 0:
                value = _without_own(value)
            if value is not None:
                builder = builder.add_extension(value, extension.critical)
        signer = keys[min(at + 1, len(keys) - 1)]
        made.append(builder.sign(signer, hashes.SHA256()))
    return made


def _constraints(certificate: x509.Certificate) -> Any:
    from cryptography import x509

    for extension in certificate.extensions:
        if isinstance(extension.value, x509.NameConstraints):
            return extension.value
    return None


def _own_name_kinds(constraints: Any) -> list[Any]:
    """Return the kinds of names with a constraint that the library does not evaluate."""
    from cryptography import x509

    if constraints is None:
        return []
    trees = [*(constraints.permitted_subtrees or ()), *(constraints.excluded_subtrees or ())]
    kinds = [x509.UniformResourceIdentifier, x509.DirectoryName]
    own: list[Any] = [kind for kind in kinds if _of_kind(trees, kind)]
    # CAs issue ".example.com" for all names below, which RFC 5280 does not define for DNS.
    if any(each.value.startswith(".") for each in _of_kind(trees, x509.DNSName)):
        own.append(x509.DNSName)
    return own


def _without_own(constraints: Any) -> Any:
    """Return constraints without those of this module; ``None`` if none are left."""
    from cryptography import x509

    own = tuple(_own_name_kinds(constraints))
    kept = [
        [each for each in trees or () if not isinstance(each, own)] or None
        for trees in (constraints.permitted_subtrees, constraints.excluded_subtrees)
    ]
    return x509.NameConstraints(*kept) if any(kept) else None


def _of_kind(names: Iterable[Any] | None, kind: Any) -> list[Any]:
    return [each for each in names or () if isinstance(each, kind)]


def _names(certificate: x509.Certificate, kind: Any) -> list[Any]:
    """Return the names of a kind of a certificate's subject."""
    from cryptography import x509

    found: list[Any] = []
    for extension in certificate.extensions:
        if isinstance(extension.value, x509.SubjectAlternativeName):
            found += [each.value for each in _of_kind(extension.value, kind)]
    if kind is x509.DirectoryName and certificate.subject.rdns:
        found.append(certificate.subject)
    return found


def _is_within(kind: Any, name: Any, constraint: Any, *, unsure: bool) -> bool:
    """Return whether a name is within a constraint; ``unsure`` if either has an unknown form."""
    from cryptography import x509

    if kind is x509.DirectoryName:
        outer, inner = _rdns(constraint), _rdns(name)
        return inner[: len(outer)] == outer
    if kind is x509.UniformResourceIdentifier:
        found = _URI.fullmatch(name)
        host = found[1] if found is not None else ""
        if not host or host.replace(".", "").isdigit():
            return unsure
    else:
        host = name
    if not (_HOST.fullmatch(host) and _HOST.fullmatch(constraint)) or host.startswith("."):
        return unsure
    host, bound = host.lower(), constraint.lower()
    if bound.startswith("."):
        return bool(host.endswith(bound))
    is_below = kind is x509.DNSName and host.endswith(f".{bound}")  # for URIs, only the host itself
    return bool(host == bound or is_below)


def _rdns(name: Any) -> _Rdns:
    """Return a directory name for comparison: without case and spacing (RFC 5280 §7.1)."""
    return tuple(
        [
            frozenset(
                (each.oid.dotted_string, " ".join(_folded(str(each.value)).split())) for each in rdn
            )
            for rdn in name.rdns
        ]
    )


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
