"""A plug-in that breaks a rule of its port fails the suite of its contract."""

import pytest
from hypothesis import strategies as st
from plugged_provider import BadgeKind, Badges
from plugged_store import Shelf, ShelfStore

from guardrail.errors import NotAuthenticated
from guardrail.extensions import Entity, Identity, Principal
from guardrail.testing.contracts import IdentityProviderContract, QuotaStoreContract


def failures(suite):
    """Return the tests of a suite that fail."""
    failed = set()
    for name in dir(suite):
        if name.startswith("test_"):
            try:
                getattr(suite(), name)()
            except (AssertionError, NotAuthenticated):
                failed.add(name)
    return failed


def store_of(kind):
    class Kind(ShelfStore):
        def open(self, settings, clock):
            return kind(clock)

    return type("Suite", (QuotaStoreContract,), {"make": lambda _: Kind()})


class OneByOne(Shelf):
    def acquire_all(self, hits, taken=None):
        return [super(OneByOne, self).acquire_all([hit], taken)[0] for hit in hits]


class Forgetful(Shelf):
    def give_back(self, taken):
        pass


class Generous(Shelf):
    def give_back(self, taken):
        super().give_back(taken)
        super().give_back(taken)


class OneKey(Shelf):
    def _key(self, hit):
        return hit.key.partition("/")[0], 1.0


@pytest.mark.parametrize(
    ("kind", "failed"),
    [
        (Shelf, set()),
        (OneByOne, {"test_all_hits_are_taken_or_none"}),
        (Forgetful, {"test_what_is_given_back_can_be_taken_again"}),
        (Generous, {"test_what_is_given_back_can_be_taken_again"}),
        (OneKey, {"test_keys_are_apart"}),
    ],
)
def test_a_store_that_breaks_a_rule_is_found(kind, failed):
    assert failures(store_of(kind)) == failed


def provider_of(opened):
    class Kind(BadgeKind):
        def open(self, settings, context):
            return opened(settings, context)

    class Suite(IdentityProviderContract):
        refused = st.integers().map("badge:{}".format)

        def make(self):
            return Kind()

        def credential(self):
            return "badge:clara"

    return Suite


class Bare(Badges):
    def authenticate(self, credential, now, *, knows):
        super().authenticate(credential, now, knows=knows)
        return Identity(Principal("User", "clara"), provider="contract")


class Undeclared(Badges):
    def __init__(self, settings, context):
        super().__init__(settings, context)
        self.entity_types = {}


class Unasked(Badges):
    def authenticate(self, credential, now, *, knows):
        identity = super().authenticate(credential, now, knows=knows)
        parents = (Entity("Role", "clinician"),)
        principal = Principal("User", identity.principal.id, parents=parents)
        return Identity(principal, provider="contract")


class Talkative(Badges):
    def authenticate(self, credential, now, *, knows):
        if credential != "badge:clara":
            raise NotAuthenticated(f"The badge {credential} does not hold.")
        return super().authenticate(credential, now, knows=knows)


@pytest.mark.parametrize(
    ("kind", "failed"),
    [
        (Badges, set()),
        (Bare, {"test_the_identity_is_its_own"}),
        (Undeclared, {"test_the_entity_types_are_declared"}),
        (
            Unasked,
            {
                "test_the_entity_types_are_declared",
                "test_parents_that_the_bundle_lacks_are_left_out_or_deny",
            },
        ),
        (Talkative, {"test_what_does_not_hold_is_refused_and_not_repeated"}),
    ],
)
def test_a_provider_that_breaks_a_rule_is_found(kind, failed):
    assert failures(provider_of(kind)) == failed
