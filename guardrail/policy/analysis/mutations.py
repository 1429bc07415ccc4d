"""Makes small changes to a policy's text, each of which a test suite should detect.

`edits_of` yields the changes; `changed` returns a snapshot with one changed policy, or with all
policies of a changed template. Each edit is parsed; an edit that Cedar does not accept or that
changes nothing is dropped. Edits are not validated: in a test, an invalid policy errs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from guardrail._hooks import ArgumentChange, changes_of
from guardrail._ports import ObligationType
from guardrail.errors import ConfigurationError, Place
from guardrail.policy.analysis.conditions import ClauseEvaluator
from guardrail.policy.engine.plan import make_plans
from guardrail.policy.engine.read_sets import access_of
from guardrail.policy.engine.snapshot import Snapshot
from guardrail.policy.schema.sites import clause_of
from guardrail.policy.source.lexer import CLOSING, OPENING, SourceToken
from guardrail.policy.source.parser import Policy, Vocabulary, reread
from guardrail.policy.source.templates import refilled
from guardrail.values import Clause

_SHIFTED: Final = {
    "<=": "<", "<": "<=", ">=": ">", ">": ">=", "==": "!=", "!=": "==", "in": "==",
}  # fmt: skip
_VARS: Final = ("principal", "action", "resource")
_NUMBER: Final = re.compile(r"[0-9]+")
_MOST: Final = 2**63 - 2
#: The separators between the parts of an argument.
_SEPARATORS: Final = ("; ", ", ")


@dataclass(frozen=True, slots=True)
class Edit:
    """One change of a policy's text.

    Attributes:
        policy: the policy whose text is changed.
        what: the change in words.
        span: the replaced text, as two offsets into the file.
        text: the new text.
    """

    policy: Policy
    what: str
    span: tuple[int, int]
    text: str

    @property
    def after(self) -> str:
        """The changed text of the policy; empty if the policy is removed."""
        chunk = self.policy.chunk
        start, end = self.span
        whole = chunk.source.text
        return (whole[chunk.start : start] + self.text + whole[end : chunk.end]).strip()

    @property
    def name(self) -> str:
        """The id of the changed text, or of the link that is removed."""
        return self.policy.text_id if self.after else self.policy.id

    @property
    def place(self) -> Place:
        """The start of the change."""
        return self.policy.chunk.source.place(self.span[0]) if self.after else self.policy.place


def edits_of(snapshot: Snapshot) -> Iterator[Edit]:
    """Yield the changes of a snapshot's policies, in order.

    The text of a template is changed once, which changes all policies that links make from it.
    """
    templates: set[str] = set()
    for policy in snapshot.policies:
        chunk = policy.chunk
        yield Edit(policy, "the policy dropped", (chunk.start, chunk.end), "")
        if policy.template not in templates:
            yield from _edits(policy, snapshot.obligations)
        if policy.template:
            templates.add(policy.template)


def _edits(policy: Policy, obligations: Mapping[str, ObligationType]) -> Iterator[Edit]:
    chunk = policy.chunk
    tokens = chunk.tokens
    yield from _annotations(policy, tokens, obligations)
    head = [token for token in _outside(tokens) if token.text in ("permit", "forbid")]
    if head and policy.kind != "condition":
        other = "forbid" if head[0].text == "permit" else "permit"
        yield Edit(policy, f"{head[0].text} became {other}", (head[0].start, head[0].end), other)
    if head:
        yield from _scopes(policy, [token for token in tokens if token.start > head[0].start])
    for number in range(len(policy.node.clauses)):
        clause = [token for token in clause_of(chunk, number) if token.text != ";"]
        if clause:
            word = clause[0]
            yield Edit(policy, "a clause dropped", (word.start, clause[-1].end), "")
            other = "unless" if word.text == "when" else "when"
            yield Edit(policy, f"{word.text} became {other}", (word.start, word.end), other)
    yield from _truths(policy, tokens)


def _outside(tokens: Sequence[SourceToken]) -> Iterator[SourceToken]:
    """Yield the tokens outside of brackets."""
    depth = 0
    for token in tokens:
        depth -= token.text in CLOSING
        if depth == 0:
            yield token
        depth += token.text in OPENING


def _scopes(policy: Policy, tokens: Sequence[SourceToken]) -> Iterator[Edit]:
    """Yield the scope without one of its constraints."""
    part: list[SourceToken] = []
    parts: list[list[SourceToken]] = []
    depth = 0
    for token in tokens:
        depth -= token.text in CLOSING
        if depth == 0 and token.text == ")":
            parts.append(part)
            break
        if depth == 1 and token.text == ",":
            parts.append(part)
            part = []
        elif depth > 0:
            part.append(token)
        depth += token.text in OPENING
    for name, its in zip(_VARS, parts, strict=False):
        if len(its) > 1:
            yield Edit(policy, f"any {name}", (its[0].start, its[-1].end), name)


def _annotations(
    policy: Policy, tokens: Sequence[SourceToken], obligations: Mapping[str, ObligationType]
) -> Iterator[Edit]:
    """Yield the policy without one of its obligations, and with an obligation that demands less."""
    demands = dict(policy.demands)
    for at, token in enumerate(tokens[:-1]):
        name = tokens[at + 1].text
        if token.text != "@" or name not in demands:
            continue
        has_argument = at + 4 < len(tokens) and tokens[at + 2].text == "("
        last = tokens[at + 4] if has_argument else tokens[at + 1]
        if len(demands) > 1:
            yield Edit(policy, f"@{name} dropped", (token.start, last.end), "")
        if not has_argument or not tokens[at + 3].text.startswith('"'):
            continue
        argument = tokens[at + 3]
        for what, start, end, text in _looser(obligations[name], argument.text):
            span = (argument.start + start, argument.start + end)
            yield Edit(policy, f"@{name}: {what}", span, text)
        for part, rest in _without_one(policy, name, demands[name], obligations):
            span = (argument.start + 1, argument.end - 1)
            yield Edit(policy, f"@{name} without {part}", span, rest)


def _looser(kind: ObligationType, argument: str) -> Iterator[ArgumentChange]:
    """Yield changes of an argument that demand less: raised numbers, and the obligation's own."""
    for found in _NUMBER.finditer(argument):
        more = str(int(found[0]) + 1)
        yield ArgumentChange(f"{found[0]} became {more}", found.start(), found.end(), more)
    yield from changes_of(kind, argument)


