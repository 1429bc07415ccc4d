"""Certificates as they come, and the path from the first of them to a root.

Owns bounds, parsing, the rules that a client's certificate must keep, and the verification of
the path, which is that of ``cryptography.x509.verification`` (RFC 5280, by the Web PKI's
profile); of constraints on names it leaves some to `constraints`. Refuses by ``bad_certificate``.
No message holds a name, and no cause is kept: texts of `cryptography` quote the subject.
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
    are_kept,
    has_own,
    is_signed,
    paths_of,
    reissued,
)

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.x509.verification import Store

T = TypeVar("T")

#: Certificates in a chain, the leaf among them.
LIMIT_CHAIN: Final = 8
#: Of one certificate, as it comes.
LIMIT_BYTES: Final = 16 * 1024
_LIMIT_ROOTS_BYTES: Final = 1024 * 1024
_BEGIN: Final = b"-----BEGIN "
_RSA_BITS: Final = 2048
#: A root with another key verifies nothing.
_CURVES: Final = ("secp256r1", "secp384r1", "secp521r1")


class Lifetime(NamedTuple):
    """From when to when a certificate holds, in seconds since the epoch."""

    since: float
    until: float


class Roots(NamedTuple):
    """The roots that a bundle trusts: as the library searches them, and one by one."""

    store: Store
    certificates: tuple[x509.Certificate, ...]


def bad(message: str) -> NotAuthenticated:
    """Return the error for a certificate that breaks a rule."""
    return NotAuthenticated(message, code="bad_certificate")


def reading(read: Callable[[], T]) -> T:
    """Return what ``read`` finds in a certificate; deny where it can't be read.

    `cryptography` parses the parts of a certificate when they are asked for. Of what it only warns
    of (a serial number of 0), it denies where the application makes errors of warnings.
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
    # Raised here, not above: an error that is being handled would become the context.
    raise bad("The client's certificate does not parse: a part of it is not what X.509 has there.")


def parse_chain(chain: Sequence[bytes]) -> list[x509.Certificate]:
    """Return the certificates of a chain, each given as DER or PEM.

    Raises:
        NotAuthenticated: ``bad_certificate``, for too many or none, and for what is no
            certificate, or over `LIMIT_BYTES`.
    """
    if not isinstance(chain, list | tuple) or not 0 < len(chain) <= LIMIT_CHAIN:
        raise bad(f"Expected a list of 1 to {LIMIT_CHAIN} certificates, the client's own first.")
    return [parse_certificate(raw) for raw in chain]


def parse_certificate(raw: bytes) -> x509.Certificate:
    """Return one certificate, given as DER or PEM; raises as `parse_chain` does."""
    from cryptography.x509 import load_der_x509_certificate, load_pem_x509_certificate

    if not isinstance(raw, bytes) or len(raw) > LIMIT_BYTES:
        raise bad(f"Expected a certificate as bytes, at most {LIMIT_BYTES} of them.")
    begins = raw.count(_BEGIN)
    if begins > 1:  # of which a parser would keep one
        raise bad("Expected one certificate each. Split what comes as one text.")
    load = load_pem_x509_certificate if begins else load_der_x509_certificate
    certificate = reading(lambda: load(raw))
    if not _is_whole(certificate):
        raise bad("The client's certificate is not in the one form that DER gives it.")
    return certificate


def _is_whole(certificate: x509.Certificate) -> bool:
    """Tell whether the signature's bits are whole bytes, as all signatures of ours are.

    The parser takes any count of bits that are left over, which no signature covers: the same
    certificate would have several digests, and be revoked by one of them only.
    """
    from cryptography.hazmat.primitives.serialization import Encoding

    der, size = certificate.public_bytes(Encoding.DER), len(certificate.signature)
    return der[-size - 1] == 0 and der.endswith(certificate.signature)


def lifetime(certificate: x509.Certificate) -> Lifetime:
    """Return from when to when a certificate holds."""
    return Lifetime(
        certificate.not_valid_before_utc.timestamp(), certificate.not_valid_after_utc.timestamp()
    )


def serial(certificate: x509.Certificate) -> str:
    """Return the serial number as ``openssl x509 -serial`` prints it, such as ``0A1B``.

    It is signed. The digest of a whole certificate names it less well: a signature can be written
    in several ways that all hold (of ECDSA, with ``n - s`` for ``s``), by whoever holds it.
    """
    digits = f"{certificate.serial_number:X}"
    return digits.zfill(len(digits) + len(digits) % 2)


def broken_rule(leaf: x509.Certificate, *, is_svid: bool) -> str:
    """Say which rule of clients' certificates this one breaks; empty where it breaks none.

    Most are RFC 5280's, and some the verification of the path checks as well; here they hold
    also where the path is the server's word. ``is_svid`` adds those of X.509-SVID (§4.3).
    """
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    basic = extension(leaf, x509.BasicConstraints)
    if basic is not None and basic.ca:
        return "The client's certificate is that of a CA, which vouches for others, not for itself."
    usage = extension(leaf, x509.KeyUsage)
    if usage is not None and (usage.key_cert_sign or usage.crl_sign):
        return "The client's certificate may sign certificates or lists: that is a CA's to do."
    if (usage is None and is_svid) or (usage is not None and not usage.digital_signature):
        return "The client's certificate is not made to sign with (`digitalSignature`)."
    extended = extension(leaf, x509.ExtendedKeyUsage)
    is_missing = extended is None and not is_svid  # which may go without: X.509-SVID §4.4
    if is_missing or (extended is not None and ExtendedKeyUsageOID.CLIENT_AUTH not in extended):
        return "The client's certificate is not made for clients (`clientAuth`)."
    if not _is_strong(leaf.public_key()):
        return f"The client's key is weak or of a strange kind. Use EC, Ed25519 or RSA {_RSA_BITS}."
    return ""


