"""Map three kinds of attestation tokens to the fields that policies can read.

The claims of Google Confidential Space, Microsoft Azure Attestation and Intel Trust Authority are
defined here. A token must state the hardware's kind, the measurement, and whether the machine can
be debugged; a machine without confidential hardware is denied. Whether a measurement is the right
one, or a debug machine good enough, is left to policies. Claims are mapped only after the token was
verified.
"""

from __future__ import annotations

from typing import Final, NamedTuple, Protocol

from guardrail.identity.attestation.claims import (
    Claims,
    bad_evidence,
    digest_at,
    find,
    flag_at,
    flag_if_there,
    nonces_at,
    object_at,
    one_of,
    text_at,
)


class Reading(NamedTuple):
    """The content of a token about a machine.

    Attributes:
        platform: the hardware's kind, such as ``"intel_tdx"``: lower case letters, digits, ``_``.
        measurement: the digest of the running code, in hexadecimal digits.
        debug: whether the machine can be debugged.
        nonces: the values that may be a nonce, each in every form that it may have.
        tcb_status: the hardware's security level in its maker's terms; ``None`` if the token does
            not state it.
    """

    platform: str
    measurement: str
    debug: bool
    nonces: tuple[str, ...] = ()
    tcb_status: str | None = None

    def __repr__(self) -> str:
        return f"Reading(platform={self.platform!r})"


class EvidenceFormat(Protocol):
    """One kind of attestation tokens (signed JWT). An application can implement its own."""

    @property
    def name(self) -> str:
        """The name of ``format`` in ``[evidence.NAME]``."""
        ...

    def read(self, claims: Claims) -> Reading:
        """Map verified claims, or raise `NotAuthenticated` (``bad_evidence``)."""
        ...


class ConfidentialSpace:
    """Tokens of Google Cloud Attestation for workloads in Confidential Space.

    The measurement is the digest of the container's image. ``eat_nonce`` is echoed by the
    attestation service, for a request that only the launcher in the attested machine can make.
    https://docs.cloud.google.com/confidential-computing/confidential-space/docs/reference/token-claims
    """

    name = "confidential_space"

    #: ``GCP_SHIELDED_VM`` is a valid value, but not confidential hardware.
    _PLATFORMS: Final = {
        "GCP_AMD_SEV": "amd_sev",
        "GCP_AMD_SEV_ES": "amd_sev_es",
        "GCP_INTEL_TDX": "intel_tdx",
    }
    _DEBUG: Final = {"disabled-since-boot": False, "enabled": True}

    def read(self, claims: Claims) -> Reading:
        """See `EvidenceFormat.read`."""
        one_of(claims, "swname", known={"CONFIDENTIAL_SPACE": True})
        if not flag_at(claims, "secboot"):
            raise bad_evidence("The machine did not boot securely (`secboot`).", "secboot")
        return Reading(
            platform=one_of(claims, "hwmodel", known=self._PLATFORMS),
            measurement=digest_at(
                claims, "submods", "container", "image_digest", digits=64, prefix="sha256:"
            ),
            debug=one_of(claims, "dbgstat", known=self._DEBUG),
            nonces=nonces_at(claims, "eat_nonce"),
        )


class _Hardware(NamedTuple):
    """The name of a kind of hardware, and the claims with its measurement and debug state."""

    platform: str
    measurement: str
    digits: int
    debug: str


