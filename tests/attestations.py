"""Attestation services of the tests' own: they sign tokens as the real ones do.

The shapes are those of the services' documentation; each value that a message could leak is
one that is found again.
"""

from __future__ import annotations

import hashlib
import secrets
import traceback
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.exceptions import InvalidAlgorithmError, InvalidSignatureError, PyJWTError

from guardrail.errors import NotAuthenticated
from guardrail.identity.attestation.evidence import EvidenceTable, TokenAppraiser
from guardrail.identity.attestation.formats import FORMATS
from guardrail.identity.attestation.nonces import Challenges
from guardrail.identity.attestation.peer import PeerEvidence
from guardrail.identity.attestation.settings import TokenEvidenceSettings

NOW = 1_800_000_000.0
AUDIENCE = "https://scoring.hospital.example"
ISSUERS = {
    "confidential_space": "https://confidentialcomputing.googleapis.com",
    "azure_maa": "https://sharedweu.weu.attest.azure.net",
    "trust_authority": "https://portal.trustauthority.intel.com",
}
ALGORITHMS = {"confidential_space": "RS256", "azure_maa": "RS256", "trust_authority": "PS384"}
NAMES = sorted(ISSUERS)
#: Recognisable, so that a leak is seen.
MARK = "canary-4711"
IMAGE = hashlib.sha256(b"image").hexdigest()
LAUNCH = hashlib.sha384(b"launch").hexdigest()
ENCLAVE = hashlib.sha256(b"enclave").hexdigest()
PLATFORMS = {
    "confidential_space": "intel_tdx", "azure_maa": "amd_sev_snp", "trust_authority": "intel_tdx",
}  # fmt: skip
MEASUREMENTS = {"confidential_space": IMAGE, "azure_maa": LAUNCH, "trust_authority": LAUNCH}


class Service:
    """An attestation service: one issuer and one key."""

    def __init__(self, algorithm: str = "RS256") -> None:
        self.algorithm = algorithm
        self._key: Any = (
            ec.generate_private_key(ec.SECP256R1())
            if algorithm.startswith("ES")
            else rsa.generate_private_key(65537, 2048)
        )
        self.opened = 0

    def sign(self, claims: dict[str, Any]) -> str:
        return jwt.encode(claims, self._key, algorithm=self.algorithm, headers={"kid": MARK})

    def check_signature_of(self, token: str, now: float) -> dict[str, Any]:
        """Check the signature, and nothing else."""
        self.opened += 1
        off = dict.fromkeys(("verify_exp", "verify_aud", "verify_iat", "verify_nbf"), False)
        try:
            return jwt.decode(
                token, self._key.public_key(), algorithms=[self.algorithm], options=off
            )
        except InvalidSignatureError:
            code = "bad_signature"
        except InvalidAlgorithmError:
            code = "wrong_algorithm"
        except PyJWTError:
            code = "malformed_token"
        raise NotAuthenticated("The token's signature does not hold.", code=code)


@pytest.fixture(scope="module")
def services() -> dict[str, Service]:
    """Return a service for each format; a test module has it by importing it."""
    return {name: Service(ALGORITHMS[name]) for name in NAMES}


def without(claims: dict[str, Any], *path: str) -> dict[str, Any]:
    return changed(claims, ..., *path)


def changed(claims: dict[str, Any], value: Any, *path: str) -> dict[str, Any]:
    """Return claims of which one, at a path, is another; ``...`` leaves it out."""
    copy = dict(claims)
    if len(path) > 1:
        copy[path[0]] = changed(copy.get(path[0], {}), value, *path[1:])
    elif value is ...:
        copy.pop(path[0], None)
    else:
        copy[path[0]] = value
    return copy


def times(now: float = NOW) -> dict[str, Any]:
    return {"iat": int(now) - 10, "nbf": int(now) - 10, "exp": int(now) + 3600}


