"""Parse certificates, and verify the path from a client's certificate to a root.

This module checks sizes and the rules for client certificates. The path is verified by
``cryptography.x509.verification`` (RFC 5280, with the Web PKI's profile); some name constraints are
left to `name_constraints`. Errors have the code ``bad_certificate``. No message holds a name, and
no cause is kept, since texts of `cryptography` quote the subject.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from guardrail.errors import NotAuthenticated
from guardrail.identity.certificates.name_constraints import (
    are_satisfied,
    candidate_paths,
    has_own_constraints,
    is_signed_by_issuers,
    reissue_without_own,
)

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.x509.verification import Store

T = TypeVar("T")

#: The most certificates in a chain, with the leaf.
LIMIT_CHAIN: Final = 8
#: The largest certificate, in bytes.
LIMIT_BYTES: Final = 16 * 1024
_LIMIT_ROOTS_BYTES: Final = 1024 * 1024
_BEGIN: Final = b"-----BEGIN "
_RSA_BITS: Final = 2048
#: The curves of EC keys that are verified.
_CURVES: Final = ("secp256r1", "secp384r1", "secp521r1")


class Lifetime(NamedTuple):
    """The validity period of a certificate, in seconds since the epoch."""

    since: float
    until: float


class Roots(NamedTuple):
    """The roots that a bundle trusts: as the library's store, and as a list."""

    store: Store
    certificates: tuple[x509.Certificate, ...]


def bad_certificate(message: str) -> NotAuthenticated:
    """Return the error for a certificate that breaks a rule."""
    return NotAuthenticated(message, code="bad_certificate")