def _is_strong(key: Any) -> bool:
    from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

    if isinstance(key, rsa.RSAPublicKey):
        return key.key_size >= _RSA_BITS
    if isinstance(key, ec.EllipticCurvePublicKey):
        return key.curve.name in _CURVES
    return isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey)


def extension(certificate: x509.Certificate, kind: type[Any]) -> Any:
    """Return the value of an extension, ``None`` where the certificate has it not."""
    for found in certificate.extensions:
        if isinstance(found.value, kind):
            return found.value
    return None


def only_name(certificate: x509.Certificate, kind: type[Any]) -> str | None:
    """Return the one alternative name of a kind; ``None`` where there is none or several."""
    from cryptography.x509 import SubjectAlternativeName

    names = extension(certificate, SubjectAlternativeName)
    found: list[str] = [] if names is None else names.get_values_for_type(kind)
    return found[0] if len(found) == 1 else None


def distinct(above: list[x509.Certificate]) -> list[x509.Certificate]:
    """Return the intermediates among which the search for a path takes a bounded time.

    Of each subject the first, and none that names itself as its issuer: so every step has one
    way to go. A few of one name make `cryptography` before 49 search for minutes; and what issues
    itself is a root, which is trusted by the bundle or not at all.
    """
    first: dict[x509.Name, x509.Certificate] = {}
    for certificate in above:
        if certificate.subject != certificate.issuer:
            first.setdefault(certificate.subject, certificate)
    return list(first.values())


def selections(above: list[x509.Certificate]) -> Iterator[list[x509.Certificate]]:
    """Yield each choice of intermediates of which every subject has one: see `distinct`.

    A renewed intermediate has the subject of the one before, and a cross-signed one that of its
    twin. Of seven intermediates there are twelve choices at most.
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
        roots: what `read_roots` answered.
        leaf: the client's own certificate, which keeps `broken_rule`.
        above: intermediates, of which nothing is believed.
        now: seconds since the epoch, within the leaf's `lifetime`.

    Raises:
        NotAuthenticated: ``bad_certificate``, where there is no such path.
    """
    from cryptography import x509
    from cryptography.x509 import verification
    from cryptography.x509.verification import Store

    agnostic = verification.Criticality.AGNOSTIC
    # Two rules of the Web PKI's profile for leaves are none of RFC 5280's for who reads them, and
    # none of SPIFFE's: that there are a key identifier and names, and how critical those are.
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

    for chosen in reading(lambda: list(selections(above))):
        with suppress(verification.VerificationError, NotAuthenticated):
            return list(reading(partial(verifier_of(roots.store).verify, leaf, chosen)).chain)
        for path in reading(partial(paths_of, leaf, chosen, roots.certificates)):
            with suppress(verification.VerificationError, NotAuthenticated):
                if reading(partial(_keeps_own, path)):
                    made = reading(partial(reissued, path))
                    reading(partial(verifier_of(Store(made[-1:])).verify, made[0], made[1:-1]))
                    return path
    raise bad(
        "The client's certificate does not lead to a root that the bundle trusts. Send the "
        "intermediates with it, or add the root to `ca_file`."
    )


def _keeps_own(path: list[x509.Certificate]) -> bool:
    """Whether a path has constraints that the library does not know, and all is well with them."""
    return (
        has_own(path) and not any(map(_unfit_ca, path[1:])) and is_signed(path) and are_kept(path)
    )


def read_roots(raw: bytes) -> tuple[Roots | None, str]:
    """Return the roots in a file of PEM, or what is wrong with them.

    A root that can verify nothing is refused here, or it would deny every call, and so is a
    certificate that is no CA's: a leaf that is trusted as such would need no signature.
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
        complaint = next(filter(None, map(_unfit_ca, roots)), "")
        if not complaint:
            return Roots(Store(roots), tuple(roots)), ""
    return None, complaint


def _unfit_ca(root: x509.Certificate) -> str:
    """Say why a certificate verifies nothing as a root; empty where it can."""
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    basic = reading(lambda: extension(root, x509.BasicConstraints))
    usage = extension(root, x509.KeyUsage)
    if basic is None or not basic.ca or usage is None or not usage.key_cert_sign:
        return (
            "`ca_file` holds a certificate that is no CA's: without `CA:TRUE`, or without the "
            "key usage to sign certificates."
        )
    key = reading(root.public_key)
    if not isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey) or not _is_strong(key):
        return (
            f"`ca_file` holds a root whose key is weak, or of a kind that is not verified. Use EC "
            f"({', '.join(_CURVES)}) or RSA of {_RSA_BITS} bits or more."
        )
    return ""
