"""Finds the types that each action of a schema applies to, for ``guardrail check``.

The candidates are all names in the text of the schema. Cedar's validator checks many of them in one
call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import cedarpy
from cedarpy import pst

from guardrail.policy.schema.schema import Schema, quote
from guardrail.policy.schema.sites import declared_types
from guardrail.policy.source.lexer import Source
from guardrail.policy.source.parser import Policy
from guardrail.values import Entity

#: A clause that fits no schema. The validator reports it unless it is unreachable.
_MISFIT: Final = pst.When(pst.BinaryOp("less", pst.LongLit(1), pst.StringLit("x")))

#: Policies in one validation: its time grows with the square of the number that does not fit.
_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True)
class Scope:
    """The entity types that one action applies to."""

    principals: frozenset[str]
    resources: frozenset[str]


def scopes_of(schema: Schema) -> dict[Entity, Scope]:
    """Return the types that each action applies to."""
    names = declared_types(Source("schema.cedarschema", str(schema.handle)))
    actions = list(schema.actions)
    probes = [
        f"permit({who}, action == {action.type}::{quote(action.id)}, {what});"
        for action in actions
        for name in names
        for who, what in (
            (f"principal is {name}", "resource"),
            ("principal", f"resource is {name}"),
        )
    ]
    fits = iter(_valid(probes, schema))
    found: dict[Entity, Scope] = {}
    for action in actions:
        sides = [(name, next(fits), next(fits)) for name in names]
        found[action] = Scope(
            frozenset(name for name, is_principal, _ in sides if is_principal),
            frozenset(name for name, _, is_resource in sides if is_resource),
        )
    return found


def impossible(policies: Sequence[Policy], schema: Schema) -> list[Policy]:
    """Return the policies that never match, as far as the validator knows.

    The validator does not read past an expression that is always false. So it does not report an
    invalid clause that is added after the clauses of such a policy.
    """
    # A load already rejects scopes that match nothing.
    with_clauses = [policy for policy in policies if policy.node.clauses]
    texts = []
    for policy in with_clauses:
        node = replace(
            policy.node, clauses=(*policy.node.clauses, _MISFIT), annotations=pst.FrozenMap()
        )
        texts.append(str(cedarpy.PolicySet.from_pst(pst.PolicySet({}, {node.id: node}, ()))))
    fits = _valid(texts, schema)
    return [policy for policy, never in zip(with_clauses, fits, strict=True) if never]


def _valid(texts: Sequence[str], schema: Schema) -> list[bool]:
    """Return for each text, a single policy, whether it fits the schema."""
    fits: list[bool] = []
    for start in range(0, len(texts), _AT_ONCE):
        some = texts[start : start + _AT_ONCE]
        result = cedarpy.validate_policies("\n".join(some), schema.handle)
        wrong = {error.policy_id for error in result.errors}
        fits += [f"policy{index}" not in wrong for index in range(len(some))]
    return fits
