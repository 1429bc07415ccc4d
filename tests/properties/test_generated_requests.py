"""Requests that are generated fit their bundle, whatever its schema has; values of all types."""

from __future__ import annotations

import ast
import ipaddress
import json
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings

from guardrail import ConfigurationError
from guardrail.bundle.assembly import load_bundle
from guardrail.testing import FrozenClock, requests
from guardrail.testing.files.render_test import as_test
from guardrail.testing.mutation.candidate_requests import decided
from guardrail.testing.properties.conditions import INVALID_REQUEST_CODES
from guardrail.testing.run.suite import run_tests
from guardrail.values import Entity, Principal

SCHEMA = """
entity Role enum ["clinician", "analyst"];
entity Team in [Team] { level: Long };
entity User in [Role, Team] {
  department: String, level?: Long, score?: decimal, since?: datetime, team?: Team,
  home: { address: ipaddr, code?: String, more: { depth: Long } },
};
entity Robot { owner: User, tags: Set<String> };
entity Model { purpose: String };
action predict appliesTo {
  principal: [User, Robot], resource: [Model],
  context: {
    input: guardrail::TensorInput, identity: guardrail::IdentityFacts, time: guardrail::TimeFacts,
    app: {
      purpose?: String, score?: decimal, count: Long, flag?: Bool, tags?: Set<String>,
      at?: datetime, span?: duration, ip?: ipaddr, owner?: User, owners?: Set<User>,
      numbers?: Set<Long>, note?: { text: String, deep: { er: Bool } },
    },
  },
};
action explain appliesTo { principal: [User], resource: [Model], context: {} };
"""
POLICIES = """\
@id("open") permit (principal, action == Action::"predict", resource)
when { context.app.count < 100 || context.app == context.app };
@id("some") permit (principal is User, action == Action::"predict", resource)
when { principal in Team::"heart" && principal.home.more.depth > 3 && context.input.rows <= 50
       && context.time.hour >= 7 && context.time.weekday < 6
       && context.time.now < datetime("2026-06-01") };
@id("late") permit (principal is User, action == Action::"explain", resource)
when { principal has since && principal.since > datetime("2024-02-29T12:00:00Z") };
@id("ends") forbid (principal, action == Action::"predict", resource)
when { context.app has span && context.app.span > duration("1d2h") };
@id("ips") forbid (principal, action == Action::"predict", resource)
when { context.app has ip && context.app.ip.isInRange(ip("10.0.0.0/8"))
       || context.app has score && context.app.score.greaterThan(decimal("0.25"))
       || context.app has purpose && context.app.purpose like "sa*es" };
"""
ENTITIES = [
    {"uid": {"type": "Model", "id": "tumour"}, "attrs": {"purpose": "care"}, "parents": []},
    {"uid": {"type": "Model", "id": "old"}, "attrs": {"purpose": "retired"}, "parents": []},
    {"uid": {"type": "Team", "id": "heart"}, "attrs": {"level": 3},
     "parents": [{"type": "Team", "id": "all"}]},
    {"uid": {"type": "Team", "id": "all"}, "attrs": {"level": 9}, "parents": []},
    {"uid": {"type": "User", "id": "carl"},
     "attrs": {"department": "care", "home": {
         "address": {"__extn": {"fn": "ip", "arg": "10.1.2.3"}}, "more": {"depth": 1}}},
     "parents": [{"type": "Role", "id": "clinician"}]},
]  # fmt: skip

run = settings(deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle")
    for name, text in {
        "guardrail.toml": '[bundle]\nname = "wide"\nversion = "1"\n',
        "schema.cedarschema": SCHEMA,
        "policies.cedar": POLICIES,
        "entities.json": json.dumps(ENTITIES),
    }.items():
        (folder / name).write_text(text)
    return folder


@pytest.fixture(scope="module")
def bundle(folder):
    return load_bundle(folder, clock=FrozenClock())


def each(bundle, holds, **asked):
    """Assert something of drawn requests, one after the other."""
    run(given(requests(bundle, **asked))(holds))()


def test_a_request_fits_the_bundle(bundle):
    def fits(request):
        told = decided(bundle.snapshot, request)
        assert told["code"] not in INVALID_REQUEST_CODES, (request, told)
        assert told["code"] != "evaluation_error", "what the schema demands is there"

    each(bundle, fits, resource={"type": "Model"})


def test_what_is_told_of_it_as_a_test_is_that_request(folder, bundle):
    """Written, read again as a test file, and run, the decision is the same."""
    name = 'a "quoted" é\n\x07\U0001f600 name'
    tests = folder / "tests"
    tests.mkdir()

    def says_the_same(request):
        told = decided(bundle.snapshot, request)
        test = as_test(bundle.snapshot, request, told, name=name)
        lines = "".join(f"  {line}\n" for line in test.splitlines())
        (tests / "a_test.yaml").write_text(f"tests:\n{lines}", "utf-8")
        (result,) = run_tests(folder, bundle=bundle).results
        assert (result.name, result.outcome, result.faults) == (name, "passed", ()), test

    each(bundle, says_the_same, missing=True)


def seen(bundle, holds, **asked):
    """Return a request of which something holds."""
    how = settings(
        max_examples=10_000, database=None, deadline=None, derandomize=True,
        phases=(Phase.generate,),
    )  # fmt: skip
    return find(requests(bundle, **asked), holds, settings=how)


EVERY = {
    "purpose": str, "score": Decimal, "count": int, "flag": bool, "tags": list, "at": datetime,
    "span": timedelta, "ip": ipaddress.IPv4Address, "owner": Entity, "owners": list,
    "numbers": list, "note": dict,
}  # fmt: skip


@pytest.mark.parametrize("name", EVERY)
def test_each_type_of_fact_is_drawn_and_each_optional_one_left_out(bundle, name):
    found = seen(bundle, lambda request: name in request.facts.get("app", {}))
    assert type(found.facts["app"][name]) is EVERY[name]
    if name != "count":
        seen(bundle, lambda request: name not in request.facts.get("app", {}), action="predict")


EDGES = [
    ("count", 99), ("count", 100), ("count", 101), ("purpose", "saes"),
    ("span", timedelta(days=1, hours=2)), ("span", timedelta(days=1, hours=2, milliseconds=1)),
    ("ip", ipaddress.ip_address("10.0.0.0")), ("score", Decimal("0.2501")),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), EDGES)