def confidential_space(nonce: str | None = None) -> dict[str, Any]:
    nonces = {} if nonce is None else {"eat_nonce": [f"other-{MARK}", nonce]}
    return {
        "iss": ISSUERS["confidential_space"],
        "aud": AUDIENCE,
        "sub": f"https://www.googleapis.com/compute/v1/projects/{MARK}",
        **times(),
        **nonces,
        "secboot": True,
        "oemid": 11129,
        "hwmodel": "GCP_INTEL_TDX",
        "swname": "CONFIDENTIAL_SPACE",
        "swversion": ["250800"],
        "dbgstat": "disabled-since-boot",
        "google_service_accounts": [f"{MARK}@example.iam.gserviceaccount.com"],
        "submods": {
            "confidential_space": {"support_attributes": ["LATEST", "STABLE", "USABLE"]},
            "container": {
                "image_reference": f"europe-docker.pkg.dev/acme/{MARK}:latest",
                "image_digest": f"sha256:{IMAGE}",
                "restart_policy": "Never",
                "env": {"HOSTNAME": MARK},
            },
        },
    }


def azure_snp(nonce: str | None = None) -> dict[str, Any]:
    """What a confidential container shows: the hardware's report alone."""
    return {
        "iss": ISSUERS["azure_maa"],
        "jti": MARK,
        **times(),
        "x-ms-attestation-type": "sevsnpvm",
        "x-ms-compliance-status": "azure-compliant-uvm",
        "x-ms-policy-hash": MARK,
        "x-ms-runtime": {"keys": [{"kid": MARK}], **({} if nonce is None else {"nonce": nonce})},
        "x-ms-sevsnpvm-is-debuggable": False,
        "x-ms-sevsnpvm-launchmeasurement": LAUNCH,
        "x-ms-sevsnpvm-vmpl": 0,
        "x-ms-ver": "1.0",
    }


def azure_guest(nonce: str | None = None) -> dict[str, Any]:
    """What a confidential VM shows: the guest's token, around the hardware's report."""
    tee = {
        "x-ms-attestation-type": "sevsnpvm",
        "x-ms-compliance-status": "azure-compliant-cvm",
        "x-ms-runtime": {"keys": [{"kid": "HCLAkPub"}]},
        "x-ms-sevsnpvm-is-debuggable": False,
        "x-ms-sevsnpvm-launchmeasurement": LAUNCH,
    }
    payload = {} if nonce is None else {"client-payload": {"nonce": nonce}}
    return {
        "iss": ISSUERS["azure_maa"],
        **times(),
        "secureboot": True,
        "x-ms-attestation-type": "azurevm",
        "x-ms-azurevm-bootdebug-enabled": False,
        "x-ms-azurevm-debuggersdisabled": True,
        "x-ms-azurevm-hypervisordebug-enabled": False,
        "x-ms-azurevm-kerneldebug-enabled": False,
        "x-ms-azurevm-vmid": MARK,
        "x-ms-isolation-tee": tee,
        "x-ms-runtime": {"keys": [{"kid": "TpmEphemeralEncryptionKey"}], **payload},
    }


def azure_tdx(nonce: str | None = None) -> dict[str, Any]:
    return {
        "iss": ISSUERS["azure_maa"],
        **times(),
        "attester_tcb_status": "UpToDate",
        "dbgstat": "disabled",
        "eat_profile": "https://aka.ms/maa-eat-profile-tdxvm",
        "tdx_mrtd": LAUNCH,
        "tdx_td_attributes_debug": False,
        "x-ms-attestation-type": "tdxvm",
        "x-ms-runtime": {} if nonce is None else {"nonce": nonce},
    }


def azure_sgx(nonce: str | None = None) -> dict[str, Any]:
    return {
        "iss": ISSUERS["azure_maa"],
        **times(),
        "tee": "sgx",
        "x-ms-attestation-type": "sgx",
        "x-ms-sgx-is-debuggable": False,
        "x-ms-sgx-mrenclave": ENCLAVE,
        "x-ms-sgx-mrsigner": "00" * 32,
        **({} if nonce is None else {"x-ms-sgx-ehd": nonce}),
    }


