"""Each kind of attestation token: how it is mapped, and when it is rejected."""

import base64
import contextlib
import json

import pytest
from attestations import (
    CLAIMS,
    ENCLAVE,
    IMAGE,
    LAUNCH,
    MARK,
    azure_guest,
    azure_sgx,
    azure_snp,
    azure_tdx,
    changed,
    confidential_space,
    denied,
    intel_sgx,
    intel_tdx,
    intel_v2,
    without,
)
from hypothesis import given
from hypothesis import strategies as st

from guardrail.errors import NotAuthenticated
from guardrail.identity.attestation.claims import nonces_at
from guardrail.identity.attestation.formats import (
    FORMATS,
    AzureAttestation,
    ConfidentialSpace,
    TrustAuthority,
)

NONCE = base64.urlsafe_b64encode(bytes(range(32))).rstrip(b"=").decode()
SPACE, AZURE, INTEL = ConfidentialSpace(), AzureAttestation(), TrustAuthority()
#: Each kind of machine: its format, its claims, and what they map to.
KINDS = {
    "space": (SPACE, confidential_space, "intel_tdx", IMAGE),
    "snp container": (AZURE, azure_snp, "amd_sev_snp", LAUNCH),
    "snp guest": (AZURE, azure_guest, "amd_sev_snp", LAUNCH),
    "azure tdx": (AZURE, azure_tdx, "intel_tdx", LAUNCH),
    "azure sgx": (AZURE, azure_sgx, "intel_sgx", ENCLAVE),
    "intel tdx": (INTEL, intel_tdx, "intel_tdx", LAUNCH),
    "intel sgx": (INTEL, intel_sgx, "intel_sgx", ENCLAVE),
    "intel tdx 2": (INTEL, lambda nonce=None: intel_v2(intel_tdx(nonce)), "intel_tdx", LAUNCH),
    "intel sgx 2": (INTEL, lambda nonce=None: intel_v2(intel_sgx(nonce)), "intel_sgx", ENCLAVE),
}


def test_the_formats_have_each_their_name():
    assert [kind.name for kind in FORMATS] == ["confidential_space", "azure_maa", "trust_authority"]
    assert sorted(CLAIMS) == sorted(kind.name for kind in FORMATS)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_machine_is_mapped(kind):
    form, claims, platform, measurement = KINDS[kind]
    reading = form.read(claims(NONCE))
    assert reading[:3] == (platform, measurement, False)
    assert NONCE in reading.nonces
    assert form.read(claims()).nonces == ()


@pytest.mark.parametrize("kind", KINDS)
def test_no_reading_shows_what_it_read(kind):
    form, claims, _, measurement = KINDS[kind]
    assert measurement not in repr(form.read(claims(NONCE)))
    assert NONCE not in repr(form.read(claims(NONCE)))


@pytest.mark.parametrize(
    ("model", "platform"),
    [("GCP_AMD_SEV", "amd_sev"), ("GCP_AMD_SEV_ES", "amd_sev_es"), ("GCP_INTEL_TDX", "intel_tdx")],
)
def test_the_hardware_of_confidential_space(model, platform):
    assert SPACE.read(changed(confidential_space(), model, "hwmodel")).platform == platform


def test_a_digest_is_in_lower_case():
    claims = changed(azure_snp(), LAUNCH.upper(), "x-ms-sevsnpvm-launchmeasurement")
    assert AZURE.read(claims).measurement == LAUNCH


# A machine that can be looked into says so; that is for policies.


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("space", ("dbgstat",), "enabled"),
        ("snp container", ("x-ms-sevsnpvm-is-debuggable",), True),
        ("snp guest", ("x-ms-isolation-tee", "x-ms-sevsnpvm-is-debuggable"), True),
        ("snp guest", ("x-ms-azurevm-debuggersdisabled",), False),
        ("snp guest", ("x-ms-azurevm-kerneldebug-enabled",), True),
        ("snp guest", ("x-ms-azurevm-bootdebug-enabled",), True),
        ("snp guest", ("x-ms-azurevm-hypervisordebug-enabled",), True),
        ("azure tdx", ("tdx_td_attributes_debug",), True),
        ("azure tdx", ("dbgstat",), "enabled"),
        ("azure tdx", ("dbgstat",), "disabled-not-at-all"),
        ("azure sgx", ("x-ms-sgx-is-debuggable",), True),
        ("intel tdx", ("tdx_td_attributes_debug",), True),
        ("intel tdx", ("tdx_is_debuggable",), True),
        ("intel tdx", ("dbgstat",), "enabled"),
        ("intel sgx", ("sgx_is_debuggable",), True),
        ("intel tdx 2", ("tdx", "tdx_td_attributes_debug"), True),
        ("intel sgx 2", ("sgx", "sgx_is_debuggable"), True),
    ],
)
def test_a_debug_machine_is_read_as_one(kind, path, value):
    form, claims, _, measurement = KINDS[kind]
    reading = form.read(changed(claims(), value, *path))
    assert reading.debug is True
    assert reading.measurement == measurement


