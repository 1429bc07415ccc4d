"""The evidence of this host: read when its file changed, used until it expires."""

import os
import threading

import pytest
from attestations import (
    AUDIENCE,
    LAUNCH,
    MARK,
    NOW,
    Service,
    changed,
    confidential_space,
    table,
    without,
)
from attestations import services as services  # noqa: PLC0414  (a fixture)

from guardrail._ports import BlockingStep
from guardrail.errors import NotAuthenticated
from guardrail.identity.attestation.evidence import LIMIT_BYTES
from guardrail.identity.attestation.host import HostEvidence, run_in_thread


@pytest.fixture
def host(services, tmp_path):
    """This host's evidence, and a function that writes its token."""
    file = tmp_path / "token"
    service = services["confidential_space"]
    found = HostEvidence(
        table(
            "confidential_space",
            service.check_signature_of,
            about="host",
            token_file=str(file),
            max_age_s=3600,
        ),
        run_in_background=lambda work: work(),
    )

    def write(claims=None, token=None):
        file.write_text((token or service.sign(claims or confidential_space())) + "\n")

    return found, write


def test_the_platforms_token_is_this_hosts_evidence(host):
    found, write = host
    write()
    evidence = found.current(NOW)
    assert evidence.platform == "intel_tdx"
    assert evidence.expires_at == NOW + 3590
    assert (found.complaint, repr(found)) == (None, "<HostEvidence held>")


def complains(found, code, now=NOW):
    assert found.current(now) is None
    complaint = found.complaint
    assert complaint.code == code
    shown = repr(complaint) + repr(found)
    assert [secret for secret in (MARK, AUDIENCE, LAUNCH) if secret in shown] == []
    return complaint


def test_without_a_token_there_is_none_and_it_says_why(host):
    found, write = host
    assert found.complaint is not None
    assert "token_file" in complains(found, "bad_evidence").message
    write()
    assert found.current(NOW + 0.9) is None  # looked at once a second
    assert found.current(NOW + 1).debug is False
    assert found.complaint is None


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        (without(confidential_space(), "submods"), "bad_evidence"),
        (changed(confidential_space(), MARK, "aud"), "wrong_audience"),
        (changed(confidential_space(), int(NOW) - 7200, "iat"), "stale_evidence"),
        (changed(confidential_space(), int(NOW) - 1, "exp"), "token_expired"),
        (changed(confidential_space(), "https://evil.example", "iss"), "wrong_issuer"),
    ],
)
def test_a_token_that_does_not_hold_is_none(host, claims, code):
    found, write = host
    write(claims)
    complains(found, code)


def test_a_token_under_another_key_is_none(host):
    found, write = host
    write(token=Service().sign(confidential_space()))
    complains(found, "bad_signature")


def test_a_token_is_verified_once(host, services):
    found, write = host
    write()
    before = services["confidential_space"].opened
    for second in range(100):
        assert found.current(NOW + second)
    assert services["confidential_space"].opened == before + 1


def test_a_renewed_token_is_read(host):
    found, write = host
    write()
    first = found.current(NOW)
    renewed = {**confidential_space(), "iat": int(NOW) + 3000, "exp": int(NOW) + 6600}
    write(renewed)
    assert found.current(NOW + 3000.5).issued_at == first.issued_at + 3010
    write(changed(renewed, "enabled", "dbgstat"))
    assert found.current(NOW + 3002).debug is True


def test_a_token_that_is_not_renewed_lapses(host):
    found, write = host
    write()
    assert found.current(NOW + 3589)
    complains(found, "stale_evidence", NOW + 3590)
    complains(found, "stale_evidence", NOW + 9999)


def test_a_token_that_goes_bad_takes_the_evidence_with_it(host):
    found, write = host
    write()
    assert found.current(NOW)
    write(token=Service().sign(confidential_space()))
    complains(found, "bad_signature", NOW + 1)
    write()
    assert found.current(NOW + 2)


def test_a_clock_at_nan_has_no_evidence(host):
    found, write = host
    write()
    assert found.current(float("nan")) is None
    assert found.current(NOW)
    assert found.current(float("nan")) is None


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_what_is_no_plain_file_is_never_read(services, tmp_path, make):
    path = tmp_path / "token"
    make(path)
    check_signature_of = services["confidential_space"].check_signature_of
    chosen = table("confidential_space", check_signature_of, about="host", token_file=str(path))
    complains(HostEvidence(chosen), "bad_evidence")


def test_a_very_long_token_is_never_read(host):
    found, write = host
    write(token="A" * (LIMIT_BYTES + 1))
    complains(found, "bad_evidence")


def test_a_path_that_no_file_can_have_is_none(services):
    check_signature_of = services["confidential_space"].check_signature_of
    chosen = table(
        "confidential_space", check_signature_of, about="host", token_file="/run/\0token"
    )
    complains(HostEvidence(chosen), "bad_evidence")


class Keys:
    """Finds keys only after they were fetched."""

    def __init__(self, service, fails=0):
        self.service = service
        self.fails = fails
        self.are_here = False

    def check_signature_of(self, token, now):
        if self.are_here:
            return self.service.check_signature_of(token, now)
        return BlockingStep(lambda: 1, lambda one: BlockingStep(lambda: self.fetch(one)))

    def fetch(self, one):
        assert one == 1
        self.fails -= 1
        if self.fails >= 0:
            raise NotAuthenticated("Not now.", code="provider_unavailable")
        self.are_here = True


@pytest.fixture
def fetching(services, tmp_path):
    """This host's evidence whose keys must be fetched; the work is kept until it is run."""

    def make(fails=0):
        service = services["confidential_space"]
        (tmp_path / "token").write_text(service.sign(confidential_space()))
        keys, works = Keys(service, fails), []
        chosen = table(
            "confidential_space",
            keys.check_signature_of,
            about="host",
            token_file=str(tmp_path / "token"),
        )
        return HostEvidence(chosen, run_in_background=works.append), works, keys

    return make


def test_no_call_waits_for_the_keys_of_the_hosts_evidence(fetching):
    found, works, _ = fetching()
    complains(found, "provider_unavailable")
    complains(found, "provider_unavailable", NOW + 5)
    assert len(works) == 1  # one fetch at a time
    works.pop()()
    assert found.current(NOW + 5)
    assert works == []


def test_keys_that_do_not_come_are_asked_for_again(fetching):
    found, works, _ = fetching(fails=1)
    complains(found, "provider_unavailable")
    works.pop()()
    complains(found, "provider_unavailable", NOW + 0.5)
    assert works == []
    complains(found, "provider_unavailable", NOW + 1)
    works.pop()()
    assert found.current(NOW + 1)


def test_evidence_goes_on_while_keys_are_fetched(fetching, tmp_path):
    found, works, keys = fetching()
    keys.are_here = True
    assert found.current(NOW)
    keys.are_here = False
    (tmp_path / "token").write_text(keys.service.sign(confidential_space()) + " ")
    assert found.current(NOW + 1)
    assert found.complaint is None
    complains(found, "stale_evidence", NOW + 290)
    works.pop()()


def test_work_is_done_beside_the_caller():
    done = threading.Event()
    run_in_thread(done.set)
    assert done.wait(10)


def test_many_threads_may_ask_for_the_hosts_evidence(host):
    found, write = host
    write()
    answers = []
    threads = [
        threading.Thread(target=lambda: answers.append(found.current(NOW))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer.platform for answer in answers] == ["intel_tdx"] * 8
