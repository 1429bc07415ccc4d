"""The coverage of policies by tests: known results on small bundles."""

import json
import re

import pytest

from guardrail.testing import run_tests
from guardrail.testing.coverage.html_page import to_html

GIVEN = """\
given:
  action: predict
  resource: Model::"tumour"
  principals:
    clara: {uid: 'User::"clara"', in: ['Role::"clinician"'], attrs: {department: care}}
    nora: {uid: 'User::"nora"', attrs: {department: care}}
  facts: {input: {rows: 10}, identity: {delegated: false}}
tests:
"""
WARDS = """\
@id("wards") permit (principal in Role::"clinician", action == Action::"predict", resource)
when { context.input.rows <= 100 };
"""
ALLOWED = "  - {name: allowed, as: clara, expect: allow}\n"
COHORT = "  - {name: cohort, as: clara, facts: {input: {rows: 101}}, expect: deny}\n"
STRANGER = "  - {name: stranger, as: nora, expect: deny}\n"


@pytest.fixture
def cover(make_bundle):
    """Return a function that runs tests on policies and gives the coverage."""

    def cover(policies, *tests):
        report = run_tests(
            make_bundle(policies, **{"tests/a_test.yaml": GIVEN + "".join(tests)}), coverage=True
        )
        assert report.holds, report.faults
        return report.coverage

    return cover


def lacks(coverage):
    return [lack for _, lack in coverage.lacks()]


def test_a_clause_is_to_be_seen_both_ways_and_a_scope_matched_and_missed(cover):
    coverage = cover(WARDS, ALLOWED)
    assert lacks(coverage) == [
        "wards: its scope was never missed",
        "wards: when context.input.rows <= 100: never false",
    ]
    assert coverage.points == (2, 4)
    assert coverage.percent == 50
    assert coverage.summary == "clauses 0 of 1 both ways, scopes 0 of 1, 50% in all"
    coverage = cover(WARDS, ALLOWED, COHORT)
    assert lacks(coverage) == ["wards: its scope was never missed"]
    coverage = cover(WARDS, ALLOWED, COHORT, STRANGER)
    assert lacks(coverage) == []
    assert coverage.summary == "clauses 1 of 1 both ways, scopes 1 of 1, 100% in all"


def test_a_lack_stands_where_the_text_does(cover):
    coverage = cover(WARDS, STRANGER)
    assert [place for place, _ in coverage.lacks()] == ["policies.cedar:1:1", "policies.cedar:2:8"]


def test_what_cedar_never_looked_at_was_not_seen(cover):
    """Its value would be known, and still no decision hung on it."""
    policies = WARDS + (
        '@id("no") forbid (principal, action == Action::"predict", resource) when'
        " { context.identity.delegated && context.input.rows > 50 };"
    )
    coverage = cover(policies, ALLOWED, COHORT, STRANGER)
    assert lacks(coverage) == [
        "no: its scope was never missed",
        "no: when context.identity.delegated: never true",
        "no: when context.input.rows > 50: never true or false",
    ]


def test_an_obligation_is_seen_where_a_decision_demands_it(cover):
    policies = WARDS + '@id("rounded") @round("2") forbid (principal, action, resource);'
    assert "rounded: its obligations were never required" in lacks(
        cover(policies, COHORT, STRANGER)
    )
    assert lacks(cover(policies, ALLOWED, COHORT, STRANGER)) == []


def test_what_the_validator_knows_never_comes_need_not_be_tested(cover):
    policies = (
        '@id("all") permit (principal is User, action, resource is Model)'
        ' when { action == Action::"predict" || resource is Model };'
    )
    coverage = cover(policies, ALLOWED)
    assert lacks(coverage) == [
        'all: when action == Action::"predict": never false',
        "all: when resource is Model: never true",
    ]


def test_an_error_is_neither_true_nor_false(cover):
    coverage = cover(
        WARDS, "  - {name: t, as: clara, facts: {input: {rows: !missing }}, expect: deny}\n"
    )
    (part,) = coverage.atoms
    assert (part.true, part.false, part.errors) == (0, 0, 1)
    assert part.unseen == ("true", "false")


def test_who_or_what_the_bundle_lacks_has_met_no_policy(cover):
    unknown = (
        "  - {name: t, as: clara, resource: 'Model::\"no\"', expect: {code: unknown_entity}}\n"
    )
    coverage = cover(WARDS, unknown)
    assert [(seen.matched, seen.missed) for seen in coverage.policies] == [(0, 0)]