def intel_tdx(nonce: str | None = None) -> dict[str, Any]:
    return {
        "iss": ISSUERS["trust_authority"],
        **times(),
        **({} if nonce is None else {"attester_held_data": nonce}),
        "attester_tcb_status": "UpToDate",
        "attester_type": "TDX",
        "dbgstat": "disabled",
        "tdx_is_debuggable": False,
        "tdx_mrtd": LAUNCH,
        "tdx_report_data": "00" * 64,
        "tdx_td_attributes_debug": False,
        "ver": "1.0.0",
        "verifier_nonce": {"iat": MARK, "signature": MARK, "val": MARK},
    }


def intel_sgx(nonce: str | None = None) -> dict[str, Any]:
    return {
        "iss": ISSUERS["trust_authority"],
        **times(),
        **({} if nonce is None else {"attester_held_data": nonce}),
        "attester_tcb_status": "UpToDate",
        "attester_type": "SGX",
        "dbgstat": "disabled",
        "sgx_is_debuggable": False,
        "sgx_mrenclave": ENCLAVE,
        "ver": "1.0.0",
    }


def intel_v2(claims: dict[str, Any]) -> dict[str, Any]:
    """Nest the claims of version 1 as version 2 does."""
    kind = claims["attester_type"].lower()
    top = {name: value for name, value in claims.items() if name in ("iss", "iat", "nbf", "exp")}
    rest = {name: value for name, value in claims.items() if name not in top}
    return {**top, "ver": "2.0.0", kind: without(rest, "attester_type")}


#: One of each format.
CLAIMS: dict[str, Callable[..., dict[str, Any]]] = {
    "confidential_space": confidential_space,
    "azure_maa": azure_snp,
    "trust_authority": intel_tdx,
}


def settings(name: str, **changes: Any) -> TokenEvidenceSettings:
    given = {
        "about": "peer",
        "format": name,
        "issuer": ISSUERS[name],
        "algorithms": [ALGORITHMS[name]],
        "jwks": "https://keys.example/jwks",
        **({"audience": AUDIENCE} if name == "confidential_space" else {}),
        **changes,
    }
    return TokenEvidenceSettings.model_validate(given)


def table(name: str, check_signature_of: Any, **changes: Any) -> EvidenceTable:
    chosen = settings(name, **changes)
    kind = {kind.name: kind for kind in FORMATS}[name]
    return EvidenceTable(
        name, chosen, TokenAppraiser(chosen, format=kind, check_signature_of=check_signature_of)
    )


def peer(
    *tables: EvidenceTable, ttl_s: float = 300.0, limit: int = 4096
) -> tuple[PeerEvidence, Challenges]:
    challenges = Challenges(random=secrets.token_bytes, ttl_s=ttl_s, limit=limit)
    return PeerEvidence(tables, challenges=challenges), challenges


def denied(code: str, do: Callable[..., Any], *arguments: Any) -> NotAuthenticated:
    """Call what must deny; nothing of the evidence may be anywhere in the error."""
    with pytest.raises(NotAuthenticated) as caught:
        do(*arguments)
    error = caught.value
    assert error.code == code, error
    assert error.__cause__ is None
    assert error.__context__ is None
    shown = str(error) + repr(error) + repr(vars(error)) + repr(error.args)
    shown += "".join(traceback.format_exception_only(error))
    told = [MARK, IMAGE, LAUNCH, ENCLAVE, AUDIENCE, *ISSUERS.values()]
    for argument in arguments:
        text = argument.decode("latin-1") if isinstance(argument, bytes) else argument
        if isinstance(text, str):
            told += [part for part in text.split(".") if len(part) > 8]
    assert [secret for secret in told if secret in shown] == []
    return error