def parse_or_deny(read: Callable[[], T]) -> T:
    """Return the result of ``read`` on a certificate; deny if it can't be parsed.

    `cryptography` parses the parts of a certificate when they are read. Where it only warns (a
    serial number of 0), the call is denied if the application turns warnings into errors.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.x509 import (
        DuplicateExtension,
        ExtensionNotFound,
        InvalidVersion,
        UnsupportedGeneralNameType,
    )

    with suppress(
        ValueError,
        LookupError,
        Warning,
        UnsupportedAlgorithm,
        DuplicateExtension,
        ExtensionNotFound,
        InvalidVersion,
        UnsupportedGeneralNameType,
    ):
        return read()
    # Raised here, outside of the handler: a handled error would become the context.
    raise bad_certificate("The client's certificate does not parse as X.509.")


def parse_chain(chain: Sequence[bytes]) -> list[x509.Certificate]:
    """Return the certificates of a chain, each given as DER or PEM.

    Raises:
        NotAuthenticated: ``bad_certificate``, for too many or none, and for an item that is not a
            certificate, or over `LIMIT_BYTES`.
    """
    if not isinstance(chain, list | tuple) or not 0 < len(chain) <= LIMIT_CHAIN:
        raise bad_certificate(
            f"Expected a list of 1 to {LIMIT_CHAIN} certificates, the client's own first."
        )
    return [parse_certificate(raw) for raw in chain]


def parse_certificate(raw: bytes) -> x509.Certificate:
    """Return one certificate, given as DER or PEM; raises as `parse_chain` does."""
    from cryptography.x509 import load_der_x509_certificate, load_pem_x509_certificate

    if not isinstance(raw, bytes) or len(raw) > LIMIT_BYTES:
        raise bad_certificate(f"Expected a certificate as bytes, at most {LIMIT_BYTES} of them.")
    begins = raw.count(_BEGIN)
    if begins > 1:  # a parser would read only one
        raise bad_certificate(
            "Expected one certificate for each item. Split the text into certificates."
        )
    load = load_pem_x509_certificate if begins else load_der_x509_certificate
    certificate = parse_or_deny(lambda: load(raw))
    if not _is_whole(certificate):
        raise bad_certificate("The client's certificate is not encoded as DER requires.")
    return certificate


def _is_whole(certificate: x509.Certificate) -> bool:
    """Return whether the signature's bits are whole bytes, as in all supported signatures.

    The parser accepts any count of unused bits, which no signature covers: the same certificate
    would have several digests, and be revoked by only one of them.
    """
    from cryptography.hazmat.primitives.serialization import Encoding

    der, size = certificate.public_bytes(Encoding.DER), len(certificate.signature)
    return der[-size - 1] == 0 and der.endswith(certificate.signature)


def lifetime(certificate: x509.Certificate) -> Lifetime:
    """Return the validity period of a certificate."""
    return Lifetime(
        certificate.not_valid_before_utc.timestamp(), certificate.not_valid_after_utc.timestamp()
    )


def serial(certificate: x509.Certificate) -> str:
    """Return the serial number as ``openssl x509 -serial`` prints it, such as ``0A1B``.

    The serial number is signed. The digest of a whole certificate is a weaker name: its holder can
    write the signature in several valid ways (for ECDSA, with ``n - s`` for ``s``).
    """
    digits = f"{certificate.serial_number:X}"
    return digits.zfill(len(digits) + len(digits) % 2)


def broken_rule(leaf: x509.Certificate, *, is_svid: bool) -> str:
    """Return the rule of client certificates that this one breaks; empty if none.

    Most rules are RFC 5280's, and some are also checked when the path is verified; here they apply
    even if the server verified the path. ``is_svid`` adds the rules of X.509-SVID (§4.3).
    """
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    basic = extension(leaf, x509.BasicConstraints)
    if basic is not None and basic.ca:
        return "The client's certificate is a CA certificate. Use a client certificate."
    usage = extension(leaf, x509.KeyUsage)
    if usage is not None and (usage.key_cert_sign or usage.crl_sign):
        return "The client's certificate may sign certificates or CRLs, which only a CA may do."
    if (usage is None and is_svid) or (usage is not None and not usage.digital_signature):
        return "The client's certificate lacks the key usage `digitalSignature`."
    extended = extension(leaf, x509.ExtendedKeyUsage)
    is_missing = extended is None and not is_svid  # optional there: X.509-SVID §4.4
    if is_missing or (extended is not None and ExtendedKeyUsageOID.CLIENT_AUTH not in extended):
        return "The client's certificate lacks the extended key usage `clientAuth`."
    if not _is_strong(leaf.public_key()):
        return (
            "The client's key is weak or of an unsupported kind. Use EC, Ed25519 or RSA "
            f"{_RSA_BITS}."
        )
    return ""


def _is_strong(key: Any) -> bool:
    from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

    if isinstance(key, rsa.RSAPublicKey):
        return key.key_size >= _RSA_BITS
    if isinstance(key, ec.EllipticCurvePublicKey):
        return key.curve.name in _CURVES
    return isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey)


def extension(certificate: x509.Certificate, kind: type[Any]) -> Any:
    """Return the value of an extension, ``None`` if the certificate does not have it."""
    for found in certificate.extensions:
        if isinstance(found.value, kind):
            return found.value
    return None


def only_name(certificate: x509.Certificate, kind: type[Any]) -> str | None:
    """Return the only alternative name of a kind; ``None`` if there is none, or several."""
    from cryptography.x509 import SubjectAlternativeName

    names = extension(certificate, SubjectAlternativeName)
    found: list[str] = [] if names is None else names.get_values_for_type(kind)
    return found[0] if len(found) == 1 else None


def distinct(above: list[x509.Certificate]) -> list[x509.Certificate]:
    """Return the intermediates to search for a path in bounded time.

    These are the first certificate of each subject, without self-issued ones, so that each step has
    only one continuation. With several of one name, `cryptography` before 49 searches for minutes;
    and a self-issued certificate is a root, which only the bundle can trust.
    """
    first: dict[x509.Name, x509.Certificate] = {}
    for certificate in above:
        if certificate.subject != certificate.issuer:
            first.setdefault(certificate.subject, certificate)
    return list(first.values())


def selections(above: list[x509.Certificate]) -> Iterator[list[x509.Certificate]]:
    """Yield each choice of one intermediate per subject: see `distinct`.

    A renewed intermediate has the subject of the one before, and a cross-signed one that of the
    original. Seven intermediates have at most twelve choices.
    """
    by_subject: dict[x509.Name, list[x509.Certificate]] = {}
    for certificate in above:
        same = by_subject.setdefault(certificate.subject, [])
        if certificate not in same:
            same.append(certificate)
    for chosen in product(*by_subject.values()):
        yield distinct(list(chosen))


def verified_path(
    roots: Roots, leaf: x509.Certificate, above: list[x509.Certificate], now: float
) -> list[x509.Certificate]:
    """Return the path from the leaf to a root, both included.

    Arguments:
        roots: the result of `read_roots`.
        leaf: the client's own certificate, which passes `broken_rule`.
        above: the intermediates, which are not trusted.
        now: seconds since the epoch, within the leaf's `lifetime`.

    Raises:
        NotAuthenticated: ``bad_certificate``, if there is no such path.
    """
    from cryptography import x509
    from cryptography.x509 import verification
    from cryptography.x509.verification import Store

    agnostic = verification.Criticality.AGNOSTIC
    # Two rules of the Web PKI's profile for leaves are not in RFC 5280 for verifiers, nor in
    # SPIFFE: that there are a key identifier and names, and their criticality.
    leaves = (
        verification.ExtensionPolicy.webpki_defaults_ee()
        .may_be_present(x509.AuthorityKeyIdentifier, agnostic, None)
        .may_be_present(x509.SubjectAlternativeName, agnostic, None)
    )

    def verifier_of(store: Store) -> verification.ClientVerifier:
        return (
            verification.PolicyBuilder()
            .store(store)
            .time(datetime.fromtimestamp(now, UTC))
            .max_chain_depth(LIMIT_CHAIN - 1)
            .extension_policies(
                ee_policy=leaves, ca_policy=verification.ExtensionPolicy.webpki_defaults_ca()
            )
            .build_client_verifier()
        )

    for chosen in parse_or_deny(lambda: list(selections(above))):
        with suppress(verification.VerificationError, NotAuthenticated):
            return list(parse_or_deny(partial(verifier_of(roots.store).verify, leaf, chosen)).chain)
        for path in parse_or_deny(partial(candidate_paths, leaf, chosen, roots.certificates)):
            with suppress(verification.VerificationError, NotAuthenticated):
                if parse_or_deny(partial(_satisfies_own_constraints, path)):
                    made = parse_or_deny(partial(reissue_without_own, path))
                    parse_or_deny(
                        partial(verifier_of(Store(made[-1:])).verify, made[0], made[1:-1])
                    )
                    return path
    raise bad_certificate(
        "The client's certificate does not lead to a root that the bundle trusts. Send the "
        "intermediates with it, or add the root to `ca_file`."
    )


def _satisfies_own_constraints(path: list[x509.Certificate]) -> bool:
    """Return whether a path has constraints of `name_constraints`, and satisfies them."""
    return (
        has_own_constraints(path)
        and not any(map(_ca_problem, path[1:]))
        and is_signed_by_issuers(path)
        and are_satisfied(path)
    )


def read_roots(raw: bytes) -> tuple[Roots | None, str]:
    """Return the roots in a PEM file, or what is wrong with them.

    A root that can verify nothing is an error, since it would deny every call. So is a certificate
    that is not a CA's: a trusted leaf would need no signature.
    """
    from cryptography.x509 import load_pem_x509_certificates
    from cryptography.x509.verification import Store

    if len(raw) > _LIMIT_ROOTS_BYTES:
        return None, f"`ca_file` is over {_LIMIT_ROOTS_BYTES} bytes. Keep the roots that you use."
    if b"PRIVATE KEY-----" in raw:
        return None, "`ca_file` holds a private key. Put only certificates there."
    complaint = '`ca_file` is not PEM with certificates ("-----BEGIN CERTIFICATE-----").'
    with suppress(ValueError, NotAuthenticated):
        roots = load_pem_x509_certificates(raw)
        complaint = next(filter(None, map(_ca_problem, roots)), "")
        if not complaint:
            return Roots(Store(roots), tuple(roots)), ""
    return None, complaint


def _ca_problem(root: x509.Certificate) -> str:
    """Return why a certificate can't be a CA; empty if it can."""
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    basic = parse_or_deny(lambda: extension(root, x509.BasicConstraints))
    usage = extension(root, x509.KeyUsage)
    if basic is None or not basic.ca or usage is None or not usage.key_cert_sign:
        return (
            "`ca_file` holds a certificate that is no CA's: without `CA:TRUE`, or without the "
            "key usage to sign certificates."
        )
    key = parse_or_deny(root.public_key)
    if not isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey) or not _is_strong(key):
        return (
            f"`ca_file` holds a root whose key is weak, or of a kind that is not verified. Use EC "
            f"({', '.join(_CURVES)}) or RSA of {_RSA_BITS} bits or more."
        )
    return ""