def _without_one(
    policy: Policy, name: str, demand: Any, obligations: Mapping[str, ObligationType]
) -> Iterator[tuple[str, str]]:
    """Yield an argument without one of its parts: a kind, a column or a limit.

    This requires that the obligation parses its own joined description to the same demand.
    """
    kind = obligations[name]
    parts = kind.describe(demand)
    if not isinstance(parts, list) or len(parts) < 2 or not all(isinstance(p, str) for p in parts):
        return
    for separator in _SEPARATORS:
        clause = Clause(policy.id, name, separator.join(parts), policy.chunk.place)
        try:
            is_same = kind.parse(clause) == demand
        except ConfigurationError:
            continue
        if is_same:
            for number, part in enumerate(parts):
                yield part, separator.join([*parts[:number], *parts[number + 1 :]])
            return


def _truths(policy: Policy, tokens: Sequence[SourceToken]) -> Iterator[Edit]:
    """Yield changed comparisons, constants changed by one, and negated parts."""
    for part in ClauseEvaluator((policy,)).parts:
        if not part.is_atom:
            continue
        start, end = part.span
        own = [token for token in tokens if start <= token.start and token.end <= end]
        if "".join(token.text for token in own).replace(" ", "") != part.text.replace(" ", ""):
            continue  # position unknown
        whole = policy.chunk.source.text[start:end]
        yield Edit(policy, f"`{part.text}` negated", part.span, f"!({whole})")
        for token in _outside(own):
            other = _SHIFTED.get(token.text)
            if other is not None:
                what = f"`{part.text}`: {token.text} became {other}"
                yield Edit(policy, what, (token.start, token.end), other)
        for token in own:
            if token.text.isdigit() and int(token.text) < _MOST:
                for number in (int(token.text) - 1, int(token.text) + 1):
                    if number >= 0:
                        what = f"`{part.text}`: {token.text} became {number}"
                        yield Edit(policy, what, (token.start, token.end), str(number))


def _changed(
    policy: Policy, edit: Edit, text: Policy | None, vocabulary: Vocabulary
) -> Policy | None:
    """Return the edited policy; ``None`` if the edit removes it."""
    if text is None:
        return None if policy is edit.policy else policy
    if policy.text_id != edit.policy.text_id:
        return policy
    return refilled(policy, text, vocabulary) if policy.template else text


def _meaning(policy: Policy) -> tuple[Any, ...]:
    return policy.key, policy.kind, policy.node, policy.demands


def changed(snapshot: Snapshot, edit: Edit) -> Snapshot | None:
    """Return a snapshot with one changed policy; ``None`` if Cedar rejects the change."""
    vocabulary = Vocabulary(snapshot.obligations)
    try:
        text = reread(edit.policy, edit.after, vocabulary) if edit.after else None
        policies = [
            other
            for policy in snapshot.policies
            if (other := _changed(policy, edit, text, vocabulary)) is not None
        ]
    except ConfigurationError:
        return None
    if [_meaning(policy) for policy in policies] == [_meaning(each) for each in snapshot.policies]:
        return None
    accesses = {policy.key: access_of(policy) for policy in policies}
    wanted = [source for plan in snapshot.plans.values() for source, _ in plan.wants]
    sources = list({source.namespace: source for source in wanted}.values())
    plans, _ = make_plans(policies, accesses, snapshot.schema, vocabulary, sources)
    return Snapshot(
        name=snapshot.name,
        version=snapshot.version,
        revision=snapshot.revision,
        policies=tuple(policies),
        accesses=accesses,
        schema=snapshot.schema,
        store=snapshot.store,
        plans=plans,
        obligations=snapshot.obligations,
        allow_unknown_resources=snapshot._allow_unknown_resources,
    )