# What must be there, and of which type.

NEEDED = [
    ("space", ("swname",)),
    ("space", ("secboot",)),
    ("space", ("hwmodel",)),
    ("space", ("dbgstat",)),
    ("space", ("submods",)),
    ("space", ("submods", "container")),
    ("space", ("submods", "container", "image_digest")),
    ("snp container", ("x-ms-attestation-type",)),
    ("snp container", ("x-ms-sevsnpvm-launchmeasurement",)),
    ("snp container", ("x-ms-sevsnpvm-is-debuggable",)),
    ("snp guest", ("x-ms-isolation-tee",)),
    ("snp guest", ("x-ms-isolation-tee", "x-ms-attestation-type")),
    ("snp guest", ("x-ms-isolation-tee", "x-ms-sevsnpvm-launchmeasurement")),
    ("snp guest", ("x-ms-isolation-tee", "x-ms-sevsnpvm-is-debuggable")),
    ("azure tdx", ("tdx_mrtd",)),
    ("azure tdx", ("tdx_td_attributes_debug",)),
    ("azure sgx", ("x-ms-sgx-mrenclave",)),
    ("azure sgx", ("x-ms-sgx-is-debuggable",)),
    ("intel tdx", ("attester_type",)),
    ("intel tdx", ("attester_tcb_status",)),
    ("intel tdx", ("tdx_mrtd",)),
    ("intel tdx", ("tdx_td_attributes_debug",)),
    ("intel sgx", ("sgx_mrenclave",)),
    ("intel sgx", ("sgx_is_debuggable",)),
    ("intel tdx 2", ("tdx", "tdx_mrtd")),
    ("intel sgx 2", ("sgx", "attester_tcb_status")),
]
#: Never right for any of them.
WRONG = [None, 7, 1.5, "", MARK, [MARK], {MARK: MARK}, "ab" * 20, f"sha256:{'ab' * 20}", "true"]


@pytest.mark.parametrize(("kind", "path"), NEEDED)
def test_what_is_missing_denies(kind, path):
    form, claims, *_ = KINDS[kind]
    error = denied("bad_evidence", form.read, without(claims(), *path))
    assert error.path.startswith("evidence.")
    assert path[-1] in error.path


@pytest.mark.parametrize("value", WRONG, ids=repr)
@pytest.mark.parametrize(("kind", "path"), NEEDED)
def test_what_is_of_another_type_denies(kind, path, value):
    form, claims, *_ = KINDS[kind]
    if path[-1] == "attester_tcb_status" and isinstance(value, str) and value:
        return  # any text is read; which ones are accepted is the settings'
    denied("bad_evidence", form.read, changed(claims(), value, *path))


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("space", ("hwmodel",), "GCP_SHIELDED_VM"),
        ("space", ("swname",), "GCE"),
        ("space", ("secboot",), False),
        ("space", ("dbgstat",), "disabled"),
        ("space", ("submods", "container", "image_digest"), IMAGE),
        ("space", ("submods", "container", "image_digest"), f"sha256:{IMAGE}0"),
        ("space", ("submods", "container", "image_digest"), f"sha256:{'g' * 64}"),
        ("space", ("submods", "container", "image_digest"), f"sha256:{'0' * 63}\n"),
        ("snp container", ("x-ms-attestation-type",), "tpm"),
        ("snp guest", ("x-ms-isolation-tee", "x-ms-attestation-type"), "azurevm"),
        ("snp guest", ("x-ms-isolation-tee", "x-ms-attestation-type"), "sgx"),
        ("snp guest", ("x-ms-azurevm-debuggersdisabled",), "yes"),
        ("azure tdx", ("dbgstat",), 0),
        ("intel tdx", ("attester_type",), "NVGPU"),
        ("intel tdx", ("attester_type",), ["TDX", "NVGPU"]),
        ("intel tdx", ("tdx_is_debuggable",), 0),
        ("intel tdx", ("tdx",), 7),
        ("intel tdx", ("sgx",), MARK),
        ("intel tdx 2", ("sgx",), {"sgx_mrenclave": ENCLAVE}),
    ],
)
def test_what_cannot_be_mapped_denies(kind, path, value):
    form, claims, *_ = KINDS[kind]
    denied("bad_evidence", form.read, changed(claims(), value, *path))


