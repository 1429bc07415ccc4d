"""What holds of any policy text, for the targets that make some."""

from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from cedarpy import pst

from guardrail._documents import decode
from guardrail.errors import ConfigurationError, Fault
from guardrail.obligations import NOT_BUILT, Round, TopK
from guardrail.policy.source.lexer import Source, split
from guardrail.policy.source.nesting_limits import LIMIT_DEPTH, too_deep
from guardrail.policy.source.parser import Vocabulary, read_policies

VOCABULARY = Vocabulary({"round": Round(), "top_k": TopK()}, NOT_BUILT)
#: Nodes that are parts of a literal or a pattern, and no levels of the tree.
_NO_LEVELS = (pst.EntityUid, pst.EntityType, pst.Char, pst.Wildcard)


def check_policies(file: str, data: bytes) -> Sequence[Fault]:
    """Read a file of policies, and return its faults. Cedar sees only what our bounds let through.

    The chunks hold all tokens, each once; and no tree is deeper than the bounds say.
    """
    try:
        source = Source(file, decode(file, data))
    except ConfigurationError as error:
        return error.faults
    chunks = list(split(source))
    end = 0
    for chunk in chunks:
        assert end <= chunk.start < chunk.end <= len(source.text)
        assert not list(source.tokens(end, chunk.start)), "text between policies"
        end = chunk.end
    assert not list(source.tokens(end)), "text after the last policy"
    faults = [fault for fault in map(too_deep, chunks) if fault is not None]
    written = read_policies([(file, data)], VOCABULARY)
    assert written.faults or not faults
    for policy in (*written.policies, *written.templates):
        assert _depth(policy.node) <= LIMIT_DEPTH + 2  # the policy and its clause
    assert written.faults or len(written.policies) + len(written.templates) == len(chunks)
    return written.faults


def _depth(node: Any) -> int:
    """Return the levels of Cedar's tree below a node, without recursion."""
    deepest, stack = 0, [(node, 0)]
    while stack:
        item, level = stack.pop()
        if isinstance(item, tuple):
            stack.extend((inner, level) for inner in item)
        elif isinstance(item, dict):
            stack.extend((inner, level) for inner in item.values())
        elif is_dataclass(item) and not isinstance(item, _NO_LEVELS):
            deepest = max(deepest, level)
            stack.extend((getattr(item, field.name), level + 1) for field in fields(item))
    return deepest