class AzureAttestation:
    """Tokens of Microsoft Azure Attestation: SGX enclaves, SEV-SNP and TDX machines.

    A guest's own token (``azurevm``) nests what the hardware says in ``x-ms-isolation-tee``,
    and says itself whether debuggers are on. Nonces are read from what the attested machine
    put in (``x-ms-runtime``, ``x-ms-sgx-ehd``). The claim ``nonce`` is not one of them: the
    service echoes it to whoever asks, also for an old report, so that it shows the age of the
    token and not that of the report.
    https://learn.microsoft.com/azure/attestation/attestation-token-examples
    https://learn.microsoft.com/azure/attestation/claim-sets
    https://learn.microsoft.com/azure/attestation/trust-domain-extensions-eat-profile
    https://learn.microsoft.com/dotnet/api/azure.security.attestation.attestationrequest.nonce
    """

    name = "azure_maa"

    _MACHINES: Final = {
        "sevsnpvm": _Hardware(
            "amd_sev_snp", "x-ms-sevsnpvm-launchmeasurement", 96, "x-ms-sevsnpvm-is-debuggable"
        ),
        "tdxvm": _Hardware("intel_tdx", "tdx_mrtd", 96, "tdx_td_attributes_debug"),
    }
    _SGX: Final = _Hardware("intel_sgx", "x-ms-sgx-mrenclave", 64, "x-ms-sgx-is-debuggable")
    _TYPES: Final = {"sgx": _SGX, "azurevm": None, **_MACHINES}
    #: The claims about debuggers in a guest's own token, and the value that means a debugger.
    _DEBUGGERS: Final = (
        ("x-ms-azurevm-debuggersdisabled", False),
        ("x-ms-azurevm-bootdebug-enabled", True),
        ("x-ms-azurevm-kerneldebug-enabled", True),
        ("x-ms-azurevm-hypervisordebug-enabled", True),
    )

    def read(self, claims: Claims) -> Reading:
        """See `EvidenceFormat.read`."""
        outer: _Hardware | None = one_of(claims, "x-ms-attestation-type", known=self._TYPES)
        if outer is None:
            tee = object_at(claims, "x-ms-isolation-tee")
            hardware: _Hardware = one_of(tee, "x-ms-attestation-type", known=self._MACHINES)
        else:
            tee, hardware = claims, outer
        debug = [flag_at(tee, hardware.debug), _may_debug(tee)]
        debug += [flag_if_there(claims, name) is means for name, means in self._DEBUGGERS]
        return Reading(
            platform=hardware.platform,
            measurement=digest_at(tee, hardware.measurement, digits=hardware.digits),
            debug=any(debug),
            nonces=(
                *nonces_at(claims, "x-ms-runtime", "nonce"),
                *nonces_at(claims, "x-ms-runtime", "client-payload", "nonce"),
                *nonces_at(claims, "x-ms-sgx-ehd"),
            ),
            tcb_status=_tcb_status(tee) if find(tee, "attester_tcb_status") is not None else None,
        )


class TrustAuthority:
    """Tokens of Intel Trust Authority: SGX enclaves and TDX machines, version 1 and 2.

    Version 2 nests what version 1 has at the top in ``sgx`` or ``tdx``. Nonces are read from
    what the attested machine put in (``attester_held_data``, ``attester_runtime_data``).
    ``verifier_nonce`` is the service's own, and never one of ours.
    https://portal.trustauthority.intel.com/eat_profile.html
    https://docs.trustauthority.intel.com/main/articles/articles/ita/concept-attestation-tokens.html
    """

    name = "trust_authority"

    _TYPES: Final = {
        "SGX": _Hardware("intel_sgx", "sgx_mrenclave", 64, "sgx_is_debuggable"),
        "TDX": _Hardware("intel_tdx", "tdx_mrtd", 96, "tdx_td_attributes_debug"),
    }

    def read(self, claims: Claims) -> Reading:
        """See `EvidenceFormat.read`."""
        nested = [name for name in ("sgx", "tdx") if find(claims, name) is not None]
        if not nested:
            tee = claims
            hardware: _Hardware = one_of(claims, "attester_type", known=self._TYPES)
        elif len(nested) == 1:
            tee = object_at(claims, nested[0])
            hardware = self._TYPES[nested[0].upper()]
        else:
            raise bad_evidence("The evidence is of two machines, `sgx` and `tdx`.")
        debug = (
            flag_at(tee, hardware.debug),
            flag_if_there(tee, "tdx_is_debuggable") is True,
            _may_debug(tee),
        )
        return Reading(
            platform=hardware.platform,
            measurement=digest_at(tee, hardware.measurement, digits=hardware.digits),
            debug=any(debug),
            nonces=(
                *nonces_at(tee, "attester_held_data"),
                *nonces_at(tee, "attester_runtime_data", "nonce"),
            ),
            tcb_status=_tcb_status(tee),
        )


#: The values of ``dbgstat`` for disabled debugging (RFC 9711 §4.2.9).
_DEBUG_OFF: Final = frozenset(
    (
        "disabled", "disabled-since-boot", "disabled-permanently",
        "disabled-fully-and-permanently",
    )
)  # fmt: skip
#: The built-in formats.
FORMATS: Final[tuple[EvidenceFormat, ...]] = (
    ConfidentialSpace(),
    AzureAttestation(),
    TrustAuthority(),
)


def _tcb_status(claims: Claims) -> str:
    return text_at(claims, "attester_tcb_status")


def _may_debug(claims: Claims) -> bool:
    """Return whether ``dbgstat`` is present, and is not a value for disabled debugging."""
    if find(claims, "dbgstat") is None:
        return False
    return text_at(claims, "dbgstat") not in _DEBUG_OFF
