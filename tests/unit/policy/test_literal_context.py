"""Contexts of test cases: the short form of Cedar's JSON is completed from the schema."""

import ipaddress
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import cedarpy
import pytest

from guardrail import Entity
from guardrail.policy.schema.literal_context import explicit_context, to_python
from guardrail.policy.schema.schema import Schema

SCHEMA = Schema(
    cedarpy.Schema.from_str("""
entity User;
action view appliesTo { principal: [User], resource: [User], context: {
  who?: User, all?: Set<User>, ip?: ipaddr, ips?: Set<ipaddr>, score?: decimal, at?: datetime,
  span?: duration, text?: String, count?: Long, deep?: { ip: ipaddr, more?: { who: User } },
} };
""")
)
VIEW = Entity("Action", "view")
ANN = {"type": "User", "id": "ann"}


def extension(name, text):
    return {"__extn": {"fn": name, "arg": text}}


@pytest.mark.parametrize(
    ("short", "explicit"),
    [
        ({"who": ANN}, {"who": {"__entity": ANN}}),
        ({"all": [ANN]}, {"all": [{"__entity": ANN}]}),
        ({"ip": "::1"}, {"ip": extension("ip", "::1")}),
        ({"ip": {"fn": "ip", "arg": "::1"}}, {"ip": extension("ip", "::1")}),
        ({"ips": ["::1"]}, {"ips": [extension("ip", "::1")]}),
        ({"score": "0.5"}, {"score": extension("decimal", "0.5")}),
        ({"at": "2024-01-01"}, {"at": extension("datetime", "2024-01-01")}),
        ({"span": "1h"}, {"span": extension("duration", "1h")}),
        ({"deep": {"ip": "::1"}}, {"deep": {"ip": extension("ip", "::1")}}),
        ({"deep": {"more": {"who": ANN}}}, {"deep": {"more": {"who": {"__entity": ANN}}}}),
    ],
)
def test_a_short_form_is_spelt_out_and_an_explicit_one_stays(short, explicit):
    assert explicit_context(short, SCHEMA, VIEW) == explicit
    assert explicit_context(explicit, SCHEMA, VIEW) == explicit


@pytest.mark.parametrize(
    "context", [{"text": "::1"}, {"count": 1}, {"other": ANN}, {"score": 1}, {}]
)
def test_what_fits_no_type_stays_as_it_is(context):
    assert explicit_context(context, SCHEMA, VIEW) == context


def test_under_an_action_that_nobody_declared_nothing_is_known():
    assert explicit_context({"ip": "::1"}, SCHEMA, Entity("Action", "none")) == {"ip": "::1"}


@pytest.mark.parametrize(
    ("value", "python"),
    [
        ({"__entity": ANN}, Entity("User", "ann")),
        ([{"__entity": ANN}, 1], [Entity("User", "ann"), 1]),
        ({"a": {"b": [True, "x"]}}, {"a": {"b": [True, "x"]}}),
        (extension("decimal", "-0.25"), Decimal("-0.25")),
        (extension("ip", "10.0.0.1"), ipaddress.ip_address("10.0.0.1")),
        (extension("ip", "10.0.0.0/8"), ipaddress.ip_network("10.0.0.0/8")),
        (extension("datetime", "2024-01-02"), datetime(2024, 1, 2, tzinfo=UTC)),
        (
            extension("datetime", "2024-01-02T03:04:05.006Z"),
            datetime(2024, 1, 2, 3, 4, 5, 6000, UTC),
        ),
        (extension("datetime", "2024-01-02T03:00:00+0200"), datetime(2024, 1, 2, 1, tzinfo=UTC)),
        (extension("duration", "1d2h3m4s5ms"), timedelta(1, 4, 0, 5, 3, 2)),
        (extension("duration", "-90m"), timedelta(minutes=-90)),
        (extension("duration", "0ms"), timedelta()),
    ],
)
def test_a_value_is_read_into_what_an_application_would_pass(value, python):
    assert to_python(value) == python


@pytest.mark.parametrize(
    "value",
    [
        extension("decimal", "much"),
        extension("ip", "10.0.0.1/8"),
        extension("ip", "somewhere"),
        extension("datetime", "0000-01-01"),
        extension("duration", "soon"),
        {"__entity": "User"},
        {"__entity": {"type": "User"}},
        {"__entity": {"type": [], "id": "x"}},
        {"__extn": "10.0.0.1"},
        extension("duration", "1"),
        extension("duration", "1y"),
        extension("offset", "x"),
        {"__extn": {"fn": "decimal"}},
    ],
    ids=str,
)
def test_what_python_has_no_value_for_is_refused(value):
    with pytest.raises((ValueError, OverflowError)):
        to_python(value)