def test_a_guest_without_confidential_hardware_has_shown_nothing():
    error = denied("bad_evidence", AZURE.read, without(azure_guest(), "x-ms-isolation-tee"))
    assert error.path == "evidence.x-ms-isolation-tee"
    claims = {"x-ms-attestation-type": "azurevm", **azure_snp()}
    denied("bad_evidence", AZURE.read, changed(claims, "azurevm", "x-ms-attestation-type"))


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
@pytest.mark.parametrize("claims", [{}, {"iss": MARK}, {"x-ms-attestation-type": "sgx"}])
def test_claims_of_anything_else_deny(form, claims):
    denied("bad_evidence", form.read, claims)


leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)


@given(st.sampled_from(sorted(KINDS)), st.data())
def test_whatever_a_claim_is_it_is_read_or_refused(kind, data):
    form, claims, *_ = KINDS[kind]
    read = claims(NONCE)
    name = data.draw(st.sampled_from(sorted(read)))
    read[name] = data.draw(values)
    reading = None
    with contextlib.suppress(NotAuthenticated):
        reading = form.read(read)
    assert reading is None or len(reading.measurement) in (64, 96)


# Nonces: what the machine put in, in every form that a platform gives it back.


@pytest.mark.parametrize(
    "given_back",
    [
        NONCE,
        f"{NONCE}=",
        base64.b64encode(bytes(range(32))).decode(),
        base64.b64encode(NONCE.encode()).decode(),
        base64.urlsafe_b64encode(NONCE.encode()).rstrip(b"=").decode(),
    ],
    ids=["as it is", "padded", "bytes", "text", "text without padding"],
)
@pytest.mark.parametrize("kind", KINDS)
def test_a_nonce_is_found_in_each_form(kind, given_back):
    form, claims, *_ = KINDS[kind]
    assert NONCE in form.read(claims(given_back)).nonces


def test_a_nonce_in_the_other_alphabet_is_found():
    raw = b"\xfb\xff\xfe" * 10 + b"\xff\xff"
    other = base64.b64encode(raw).decode()
    assert "+" in other
    assert "/" in other
    ours = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
    assert ours in nonces_at({"n": other}, "n")


@pytest.mark.parametrize(
    "claims",
    [
        {**azure_snp(), "nonce": NONCE},
        {**intel_tdx(), "verifier_nonce": {"val": NONCE}},
        {**azure_snp(), "x-ms-runtime": NONCE},
    ],
    ids=["echoed", "the service's own", "no object"],
)
def test_what_the_machine_did_not_put_in_is_no_nonce(claims):
    form = INTEL if "attester_type" in claims else AZURE
    assert NONCE not in form.read(claims).nonces


@pytest.mark.parametrize("value", [7, [7], [NONCE, None], {"n": NONCE}, True])
def test_a_nonce_of_another_type_denies(value):
    denied("bad_evidence", SPACE.read, changed(confidential_space(), value, "eat_nonce"))


def test_long_and_many_nonces_are_not_read():
    claims = {"n": ["x" * 300, *["y"] * 20, NONCE], "long": "A" * 257}
    assert nonces_at(claims, "n") == ("y",)
    assert nonces_at(claims, "long") == ()
    assert nonces_at(claims, "none") == ()


@given(st.text(max_size=80))
def test_any_text_may_be_looked_at_for_nonces(text):
    found = nonces_at({"n": text}, "n")
    assert text in found
    assert json.dumps(found)