def test_as_json_says_the_same(cover):
    data = json.loads(json.dumps(cover(WARDS, ALLOWED, STRANGER).as_json()))
    assert (data["percent"], data["seen"], data["wanted"]) == (75.0, 3, 4)
    (policy,) = data["policies"]
    assert (policy["policy"], policy["matched"], policy["missed"]) == ("wards", 1, 1)
    assert policy["clauses"] == [
        {
            "text": "context.input.rows <= 100", "keyword": "when", "line": 2, "column": 8,
            "true": 1, "false": 0, "errors": 0, "unseen": ["false"],
        }
    ]  # fmt: skip


def test_the_page_marks_the_text_and_escapes_it(cover):
    policies = WARDS.replace("<= 100", '<= 100 && resource.purpose != "<script>"')
    page = to_html(cover(policies, ALLOWED, STRANGER))
    assert "<script>" not in page
    assert re.search(r'<mark class="half" title="true 1 times, false 0 times">context.input', page)
    assert "&lt;script&gt;" in page
    whole = re.sub("<[^>]*>", "", page)
    assert "@id(&quot;wards&quot;) permit" in whole
    assert "default-src 'none'" in page
    never = to_html(cover(WARDS, STRANGER))
    assert 'class="none" title="true 0 times' in never
    assert "// its scope was never matched" in never


@pytest.mark.parametrize("folder", ["clinical_scoring", "support_replies"])
def test_the_shipped_bundles_are_tried_through_and_through(folder):
    report = run_tests(f"policies/{folder}", coverage=True)
    assert report.holds
    assert lacks(report.coverage) == []
    assert report.coverage.percent == 100


# What can't be missed in this bundle.

ONE = """
entity Role enum ["clinician"];
entity User in [Role];
entity Family;
entity Model in [Family];
action predict appliesTo { principal: [User], resource: [Model] };
"""
IN_FAMILY = '"parents": [{"type": "Family", "id": "f"}]'
ENTITIES = (
    '[{"uid": {"type": "Family", "id": "f"}, "attrs": {}, "parents": []},'
    ' {"uid": {"type": "Model", "id": "tumour"}, "attrs": {}, ' + IN_FAMILY + "}{}]"
)
OTHER = ', {"uid": {"type": "Model", "id": "other"}, "attrs": {}, "parents": []}'
ASKED = """\
tests:
  - name: t
    principal: {uid: 'User::"u"'}
    action: predict
    resource: Model::"tumour"
    expect: allow
"""


@pytest.mark.parametrize(
    ("scope", "entities", "schema", "toml", "can_miss"),
    [
        ('principal, action == Action::"predict", resource == Model::"tumour"', "", "", "", False),
        ('principal is User, action, resource in Family::"f"', "", "", "", False),
        ("principal, action, resource is Model", "", "", "", False),
        ('principal, action, resource == Model::"tumour"', OTHER, "", "", True),
        ('principal, action, resource in Family::"f"', OTHER, "", "", True),
        ('principal in Role::"clinician", action, resource', "", "", "", True),
        ('principal == User::"u", action, resource', "", "", "", True),
        (
            'principal, action == Action::"predict", resource', "",
            "action explain appliesTo { principal: [User], resource: [Model] };", "", True,
        ),
        (
            'principal, action == Action::"predict", resource', "",
            "action explain appliesTo { principal: [User], resource: [Other] }; entity Other;",
            "", False,
        ),
        (
            'principal, action, resource == Model::"tumour"', "", "",
            '[resources]\nunknown = "allow"\n', True,
        ),
        (
            "principal is User, action, resource", "",
            'entity Bot; action beep appliesTo { principal: [Bot], resource: [Model] };', "", True,
        ),
    ],
)  # fmt: skip
def test_a_scope_that_no_request_of_the_bundle_misses_need_not_be_missed(
    make_bundle, scope, entities, schema, toml, can_miss
):
    folder = make_bundle(
        f'@id("one") permit ({scope});',
        **{
            "schema.cedarschema": ONE + schema,
            "entities.json": ENTITIES.replace("{}]", f"{entities}]"),
            "guardrail.toml": f'[bundle]\nname = "small"\nversion = "1.0.0"\n{toml}',
            "tests/a_test.yaml": ASKED.replace("{uid: 'User::\"u\"'}", CALLER),
        },
    )
    coverage = run_tests(folder, coverage=True).coverage
    assert lacks(coverage) == (["one: its scope was never missed"] if can_miss else [])
    assert coverage.percent == (50.0 if can_miss else 100.0)


CALLER = "{uid: 'User::\"u\"', in: ['Role::\"clinician\"']}"
