"""Our own fact sources hold the contract that every plugin must hold."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_np

from guardrail.extensions import Entity, Evidence, FactContext, Identity, Peer, Principal
from guardrail.facts import (
    AppFacts,
    Bounds,
    HostFacts,
    IdentityFacts,
    InputFacts,
    PeerAttestationFacts,
    PeerFacts,
    TimeFacts,
    take_view,
)
from guardrail.testing.contracts import FactSourceContract
from guardrail.values import NO_INPUT

times = st.floats(0, 4e9)
peers = st.builds(
    Peer,
    tls=st.none() | st.booleans(),
    ip=st.none() | st.ip_addresses().map(str) | st.just("somewhere"),
    certificate_subject=st.none() | st.just("CN=ana"),
    certificate_sha256=st.none() | st.just("ab" * 32),
)
evidences = st.builds(
    Evidence,
    platform=st.none() | st.just("amd_sev_snp"),
    measurement=st.none() | st.just("cd" * 48),
    debug=st.none() | st.booleans(),
    issued_at=st.none() | times,
    expires_at=st.none() | times,
)
identities = st.builds(
    Identity,
    st.just(Principal("User", "ana")),
    provider=st.sampled_from(("application", "hospital")),
    issuer=st.sampled_from(("", "https://sso.hospital.example")),
    method=st.sampled_from(("application", "jwt")),
    mfa=st.booleans(),
    authenticated_at=st.none() | times,
    expires_at=st.none() | times,
    delegated=st.booleans(),
    actor=st.sampled_from(("", "scheduler")),
    peer=st.none() | peers,
    evidence=st.none() | evidences,
)
inputs = st.one_of(
    st_np.arrays(
        st.sampled_from((np.float32, np.float64, np.int16, np.bool_)),
        st_np.array_shapes(max_dims=3, max_side=4),
    ),
    st.dictionaries(st.text("abc", max_size=2), st.integers(0, 9) | st.text("xyz"), max_size=3),
)
views = st.just(NO_INPUT) | inputs.map(
    lambda value: take_view(value, name="patients", bounds=Bounds())
)


class Facings(FactSourceContract):
    context = st.builds(
        FactContext,
        identities,
        views,
        st.just("predict"),
        st.just(Entity("Model", "m")),
        times,
        st.dictionaries(st.sampled_from(("purpose", "tenant")), st.text(max_size=3)),
    )


class TestInputFacts(Facings):
    def make(self):
        return InputFacts()


class TestIdentityFacts(Facings):
    def make(self):
        return IdentityFacts()


class TestPeerFacts(Facings):
    def make(self):
        return PeerFacts()


class TestPeerAttestationFacts(Facings):
    def make(self):
        return PeerAttestationFacts()


class TestHostFacts(Facings):
    class Host:
        def current(self, now):
            return Evidence("intel_tdx", "ef" * 48, False, 1e9, 3e9)

    def make(self):
        return HostFacts(self.Host())


class TestTimeFacts(Facings):
    def make(self):
        return TimeFacts(timezone="Europe/Berlin")


class TestAppFacts(Facings):
    def make(self):
        return AppFacts()