def test_the_constants_of_policies_are_drawn_with_their_neighbours(bundle, name, value):
    seen(bundle, lambda request: request.facts.get("app", {}).get(name) == value)


def test_callers_have_the_groups_and_attributes_of_their_type(bundle):
    simple = seen(bundle, lambda request: isinstance(request.principal, Principal))
    assert simple.principal.parents == ()
    assert dict(simple.principal.attrs).keys() == {"department", "home"}
    heart, all_ = Entity("Team", "heart"), Entity("Role", "analyst")
    both = seen(bundle, lambda request: {heart, all_} <= set(getattr(request.principal, "parents",
                                                                     ())))  # fmt: skip
    assert set(both.principal.parents) == {heart, all_}
    known = seen(bundle, lambda request: request.principal == Entity("User", "carl"))
    assert isinstance(known.principal, Entity)
    robot = seen(bundle, lambda request: request.principal.type == "Robot")
    assert robot.principal.parents == ()
    assert robot.principal.attrs["owner"] == Entity("User", "carl")


def test_the_facts_of_the_time_are_of_one_moment(bundle):
    def agree(request):
        time = request.facts["time"]
        assert time["now"].hour == time["hour"]
        assert time["now"].isoweekday() == time["weekday"]

    each(bundle, agree, action="predict")
    seen(bundle, lambda request: request.facts.get("time", {}).get("hour") == 6)


def test_a_demanded_fact_is_missing_only_where_that_is_asked_for(bundle):
    def lacks(request):
        return request.action.id == "predict" and "rows" not in request.facts["input"]

    found = seen(bundle, lacks, missing=True)
    assert found.facts["input"] == {}


def test_a_resource_is_unknown_now_and_then(bundle):
    found = seen(bundle, lambda request: request.resource.id == "unknown")
    assert found.resource == Entity("Model", "unknown")


def test_what_is_asked_for_is_all_that_is_drawn(bundle):
    def is_asked_for(request):
        attrs, app = request.principal.attrs, request.facts["app"]
        assert request.principal.type == "User"
        assert {Entity("Team", "heart"), Entity("Team", "all")} & set(request.principal.parents)
        assert 5 <= attrs["level"] <= 9
        assert attrs["home"]["more"]["depth"] != 4
        assert attrs["score"] <= Decimal("0.5")
        assert request.resource.id == "tumour"
        assert "x" in app["tags"]
        assert app["note"]["deep"]["er"] is True
        assert app["purpose"] in ("a", "b")
        assert "flag" not in app
        assert request.facts["time"]["hour"] >= 22

    each(
        bundle,
        is_asked_for,
        principal={
            "in": 'Team::"all"', "type": "User", "level": {"min": 5, "max": 9},
            "home": {"more": {"depth": {"none_of": [4]}}}, "score": {"max": 0.5},
        },
        resource={"purpose": "care"},
        facts={
            "app": {"tags": {"contains": "x"}, "note": {"deep": {"er": True}}, "purpose":
                    {"one_of": ["a", "b"]}, "flag": {"missing": True}},
            "time": {"hour": {"min": 22}},
        },
        action="predict",
    )  # fmt: skip


def test_what_the_bundle_has_not_cannot_be_asked_for(bundle):
    with pytest.raises(ConfigurationError, match="no action fly"):
        requests(bundle, action="fly")
    with pytest.raises(ValueError, match="no request of the bundle meets"):
        requests(bundle, principal={"type": "Team"})


def test_the_package_brings_hypothesis_on_first_use_alone():
    """The module of `guardrail.testing` imports it nowhere but in the function that is asked."""
    import guardrail.testing

    tree = ast.parse(Path(guardrail.testing.__file__).read_text("utf-8"))
    top = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    assert not [node for node in top if node.module.endswith("strategies")]
    with pytest.raises(AttributeError, match="no attribute 'request'"):
        guardrail.testing.request  # noqa: B018
