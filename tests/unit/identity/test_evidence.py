"""Evidence of a machine: every invalid form is denied, and the valid ones are accepted."""

import base64
import pickle
import secrets
import threading
from dataclasses import replace

import jwt
import pytest
from attestations import (
    ALGORITHMS,
    AUDIENCE,
    CLAIMS,
    ISSUERS,
    MARK,
    MEASUREMENTS,
    NAMES,
    NOW,
    PLATFORMS,
    Service,
    azure_snp,
    azure_tdx,
    changed,
    confidential_space,
    denied,
    intel_tdx,
    peer,
    settings,
    table,
    without,
)
from attestations import services as services  # noqa: PLC0414  (a fixture)

from guardrail._ports import BlockingStep
from guardrail.errors import NotAuthenticated
from guardrail.identity.attestation.evidence import (
    LIMIT_BYTES,
    Appraised,
    EvidenceTable,
    TokenAppraiser,
)
from guardrail.identity.attestation.formats import AzureAttestation, Reading
from guardrail.identity.attestation.nonces import Challenges
from guardrail.identity.attestation.peer import PeerEvidence
from guardrail.identity.attestation.settings import EvidenceSettings
from guardrail.values import Evidence

every_format = pytest.mark.parametrize("name", NAMES)


@pytest.fixture
def scene(services):
    """Return a function that makes what verifies one format's evidence, and signs it."""

    def make(name, **changes):
        service = services[name]
        verifier, _ = peer(table(name, service.check_signature_of, **changes))
        return verifier, service

    return make


# What holds


@every_format
def test_good_evidence_says_what_the_machine_is(scene, name):
    verifier, service = scene(name)
    token = service.sign(CLAIMS[name](verifier.challenge(NOW)))
    evidence = verifier.verify(token, NOW)
    assert evidence.measurement == MEASUREMENTS[name]
    assert evidence.platform == PLATFORMS[name]
    assert evidence.debug is False
    assert (evidence.issued_at, evidence.expires_at) == (NOW - 10, NOW + 290)


@every_format
def test_evidence_may_come_as_bytes_and_with_white_space_around(scene, name):
    verifier, service = scene(name, nonce="none")
    token = service.sign(CLAIMS[name]())
    for presented in (token, token.encode(), f"{token}\n", f"  {token}\r\n".encode()):
        assert verifier.verify(presented, NOW).measurement == MEASUREMENTS[name]


@every_format
def test_a_debug_machine_and_any_measurement_are_facts_and_no_faults(scene, name):
    verifier, service = scene(name, nonce="none")
    flags = {
        "confidential_space": ("enabled", "dbgstat"),
        "azure_maa": (True, "x-ms-sevsnpvm-is-debuggable"),
        "trust_authority": (True, "tdx_td_attributes_debug"),
    }
    claims = changed(CLAIMS[name](), flags[name][0], flags[name][1])
    assert verifier.verify(service.sign(claims), NOW).debug is True


def test_evidence_ends_with_its_token_or_its_age_whichever_is_first(scene):
    verifier, service = scene("azure_maa", nonce="none", max_age_s=60)
    assert verifier.verify(service.sign(azure_snp()), NOW).expires_at == NOW + 50
    short = changed(azure_snp(), int(NOW) + 7, "exp")
    assert verifier.verify(service.sign(short), NOW).expires_at == NOW + 7


def test_the_table_is_chosen_by_the_issuer(services):
    tables = [table(name, services[name].check_signature_of, nonce="none") for name in NAMES]
    verifier, _ = peer(*tables)
    for name in NAMES:
        evidence = verifier.verify(services[name].sign(CLAIMS[name]()), NOW)
        assert evidence.measurement == MEASUREMENTS[name]


def test_an_audience_may_be_one_of_several(scene):
    verifier, service = scene("confidential_space", nonce="none")
    claims = changed(confidential_space(), [MARK, AUDIENCE], "aud")
    assert verifier.verify(service.sign(claims), NOW).platform == "intel_tdx"


