"""Small changes of a policy's text, each of which a suite of tests should notice.

Owns the kinds of change (`edits_of`) and the way to a snapshot that differs in one policy
(`changed`). Refuses a change that Cedar does not read, or that changes nothing: what comes of an
edit is parsed by the loader, as any text. The validator is not asked: what it would refuse, a test
sees as an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from guardrail.errors import ConfigurationError
from guardrail.policy.clauses import Anatomy
from guardrail.policy.language import Policy, Vocabulary, reread
from guardrail.policy.lint.sites import clause_of
from guardrail.policy.plan import make_plans
from guardrail.policy.reads import access_of
from guardrail.policy.snapshot import Snapshot
from guardrail.policy.text import CLOSING, OPENING, Token

_SHIFTED: Final = {
    "<=": "<", "<": "<=", ">=": ">", ">": ">=", "==": "!=", "!=": "==", "in": "==",
}  # fmt: skip
_VARS: Final = ("principal", "action", "resource")
_NUMBER: Final = re.compile(r"[0-9]+")
_MOST: Final = 2**63 - 2


@dataclass(frozen=True, slots=True)
class Edit:
    """One change of a policy's text.

    Attributes:
        policy: whose text is changed.
        what: the change in words.
        span: what is replaced, as two offsets into the file.
        text: what stands there instead.
    """

    policy: Policy
    what: str
    span: tuple[int, int]
    text: str

    @property
    def after(self) -> str:
        """The policy's text with the change; empty where the policy is dropped."""
        chunk = self.policy.chunk
        start, end = self.span
        whole = chunk.source.text
        return (whole[chunk.start : start] + self.text + whole[end : chunk.end]).strip()


def edits_of(policy: Policy) -> Iterator[Edit]:
    """Yield the changes of a policy that stands in the text itself; a link's is its template's."""
    chunk = policy.chunk
    yield Edit(policy, "the policy dropped", (chunk.start, chunk.end), "")
    if policy.template:
        return
    tokens = chunk.tokens
    yield from _annotations(policy, tokens)
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


def _outside(tokens: Sequence[Token]) -> Iterator[Token]:
    """Yield the tokens that stand in no brackets."""
    depth = 0
    for token in tokens:
        depth -= token.text in CLOSING
        if depth == 0:
            yield token
        depth += token.text in OPENING


def _scopes(policy: Policy, tokens: Sequence[Token]) -> Iterator[Edit]:
    """Yield the scope without one of its constraints."""
    part: list[Token] = []
    parts: list[list[Token]] = []
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


def _annotations(policy: Policy, tokens: Sequence[Token]) -> Iterator[Edit]:
    """Yield the policy without one of its obligations, and with a number of one raised."""
    names = {name for name, _ in policy.demands}
    for at, token in enumerate(tokens[:-2]):
        if token.text != "@" or tokens[at + 1].text not in names:
            continue
        name, argument = tokens[at + 1].text, tokens[at + 3] if at + 4 < len(tokens) else None
        if argument is None or not argument.text.startswith('"'):
            continue
        if len(names) > 1:
            yield Edit(policy, f"@{name} dropped", (token.start, tokens[at + 4].end), "")
        for found in _NUMBER.finditer(argument.text):
            start = argument.start + found.start()
            more = str(int(found[0]) + 1)
            end = argument.start + found.end()
            yield Edit(policy, f"@{name}: {found[0]} became {more}", (start, end), more)


def _truths(policy: Policy, tokens: Sequence[Token]) -> Iterator[Edit]:
    """Yield comparisons shifted, constants moved by one, and truths turned round."""
    for part in Anatomy((policy,)).parts:
        if not part.is_atom:
            continue
        start, end = part.span
        own = [token for token in tokens if start <= token.start and token.end <= end]
        if "".join(token.text for token in own).replace(" ", "") != part.text.replace(" ", ""):
            continue  # not found in the text
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


def changed(snapshot: Snapshot, edit: Edit) -> Snapshot | None:
    """Return a snapshot with one policy changed; ``None`` where Cedar does not read the change."""
    policies: list[Policy] = []
    for policy in snapshot.policies:
        if policy is not edit.policy:
            policies.append(policy)
        elif edit.after:
            try:
                other = reread(policy, edit.after, Vocabulary(snapshot.obligations))
            except ConfigurationError:
                return None
            if (other.kind, other.node, other.demands) == (
                policy.kind, policy.node, policy.demands,
            ):  # fmt: skip
                return None
            policies.append(other)
    vocabulary = Vocabulary(snapshot.obligations)
    accesses = {policy.key: access_of(policy) for policy in policies}
    wanted = [source for plan in snapshot.plans.values() for source, _ in plan.wants]
    sources = list({source.place: source for source in wanted}.values())
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
