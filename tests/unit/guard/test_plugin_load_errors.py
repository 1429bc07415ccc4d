"""What a plug-in does wrong while a bundle loads is a load error that names the plug-in."""

import pytest
from bundles import GRANT
from plugged_provider import BadgeKind

from guardrail import ConfigurationError, Guard
from guardrail._faults import faults_of
from guardrail.errors import Fault, Place
from guardrail.extensions import ObligationBase
from guardrail.testing import FrozenClock

HEAD = '[bundle]\nname = "small"\nversion = "1.0.0"\n'
BADGE = HEAD + '[identity.desk]\ntype = "badge"\nid_prefix = "desk"\n'
STOP = '@id("stop") @stop("now") forbid (principal, action, resource);\n'
CANARY = "canary-5151"


class Stop(ObligationBase):
    """An obligation that no call meets."""

    name = "stop"
    on_admit = True

    def parse(self, clause):
        return (clause.argument,)

    def merge(self, one, other):
        return tuple(sorted({*one, *other}))

    def describe(self, demand):
        return list(demand)


def stop(**attributes):
    return type("Stop", (Stop,), attributes)()


def raising(error):
    def call(*args, **kwargs):
        raise error

    return call


def load(folder, **options):
    return Guard.from_dir(folder, clock=FrozenClock(), sinks=(), **options)


def faults(folder, **options):
    with pytest.raises(ConfigurationError) as caught:
        load(folder, **options)
    assert CANARY not in str(caught.value)
    return caught.value.faults


# An error without faults.


def test_a_demand_with_an_error_without_faults_does_not_load(make_bundle):
    folder = make_bundle(GRANT + STOP)
    kind = stop(parse=raising(ConfigurationError("Give a time.")))
    (fault,) = faults(folder, obligations=[kind])
    assert (fault.code, str(fault.place)) == ("GR109", "policies.cedar:2:13")
    assert fault.message == "Give a time."


def test_an_error_without_a_message_gets_one(make_bundle):
    kind = stop(parse=raising(ConfigurationError()))
    (fault,) = faults(make_bundle(GRANT + STOP), obligations=[kind])
    assert "has no message" in fault.message


def test_a_link_whose_demand_has_an_error_without_faults_does_not_load(make_bundle):
    template = '@id("t") @stop("now") forbid (principal == ?principal, action, resource);\n'
    links = "- {template: t, id: one, principal: 'User::\"carl\"'}\n"

    def parse(self, clause):
        if clause.policy == "one":
            raise ConfigurationError("Give a time.")
        return (clause.argument,)

    folder = make_bundle(GRANT + template, **{"links.yaml": links})
    (fault,) = faults(folder, obligations=[stop(parse=parse)])
    assert (fault.code, fault.place.file, fault.place.line) == ("GR109", "links.yaml", 1)


def test_a_provider_that_opens_with_an_error_without_faults_does_not_load(make_bundle):
    kind = type("Kind", (BadgeKind,), {"open": raising(ConfigurationError("Name a desk."))})()
    (fault,) = faults(make_bundle(**{"guardrail.toml": BADGE}), providers=[kind])
    assert (fault.code, str(fault.place)) == ("GR003", "guardrail.toml:4:1")


@pytest.mark.parametrize("given", [(), [], None, 5, ("x",), (None, 5)])
def test_an_error_always_has_a_fault(given):
    error = ConfigurationError("Correct it.")
    error.faults = given
    assert faults_of(error, Place("f", 3)) == (Fault("GR003", Place("f", 3), "Correct it."),)


@pytest.mark.parametrize("message", [None, 5, "", " "])
def test_a_fault_always_has_a_message(message):
    error = ConfigurationError("x")
    error.message = message
    assert "has no message" in faults_of(error, Place("f"))[0].message


def test_faults_of_an_error_are_kept():
    fault = Fault("GR100", Place("x"), "Wrong.")
    assert faults_of(ConfigurationError(faults=(fault,)), Place("f")) == (fault,)