# Signatures


@every_format
def test_another_signing_key_is_denied(scene, name):
    verifier, _ = scene(name, nonce="none")
    denied("bad_signature", verifier.verify, Service(ALGORITHMS[name]).sign(CLAIMS[name]()), NOW)


@every_format
def test_a_flipped_byte_is_denied(scene, name):
    verifier, service = scene(name, nonce="none")
    token = service.sign(CLAIMS[name]())
    head, payload, signature = token.split(".")
    for part, text in enumerate((head, payload, signature)):
        for at in range(0, len(text), max(1, len(text) // 20)):
            parts = [head, payload, signature]
            letter = "A" if text[at] != "A" else "B"
            parts[part] = text[:at] + letter + text[at + 1 :]
            with pytest.raises(NotAuthenticated) as caught:
                verifier.verify(".".join(parts), NOW)
            assert caught.value.code in {
                "bad_signature", "malformed_token", "wrong_algorithm", "bad_evidence",
                "wrong_issuer",
            }  # fmt: skip
            assert caught.value.__context__ is None


def test_evidence_of_one_issuer_under_the_key_of_another_is_denied(services):
    tables = [table(name, services[name].check_signature_of, nonce="none") for name in NAMES]
    verifier, _ = peer(*tables)
    forged = services["azure_maa"].sign(confidential_space())
    denied("bad_signature", verifier.verify, forged, NOW)


def test_an_unsigned_token_is_denied(scene):
    verifier, _ = scene("azure_maa", nonce="none")
    bare = jwt.encode(azure_snp(), None, algorithm="none")
    denied("bad_evidence", verifier.verify, bare, NOW)


def test_a_nonce_survives_evidence_that_does_not_hold(scene):
    verifier, service = scene("azure_maa")
    nonce = verifier.challenge(NOW)
    forged = Service().sign(azure_snp(nonce))
    stale = service.sign(changed(azure_snp(nonce), int(NOW) - 400, "iat"))
    denied("bad_signature", verifier.verify, forged, NOW)
    denied("stale_evidence", verifier.verify, stale, NOW)
    assert verifier.verify(service.sign(azure_snp(nonce)), NOW).debug is False


# Issuer, audience and times


@every_format
def test_another_issuer_is_denied(scene, name):
    verifier, service = scene(name, nonce="none")
    for other in (f"{ISSUERS[name]}/", "https://evil.example", "HTTPS" + ISSUERS[name][5:]):
        token = service.sign(changed(CLAIMS[name](), other, "iss"))
        denied("wrong_issuer", verifier.verify, token, NOW)


def test_the_issuer_is_checked_again_once_it_is_verified(services):
    chosen = settings("azure_maa", nonce="none")
    claims = changed(azure_snp(), "https://evil.example", "iss")
    appraiser = TokenAppraiser(
        chosen, format=AzureAttestation(), check_signature_of=lambda *_: claims
    )
    denied("wrong_issuer", appraiser.appraise, b"a.b.c", NOW)


@pytest.mark.parametrize("value", [..., None, 7, "", ["x"], {}])
@every_format
def test_a_token_that_names_no_issuer_is_denied(scene, name, value):
    verifier, service = scene(name, nonce="none")
    try:
        token = service.sign(changed(CLAIMS[name](), value, "iss"))
    except TypeError:  # PyJWT makes no such token
        return
    denied("wrong_issuer" if value == "" else "bad_evidence", verifier.verify, token, NOW)


@pytest.mark.parametrize("audience", ["https://other.example", f"{AUDIENCE}/", [], [MARK], 7])
def test_another_audience_is_denied(scene, audience):
    verifier, service = scene("confidential_space", nonce="none")
    token = service.sign(changed(confidential_space(), audience, "aud"))
    denied("wrong_audience", verifier.verify, token, NOW)


def test_a_token_without_an_audience_is_denied(scene):
    verifier, service = scene("confidential_space", nonce="none")
    denied("bad_evidence", verifier.verify, service.sign(without(confidential_space(), "aud")), NOW)


@every_format
def test_stale_evidence_is_denied(scene, name):
    verifier, service = scene(name, nonce="none")
    token = service.sign(CLAIMS[name]())  # issued 10 s ago, for an hour
    assert verifier.verify(token, NOW + 289.9)
    denied("stale_evidence", verifier.verify, token, NOW + 290)
    denied("stale_evidence", verifier.verify, token, NOW + 3000)
    denied("token_expired", verifier.verify, token, NOW + 3600)


@every_format
def test_evidence_of_the_future_is_denied(scene, name):
    verifier, service = scene(name, nonce="none")
    claims = CLAIMS[name]()
    denied("token_not_yet_valid", verifier.verify, service.sign(claims), NOW - 11)
    later = service.sign(changed(claims, int(NOW) + 1, "nbf"))
    denied("token_not_yet_valid", verifier.verify, later, NOW)
    denied("token_not_yet_valid", verifier.verify, service.sign(claims), float("nan"))


def test_evidence_issued_in_the_future_is_denied_whatever_else_it_says(scene):
    verifier, service = scene("azure_maa", nonce="none")
    claims = changed(without(azure_snp(), "nbf"), int(NOW) + 1, "iat")
    denied("token_not_yet_valid", verifier.verify, service.sign(claims), NOW)
    assert verifier.verify(service.sign(claims), NOW + 1)


def test_leeway_widens_every_comparison_of_times(scene):
    verifier, service = scene("azure_maa", nonce="none", leeway_s=30)
    token = service.sign(azure_snp())
    assert verifier.verify(token, NOW - 40).expires_at == NOW + 320
    assert verifier.verify(token, NOW + 319)
    denied("token_not_yet_valid", verifier.verify, token, NOW - 40.5)
    denied("stale_evidence", verifier.verify, token, NOW + 320)


@pytest.mark.parametrize("claim", ["iat", "exp", "nbf"])
@pytest.mark.parametrize(
    "value", [..., None, "soon", True, -1, 1e300, 253_402_300_800, [int(NOW)], {}]
)
@every_format
def test_a_time_that_is_missing_or_none_is_denied(scene, name, claim, value):
    verifier, service = scene(name, nonce="none")
    token = service.sign(changed(CLAIMS[name](), value, claim))
    if claim == "nbf" and value in (..., None):
        assert verifier.verify(token, NOW)  # RFC 7519 §4.1.5: it need not be there
    else:
        denied("bad_evidence", verifier.verify, token, NOW)


# The hardware's security level


@pytest.mark.parametrize("claims", [intel_tdx, azure_tdx])
@pytest.mark.parametrize("status", ["OutOfDate", "Revoked", "SWHardeningNeeded", MARK])
def test_hardware_that_is_not_up_to_date_is_denied(scene, claims, status):
    name = "trust_authority" if claims is intel_tdx else "azure_maa"
    token = changed(claims(), status, "attester_tcb_status")
    verifier, service = scene(name, nonce="none")
    error = denied("bad_evidence", verifier.verify, service.sign(token), NOW)
    assert error.path == "evidence.attester_tcb_status"


def test_a_bundle_can_accept_more(scene):
    verifier, service = scene(
        "trust_authority", nonce="none", tcb_status=["UpToDate", "SWHardeningNeeded"]
    )
    token = changed(intel_tdx(), "SWHardeningNeeded", "attester_tcb_status")
    assert verifier.verify(service.sign(token), NOW).platform == "intel_tdx"


# Nonces


@every_format
def test_evidence_without_a_nonce_is_denied(scene, name):
    verifier, service = scene(name)
    denied("bad_evidence", verifier.verify, service.sign(CLAIMS[name]()), NOW)


@every_format
def test_a_replay_is_denied(scene, name):
    verifier, service = scene(name)
    token = service.sign(CLAIMS[name](verifier.challenge(NOW)))
    assert verifier.verify(token, NOW)
    denied("replayed_nonce", verifier.verify, token, NOW)
    denied("replayed_nonce", verifier.verify, token, NOW + 1)


@every_format
def test_a_nonce_that_was_never_given_out_is_denied(scene, name):
    verifier, service = scene(name)
    verifier.challenge(NOW)
    forged = secrets.token_urlsafe(32)
    denied("replayed_nonce", verifier.verify, service.sign(CLAIMS[name](forged)), NOW)


def test_a_nonce_that_is_too_old_is_denied(services):
    service = services["azure_maa"]
    verifier, _ = peer(table("azure_maa", service.check_signature_of, max_age_s=3600), ttl_s=60)
    nonce = verifier.challenge(NOW)
    denied("replayed_nonce", verifier.verify, service.sign(azure_snp(nonce)), NOW + 60)
    other = verifier.challenge(NOW)
    assert verifier.verify(service.sign(azure_snp(other)), NOW + 59)


def test_a_nonce_of_another_guard_is_denied(services):
    service = services["azure_maa"]
    one, _ = peer(table("azure_maa", service.check_signature_of))
    other, _ = peer(table("azure_maa", service.check_signature_of))
    denied("replayed_nonce", one.verify, service.sign(azure_snp(other.challenge(NOW))), NOW)


@pytest.mark.parametrize("live", [1, 2, 3, 16, 20])
def test_evidence_with_several_nonces_is_taken_once(scene, live):
    verifier, service = scene("confidential_space")
    nonces = [verifier.challenge(NOW) for _ in range(live)]
    claims = changed(confidential_space(), nonces, "eat_nonce")
    token = service.sign(claims)
    assert verifier.verify(token, NOW)
    for _ in range(live + 1):
        denied("replayed_nonce", verifier.verify, token, NOW)


def test_evidence_with_nonces_in_two_claims_is_taken_once(scene):
    verifier, service = scene("trust_authority")
    claims = intel_tdx(verifier.challenge(NOW))
    other = verifier.challenge(NOW)
    token = service.sign(changed(claims, {"nonce": other}, "attester_runtime_data"))
    assert verifier.verify(token, NOW)
    denied("replayed_nonce", verifier.verify, token, NOW)
    denied("replayed_nonce", verifier.verify, service.sign(intel_tdx(other)), NOW)


def test_nonces_of_evidence_that_does_not_hold_are_not_used_up(scene):
    verifier, service = scene("confidential_space")
    nonces = [verifier.challenge(NOW) for _ in range(2)]
    claims = changed(confidential_space(), nonces, "eat_nonce")
    denied("wrong_audience", verifier.verify, service.sign(changed(claims, MARK, "aud")), NOW)
    assert verifier.verify(service.sign(claims), NOW)


def test_where_no_nonce_is_needed_none_is_taken(services):
    service = services["azure_maa"]
    verifier, challenges = peer(table("azure_maa", service.check_signature_of, nonce="none"))
    nonce = verifier.challenge(NOW)
    token = service.sign(azure_snp(nonce))
    assert verifier.verify(token, NOW) == verifier.verify(token, NOW)
    assert challenges.take(nonce, NOW)


def test_one_of_many_at_once_takes_a_nonce(services):
    service = services["azure_maa"]
    verifier, _ = peer(table("azure_maa", service.check_signature_of))
    token = service.sign(azure_snp(verifier.challenge(NOW)))
    codes = []
    begin = threading.Barrier(8)

    def present():
        begin.wait()
        try:
            verifier.verify(token, NOW)
        except NotAuthenticated as error:
            codes.append(error.code)
        else:
            codes.append("held")

    threads = [threading.Thread(target=present) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(codes) == ["held"] + ["replayed_nonce"] * 7


# What is no evidence


@pytest.mark.parametrize(
    "presented",
    [
        "", MARK, "a.b", "a.b.c.d", "a.b.c", "e30.e30.e30", "Bearer a.b.c", "ä.b.c", "\ud800",
        b"\xff" * 9, b"",
    ],
)  # fmt: skip
def test_what_is_no_token_is_denied(scene, presented):
    verifier, _ = scene("azure_maa", nonce="none")
    denied("bad_evidence", verifier.verify, presented, NOW)


@pytest.mark.parametrize("presented", [None, 7, ["a.b.c"], {}])
def test_what_is_no_text_is_denied(scene, presented):
    verifier, _ = scene("azure_maa", nonce="none")
    denied("bad_evidence", verifier.verify, presented, NOW)


def test_very_long_evidence_is_denied_unread(scene):
    verifier, service = scene("azure_maa", nonce="none")
    before = service.opened
    denied("bad_evidence", verifier.verify, "A" * (LIMIT_BYTES + 1), NOW)
    denied("bad_evidence", verifier.verify, b"A" * (LIMIT_BYTES + 1), NOW)
    assert service.opened == before


def test_deeply_nested_claims_deny_as_any_other(scene):
    verifier, _ = scene("azure_maa", nonce="none")
    deep = base64.urlsafe_b64encode(b"[" * 40_000).rstrip(b"=").decode()
    denied("bad_evidence", verifier.verify, f"e30.{deep}.e30", NOW)


def test_no_repr_shows_anything_of_evidence(scene, services):
    verifier, service = scene("azure_maa")
    verifier.challenge(NOW)
    shown = (
        repr(verifier)
        + repr(table("azure_maa", service.check_signature_of))
        + repr(Appraised(Evidence()))
    )
    appraiser = TokenAppraiser(
        settings("azure_maa"),
        format=AzureAttestation(),
        check_signature_of=service.check_signature_of,
    )
    assert ISSUERS["azure_maa"] not in shown + repr(appraiser)


# What must block comes back


def test_a_wait_for_keys_comes_back_and_the_nonce_is_still_there(services):
    service = services["azure_maa"]
    fetched = []

    def check_signature_of(token, now):
        return (
            service.check_signature_of(token, now)
            if fetched
            else BlockingStep(lambda: fetched.append(1))
        )

    verifier, _ = peer(table("azure_maa", check_signature_of))
    token = service.sign(azure_snp(verifier.challenge(NOW)))
    wait = verifier.verify(token, NOW)
    assert isinstance(wait, BlockingStep)
    wait.work()
    assert verifier.verify(token, NOW).debug is False


def test_another_signal_of_whoever_finds_keys_passes_through(services):
    class KeysNeeded(Exception):
        pass

    def check_signature_of(token, now):
        raise KeysNeeded

    verifier, challenges = peer(table("azure_maa", check_signature_of))
    nonce = verifier.challenge(NOW)
    with pytest.raises(KeysNeeded):
        verifier.verify(services["azure_maa"].sign(azure_snp(nonce)), NOW)
    assert challenges.take(nonce, NOW)


# An application's own kinds of evidence are held to the same.


class Own:
    name = "own"

    def __init__(self, answer):
        self.answer = answer

    def appraise(self, presented, now):
        answer = self.answer
        if callable(answer):
            return answer(presented)
        return answer


GOOD = Evidence("own_hw", "AB" * 32, False, NOW - 10, NOW + 60)


def own(answer, **changes):
    chosen = EvidenceSettings.model_validate(
        {"about": "peer", "format": "own", "nonce": "none", **changes}
    )
    return peer(EvidenceTable("own", chosen, Own(answer)))


def test_own_evidence_holds_when_it_says_all():
    verifier, challenges = own(Appraised(GOOD))
    evidence = verifier.verify(b"\x00\xff", NOW)
    assert evidence == replace(GOOD, measurement="ab" * 32)
    nonce = challenges.issue(NOW)
    verifier, challenges = own(Appraised(GOOD, (7, nonce)), nonce="required")
    denied("replayed_nonce", verifier.verify, b"\x00", NOW)


@pytest.mark.parametrize(
    "answer",
    [
        None,
        GOOD,
        (GOOD, ()),
        Appraised(None),
        Appraised(Evidence()),
        Appraised(replace(GOOD, measurement=None)),
        Appraised(replace(GOOD, measurement="")),
        Appraised(replace(GOOD, measurement="ab")),
        Appraised(replace(GOOD, measurement=MARK * 4)),
        Appraised(replace(GOOD, measurement=b"ab" * 32)),
        Appraised(replace(GOOD, platform=None)),
        Appraised(replace(GOOD, platform="Own HW")),
        Appraised(replace(GOOD, debug=None)),
        Appraised(replace(GOOD, debug=0)),
        Appraised(replace(GOOD, issued_at=None)),
        Appraised(replace(GOOD, expires_at=None)),
        Appraised(replace(GOOD, expires_at=float("inf"))),
        Appraised(replace(GOOD, issued_at=float("nan"))),
    ],
)
def test_own_evidence_that_leaves_something_out_is_denied(answer):
    verifier, _ = own(answer)
    denied("bad_evidence", verifier.verify, b"\x00", NOW)


@pytest.mark.parametrize("error", [KeyError, ValueError, TypeError, ZeroDivisionError])
def test_what_own_evidence_stumbles_over_is_not_told(error):
    def stumble(presented):
        raise error(MARK)

    verifier, _ = own(stumble)
    denied("bad_evidence", verifier.verify, b"\x00", NOW)


def test_an_own_denial_goes_on_without_its_chain():
    def refuse(presented):
        try:
            raise KeyError(MARK)
        except KeyError as inner:
            raise NotAuthenticated("Not this machine.", code="not_here") from inner

    verifier, _ = own(refuse)
    error = denied("not_here", verifier.verify, b"\x00", NOW)
    assert MARK not in str(pickle.loads(pickle.dumps(error)))  # noqa: S301


def test_own_claims_that_a_format_stumbles_over_are_not_told(services):
    class Clumsy:
        name = "clumsy"

        def read(self, claims):
            return Reading("own_hw", claims[claims["x-ms-policy-hash"]], debug=False)

    service = services["azure_maa"]
    chosen = settings("azure_maa", nonce="none")
    appraiser = TokenAppraiser(
        chosen, format=Clumsy(), check_signature_of=service.check_signature_of
    )
    verifier, _ = peer(EvidenceTable("clumsy", chosen, appraiser))
    denied("bad_evidence", verifier.verify, service.sign(azure_snp()), NOW)
    appraiser = TokenAppraiser(
        chosen, format=Own(None), check_signature_of=service.check_signature_of
    )
    verifier, _ = peer(EvidenceTable("none", chosen, appraiser))
    denied("bad_evidence", verifier.verify, service.sign(azure_snp()), NOW)


def test_own_evidence_is_what_no_table_of_tokens_is_for(services):
    service = services["azure_maa"]
    chosen = EvidenceSettings.model_validate({"about": "peer", "format": "own", "nonce": "none"})
    tables = [table("azure_maa", service.check_signature_of, nonce="none")]
    tables.append(EvidenceTable("own", chosen, Own(Appraised(GOOD))))
    verifier, _ = peer(*tables)
    assert verifier.verify(service.sign(azure_snp()), NOW).platform == "amd_sev_snp"
    assert verifier.verify(b"\x00\xff", NOW).platform == "own_hw"
    # Not under the key of the table that it names: then it is no evidence of another kind.
    denied("bad_signature", verifier.verify, Service().sign(azure_snp()), NOW)


def test_a_peer_verifier_of_nothing_takes_nothing():
    verifier = PeerEvidence((), challenges=Challenges(random=secrets.token_bytes))
    denied("bad_evidence", verifier.verify, "a.b.c", NOW)
