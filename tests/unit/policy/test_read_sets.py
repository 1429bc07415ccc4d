"""The read set of a policy has everything that the policy can read, and may have more."""

import cedarpy
import pytest

from guardrail import Entity
from guardrail.policy.analysis.differential import policies_of
from guardrail.policy.engine.read_sets import Access, ReadSet, access_of
from guardrail.policy.source.parser import applies_to, entity_of

ROOTS = ("principal", "action", "resource", "context")


def policy(text):
    (one,) = policies_of(cedarpy.PolicySet.from_str(text))
    return one


def access(clause, scope="principal, action, resource"):
    return access_of(policy(f"permit ({scope}) when {{ {clause} }};"))


def paths(clause, root="context"):
    """Return what is read below a root, used or only asked for, as dotted paths."""
    node = access(clause).roots.get(root, ReadSet())
    return {".".join(path) + ("" if used else "?") for path, used in node.paths() if path}


@pytest.mark.parametrize(
    ("clause", "read"),
    [
        ("context.a > 1", {"a"}),
        ("context.a.b.c == 1", {"a.b.c"}),
        ('context["odd name"] == 1', {"odd name"}),
        ("context has a", {"a?"}),
        ("context has a.b", {"a.b?"}),
        ("context.a has b", {"a.b?"}),
        ("context has a && context.a.b == 1", {"a.b"}),
        ("!context.a", {"a"}),
        ("-context.a == 1", {"a"}),
        ('context.a like "x*"', {"a"}),
        ("context.a.contains(context.b)", {"a", "b"}),
        ("[context.a, 1].containsAll([context.b])", {"a", "b"}),
        ("context.a.isEmpty() || context.b.isIpv4()", {"a", "b"}),
        ("context.a.offset(context.b).toDate() == context.c", {"a", "b", "c"}),
        ("context.a.lessThan(context.b)", {"a", "b"}),
        ("(if context.a then context.b else context.c).d == 1", {"a", "b.d", "c.d"}),
        ("(if context.a then context.b else context.c) == 1", {"a", "b", "c"}),
        ("{x: context.a, y: context.b}.x.c == 1", {"a.c", "b?"}),
        ("{x: {y: context.a}}.x.y == 1", {"a"}),
        ("{x: context.a}.z == 1", {"a?"}),
        ("{x: context.a, y: {z: context.b.c}} == principal.r", {"a", "b.c"}),
        ("{x: context.a} has x", {"a?"}),
        ("{x: context.a}.x has b", {"a.b?"}),
        ("context.a is User", {"a"}),
        ("context.a is User in context.b", {"a", "b"}),
        ("context.a in context.b", {"a", "b"}),
        ("context.a.getTag(context.b) == 1", {"a", "b"}),
        ("1 == 1", set()),
    ],
)
def test_paths_of_the_context_are_found(clause, read):
    assert paths(clause) == read


@pytest.mark.parametrize(
    "clause",
    [
        "context == context",
        "context == {a: 1}",
        "[context].contains(principal.r)",
        "{x: context} == principal.r",
        "(if context.a then context else {a: true}) == principal.r",
    ],
)
def test_a_record_that_is_used_whole_is_read_whole(clause):
    assert access(clause).of("context").whole


def test_a_record_of_which_only_parts_are_used_is_not_read_whole():
    node = access("context.a.b == 1 && context has c && {x: context}.x.d == 1").of("context")
    assert not node.whole
    assert not node.below["a"].whole
    assert node.below["a"].below["b"].whole
    assert not node.below["c"].whole
    assert node.below["d"].whole


def test_leaves_end_where_a_value_is_used():
    node = access("context.a.b == 1 && context.a == principal.r && context has c.d").of("context")
    assert set(node.leaves()) == {("a",), ("c", "d")}


def test_every_root_has_its_own_paths():
    clause = 'principal.a == resource.b && resource.owner.c == User::"ann".d'
    assert paths(clause, "principal") == {"a"}
    assert paths(clause, "resource") == {"b", "owner.c"}
    assert paths(clause, Entity("User", "ann")) == {"d"}
    assert paths(clause, "context") == set()


