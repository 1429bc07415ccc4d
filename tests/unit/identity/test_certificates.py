"""Client certificates: a path to a root and one name are accepted, everything else is denied."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from canaries import Hunt
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given, settings
from hypothesis import strategies as st
from speed import relative_time

from guardrail._documents import Document, read_toml
from guardrail.errors import ConfigurationError, NotAuthenticated, Place
from guardrail.identity.certificates.mtls import Certificates, MtlsSettings, peer_of
from guardrail.identity.certificates.spiffe import read_spiffe_id
from guardrail.identity.certificates.x509_path import distinct, serial
from guardrail.values import Entity

NOW = 1_800_000_000.0
DAY = 86_400
PLACE = Place("guardrail.toml", 3, 1)
BATCH = Entity("Role", "batch")
URI = "spiffe://prod.example/ns/ml/sa/scorer"
TABLE: dict[str, Any] = {
    "type": "mtls",
    "ca_file": "ca.pem",
    "trust_domain": "prod.example",
    "principal": {"type": "Workload", "in": {"Role": ["batch"]}},
}


def at(days: float) -> datetime:
    return datetime.fromtimestamp(NOW, UTC) + timedelta(days=days)


def name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)] if text else [])


def usage(*, sign=True, certs=False, lists=False):
    return x509.KeyUsage(sign, False, False, False, False, certs, lists, False, False)


@dataclass(frozen=True)
class Made:
    """A certificate with its key; ``der`` is what a peer sends."""

    certificate: x509.Certificate
    key: Any

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)


@dataclass(frozen=True)
class Form:
    """What is varied of a certificate. ``None`` leaves an extension out."""

    subject: str = "scorer"
    since: float = -1
    until: float = 1
    ca: bool | None = False
    path_length: int | None = None
    usage: x509.KeyUsage | None = None
    extended: tuple[Any, ...] | None = None
    names: tuple[x509.GeneralName, ...] = ()
    names_critical: bool = False
    more: tuple[tuple[x509.ExtensionType, bool], ...] = ()
    key: Any = None

    def made(self, issuer: Made | None = None) -> Made:
        key = self.key or ec.generate_private_key(ec.SECP256R1())
        builder = (
            x509.CertificateBuilder()
            .subject_name(name(self.subject))
            .issuer_name(name(self.subject) if issuer is None else issuer.certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(at(self.since))
            .not_valid_after(at(self.until))
        )
        for value, critical in self.extensions():
            builder = builder.add_extension(value, critical)
        signer = key if issuer is None else issuer.key
        algorithm = None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256()
        return Made(builder.sign(signer, algorithm), key)

    def extensions(self):
        if self.ca is not None:
            yield x509.BasicConstraints(self.ca, self.path_length), True
        if self.usage is not None:
            yield self.usage, True
        if self.extended is not None:
            yield x509.ExtendedKeyUsage(self.extended), False
        if self.names:
            yield x509.SubjectAlternativeName(self.names), self.names_critical
        yield from self.more


CA = Form("root", -30, 3650, ca=True, usage=usage(sign=False, certs=True, lists=True))
LEAF = Form(
    usage=usage(),
    extended=(ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH),
    names=(x509.UniformResourceIdentifier(URI),),
)
ROOT = CA.made()
WEAK = rsa.generate_private_key(65537, 1024)  # noqa: S505  # to be refused


def uris(*texts):
    return tuple(
        # cryptography would not make what is not ASCII, nor should it have to
        x509.UniformResourceIdentifier._init_without_validation(text)
        for text in texts
    )


def settings_of(**changes):
    table = {name: value for name, value in {**TABLE, **changes}.items() if value is not ...}
    return Document("guardrail.toml", table).parse(MtlsSettings)


def provider(roots=ROOT.pem, *, prefix="", **changes):
    return Certificates(
        name="mesh", settings=settings_of(**changes), roots=roots, prefix=prefix, place=PLACE
    )


def knows(entity):
    return entity == BATCH


def identify(chain, *, known=None, now=NOW, knows=knows):
    return (known or provider()).authenticate(chain, now, knows=knows)


def denied(chain, code="bad_certificate", *, known=None, now=NOW, knows=knows):
    with pytest.raises(NotAuthenticated) as caught:
        identify(chain, known=known, now=now, knows=knows)
    error = caught.value
    assert error.code == code
    hunt = Hunt()
    for text in ("scorer", "prod.example", URI, "spiffe://"):
        hunt.plant(text, text)
    hunt.see_error(error)
    # that one URI is needed is said without any
    assert hunt.leaks() == set()
    assert (error.__cause__, error.__context__) == (None, None)
    return error


def faults(read):
    with pytest.raises(ConfigurationError) as caught:
        read()
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)
    return caught.value.faults


# What holds


@pytest.mark.parametrize("form", ["der", "pem"])
def test_a_good_certificate_becomes_an_identity(form):
    leaf = LEAF.made(ROOT)
    identity = identify([getattr(leaf, form)])
    principal = identity.principal
    assert (principal.type, principal.id) == ("Workload", URI)
    assert principal.parents == (BATCH,)
    assert (identity.provider, identity.issuer, identity.method) == ("mesh", "prod.example", "mtls")
    assert identity.subject == URI
    assert (identity.issued_at, identity.expires_at) == (NOW - DAY, NOW + DAY)
    digest = hashlib.sha256(leaf.der).hexdigest()
    assert identity.token_id == serial(leaf.certificate)
    assert identity.peer is not None
    assert identity.peer.certificate_sha256 == digest
    assert identity.peer.certificate_subject == "CN=scorer"
    assert (identity.mfa, identity.delegated, identity.authenticated_at) == (False, False, None)


def test_without_a_trust_domain_the_issuer_is_the_table():
    known = provider(trust_domain=...)
    assert (known.name, known.issuer) == ("mesh", "mesh")
    assert identify([LEAF.made(ROOT).der], known=known).issuer == "mesh"


def test_a_prefix_stands_before_the_id_and_not_in_the_subject():
    identity = identify([LEAF.made(ROOT).der], known=provider(prefix="prod.example#"))
    assert (identity.principal.id, identity.subject) == (f"prod.example#{URI}", URI)


def test_entity_types_are_named():
    assert dict(provider().entity_types) == {"Workload": PLACE, "Role": PLACE}


@pytest.mark.parametrize("count", [1, 2, 3])
def test_intermediates_lead_to_the_root_in_any_order(count):
    above, issuer = [], ROOT
    for number in range(count):
        issuer = replace(CA, subject=f"ca{number}", path_length=count - number).made(issuer)
        above.append(issuer.der)
    leaf = LEAF.made(issuer).der
    assert identify([leaf, *above]).subject == URI
    assert identify([leaf, *reversed(above)]).subject == URI
    assert identify([leaf, *above, ROOT.der]).subject == URI
    denied([leaf])
    if count > 1:
        denied([leaf, *above[1:]])


def test_an_identity_ends_with_the_first_certificate_of_its_path():
    middle = replace(CA, subject="ca", until=0.5).made(ROOT)
    assert identify([LEAF.made(middle).der, middle.der]).expires_at == NOW + DAY / 2


def test_one_of_several_roots_is_enough():
    other = replace(CA, subject="other").made()
    known = provider(other.pem + b"\n# ours\n" + ROOT.pem)
    for root in (ROOT, other):
        assert identify([LEAF.made(root).der], known=known)


@pytest.mark.parametrize(
    "form",
    [
        replace(LEAF, ca=None),
        replace(LEAF, extended=None),  # X.509-SVID §4.4
        replace(LEAF, extended=(ExtendedKeyUsageOID.CLIENT_AUTH,)),
        replace(LEAF, names_critical=True),
        replace(LEAF, subject="", names_critical=True),
        replace(LEAF, names=(*LEAF.names, x509.DNSName("scorer.prod.example"))),
        replace(LEAF, key=ec.generate_private_key(ec.SECP384R1())),
        replace(LEAF, key=ed25519.Ed25519PrivateKey.generate()),
        replace(LEAF, key=rsa.generate_private_key(65537, 2048)),
    ],
    ids=lambda form: "",
)
def test_forms_that_issuers_use_hold(form):
    assert identify([form.made(ROOT).der]).subject == URI


def test_identifiers_of_keys_are_neither_needed_nor_minded():
    ski = x509.SubjectKeyIdentifier.from_public_key(ROOT.key.public_key())
    root = replace(CA, key=ROOT.key, more=((ski, False),)).made()
    aki = x509.AuthorityKeyIdentifier.from_issuer_public_key(ROOT.key.public_key())
    leaf = replace(LEAF, more=((aki, False),)).made(root)
    assert identify([leaf.der], known=provider(root.pem))


def test_roots_that_are_ids_of_a_trust_domain_hold():
    root = replace(CA, names=uris("spiffe://prod.example")).made()
    middle = replace(CA, subject="ca", names=uris("spiffe://prod.example")).made(root)
    assert identify([LEAF.made(middle).der, middle.der], known=provider(root.pem))


def test_rsa_signs_too():
    root = replace(CA, key=rsa.generate_private_key(65537, 2048)).made()
    assert identify([LEAF.made(root).der], known=provider(root.pem))


# Times


def test_a_certificate_expires_at_its_last_second():
    leaf = LEAF.made(ROOT).der
    assert identify([leaf], now=NOW + DAY - 0.001).expires_at == NOW + DAY
    for now in (NOW + DAY, NOW + DAY + 1, float("nan"), float("inf")):
        denied([leaf], "certificate_expired", now=now)


def test_a_certificate_is_not_valid_before_its_first_second():
    leaf = LEAF.made(ROOT).der
    assert identify([leaf], now=NOW - DAY)
    for now in (NOW - DAY - 0.001, 0.0, -1.0, float("-inf")):
        denied([leaf], now=now)


@pytest.mark.parametrize("form", [replace(CA, until=-0.1), replace(CA, since=0.1)])
def test_a_root_or_an_intermediate_out_of_its_time_denies(form):
    root = form.made()
    denied([LEAF.made(root).der], known=provider(root.pem))
    middle = replace(form, subject="ca").made(ROOT)
    denied([LEAF.made(middle).der, middle.der])


def test_the_real_clock_plays_no_part():
    past = -30 * 365  # days: long over, whenever this runs
    root = replace(CA, since=past - 9, until=past + 9).made()
    leaf = replace(LEAF, since=past - 1, until=past + 1).made(root)
    known = provider(root.pem)
    assert identify([leaf.der], known=known, now=NOW + past * DAY)
    denied([leaf.der], "certificate_expired", known=known)


# Paths


def test_another_root_denies():
    denied([LEAF.made(replace(CA, subject="other").made()).der])


def test_another_root_of_the_same_name_denies():
    denied([LEAF.made(CA.made()).der])


def test_a_self_signed_leaf_denies():
    denied([LEAF.made().der])
    denied([replace(LEAF, subject="root").made().der])


def test_a_root_that_comes_with_the_chain_is_not_believed():
    mine = CA.made()
    denied([LEAF.made(mine).der, mine.der])


def test_a_leaf_that_signs_another_denies():
    middle = LEAF.made(ROOT)
    denied([replace(LEAF, subject="x").made(middle).der, middle.der])


def test_an_intermediate_beyond_its_path_length_denies():
    first = replace(CA, subject="a", path_length=0).made(ROOT)
    second = replace(CA, subject="b").made(first)
    denied([LEAF.made(second).der, second.der, first.der])
    assert identify([LEAF.made(first).der, first.der])


def test_an_intermediate_for_servers_only_denies():
    middle = replace(CA, subject="ca", extended=(ExtendedKeyUsageOID.SERVER_AUTH,)).made(ROOT)
    denied([LEAF.made(middle).der, middle.der])


def test_an_intermediate_that_has_expired_does_not_hide_its_renewed_twin():
    key = ec.generate_private_key(ec.SECP256R1())
    form = replace(CA, subject="ca", key=key)
    old, new = replace(form, until=-0.1).made(ROOT), form.made(ROOT)
    early, stranger = replace(form, since=0.1).made(ROOT), form.made(CA.made())
    leaf = LEAF.made(new)
    for above in ([old, new], [new, old], [early, old, stranger, new], [old, old, new]):
        assert identify([leaf.der, *(each.der for each in above)]).subject == URI
    denied([leaf.der, old.der, early.der, stranger.der])


def test_a_renewed_intermediate_with_another_key_is_found():
    old, new = (replace(CA, subject="ca").made(ROOT) for _ in range(2))
    for leaf in (LEAF.made(old), LEAF.made(new)):
        assert identify([leaf.der, old.der, new.der])


def test_every_path_over_cross_signed_intermediates_is_tried():
    key, other = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    gone = CA.made()  # a root that is not trusted
    low = replace(CA, subject="low", key=key)
    high = replace(CA, subject="high", key=other)
    highs = [high.made(gone), replace(high, until=-0.1).made(ROOT), high.made(ROOT)]
    lows = [low.made(gone), replace(low, until=-0.1).made(highs[-1]), low.made(highs[-1])]
    leaf = LEAF.made(lows[-1])
    assert identify([leaf.der, *(each.der for each in (*lows, *highs))])
    denied([leaf.der, *(each.der for each in (*lows, *highs[:-1]))])


def test_an_intermediate_that_does_not_parse_beside_a_good_path_is_passed_by():
    middle = replace(CA, subject="ca").made(ROOT)
    odd = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.19"), b"\x05\x00")
    broken = replace(CA, ca=None, subject="ca", more=((odd, True),)).made(ROOT)
    leaf = LEAF.made(middle)
    for above in ([broken, middle], [middle, broken]):
        assert identify([leaf.der, *(each.der for each in above)])


def test_the_search_for_a_path_takes_a_bounded_time():
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(3)]
    forms = [replace(CA, subject=f"ca{n}", key=key) for n, key in enumerate(keys)]
    limits = x509.NameConstraints(uris("prod.example"), None)
    twins = [
        replace(forms[at], more=((limits, True),)).made(forms[(at + 1) % 3].made())
        for at in (0, 0, 0, 1, 1, 2, 2)
    ]
    chain = [LEAF.made(twins[0]).der, *(each.der for each in twins)]
    assert relative_time(lambda: denied(chain), 500) < 500


# Constraints on names (RFC 5280 §4.2.1.10)

DOMAIN = x509.UniformResourceIdentifier("prod.example")
OTHER = x509.UniformResourceIdentifier("other.example")


def directory(*texts):
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, text) for text in texts]
    return x509.DirectoryName(x509.Name(attributes))


def under(permitted, excluded=None, *, names=LEAF.names, **changes):
    """Return a chain under an intermediate with constraints."""
    limits = x509.NameConstraints(permitted, excluded)
    middle = replace(CA, subject="ca", more=((limits, True),)).made(ROOT)
    return [replace(LEAF, names=names, **changes).made(middle).der, middle.der]


DNS = (*LEAF.names, x509.DNSName("scorer.prod.example"))


@pytest.mark.parametrize(
    ("permitted", "excluded", "names"),
    [
        ([DOMAIN], None, LEAF.names),
        (uris("PROD.example"), None, LEAF.names),
        (uris(".example"), None, LEAF.names),
        ([OTHER, DOMAIN], None, LEAF.names),
        (None, [OTHER], LEAF.names),
        (None, uris(".prod.example"), LEAF.names),
        ([DOMAIN], [OTHER], LEAF.names),
        ([x509.DNSName("prod.example")], None, DNS),
        ([x509.DNSName(".prod.example")], None, DNS),
        ([DOMAIN, x509.DNSName("prod.example")], None, DNS),
        ([DOMAIN, x509.DNSName(".prod.example"), x509.DNSName("b.example")], None, DNS),
        ([x509.DNSName("prod.example")], None, LEAF.names),  # it has no name of the kind
        ([directory("scorer")], None, LEAF.names),
        ([directory("SCORER ")], None, LEAF.names),
        ([directory()], None, LEAF.names),
        (None, [directory("other")], LEAF.names),
        ([DOMAIN, directory("scorer")], [OTHER, directory("x")], LEAF.names),
    ],
)
def test_names_that_a_ca_permits_are_permitted(permitted, excluded, names):
    identity = identify(under(permitted, excluded, names=names))
    assert (identity.subject, identity.expires_at) == (URI, NOW + DAY)
    root = replace(CA, more=((x509.NameConstraints(permitted, excluded), True),)).made()
    assert identify([replace(LEAF, names=names).made(root).der], known=provider(root.pem))


@pytest.mark.parametrize(
    ("permitted", "excluded", "names"),
    [
        ([OTHER], None, LEAF.names),
        (uris("example"), None, LEAF.names),  # of URIs it is the host itself
        (uris(".prod.example"), None, LEAF.names),
        (uris("spiffe://prod.example"), None, LEAF.names),
        (uris(""), None, LEAF.names),
        (uris("od.example"), None, LEAF.names),
        (None, [DOMAIN], LEAF.names),
        (None, uris("PROD.EXAMPLE"), LEAF.names),
        (None, uris(".example"), LEAF.names),
        (None, uris("what is that"), LEAF.names),
        ([DOMAIN], [DOMAIN], LEAF.names),
        ([x509.DNSName("other.example")], None, DNS),
        ([x509.DNSName(".other.example")], None, DNS),
        (None, [x509.DNSName(".prod.example")], DNS),
        ([x509.DNSName(".scorer.prod.example")], None, DNS),
        ([x509.DNSName(".prod.example")], None, (*LEAF.names, x509.DNSName("*.prod.example"))),
        ([DOMAIN, x509.DNSName("other.example")], None, DNS),
        ([directory("other")], None, LEAF.names),
        ([directory("scorer", "more")], None, LEAF.names),
        (None, [directory("Scorer")], LEAF.names),
        (None, [directory("\uff33corer")], LEAF.names),
        (None, [directory()], LEAF.names),
        ([DOMAIN, x509.OtherName(x509.ObjectIdentifier("1.2.3"), b"\x05\x00")], None,
         (*LEAF.names, x509.OtherName(x509.ObjectIdentifier("1.2.3"), b"\x05\x00"))),
    ],
)  # fmt: skip
def test_names_that_a_ca_does_not_permit_deny(permitted, excluded, names):
    denied(under(permitted, excluded, names=names))
    root = replace(CA, more=((x509.NameConstraints(permitted, excluded), True),)).made()
    denied([replace(LEAF, names=names).made(root).der], known=provider(root.pem))


@pytest.mark.parametrize(
    "uri", ["spiffe://10.0.0.1/a", "spiffe://[::1]/a", "spiffe://me@prod.example/a", "urn:a:b",
            "spiffe://prod.example:1/a", "spiffe:///a", "spiffe://.prod.example/a"],
)  # fmt: skip
def test_a_uri_without_the_name_of_a_host_is_within_no_constraint(uri):
    names = (*uris(uri), x509.DNSName("scorer.prod.example"))
    for limits in (([DOMAIN], None), (None, [OTHER])):
        chain = under(*limits, names=names)
        denied(chain, known=provider(trust_domain=..., id="dns"))


def test_the_constraints_of_each_ca_bind_all_below_it():
    def made(*limits):
        issuer = ROOT
        above = []
        for at, limit in enumerate(limits):
            more = () if limit is None else ((x509.NameConstraints(limit, None), True),)
            issuer = replace(CA, subject=f"ca{at}", more=more).made(issuer)
            above.append(issuer.der)
        return [LEAF.made(issuer).der, *above]

    assert identify(made([DOMAIN], None, None))
    assert identify(made(None, [DOMAIN], uris(".example")))
    for limits in (([OTHER], None), (None, [OTHER]), ([DOMAIN], [OTHER]), ([OTHER], [DOMAIN])):
        denied(made(*limits))


LIMITS = ((x509.NameConstraints([DOMAIN], None), True),)
BOUND = replace(CA, subject="ca", more=LIMITS)


def test_a_path_with_constraints_is_verified_as_any_other():
    good = BOUND.made(ROOT)
    assert identify([LEAF.made(good).der, good.der])
    odd = (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), True)
    server = (ExtendedKeyUsageOID.SERVER_AUTH,)
    ed = replace(BOUND, key=ed25519.Ed25519PrivateKey.generate())
    middles = {
        "another root": BOUND.made(CA.made()),
        "expired": replace(BOUND, until=-0.1).made(ROOT),
        "not yet valid": replace(BOUND, since=0.1).made(ROOT),
        "no CA": replace(BOUND, ca=False).made(ROOT),
        "no CA that says so": replace(BOUND, ca=None).made(ROOT),
        "may not sign": replace(BOUND, usage=usage()).made(ROOT),
        "for servers": replace(BOUND, extended=server).made(ROOT),
        "unknown extension": replace(BOUND, more=(*LIMITS, odd)).made(ROOT),
        "weak": replace(BOUND, key=WEAK).made(ROOT),
        "a kind of key that is not verified": ed.made(ROOT),
    }
    for what, middle in middles.items():
        assert denied([LEAF.made(middle).der, middle.der]), what
    forged = replace(LEAF, subject="scorer").made(BOUND.made(ROOT))
    denied([forged.der, good.der])  # by another key of the same name
    denied([LEAF.made().der, good.der])
    denied([replace(LEAF, more=(odd,)).made(good).der, good.der])
    denied([LEAF.made(good).der])


def test_a_path_with_constraints_keeps_its_length():
    first = replace(BOUND, path_length=0).made(ROOT)
    second = replace(CA, subject="b").made(first)
    denied([LEAF.made(second).der, second.der, first.der])
    assert identify([LEAF.made(first).der, first.der])


def test_a_signature_by_sha1_denies_under_constraints():
    root = replace(CA, key=rsa.generate_private_key(65537, 2048), more=LIMITS).made()
    leaf = LEAF.made(root)
    raw = leaf.der.replace(bytes.fromhex("2a864886f70d01010b"), bytes.fromhex("2a864886f70d010105"))
    denied([raw], known=provider(root.pem))
    assert identify([leaf.der], known=provider(root.pem))


def test_a_critical_extension_that_nobody_knows_denies():
    odd = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
    denied([replace(LEAF, more=((odd, True),)).made(ROOT).der])
    assert identify([replace(LEAF, more=((odd, False),)).made(ROOT).der])


def test_a_signature_by_sha1_denies():
    root = replace(CA, key=rsa.generate_private_key(65537, 2048)).made()
    leaf = LEAF.made(root)
    raw = leaf.der.replace(bytes.fromhex("2a864886f70d01010b"), bytes.fromhex("2a864886f70d010105"))
    assert raw != leaf.der
    denied([raw], known=provider(root.pem))


def test_intermediates_are_one_of_each_name_and_none_that_issued_itself():
    key = ec.generate_private_key(ec.SECP256R1())
    ring = replace(CA, subject="ring", key=key)
    first = ring.made()
    ways = [replace(CA, subject="a").made(first), replace(CA, subject="b").made(first)]
    again = replace(CA, subject="a").made(ROOT)
    given = [each.certificate for each in (first, *ways, again, ring.made(first), ROOT)]
    assert distinct(given) == [each.certificate for each in ways]
    assert distinct([]) == []


def test_intermediates_that_lead_in_circles_deny():
    key = ec.generate_private_key(ec.SECP256R1())  # with one key every signature holds
    a, b = (replace(CA, subject=each, key=key) for each in "ab")
    leaf = LEAF.made(a.made())
    denied([leaf.der, *(a.made(a.made()).der for _ in range(7))])
    denied([leaf.der, a.made(b.made()).der, b.made(a.made()).der])
    denied([leaf.der, *(form.made(by.made()).der for form, by in ((a, b), (b, a)) * 3)])


# The rules of a leaf


@pytest.mark.parametrize(
    "form",
    [
        replace(LEAF, ca=True),
        replace(LEAF, ca=True, usage=usage(certs=True)),
        replace(LEAF, usage=usage(certs=True)),
        replace(LEAF, usage=usage(lists=True)),
        replace(LEAF, usage=usage(sign=False)),
        replace(LEAF, usage=None),  # X.509-SVID §4.3
        replace(LEAF, extended=(ExtendedKeyUsageOID.SERVER_AUTH,)),
        replace(LEAF, extended=(ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,)),
        replace(LEAF, names=()),
        replace(LEAF, names=(x509.DNSName("scorer.prod.example"),)),
        replace(LEAF, names=uris(URI, URI)),
        replace(LEAF, names=uris(URI, "spiffe://prod.example/other")),
        replace(LEAF, names=uris(URI, "https://prod.example/")),
        replace(LEAF, key=WEAK),
        replace(LEAF, key=dsa.generate_private_key(2048)),
        replace(LEAF, key=ec.generate_private_key(ec.SECP224R1())),
        replace(LEAF, key=ec.generate_private_key(ec.SECP256K1())),
    ],
    ids=lambda form: "",
)
@pytest.mark.parametrize("is_verified", [True, False])
def test_a_leaf_that_breaks_a_rule_denies_whoever_verified_it(form, is_verified):
    known = provider() if is_verified else unverified()
    denied([form.made(ROOT).der], known=known)


# SPIFFE IDs


@pytest.mark.parametrize(
    "uri",
    [
        "spiffe://other.example/ns/ml/sa/scorer",
        "spiffe://prod.example.evil/x",
        "spiffe://evil.prod.example/x",
        "spiffe://prod_example/x",
        "spiffe://prod.exampl/x",
    ],
)
def test_another_trust_domain_denies(uri):
    leaf = replace(LEAF, names=uris(uri)).made(ROOT).der
    denied([leaf], "wrong_trust_domain")
    assert identify([leaf], known=provider(trust_domain=...)).subject == uri


NO_IDS = [
    "",
    "spiffe",
    "spiffe://",
    "spiffe:///x",
    "spiffe://prod.example",
    "spiffe://prod.example/",
    "spiffe://prod.example//x",
    "spiffe://prod.example/x/",
    "spiffe://prod.example/x//y",
    "spiffe://prod.example/.",
    "spiffe://prod.example/..",
    "spiffe://prod.example/./x",
    "spiffe://prod.example/x/../y",
    "spiffe://prod.example/x?y",
    "spiffe://prod.example/x#y",
    "spiffe://prod.example/x?",
    "spiffe://prod.example/x%41",
    "spiffe://prod.example/x%2fy",
    "spiffe://prod.example/x y",
    "spiffe://prod.example/x\n",
    "spiffe://prod.example/x\0",
    "spiffe://prod.example/x;y",
    "spiffe://prod.example/ü",
    "spiffe://prod.example/х",  # noqa: RUF001  # another alphabet's
    "spiffe://prod.example:8443/x",
    "spiffe://user@prod.example/x",
    "spiffe://user:pass@prod.example/x",
    "spiffe://Prod.example/x",
    "spiffe://PROD.EXAMPLE/x",
    "spiffe://prod%2eexample/x",
    "spiffe://[::1]/x",
    "spiffe://prod.example\\x",
    "SPIFFE://prod.example/x",
    "Spiffe://prod.example/x",
    "spiffe:prod.example/x",
    "spiffe:/prod.example/x",
    "https://prod.example/x",
    "//prod.example/x",
    " spiffe://prod.example/x",
    f"spiffe://{'a' * 256}/x",
    f"spiffe://prod.example/{'x' * 2048}",
]


@pytest.mark.parametrize("uri", NO_IDS, ids=lambda uri: repr(uri)[:40])
def test_what_is_no_spiffe_id_denies(uri):
    assert read_spiffe_id(uri) is None
    if uri.isascii():  # cryptography writes no other
        leaf = replace(LEAF, names=uris(uri)).made(ROOT).der
        for known in (provider(), provider(trust_domain=...)):
            denied([leaf], known=known)


@pytest.mark.parametrize(
    ("uri", "trust_domain"),
    [
        (URI, "prod.example"),
        ("spiffe://a/b", "a"),
        ("spiffe://a-b_c.9/A.b-C_9/.../..x", "a-b_c.9"),
        (f"spiffe://{'a' * 255}/x", "a" * 255),
        (f"spiffe://a/{'x' * 2037}", "a"),
    ],
)
def test_a_spiffe_id_is_read(uri, trust_domain):
    assert read_spiffe_id(uri) == (uri, trust_domain)


def test_ids_end_at_2048_characters():
    assert read_spiffe_id(f"spiffe://a/{'x' * 2037}") is not None
    assert read_spiffe_id(f"spiffe://a/{'x' * 2038}") is None


@settings(max_examples=300)
@given(st.text(st.sampled_from("ab.%/:@?#-_\\ A"), max_size=20))
def test_what_is_read_has_one_reading(rest):
    from urllib.parse import urlsplit

    found = read_spiffe_id("spiffe://" + rest)
    if found is not None:
        parts = urlsplit(found.text)
        assert (parts.scheme, parts.netloc) == ("spiffe", found.trust_domain)
        assert (parts.query, parts.fragment, parts.username, parts.port) == ("", "", None, None)
        segments = parts.path.split("/")[1:]
        assert segments
        assert not {"", ".", ".."} & set(segments)


# Other names


def of_kind(kind, **changes):
    return provider(id=kind, trust_domain=..., **changes)


def named(*names, subject="scorer"):
    return replace(LEAF, names=names, subject=subject).made(ROOT).der


def test_a_subject_names_the_principal_as_rfc_4514_writes_it():
    identity = identify([named()], known=of_kind("subject"))
    assert identity.principal.id == "CN=scorer"
    identity = identify([named(subject="a,O=b")], known=of_kind("subject"))
    assert identity.principal.id == r"CN=a\,O=b"
    denied([named(*LEAF.names, subject="")], known=of_kind("subject"))


def test_a_subject_that_is_too_long_denies():
    units = [x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "x" * 64) for _ in range(40)]
    key = ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateBuilder(
        issuer_name=ROOT.certificate.subject,
        subject_name=x509.Name(units),
        public_key=key.public_key(),
        serial_number=7,
        not_valid_before=at(-1).replace(tzinfo=None),
        not_valid_after=at(1).replace(tzinfo=None),
    )
    for value, critical in LEAF.extensions():
        builder = builder.add_extension(value, critical)
    leaf = Made(builder.sign(ROOT.key, hashes.SHA256()), key)
    denied([leaf.der], known=of_kind("subject"))
    assert identify([leaf.der]).subject == URI


def test_a_dns_name_names_the_principal_in_small_letters():
    dns = x509.DNSName
    identity = identify([named(dns("Scorer.PROD.example"))], known=of_kind("dns"))
    assert identity.principal.id == "scorer.prod.example"
    for names in (
        (),
        LEAF.names,
        (dns("a.example"), dns("b.example")),
        (dns("*.example"),),
        (dns("*"),),
        (dns(""),),
        (dns("a..b"),),
        (dns("a.b."),),
        (dns("a b"),),
        (dns("a\0.b"),),
        (dns("a" * 64),),
    ):
        denied([named(*names)], known=of_kind("dns"))


def test_an_address_names_the_principal():
    mail = x509.RFC822Name
    identity = identify([named(mail("Bob@Prod.example"))], known=of_kind("email"))
    assert identity.principal.id == "Bob@prod.example"
    odd = mail._init_without_validation
    for names in (
        (),
        LEAF.names,
        (mail("a@b.example"), mail("c@b.example")),
        (odd("bob"),),
        (odd("@b.example"),),
        (odd("bob@"),),
        (odd("a@b@c.example"),),
        (odd("a b@c.example"),),
        (odd("Bob <a@c.example>"),),
        (odd("a\n@c.example"),),
    ):
        denied([named(*names)], known=of_kind("email"))


def test_a_client_without_key_usage_holds_where_it_is_no_svid():
    leaf = replace(LEAF, usage=None, names=(x509.DNSName("a.example"),)).made(ROOT)
    assert identify([leaf.der], known=of_kind("dns")).principal.id == "a.example"


# Parents


def test_an_unknown_parent_denies_or_is_left_out():
    leaf = LEAF.made(ROOT).der
    holder = {"type": "Workload", "in": {"Role": ["batch", "gone"], "Team": ["heart"]}}
    error = denied([leaf], "unknown_entity", known=provider(principal=holder))
    assert "Role" in str(error)
    assert "gone" not in str(error)
    known = provider(principal=holder, unknown_parents="drop")
    assert identify([leaf], known=known).principal.parents == (BATCH,)


def test_a_holder_without_parents_has_none():
    known = provider(principal={"type": "Workload"})
    assert identify([LEAF.made(ROOT).der], known=known).principal.parents == ()


# Form


@pytest.mark.parametrize(
    "chain",
    [
        None,
        [],
        (),
        b"",
        LEAF.made(ROOT).der,
        LEAF.made(ROOT).pem.decode(),
        [LEAF.made(ROOT).pem.decode()],
        [None],
        [b""],
        [b"0"],
        [b"garbage"],
        [b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"],
        [b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"],
        [LEAF.made(ROOT).pem * 2],
        [LEAF.made(ROOT).pem + ROOT.pem],
        [LEAF.made(ROOT).der + b"\0"],
        [LEAF.made(ROOT).der[:-1]],
        [LEAF.made(ROOT).der, b"garbage"],
        [LEAF.made(ROOT).der, None],
        [LEAF.made(ROOT).der] * 9,
        [b"0" * 17_000],
        [LEAF.made(ROOT).der, ROOT.der + b"0" * 17_000],
        [bytearray(LEAF.made(ROOT).der)],
        {LEAF.made(ROOT).der: 1},
        iter([LEAF.made(ROOT).der]),
    ],
    ids=lambda chain: "",
)
def test_what_is_no_chain_denies(chain):
    denied(chain)
    denied(chain, known=unverified())


def test_a_certificate_over_the_bound_denies_though_signed():
    odd = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x04\x00" * 8_000)
    leaf = replace(LEAF, more=((odd, False),)).made(ROOT)
    assert len(leaf.der) < 17_000
    denied([leaf.der])
    near = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x04\x00" * 7_500)
    assert identify([replace(LEAF, more=((near, False),)).made(ROOT).der])


def flipped(raw):
    for position in range(len(raw) * 8):
        changed = bytearray(raw)
        changed[position // 8] ^= 1 << position % 8
        yield position // 8, bytes(changed)


def claims(identity):
    """Return what decides and what a revocation names: all but the digest of the whole."""
    return replace(identity, peer=None, principal=None), identity.principal.uid


def test_no_bit_can_be_flipped_but_of_how_the_signature_is_written():
    leaf, known = LEAF.made(ROOT), provider(trust_domain=...)
    good = claims(identify([leaf.der], known=known))
    signed = leaf.der.index(leaf.certificate.tbs_certificate_bytes)
    end = signed + len(leaf.certificate.tbs_certificate_bytes)
    for position, raw in flipped(leaf.der):
        try:
            found = identify([raw], known=known)
        except NotAuthenticated as error:
            context = error.__context__
        else:
            context = None
            assert position >= end
            assert claims(found) == good
        assert context is None


def test_a_signature_that_is_written_anew_escapes_no_revocation():
    leaf = LEAF.made(ROOT)
    r, s = decode_dss_signature(leaf.certificate.signature)
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256
    twin = encode_dss_signature(r, order - s)
    head = leaf.certificate.tbs_certificate_bytes + bytes.fromhex("300a06082a8648ce3d040302")
    body = head + bytes([0x03, len(twin) + 1, 0]) + twin
    raw = bytes([0x30, 0x82, *divmod(len(body), 256)]) + body
    assert raw != leaf.der
    first, second = identify([leaf.der]), identify([raw])
    assert claims(first) == claims(second)
    assert first.peer != second.peer


@pytest.mark.parametrize(
    ("number", "text"), [(1, "01"), (0xAB, "AB"), (0xABC, "0ABC"), (2**159 - 1, "7F" + "FF" * 19)]
)
def test_a_serial_number_is_written_as_openssl_does(number, text):
    builder = x509.CertificateBuilder(
        issuer_name=name("a"),
        subject_name=name("a"),
        public_key=ROOT.key.public_key(),
        serial_number=number,
        not_valid_before=at(-1).replace(tzinfo=None),
        not_valid_after=at(1).replace(tzinfo=None),
    )
    assert serial(builder.sign(ROOT.key, hashes.SHA256())) == text


@pytest.mark.parametrize("kind", ["spiffe", "subject", "dns", "email"])
def test_a_certificate_that_nobody_verified_breaks_nothing(kind):
    names = (*LEAF.names, x509.DNSName("a.example"), x509.RFC822Name("a@b.example"))
    leaf = replace(LEAF, names=names).made(ROOT).der
    known = unverified(id=kind, trust_domain=...)
    for _, raw in flipped(leaf):
        with suppress(NotAuthenticated):
            identify([raw], known=known)


@settings(max_examples=200)
@given(st.lists(st.binary(max_size=200), max_size=3))
def test_garbage_is_denied_and_never_crashes(chain):
    with pytest.raises(NotAuthenticated) as caught:
        identify(chain, known=_UNVERIFIED)
    assert caught.value.code == "bad_certificate"


# The server's word


def unverified(**changes):
    return provider(None, ca_file=..., unsafe_trust_server=True, **changes)


_UNVERIFIED = unverified()


def test_where_the_server_is_trusted_the_leaf_is_read_and_its_path_is_not():
    leaf = LEAF.made(CA.made())
    identity = identify([leaf.der], known=unverified())
    assert (identity.subject, identity.expires_at) == (URI, NOW + DAY)
    denied([leaf.der], "certificate_expired", known=unverified(), now=NOW + DAY)
    denied([leaf.der], known=unverified(), now=NOW - 2 * DAY)
    denied([leaf.der], "wrong_trust_domain", known=unverified(trust_domain="other.example"))


def test_where_roots_stand_beside_that_trust_they_are_asked():
    known = provider(unsafe_trust_server=True)
    assert identify([LEAF.made(ROOT).der], known=known)
    denied([LEAF.made(CA.made()).der], known=known)


# Roots


PRIVATE = ROOT.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.mark.parametrize(
    "roots",
    [
        None,
        b"",
        b"garbage",
        ROOT.der,
        ROOT.pem[:-40],
        ROOT.pem + PRIVATE,
        LEAF.made(ROOT).pem,
        ROOT.pem + LEAF.made().pem,
        replace(CA, ca=None).made().pem,
        replace(CA, ca=False).made().pem,
        replace(CA, usage=None).made().pem,
        replace(CA, usage=usage(lists=True)).made().pem,
        replace(CA, key=WEAK).made().pem,
        replace(CA, key=ed25519.Ed25519PrivateKey.generate()).made().pem,
        replace(CA, key=ec.generate_private_key(ec.SECP256K1())).made().pem,
        ROOT.pem + b"\n" * 1_100_000,
    ],
    ids=lambda roots: "",
)
@pytest.mark.parametrize("changes", [{}, {"unsafe_trust_server": True}])
def test_roots_that_verify_nothing_are_a_fault(roots, changes):
    (fault,) = faults(lambda: provider(roots, **changes))
    assert (fault.code, fault.place) == ("GR400", PLACE)
    assert "ca_file" in fault.message


def test_no_root_is_needed_where_none_is_named():
    assert unverified()
    with pytest.raises(ConfigurationError):  # whatever the settings were made by
        Certificates(
            name="mesh",
            settings=settings_of().model_copy(update={"ca_file": None}),
            roots=None,
            prefix="",
            place=PLACE,
        )


# Settings


def test_settings_are_read_from_toml():
    text = b"""
