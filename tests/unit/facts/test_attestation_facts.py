"""Facts of the connection and of machines: known ones are returned, expired ones are unverified."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address

import pytest
from bundles import GRANT

from guardrail import Entity, NotAuthorized, Principal
from guardrail._ports import FactContext
from guardrail.facts import HostFacts, PeerAttestationFacts, PeerFacts
from guardrail.identity import ActingAs
from guardrail.values import NO_INPUT, Evidence, Identity, Peer

NOW = 1_700_000_000.0  # that of the frozen clock
IMAGE = "ab" * 32
HELD = Evidence("intel_tdx", IMAGE, False, issued_at=NOW - 60, expires_at=NOW + 60)
CLARA = Principal(
    "User", "clara", parents=[Entity("Role", "clinician")], attrs={"department": "care"}
)


class Host:
    def __init__(self, evidence):
        self.evidence = evidence
        self.asked = []

    def current(self, now):
        self.asked.append(now)
        return self.evidence


def context(*, peer=None, evidence=None, now=NOW):
    identity = Identity(Principal("User", "clara"), peer=peer, evidence=evidence)
    return FactContext(identity, NO_INPUT, "predict", Entity("Model", "tumour"), now, {})


def told(source, *names, **call):
    return source.compute(frozenset(names or source.facts), context(**call))


def attested(evidence, *names, now=NOW):
    """Ask both sources of evidence, which must say the same."""
    peer = told(PeerAttestationFacts(), *names, evidence=evidence, now=now)
    assert told(HostFacts(Host(evidence)), *names, now=now) == peer
    return peer


# The connection


def test_what_is_known_of_the_connection_is_told():
    peer = Peer(True, "10.0.0.7", "CN=ana,O=acme", "ab" * 32)
    assert told(PeerFacts(), peer=peer) == {
        "tls": True,
        "ip": IPv4Address("10.0.0.7"),
        "certificate_subject": "CN=ana,O=acme",
        "certificate_sha256": "ab" * 32,
    }


def test_what_nobody_says_of_the_connection_is_left_out():
    assert told(PeerFacts()) == {}
    assert told(PeerFacts(), peer=Peer()) == {}
    assert told(PeerFacts(), peer=Peer(tls=False)) == {"tls": False}


def test_only_what_is_named_of_the_connection_is_told():
    peer = Peer(True, "10.0.0.7")
    assert told(PeerFacts(), "tls", "absent", peer=peer) == {"tls": True}
    assert PeerFacts().compute(frozenset(), context(peer=peer)) == {}


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("10.0.0.7", IPv4Address("10.0.0.7")),
        ("::ffff:10.0.0.7", IPv4Address("10.0.0.7")),
        ("2001:DB8::0:1", IPv6Address("2001:db8::1")),
        ("not an address", "not an address"),
        ("", ""),
    ],
)
def test_an_address_is_given_as_such(text, address):
    assert told(PeerFacts(), "ip", peer=Peer(ip=text)) == {"ip": address}


# Machines


def test_evidence_that_holds_is_told():
    assert attested(HELD) == {
        "verified": True,
        "platform": "intel_tdx",
        "measurement": IMAGE,
        "debug": False,
        "age_s": 60,
    }


def test_only_what_is_named_of_a_machine_is_told():
    assert attested(HELD, "debug", "absent") == {"debug": False}
    assert PeerAttestationFacts().compute(frozenset(), context(evidence=HELD)) == {}


def test_without_evidence_nothing_is_verified_and_nothing_else_told():
    assert attested(None) == {"verified": False}
    assert attested(None, "measurement", "debug") == {}
    assert told(HostFacts()) == {"verified": False}


@pytest.mark.parametrize("now", [NOW + 60, NOW + 1e6, float("nan")])
def test_evidence_that_has_lapsed_is_as_good_as_none(now):
    assert attested(HELD, now=now) == {"verified": False}


def test_evidence_that_says_no_end_is_as_good_as_none():
    assert attested(replace(HELD, expires_at=None)) == {"verified": False}


def test_what_evidence_leaves_out_is_left_out():
    bare = Evidence(expires_at=NOW + 1)
    assert attested(bare) == {"verified": True}


@pytest.mark.parametrize(
    ("issued_at", "age_s"),
    [(NOW, 0), (NOW - 0.1, 1), (NOW - 59.5, 60), (NOW - 60, 60), (NOW + 5, 0)],
)
def test_an_age_is_rounded_up(issued_at, age_s):
    found = attested(replace(HELD, issued_at=issued_at), "age_s")
    assert found == {"age_s": age_s}
    assert type(found["age_s"]) is int


def test_the_host_is_asked_once_and_only_when_a_fact_of_it_is_read():
    host = Host(HELD)
    told(HostFacts(host), "verified", "debug", "age_s")
    assert host.asked == [NOW]


# With policies: a debug machine and a wrong measurement are theirs to refuse.

SCHEMA = """
entity Role enum ["clinician"];
entity User in [Role] { department: String };
entity Model { purpose: String };
action predict appliesTo {
  principal: [User], resource: [Model],
  context: {
    peer: guardrail::PeerFacts, peer_attestation: guardrail::AttestationFacts,
    host: guardrail::AttestationFacts,
  },
};
"""
ENTITIES = '[{"uid":{"type":"Model","id":"m"},"attrs":{"purpose":"care"},"parents":[]}]'
ENCLAVES = f"""
@id("only-our-enclave")
forbid (principal, action, resource)
unless {{
  context.peer_attestation.verified && !context.peer_attestation.debug &&
  context.peer_attestation.measurement == "{IMAGE}"
}};
"""
FRESH = """
@id("nothing-stale")
forbid (principal, action, resource) when { context.peer_attestation.age_s > 60 };
"""
FROM_HOUSE = """
@id("from-the-house")
forbid (principal, action, resource)
unless { context.peer.tls && context.peer.ip.isInRange(ip("10.0.0.0/8")) };
"""
ON_OUR_HOST = """
@id("on-our-host")
forbid (principal, action, resource) unless { context.host.verified };
"""


@pytest.fixture
def decide(make_guard):
    """Return a function that calls under an identity; it returns the code and the policies."""
    files = {"schema.cedarschema": SCHEMA, "entities.json": ENTITIES}

    def call(policies, **identity):
        guard = make_guard(GRANT + policies, **files)
        score = guard.protect(action="predict", resource='Model::"m"')(lambda: "scored")
        with ActingAs(Identity(CLARA, **identity)):
            try:
                assert score() == "scored"
            except NotAuthorized as denied:
                return denied.code, denied.policies
        return "allow", ()

    return call


def test_the_enclave_that_a_policy_names_may_call(decide):
    assert decide(ENCLAVES, evidence=HELD) == ("allow", ())


@pytest.mark.parametrize(
    "evidence",
    [
        None,
        replace(HELD, debug=True),
        replace(HELD, measurement="cd" * 32),
        replace(HELD, expires_at=NOW),
    ],
    ids=["none", "debug", "wrong measurement", "lapsed"],
)
def test_any_other_is_prohibited(decide, evidence):
    assert decide(ENCLAVES, evidence=evidence) == ("prohibited", ("only-our-enclave",))


@pytest.mark.parametrize("evidence", [replace(HELD, debug=None), replace(HELD, measurement=None)])
def test_a_policy_that_reads_what_evidence_leaves_out_denies(decide, evidence):
    assert decide(ENCLAVES, evidence=evidence) == ("evaluation_error", ("only-our-enclave",))


def test_a_policy_that_reads_more_than_whether_there_is_evidence_denies(decide):
    assert decide(FRESH, evidence=HELD)[0] == "allow"
    assert decide(FRESH, evidence=None) == ("evaluation_error", ("nothing-stale",))
    older = replace(HELD, issued_at=NOW - 60.1)
    assert decide(FRESH, evidence=older) == ("prohibited", ("nothing-stale",))


def test_a_policy_can_require_the_connection(decide):
    assert decide(FROM_HOUSE, peer=Peer(True, "10.2.3.4"))[0] == "allow"
    assert decide(FROM_HOUSE, peer=Peer(True, "::ffff:10.2.3.4"))[0] == "allow"
    assert decide(FROM_HOUSE, peer=Peer(True, "192.0.2.1"))[0] == "prohibited"
    assert decide(FROM_HOUSE, peer=Peer(False, "10.2.3.4"))[0] == "prohibited"
    assert decide(FROM_HOUSE, peer=Peer(True))[0] == "evaluation_error"
    assert decide(FROM_HOUSE)[0] == "evaluation_error"


@pytest.mark.parametrize("ip", ["", "10.0.0.1%eth0", "fe80::1%eth0", "canary-4711"])
def test_an_address_that_is_none_denies(make_guard, ip):
    guard = make_guard(
        GRANT + FROM_HOUSE, **{"schema.cedarschema": SCHEMA, "entities.json": ENTITIES}
    )
    score = guard.protect(action="predict", resource='Model::"m"')(lambda: "scored")
    with (
        ActingAs(Identity(CLARA, peer=Peer(True, ip))),
        pytest.raises(NotAuthorized) as caught,
    ):
        score()
    assert (caught.value.code, caught.value.path) == ("bad_fact", "context.peer.ip")
    assert "canary" not in str(caught.value)


def test_a_host_of_which_nothing_is_known_is_not_verified(decide):
    assert decide(ON_OUR_HOST) == ("prohibited", ("on-our-host",))
