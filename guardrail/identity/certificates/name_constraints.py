"""Name constraints on URIs and directory names, which `cryptography` does not evaluate.

A CA may be restricted to names (RFC 5280 §4.2.1.10), as SPIFFE restricts one to the URIs of a trust
domain. `cryptography` denies every path with such a CA, even if it permits the names. This module
evaluates these constraints, and the library checks everything else: it verifies a copy of the path
(see `chains`), which is identical but lacks these constraints and is signed with temporary keys.
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

#: The relative names of a directory's name, one after the other, as they are compared.
_Rdns: TypeAlias = tuple[frozenset[tuple[str, str]], ...]

#: RFC 5280 wants a URI with the name of a host; what has a user, a port or an address is held back.
_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://([A-Za-z0-9._-]+)(?:[/?#].*)?")
_HOST: Final = re.compile(r"\.?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
_HASHES: Final = frozenset(("sha256", "sha384", "sha512"))


def has_own(path: Sequence[x509.Certificate]) -> bool:
    """Whether a CA of a path has constraints that are evaluated here."""
    return any(_own_kinds(_constraints(each)) for each in path[1:])


def paths_of(
    leaf: x509.Certificate, above: Iterable[x509.Certificate], roots: Iterable[x509.Certificate]
) -> list[list[x509.Certificate]]:
    """Return each path from a leaf to a root, by the names alone.

    Of the certificates ``above`` no two have one subject.
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


def is_signed(path: Sequence[x509.Certificate]) -> bool:
    """Whether each certificate of a path is signed by the next one, with a hash that is strong."""
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

    with suppress(ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        for certificate, issuer in pairwise(path):
            hashed = certificate.signature_hash_algorithm
            if hashed is None or hashed.name not in _HASHES:
                return False
            certificate.verify_directly_issued_by(issuer)
        return True
    return False


def are_kept(path: Sequence[x509.Certificate]) -> bool:
    """Whether the names of a path keep the constraints of this module of each CA above them."""
    for at in range(1, len(path)):
        constraints = _constraints(path[at])
        for kind in _own_kinds(constraints):
            permitted = [each.value for each in _of(constraints.permitted_subtrees, kind)]
            excluded = [each.value for each in _of(constraints.excluded_subtrees, kind)]
            for name in (name for below in path[:at] for name in _names(below, kind)):
                if any(_is_within(kind, name, each, unsure=True) for each in excluded):
                    return False
                is_permitted = any(_is_within(kind, name, each, unsure=False) for each in permitted)
                if permitted and not is_permitted:
                    return False
    return True


def reissued(path: Sequence[x509.Certificate]) -> list[x509.Certificate]:
    """Return a path that differs from this one by its keys, and lacks these constraints."""
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


def _own_kinds(constraints: Any) -> list[Any]:
    """Return the kinds of names of which the library does not evaluate some constraint."""
    from cryptography import x509

    if constraints is None:
        return []
    trees = [*(constraints.permitted_subtrees or ()), *(constraints.excluded_subtrees or ())]
    kinds = [x509.UniformResourceIdentifier, x509.DirectoryName]
    own: list[Any] = [kind for kind in kinds if _of(trees, kind)]
    # ".example.com" for all names below is no form of RFC 5280 for DNS, and CAs issue it.
    if any(each.value.startswith(".") for each in _of(trees, x509.DNSName)):
        own.append(x509.DNSName)
    return own


def _without_own(constraints: Any) -> Any:
    """Return constraints without those of this module; ``None`` where none are left."""
    from cryptography import x509

    own = tuple(_own_kinds(constraints))
    kept = [
        [each for each in trees or () if not isinstance(each, own)] or None
        for trees in (constraints.permitted_subtrees, constraints.excluded_subtrees)
    ]
    return x509.NameConstraints(*kept) if any(kept) else None


def _of(names: Iterable[Any] | None, kind: Any) -> list[Any]:
    return [each for each in names or () if isinstance(each, kind)]


def _names(certificate: x509.Certificate, kind: Any) -> list[Any]:
    """Return the names of a kind that a certificate gives its subject."""
    from cryptography import x509

    found: list[Any] = []
    for extension in certificate.extensions:
        if isinstance(extension.value, x509.SubjectAlternativeName):
            found += [each.value for each in _of(extension.value, kind)]
    if kind is x509.DirectoryName and certificate.subject.rdns:
        found.append(certificate.subject)
    return found


def _is_within(kind: Any, name: Any, constraint: Any, *, unsure: bool) -> bool:
    """Whether a name is within a constraint; ``unsure`` where either is of no known form."""
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
    is_below = kind is x509.DNSName and host.endswith(f".{bound}")  # of URIs it is the host alone
    return bool(host == bound or is_below)


def _rdns(name: Any) -> _Rdns:
    """Return a directory's name as it is compared: case and white space apart (RFC 5280 §7.1)."""
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