[identity.mesh]
type = "mtls"
ca_file = "ca.pem"
trust_domain = "prod.example"
principal = { type = "Workload", in.Role = ["batch"] }
"""
    found = read_toml("guardrail.toml", text).below("identity", "mesh").parse(MtlsSettings)
    assert (found.id, found.unsafe_trust_server, found.unknown_parents) == ("spiffe", False, "deny")
    assert found.principal.parents == {"Role": ["batch"]}


@pytest.mark.parametrize(
    "changes",
    [
        {"ca_file": ...},
        {"ca_file": "", "unsafe_trust_server": True},
        {"unsafe_trust_server": "yes"},
        {"unsafe_trust_server": 1},
        {"trust_domain": "Prod.example"},
        {"trust_domain": "prod.example/"},
        {"trust_domain": "prod.example\n"},
        {"trust_domain": "spiffe://prod.example"},
        {"trust_domain": "prod.example:8443"},
        {"trust_domain": ""},
        {"trust_domain": "a" * 256},
        {"id": "dns"},  # beside a trust domain, which nothing would check
        {"id": "cn"},
        {"principal": ...},
        {"principal": {"type": "Work load"}},
        {"principal": {"type": "Workload", "in": {"Role": "batch"}}},
        {"principal": {"type": "Workload", "in": {"Role": [""]}}},
        {"principal": {"type": "Workload", "id": "x"}},
        {"unknown_parents": "keep"},
        {"type": "jwt"},
        {"issuer": "x"},
    ],
    ids=repr,
)
def test_settings_that_are_wrong_are_faults(changes):
    assert {fault.code for fault in faults(lambda: settings_of(**changes))} == {"GR003"}


# The peer


def test_a_peer_is_what_its_certificate_says():
    leaf = LEAF.made(CA.made())
    for raw in (leaf.der, leaf.pem):
        peer = peer_of(raw, ip="10.0.0.7")
        assert peer.certificate_subject == "CN=scorer"
        assert peer.certificate_sha256 == hashlib.sha256(leaf.der).hexdigest()
        assert (peer.ip, peer.tls) == ("10.0.0.7", None)
    assert peer_of(leaf.der).ip is None


def test_a_peer_without_a_subject_has_none():
    leaf = replace(LEAF, subject="", names_critical=True).made(ROOT)
    assert peer_of(leaf.der).certificate_subject is None


@pytest.mark.parametrize("raw", [b"", b"garbage", None, "text", b"0" * 17_000])
def test_a_peer_without_a_certificate_is_denied(raw):
    with pytest.raises(NotAuthenticated) as caught:
        peer_of(raw)
    assert (caught.value.code, caught.value.__context__) == ("bad_certificate", None)


def test_no_repr_shows_a_name():
    known = provider()
    shown = repr(known) + repr(identify([LEAF.made(ROOT).der], known=known))
    assert "scorer" not in shown
    assert "prod.example" not in shown
