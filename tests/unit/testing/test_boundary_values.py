"""Boundary values are values that a call can have: they stay in the range of the fact source."""

import pytest

from guardrail.bundle.assembly import load_bundle
from guardrail.extensions import Path
from guardrail.testing import FrozenClock
from guardrail.testing.mutation.candidate_requests import requests
from guardrail.testing.properties.domains import World
from guardrail.testing.replay.request_variations import RequestVariations, callers_in

SCHEMA = """
entity User;
entity Model;
action predict appliesTo {
  principal: [User], resource: [Model],
  context: {
    input: guardrail::TableInput, identity: guardrail::IdentityFacts, time: guardrail::TimeFacts,
    peer_attestation: guardrail::AttestationFacts, host: guardrail::AttestationFacts,
    app: { balance: Long }, shop: { stock: Long, level: Long },
  },
};
action chat appliesTo {
  principal: [User], resource: [Model], context: { input: guardrail::MessagesInput },
};
"""
COUNTS = (
    "input.rows", "input.bytes", "input.nulls", "identity.authenticated_age_s",
    "identity.expires_in_s", "peer_attestation.age_s", "host.age_s", "shop.stock",
)  # fmt: skip
CHAT = ("input.messages", "input.chars", "input.tokens", "input.bytes")


class Shop:
    """An application's own source, one of whose numbers has a range."""

    namespace = "shop"
    facts = frozenset(("stock", "level"))
    ranges = {"stock": (0, 12)}  # noqa: RUF012

    def compute(self, names, context):
        return {}


@pytest.fixture
def snapshot(make_bundle):
    def snapshot(condition, action="predict"):
        policies = (
            f'@id("grant") permit (principal, action == Action::"{action}", resource)\n'
            f"when {{ {condition} }};\n"
        )
        entities = '[{"uid": {"type": "Model", "id": "m"}, "attrs": {}, "parents": []}]'
        files = {"schema.cedarschema": SCHEMA, "entities.json": entities}
        folder = make_bundle(policies, **files)
        return load_bundle(folder, clock=FrozenClock(), own_facts=(Shop(),)).snapshot

    return snapshot


def tried(snapshot, path):
    """Return all values that any of the searches gives a fact."""
    known = callers_in(snapshot)
    place, name = path.split(".")
    asked = [
        *requests(snapshot, known),
        *RequestVariations((snapshot, snapshot), known).requests(snapshot.policies),
    ]
    asked += [
        request for domain in World(snapshot).domains for request in domain.boundary_requests()
    ]
    return {request.facts[place][name] for request in asked if name in request.facts.get(place, {})}


@pytest.mark.parametrize("path", COUNTS)
@pytest.mark.parametrize("limit", [0, 1])
def test_no_count_and_no_age_is_negative(snapshot, path, limit):
    place, name = path.split(".")
    condition = f"context.{path} <= {limit}"
    if place == "identity":  # of which some can be absent
        condition = f"context.{place} has {name} && {condition}"
    found = tried(snapshot(condition), path)
    assert {0, 1, limit + 1} <= found
    assert min(found) == 0


@pytest.mark.parametrize("path", CHAT)
def test_no_count_of_a_conversation_is_negative(snapshot, path):
    assert min(tried(snapshot(f"context.{path} > 0", "chat"), path)) == 0


@pytest.mark.parametrize(
    ("condition", "path", "least", "most"),
    [
        ("context.time.hour <= 23", "time.hour", 0, 23),
        ("context.time.hour >= 0", "time.hour", 0, 23),
        ("context.time.weekday <= 7 && context.time.weekday >= 1", "time.weekday", 1, 7),
        ("context.shop.stock > 11 || context.shop.stock == 12", "shop.stock", 0, 12),
    ],
)
def test_a_range_has_two_ends(snapshot, condition, path, least, most):
    found = tried(snapshot(condition), path)
    assert (min(found), max(found)) == (least, most)


@pytest.mark.parametrize("path", ["app.balance", "shop.level"])
def test_a_number_without_a_range_may_be_negative(snapshot, path):
    assert -1 in tried(snapshot(f"context.{path} >= 0"), path)


def test_no_clock_shows_a_time_before_the_epoch(snapshot):
    found = tried(snapshot('context.time.now > datetime("1960-01-01")'), "time.now")
    assert found
    assert all(moment.year >= 1970 for moment in found)


def test_a_fact_that_no_policy_reads_has_its_range_too(snapshot):
    world = World(snapshot("context.app.balance > 0"))
    (domain,) = [each for each in world.domains if each.action.id == "predict"]
    field = world.field(Path("context", ("host", "age_s")), domain)
    assert field.least == 0
    assert min(field.values) == 0
