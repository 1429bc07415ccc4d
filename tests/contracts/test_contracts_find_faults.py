"""A plug-in that breaks a rule of its port fails the suite of its contract."""

import pytest
from hypothesis import strategies as st
from plugged_provider import BadgeKind, Badges
from plugged_store import Shelf, ShelfStore

from guardrail.errors import ConfigurationError, NotAuthenticated
from guardrail.extensions import (
    BlockingStep,
    Entity,
    Identity,
    ObligationBase,
    ObligationNotMet,
    Principal,
)
from guardrail.testing.contracts import (
    IdentityProviderContract,
    ObligationContract,
    QuotaStoreContract,
)


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


class Falsy(Shelf):
    def acquire_all(self, hits, taken=None):
        return [wait or False for wait in super().acquire_all(hits, taken)]


def test_a_store_whose_waits_are_no_numbers_is_found():
    assert "test_a_hit_is_taken_where_it_fits" in failures(store_of(Falsy))


class Own(ObligationBase):
    name = "own"

    def parse(self, clause):
        if not clause.argument.isdigit():
            raise ConfigurationError.at(clause.place, "GR109", "@own: no number")
        return int(clause.argument)

    def merge(self, one, other):
        return max(one, other)

    def describe(self, demand):
        return demand


class AdmitsTrue(Own):
    on_admit = True

    def admit(self, demand, context):
        return True


class AdmitsLater(Own):
    on_admit = True

    async def admit(self, demand, context):
        raise ObligationNotMet("no")


class WorksLater(Own):
    on_admit = True

    def admit(self, demand, context):
        async def work():
            raise ObligationNotMet("no")

        return BlockingStep(work)


class LooserInAStep(Own):
    on_admit = True

    def merge(self, one, other):
        return one if one == other else 99

    def admit(self, demand, context):
        def work():
            if demand != 99:
                raise ObligationNotMet("no")

        return BlockingStep(work)


class WrongAttributes(Own):
    on_release = True
    stage = "x"


class WrongSpends(WrongAttributes):
    stage = 5000
    spends = "no"


class WrongSubsumes(WrongAttributes):
    stage = 5000
    subsumes = 5


class ReleasesLater(Own):
    on_release = True

    async def release(self, demand, output, context):
        return 0


class WrongFields(Own):
    on_release = True

    def release(self, demand, output, context):
        if output is not None and type(output) is not int:
            raise ObligationNotMet("no", code=5, policies=7)
        return output


REFUSED = "test_a_call_that_one_side_refuses_is_refused_by_both"
OPTIONAL = "test_its_optional_attributes_have_their_types"


@pytest.mark.parametrize(
    ("kind", "failed"),
    [
        (AdmitsTrue, REFUSED),
        (AdmitsLater, REFUSED),
        (WorksLater, REFUSED),
        (LooserInAStep, REFUSED),
        (WrongAttributes, OPTIONAL),
        (WrongSpends, OPTIONAL),
        (WrongSubsumes, OPTIONAL),
        (ReleasesLater, "test_release_is_idempotent_and_leaves_its_input_alone"),
        (WrongFields, "test_a_strange_output_is_refused_or_left_alone"),
    ],
)
def test_an_obligation_that_breaks_a_rule_is_found(kind, failed):
    suite = type(
        "Suite",
        (ObligationContract,),
        {
            "make": lambda _: kind(),
            "arguments": st.integers(0, 9).map(str),
            "malformed": ("x",),
            "outputs": st.integers(0, 9),
        },
    )
    assert failed in failures(suite)