@pytest.mark.parametrize(
    ("clause", "root", "asks"),
    [
        ("principal == resource", "resource", False),
        ("principal is User", "principal", False),
        ("[principal].contains(resource)", "principal", False),
        ("principal.a == 1", "principal", True),
        ("principal has a", "principal", True),
        ('principal in Team::"x"', "principal", True),
        ('principal in Team::"x"', Entity("Team", "x"), False),
        ("principal in [resource, action]", "resource", False),
        ('Team::"x" in resource', Entity("Team", "x"), True),
        ('User::"x" == principal', Entity("User", "x"), False),
        ('principal is User in Team::"x"', "principal", True),
        ('principal.hasTag("k")', "principal", True),
        ('principal.getTag("k") == 1', "principal", True),
        ('(if principal has a then resource else principal) in Team::"x"', "resource", True),
        ('{a: resource}.a in Team::"x"', "resource", True),
    ],
)
def test_an_entity_is_asked_something_or_only_compared(clause, root, asks):
    assert access(clause).of(root).reads_entity is asks


def test_an_entity_at_the_end_of_a_path_is_asked_only_by_what_looks_at_it():
    owner = access("resource.owner == principal").of("resource").below["owner"]
    assert (owner.whole, owner.reads_entity) == (True, False)
    owner = access('resource.owner in Team::"x"').of("resource").below["owner"]
    assert (owner.whole, owner.is_member) == (True, True)
    assert access("resource.owner has a").of("resource").below["owner"].reads_entity


def test_tags_are_read_all_for_only_a_call_knows_which():
    found = access('principal.getTag(context.key).boss.level > 1 && resource.owner.hasTag("k")')
    assert found.reads_tags
    assert set(found.of("principal").tags.below["boss"].below) == {"level"}
    assert found.of("resource").below["owner"].tags is not None
    assert found.of("context").below["key"].whole
    assert not access("principal.a == 1").reads_tags


def test_every_name_that_stands_anywhere_is_kept_of_an_entity():
    found = access('principal.a.b == 1 && resource has c.d && {x: context.e}.x.f == User::"u".g')
    assert found.names >= {"a", "b", "c", "d", "e", "f", "g"}


@pytest.mark.parametrize(
    ("scope", "members"),
    [
        ("principal, action, resource", set()),
        ('principal == User::"a", action == Action::"b", resource == Doc::"c"', set()),
        ("principal is User, action, resource is Doc", set()),
        ('principal in Team::"a", action, resource', {"principal"}),
        ('principal, action in Action::"a", resource', {"action"}),
        ('principal, action in [Action::"a", Action::"b"], resource', {"action"}),
        ('principal, action, resource is Doc in Doc::"a"', {"resource"}),
    ],
)
def test_a_scope_asks_for_membership_where_it_says_in(scope, members):
    found = access("true", scope)
    assert {root for root in ROOTS if found.of(root).is_member} == members


def test_a_union_reads_all_that_either_reads():
    both = Access()
    texts = ("context.a.b == 1", 'context.a in Team::"x" && principal.hasTag("k")', "context has c")
    for text in texts:
        both.unite(access(text))
    assert {path for path, _ in both.of("context").paths()} == {("a",), ("a", "b"), ("c",)}
    assert both.of("context").below["a"].is_member
    assert both.of("principal").tags is not None
    assert both.reads_tags
    assert {"a", "b", "c"} <= both.names


def test_a_union_leaves_its_parts_as_they_were():
    one, other = access("context.a == 1"), access("context.b == 1")
    both = Access()
    both.unite(one)
    both.unite(other)
    assert set(one.of("context").below) == {"a"}
    assert set(other.of("context").below) == {"b"}


def test_a_slot_that_is_not_filled_is_no_entity():
    tree = cedarpy.PolicySet.from_str("permit (principal == ?principal, action, resource);")
    (template,) = tree.to_pst().templates.values()
    with pytest.raises(TypeError):
        entity_of(template.principal.entity)


def test_an_expression_of_an_unknown_kind_is_rejected():
    one = policy("permit (principal, action, resource) when { context.a };")
    (clause,) = one.node.clauses
    object.__setattr__(clause, "expr", object())
    with pytest.raises(TypeError, match="unknown kind"):
        access_of(one)


@pytest.mark.parametrize(
    ("scope", "view", "group"),
    [
        ("action", True, True),
        ('action == Action::"view"', True, False),
        ('action == Action::"read"', False, True),
        ('action in Action::"read"', True, True),
        ('action in [Action::"drop", Action::"read"]', True, True),
        ('action in [Action::"drop"]', False, False),
        ("action in []", False, False),
    ],
)
def test_a_policy_applies_to_an_action_itself_or_through_its_groups(scope, view, group):
    one = policy(f"permit (principal, {scope}, resource);")
    read = Entity("Action", "read")
    assert applies_to(one, Entity("Action", "view"), frozenset((read,))) is view
    assert applies_to(one, read, frozenset()) is group
