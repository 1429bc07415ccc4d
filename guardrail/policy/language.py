"""Policies from text to values: grants, prohibitions, conditions.

Owns what annotations may stand on a policy and turns each policy into a `Policy` with its
kind, its place and its parsed demands. Refuses what would silently do nothing: a misspelt
annotation, an obligation on a permit, a template. Second step of a load.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import cedarpy
from cedarpy import pst

from guardrail.documents import decode
from guardrail.errors import ConfigurationError, Fault, Place
from guardrail.policy.depth import too_deep
from guardrail.policy.text import Chunk, Source, split
from guardrail.ports import ObligationType
from guardrail.values import Clause

METADATA: Final = frozenset({"id", "reason", "doc", "owner", "since"})
_ID: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:/-]{0,127}")
_NOT_BUILT_METADATA: Final = frozenset({"mode"})

Kind = Literal["grant", "prohibition", "condition"]


@dataclass(frozen=True, slots=True)
class Policy:
    """One policy: its ``@id``, what kind it is, where it stands and what it demands.

    ``key`` is the internal id (``p17``) under which Cedar knows it: Cedar's error texts
    hold values and user-chosen ids, and only the key is read out of them.
    """

    id: str
    key: str
    kind: Kind
    node: pst.Template
    chunk: Chunk
    reason: str
    demands: tuple[tuple[str, Any], ...] = ()

    @property
    def place(self) -> Place:
        """Where the policy begins."""
        return self.chunk.place


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The obligations that annotations may name, and those that are not built yet."""

    obligations: Mapping[str, ObligationType]
    not_built: Collection[str] = frozenset()


def read_policies(
    files: Iterable[tuple[str, bytes]], vocabulary: Vocabulary
) -> tuple[tuple[Policy, ...], list[Fault]]:
    """Return the policies of all files in order, and every fault found in them."""
    policies: list[Policy] = []
    faults: list[Fault] = []
    seen: dict[str, Place] = {}
    for file, raw in files:
        try:
            source = Source(file, decode(file, raw))
        except ConfigurationError as error:
            faults.extend(error.faults)
            continue
        for chunk in split(source):
            deep = too_deep(chunk)
            if deep is not None:
                faults.append(deep)
                continue
            try:
                policy = _read_policy(chunk, f"p{len(policies)}", vocabulary)
                if policy.id in seen:
                    raise ConfigurationError.at(
                        chunk.annotation("id"), "GR105",
                        f"The id {policy.id} stands already at {seen[policy.id]}. "
                        "Give each policy its own.",
                    )  # fmt: skip
            except ConfigurationError as error:
                faults.extend(error.faults)
            else:
                seen[policy.id] = policy.place
                policies.append(policy)
    return tuple(policies), faults


def _complaint(text: str) -> str | None:
    try:
        cedarpy.PolicySet.from_str(text)
    except ValueError as error:
        return str(error)
    return None


def _read_policy(chunk: Chunk, key: str, vocabulary: Vocabulary) -> Policy:
    complaint = _complaint(chunk.text)
    if complaint is not None:
        named = re.findall(r"`([^`]+)`", complaint)
        place = chunk.culprit(_complaint)
        if place == chunk.source.place(chunk.tokens[-1].start) and named:
            place = chunk.mention(*named)  # a complaint of a later pass names its token only
        raise ConfigurationError.at(place, "GR100", f"Not Cedar: {complaint}.")
    try:
        tree = cedarpy.PolicySet.from_str(chunk.text).to_pst()
    except ValueError:
        tree = None
    if tree is None:
        raise ConfigurationError.at(
            chunk.place, "GR102", "The policy nests too deep for Cedar's tree. Split it."
        )
    if tree.templates:
        raise ConfigurationError.at(
            chunk.mention("?principal", "?resource"), "GR107",
            "Templates are not built yet, and an unlinked one would do nothing. "
            "Write the policy with its principal or resource.",
        )  # fmt: skip
    (node,) = tree.static_policies.values()
    name = _identify(chunk, node)
    demands = _read_demands(chunk, node, name, vocabulary)
    kind: Kind = "condition" if demands else "prohibition"
    if node.effect == "permit":
        kind = "grant"
    return Policy(name, key, kind, node, chunk, node.annotations.get("reason", ""), demands)


def _identify(chunk: Chunk, node: pst.Template) -> str:
    name = node.annotations.get("id")
    if name is None:
        message = 'Every policy needs an @id. Put @id("...") before it.'
        raise ConfigurationError.at(chunk.place, "GR103", message)
    if _ID.fullmatch(name) is None:
        message = "An @id is 1 to 128 of A-Z a-z 0-9 _ . : / - and begins with none of . : / -"
        raise ConfigurationError.at(chunk.annotation("id"), "GR111", message)
    return name


def _read_demands(
    chunk: Chunk, node: pst.Template, policy: str, vocabulary: Vocabulary
) -> tuple[tuple[str, Any], ...]:
    demands: dict[str, Any] = {}
    faults: list[Fault] = []
    for name, argument in node.annotations.items():
        if name in METADATA or name.startswith("x_"):
            continue
        place = chunk.annotation(name)
        obligation = vocabulary.obligations.get(name)
        if obligation is None:
            faults.append(_unknown(name, place, vocabulary))
        elif node.effect == "permit":
            message = (
                f"@{name} stands on a permit, where a broader permit would void it. "
                "Put it on a forbid: forbidden, unless the obligation is met."
            )
            faults.append(Fault("GR106", place, message))
        else:
            try:
                demands[name] = obligation.parse(Clause(policy, name, argument, place))
            except ConfigurationError as error:
                faults.extend(error.faults)
    if faults:
        raise ConfigurationError(faults=tuple(faults))
    return tuple((name, demands[name]) for name in vocabulary.obligations if name in demands)


def _unknown(name: str, place: Place, vocabulary: Vocabulary) -> Fault:
    if name in vocabulary.not_built or name in _NOT_BUILT_METADATA:
        return Fault("GR004", place, f"@{name} is not built yet in this version. Remove it.")
    known = [*vocabulary.obligations, *vocabulary.not_built, *METADATA]
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    hint = f"Did you mean @{near[0]}?" if near else "Metadata of your own begins with x_."
    return Fault("GR104", place, f"@{name} is not an obligation. {hint}")


def as_one_set(policies: Iterable[Policy]) -> cedarpy.PolicySet:
    """Return the set that is evaluated: conditions stand as permits, under safe ids.

    The only place where a condition's effect is turned round; `guardrail.policy.decide`
    reads the outcome accordingly.
    """
    nodes = {
        policy.key: replace(
            policy.node,
            id=policy.key,
            effect="forbid" if policy.kind == "prohibition" else "permit",
            annotations=pst.FrozenMap(),
        )
        for policy in policies
    }
    return cedarpy.PolicySet.from_pst(pst.PolicySet({}, nodes, ()))
