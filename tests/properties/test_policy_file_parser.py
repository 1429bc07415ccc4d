"""A file is parsed at once, and its policies are those that each would be alone, in its place."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from random_bundles import bundles

from guardrail.errors import Place
from guardrail.policy.source import nesting_limits as depth
from guardrail.policy.source import parser as language
from guardrail.policy.source.lexer import Source, split
from guardrail.policy.source.links import Link
from guardrail.policy.source.parser import Vocabulary, read_policies
from guardrail.policy.source.templates import fill

NOISE = st.sampled_from(
    ["", "\n", "// permit;\n", '  // "\n', "\t", '// @id("x") ;\r\n', "\r\n", "// \r\n"]
)
NOTHING = Vocabulary({})


def plain(policy):
    """The policy without what only tells where it was read from."""
    return policy.id, policy.kind, policy.reason, replace(policy.node, id="")


@given(bundles(), st.data())
def test_policies_of_a_file_are_those_of_each_text_alone(bundle, data):
    texts = [
        f'@x_text("; // {{") {rule.written("permit" if rule.effect == "permit" else "forbid")}'
        for rule in bundle
    ]
    whole = "".join(data.draw(NOISE) + text for text in texts) + data.draw(NOISE)
    written = read_policies([("p.cedar", whole.encode())], NOTHING)
    assert written.faults == ()
    alone = [read_policies([("p.cedar", text.encode())], NOTHING).policies[0] for text in texts]
    assert [plain(policy) for policy in written.policies] == [plain(policy) for policy in alone]
    assert [policy.chunk.text for policy in written.policies] == [text.strip() for text in texts]


@given(bundles(), st.integers(0, 400), st.sampled_from([";", "(", '"', "}", "//", "@", "permit"]))
def test_a_file_with_a_fault_keeps_what_is_sound_of_it(bundle, at, piece):
    text = "".join(rule.written("permit") for rule in bundle)
    spoilt = text[:at] + piece + text[at:]
    written = read_policies([("p.cedar", spoilt.encode())], NOTHING)
    one_by_one = [
        language._parse(chunk)
        for chunk in split(Source("p.cedar", spoilt))
        if language._complaint(chunk.text) is None and depth.too_deep(chunk) is None
    ]
    kept = {policy.id: policy for policy in written.policies}
    for node in one_by_one:
        name = node.annotations.get("id")
        if name in kept:
            assert replace(kept[name].node, id="") == replace(node, id="")


@given(bundles(), st.sampled_from(['User::"carl"', 'Role::"clinician"', 'Team::"heart"']))
def test_a_link_is_the_policy_that_one_would_write(bundle, uid):
    for rule in bundle:
        scope = f"principal in {{}}, {rule.scope.split(', ', 1)[1]}"
        text = f'@id("t") permit ({scope.format("?principal")}) {rule.clauses};'
        out = f'@id("t") permit ({scope.format(uid)}) {rule.clauses};'
        template = read_policies([("p.cedar", text.encode())], NOTHING)
        link = Link("t", "l", {"principal": uid}, Place("links.yaml", 1, 3))
        (linked,), faults = fill(template, [link], NOTHING)
        (written,) = read_policies([("p.cedar", out.encode())], NOTHING).policies
        assert faults == []
        assert plain(replace(linked, id="t")) == plain(written)
        assert (linked.id, linked.template, linked.place) == ("l", "t", link.place)
