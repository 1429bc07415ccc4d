"""Redundant policies are reported, and policies that only look redundant are not."""

import json

import pytest
from weak_bundles import OLD, PREDICT, SOUND

GRANT = '@id("it") permit ({});\n'
WIDE = f'@id("wide") permit (principal, {PREDICT}, resource) {{}};\n'
ROLE = 'principal in Role::"clinician"'


@pytest.mark.parametrize(
    ("narrow", "clauses", "wide"),
    [
        (f"{ROLE}, {PREDICT}, resource", "", ""),
        (f'principal, {PREDICT}, resource == Model::"tumour"', "", ""),
        (f"principal, {PREDICT}, resource", "when { context.input.rows < 9 }", ""),
        (
            f"principal, {PREDICT}, resource",
            "when { context.input.rows < 9 && context.input.bytes < 9 }",
            "when { context.input.bytes < 9 }",
        ),
        (
            f"principal, {PREDICT}, resource",
            "when { context.input.rows < 9 } "
            "unless { context.app.count > 1 || context.time.hour < 6 }",
            "unless { context.time.hour < 6 }",
        ),
    ],
)
def test_a_grant_that_another_covers_is_found(find, narrow, clauses, wide):
    text = GRANT.format(narrow).replace(");", f") {clauses};") + WIDE.format(wide)
    found = find("GR515", text)
    assert [(each.policy, "wide" in each.message) for each in found] == [("it", True)]


def test_of_two_that_are_equal_the_second_is_found(find):
    text = WIDE.format("") + WIDE.format("").replace("wide", "twin")
    assert [each.policy for each in find("GR515", text)] == ["twin"]


@pytest.mark.parametrize(
    ("narrow", "clauses", "wide"),
    [
        ("principal, action, resource", "", ""),  # another action, too
        (f"{ROLE}, {PREDICT}, resource", "", "when { context.input.rows < 9 }"),
        (f"principal, {PREDICT}, resource", "unless { context.input.rows < 9 }",
         "when { context.input.rows < 9 }"),
        (f"principal, {PREDICT}, resource", "when { context.input.rows < 9 }",
         "when { context.input.rows < 8 }"),
    ],
)  # fmt: skip
def test_a_grant_that_adds_something_is_not(find, narrow, clauses, wide):
    text = GRANT.format(narrow).replace(");", f") {clauses};") + WIDE.format(wide)
    assert [each.policy for each in find("GR515", text) if each.policy == "it"] == []


ALL = "forbid (principal, action, resource)"
BANS = {
    "by an attribute": f'{ALL} when {{ resource.purpose == "retired" }}',
    "unless it is live": f'{ALL} unless {{ resource.purpose == "care" }}',
    "by its name": 'forbid (principal, action, resource == Model::"old")',
    "by all of an action": f"forbid (principal, {PREDICT}, resource)",
    "by an entity": 'forbid (principal, action, resource) when { resource == Model::"old" }',
}
OLD_GRANT = GRANT.format(f'{ROLE}, {PREDICT}, resource == Model::"old"')


@pytest.mark.parametrize("ban", BANS.values(), ids=BANS)
def test_a_grant_that_a_prohibition_always_overrides_is_found(find, ban):
    found = find("GR516", f'{OLD_GRANT}@id("no") {ban};\n', **{"entities.json": OLD})
    assert [each.policy for each in found] == ["it"]
    assert "no forbids" in found[0].message


@pytest.mark.parametrize(
    "ban",
    [
        'forbid (principal, action, resource) when { resource.purpose == "retired" && '
        "context.app.count > 1 }",
        'forbid (principal in Role::"clinician", action, resource) when { principal.level > 1 }',
        'forbid (principal == User::"a", action, resource)',
        'forbid (principal, action == Action::"explain", resource)',
        'forbid (principal, action, resource == Model::"tumour")',
        'forbid (principal, action, resource) unless { principal in Role::"clinician" }',
        '@round("2") forbid (principal, action, resource)',
    ],
)
def test_a_prohibition_that_may_not_hold_overrides_nothing(find, ban):
    text = f'{OLD_GRANT}@id("no") {ban};\n'
    if "context.app" in ban:
        text = text.replace(
            "principal, action, resource) when", f"principal, {PREDICT}, resource) when"
        )
    assert find("GR516", text, **{"entities.json": OLD}) == []


def test_a_grant_of_several_models_of_which_one_is_live_grants(find):
    text = GRANT.format(f"{ROLE}, {PREDICT}, resource is Model") + (
        '@id("no") forbid (principal, action, resource) when { resource.purpose == "retired" };\n'
    )
    assert find("GR516", text, **{"entities.json": OLD}) == []
    entities = json.loads(OLD)
    for each in entities:
        if each["uid"]["type"] == "Model":
            each["attrs"]["purpose"] = "retired"
    found = find("GR516", text, **{"entities.json": json.dumps(entities)})
    assert [each.policy for each in found] == ["it"]


def test_where_resources_may_be_unknown_a_grant_of_any_is_not_judged(find):
    toml = '[bundle]\nname = "small"\nversion = "1.0.0"\n[resources]\nunknown = "allow"\n'
    text = GRANT.format(f"{ROLE}, {PREDICT}, resource is Model") + (
        '@id("no") forbid (principal, action, resource) when { resource.purpose != "x" };\n'
    )
    assert find("GR516", text, **{"guardrail.toml": toml}) == []


@pytest.mark.parametrize(
    "scope", ["principal, action, resource", "principal is User, action, resource"]
)
def test_a_prohibition_of_every_call_is_found(find, scope):
    (found,) = find("GR512", f'{SOUND}@id("no") forbid ({scope});\n')
    assert found.policy == "no"


@pytest.mark.parametrize(
    "ban",
    [
        'forbid (principal, action, resource == Model::"tumour")',
        'forbid (principal, action, resource) when { resource.purpose == "x" }',
        '@round("1") forbid (principal, action, resource)',
        f"forbid (principal, {PREDICT}, resource)",
    ],
)
def test_a_prohibition_of_some_calls_is_not(find, ban):
    assert find("GR512", f'{SOUND}@id("no") {ban};\n') == []
