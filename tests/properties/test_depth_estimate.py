"""The lexer's estimate of a policy's depth is never lower than the depth of Cedar's tree."""

import threading
from dataclasses import fields, is_dataclass
from unittest import mock

import cedarpy
import pytest
from cedarpy import pst
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail.policy.source import nesting_limits as bounds
from guardrail.policy.source.lexer import Source, split
from guardrail.policy.source.nesting_limits import LIMIT_DEPTH, LIMIT_NESTING, too_deep

ATOMS = st.sampled_from(
    ["1", "-1", "true", '"x"', "principal", "context.a", "context.a.b.c", 'User::"a"', "[]", "{}"]
)
BINARY = ["||", "&&", "==", "!=", "<", "<=", ">", ">=", "in", "+", "-", "*"]


def larger(inner):
    """Wrap expressions in every form that Cedar has; brackets only where precedence needs them."""
    closed = st.one_of(ATOMS, inner.map(lambda e: f"({e})"))
    return st.one_of(
        st.tuples(st.lists(inner, min_size=2, max_size=6), st.sampled_from(["||", "&&"])).map(
            lambda p: f" {p[1]} ".join(f"({e})" if "if " in e else e for e in p[0])
        ),
        st.tuples(closed, st.sampled_from(BINARY), closed).map(lambda p: f"{p[0]} {p[1]} {p[2]}"),
        st.lists(closed, min_size=2, max_size=6).map(" + ".join),
        st.lists(closed, min_size=2, max_size=6).map(" * ".join),
        closed.map(lambda e: f"!{e}"),
        closed.map(lambda e: f"!!!{e}"),
        closed.map(lambda e: f"--{e}"),
        inner.map(lambda e: f"({e})"),
        closed.map(lambda e: f"{e}.attr.b"),
        closed.map(lambda e: f'{e}["attr"]'),
        st.tuples(closed, inner).map(lambda p: f"{p[0]}.contains({p[1]})"),
        closed.map(lambda e: f"{e} has a.b.c"),
        closed.map(lambda e: f'{e} like "x*"'),
        st.tuples(closed, closed).map(lambda p: f"{p[0]} is User in {p[1]}"),
        st.lists(inner, max_size=4).map(lambda es: "[" + ", ".join(es) + "]"),
        st.lists(inner, max_size=3).map(
            lambda es: "{" + ", ".join(f"k{i}: {e}" for i, e in enumerate(es)) + "}"
        ),
        inner.map(lambda e: f"decimal({e})" if e.startswith('"') else f"({e}).isIpv4()"),
        st.tuples(inner, inner, inner).map(lambda p: f"if {p[0]} then {p[1]} else {p[2]}"),
    )


#: Nodes that are parts of a literal or a pattern, and no levels of the tree.
NO_LEVELS = (pst.EntityUid, pst.EntityType, pst.Char, pst.Wildcard)
EXPRESSIONS = st.recursive(ATOMS, larger, max_leaves=16)


def depth(node):
    """The levels of Cedar's tree below a node, iteratively."""
    deepest, stack = 0, [(node, 0)]
    while stack:
        item, level = stack.pop()
        if isinstance(item, tuple):
            stack.extend((inner, level) for inner in item)
        elif isinstance(item, dict):
            stack.extend((inner, level) for inner in item.values())
        elif is_dataclass(item) and not isinstance(item, NO_LEVELS):
            deepest = max(deepest, level)
            stack.extend((getattr(item, f.name), level + 1) for f in fields(item))
    return deepest


def bounded(expression):
    """Whether our bounds let the text through at all: only then may Cedar see it."""
    (chunk,) = split(
        Source("p.cedar", f"permit (principal, action, resource) when {{ {expression} }};")
    )
    return too_deep(chunk) is None


def tree_depth(expression):
    """How deep the expression's tree is, or ``None`` where Cedar refuses the text."""
    try:
        tree = cedarpy.policies_to_pst(
            f"permit (principal, action, resource) when {{ {expression} }};"
        )
    except ValueError:
        return None
    ((clause,),) = (policy.clauses for policy in tree.static_policies.values())
    return depth(clause.expr)


@settings(max_examples=400, deadline=None)
@given(EXPRESSIONS)
def test_the_estimate_is_never_lower_than_the_tree(expression):
    if not bounded(expression):
        return
    actual = tree_depth(expression)
    if actual is None or actual < 1:
        return
    policy = f"permit (principal, action, resource) when {{ {expression} }};"
    with mock.patch.object(bounds, "LIMIT_DEPTH", actual - 1):
        (chunk,) = split(Source("p.cedar", policy))
        assert too_deep(chunk), (actual, expression)


@pytest.mark.parametrize("stack_bytes", [1 << 20])
@settings(max_examples=40, deadline=None)
@given(
    shape=st.sampled_from(
        ["{e} || true", "true && {e}", "({e})", "!{e}", "[{e}]", "{e} + 1", "-{e}", "1 + {e}",
         "if true then true else {e}", "if {e} then true else false", "{e}.a", '{e}["a"]',
         "{e} == 1", "{{a: {e}}}", "{e}.contains(1)", "[].contains({e})"]
    ),
    other=st.sampled_from(["{e}", "({e})", "!{e}", "true && {e}", "{e} || true"]),
    times=st.integers(1, 400),
)  # fmt: skip
def test_what_the_bounds_let_through_never_kills_the_parser_on_a_small_stack(
    stack_bytes, shape, other, times
):
    expression = "principal"
    for _ in range(times):
        expression = shape.format(e=other.format(e=expression))
    source = Source("p.cedar", f"permit (principal, action, resource) when {{ {expression} }};")
    (chunk,) = split(source)
    fault = too_deep(chunk)
    if times > LIMIT_DEPTH + LIMIT_NESTING:
        assert fault
    if fault:
        return

    def parse():
        tree_depth(expression)  # a crash here takes the whole test run with it

    before = threading.stack_size(stack_bytes)
    try:
        thread = threading.Thread(target=parse)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(before)


@settings(max_examples=60, deadline=None)
@given(st.lists(EXPRESSIONS, min_size=1, max_size=4).map(" && ".join))
def test_what_passes_as_surely_shallow_passes_the_closer_look(expression):
    policy = f"permit (principal, action, resource) when {{ {expression} }};"
    (chunk,) = split(Source("p.cedar", policy))
    if bounds.is_surely_shallow(chunk.text):
        assert bounds._read_closely(chunk) is None
