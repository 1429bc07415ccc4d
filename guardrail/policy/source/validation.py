"""Validates a bundle's policies with Cedar's validator, and adds places to its messages.

It runs at load, after the schema is read. Each message of the validator is an error, because a
policy that does not fit the schema would err or never match.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import cedarpy
from cedarpy import pst

from guardrail.errors import Fault, Place
from guardrail.policy.schema.schema import Schema
from guardrail.policy.source.error_advice import NO_ACTION, on_types
from guardrail.policy.source.lexer import brief
from guardrail.policy.source.parser import Policy, applies_to


def validate(policies: Sequence[Policy], schema: Schema) -> list[Fault]:
    """Return the validator's errors as faults, each with the place of its token.

    Policies can be templates: the validator tries everything that could fill their slots.
    """
    text = "\n".join(policy.chunk.text for policy in policies)
    faults = []
    errors = schema.errors(text) if policies else []
    named = {key for key, message in errors if NO_ACTION not in message}
    for key, message in errors:
        if NO_ACTION in message and key in named:
            continue  # a consequence of another error in the same policy
        policy = policies[_number(key)]
        complaint = _without_key(key, message)
        names = [part for quoted in re.findall(r"`([^`]+)`", complaint) for part in _parts(quoted)]
        place = policy.chunk.mention(*names)
        if place == policy.chunk.place:
            place = _wrong_clause(policy, schema)
        actions = [a for a, groups in schema.actions.items() if applies_to(policy, a, groups)]
        problem, advice = on_types(
            complaint, schema, actions or list(schema.actions), policy.chunk.text
        )
        faults.append(Fault("GR108", place, f"{policy.id}: {problem}. {advice}".rstrip()))
    return faults


def complaints(nodes: Sequence[pst.Template], schema: Schema) -> dict[int, str]:
    """Return the validator's first message on the scope of each policy, by the policy's number."""
    texts = []
    for node in nodes:
        alone = replace(node, clauses=(), annotations=pst.FrozenMap())
        one = cedarpy.PolicySet.from_pst(pst.PolicySet({}, {alone.id: alone}, ()))
        texts.append(str(one))
    messages: dict[int, str] = {}
    for key, message in schema.errors("\n".join(texts)) if texts else ():
        messages.setdefault(_number(key), _without_key(key, message))
    return messages


def _number(key: str) -> int:
    return int(key.removeprefix("policy")) if key.startswith("policy") else 0


def _without_key(key: str, message: str) -> str:
    return brief(message.removeprefix(f"for policy `{key}`").lstrip(",: "))


def _wrong_clause(policy: Policy, schema: Schema) -> Place:
    """Return the place of the clause that does not fit; each clause is validated alone."""
    chunk = policy.chunk
    text, starts = chunk.source.text, chunk.clauses()
    scope = text[chunk.start : starts[0]] if starts else ""
    for start, end in zip(starts, [*starts[1:], chunk.end], strict=False):
        clause = text[start:end].removesuffix(";")
        if schema.errors(f"{scope}{clause};"):
            return chunk.source.place(start)
    return chunk.place


def _parts(quoted: str) -> list[str]:
    """Split `app.purpose` or `Role::"x"` into possible tokens, the last one first."""
    return [quoted, *reversed(re.findall(r'"[^"]*"|\w+', quoted))]
