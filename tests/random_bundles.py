"""Random bundles over `bundles.SCHEMA`, and requests to ask of them.

Every text is valid by construction, so that nothing is filtered away. Errors are left to
the run: facts and attributes that are missing, an owner who is no entity, sums that overflow.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bundles import ENTITIES, SCHEMA
from hypothesis import strategies as st

from guardrail import Entity, Principal, Resource, facts, obligations
from guardrail._hooks import in_order
from guardrail.policy import BundleSettings, Folder, Snapshot, Vocabulary, load_snapshots
from guardrail.testing import FrozenClock


def _owned(name: str, owner: str) -> dict[str, Any]:
    by = {"__entity": {"type": "User", "id": owner}}
    uid = {"type": "Model", "id": name}
    return {"uid": uid, "attrs": {"purpose": "care", "owner": by}, "parents": []}


#: The small bundle's entities, and two owned models: one by somebody who is no entity.
WORLD = [*ENTITIES, _owned("owned", "carl"), _owned("haunted", "ghost")]
CARL = next(item for item in WORLD if item["uid"]["id"] == "carl")
MODELS = ("tumour", "old", "owned", "haunted")

TENSOR = frozenset(("predict", "explain"))
RECORD = frozenset(("summarize",))
ACTIONS = {
    'action == Action::"predict"': frozenset(("predict",)),
    'action == Action::"explain"': frozenset(("explain",)),
    'action in [Action::"predict", Action::"explain"]': TENSOR,
    'action in Action::"read"': TENSOR,
    'action == Action::"summarize"': RECORD,
    "action": TENSOR | RECORD,
}
PRINCIPALS = (
    "principal",
    "principal is User",
    'principal == User::"carl"',
    'principal in Role::"clinician"',
    'principal in Role::"analyst"',
    'principal is User in Team::"heart"',
)
RESOURCES = (
    "resource",
    "resource is Model",
    'resource == Model::"tumour"',
    'resource in Model::"owned"',
)

#: Atoms that may err: what they read can be missing, or overflow. ``{n}`` is an integer,
#: ``{s}`` a text.
DOUBTFUL = (
    "context.input.bytes > {n}",
    "context.input.bytes + {n} < 1000",
    "principal has level && principal.level * {n} >= 0",
    'resource has owner && resource.owner.department == "{s}"',
)
#: Atoms that every action has.
COMMON = (
    *DOUBTFUL * 4,
    "true",
    "false",
    "context.input has bytes && context.input.bytes == {n}",
    'context.app has purpose && context.app.purpose == "{s}"',
    'context.app has purpose && context.app.purpose like "c*"',
    'principal.department == "{s}"',
    'principal.department like "*{s}*"',
    "principal has level && principal.level > {n}",
    'principal has score && principal.score.lessThan(decimal("0.5"))',
    "principal has team && principal.team.level < {n}",
    "principal has team.level && principal.team.level - {n} < 3",
    'principal has team && principal.team == Team::"heart"',
    'principal in [Role::"auditor", Role::"analyst"]',
    'resource.purpose == "{s}"',
    '["{s}", "retired"].contains(resource.purpose)',
    "resource has owner && resource.owner == principal",
    'resource has owner && resource.owner in Role::"clinician"',
    "context.app == context.app",
)
#: Atoms of the actions on tensors.
OF_TENSORS = (
    "context.input.rows <= {n}",
    "context.input.rows * context.input.features > {n}",
    'context.input.dtype == "{s}"',
    "context.app has count && context.app.count > {n}",
    "context.app has count && context.app.count + {n} > 0",
    "context.app has count && -context.app.count < {n}",
    "context.app has flag && context.app.flag",
    'context.app has tags && context.app.tags.contains("{s}")',
    'context.app has tags && ["care", "{s}"].containsAll(context.app.tags)',
    "context.app has tags && context.app.tags.isEmpty()",
    'context.app has at && context.app.at > datetime("2024-01-01")',
    "context.app has ip && context.app.ip.isLoopback()",
    'context.app has score && context.app.score.greaterThan(decimal("0.25"))',
    'context.app has owner && context.app.owner.department == "{s}"',
    "context.app has owner && context.app.owner == principal",
    'context.app has note.text && context.app.note.text == "{s}"',
    'context.app has note && context.app.note.text like "{s}*"',
    "context.identity.mfa",
    'context.identity has actor && context.identity.actor == "{s}"',
    "context.time.hour < {n}",
    "context.input == context.input",
    "context == context",
)
NUMBERS = (0, 1, 5, 12, 100, 2**62, 2**63 - 1)
WORDS = ("care", "c", "x")
#: What annotations demand, as `describe` tells it.
DEMANDS: tuple[dict[str, Any], ...] = (
    {"round": 2},
    {"round": 0},
    {"top_k": 1},
    {"round": 1, "top_k": 3},
    {"quota": "5/minute"},
    {"quota": "7/hour per principal", "round": 3},
)


#: An entity in a scope, with the side that it stands on.
_UID = re.compile(r'(principal|resource)\b[^,]*? ((?:Role|Team|User|Model)::"\w+")')


@dataclass(frozen=True)
class Rule:
    """One policy: what it is, and the text that says so."""

    id: str
    effect: str
    demands: dict[str, Any]
    scope: str
    clauses: str
    actions: frozenset[str]
    is_template: bool = False

    @property
    def kind(self) -> str:
        if self.effect == "permit":
            return "grant"
        return "condition" if self.demands else "prohibition"

    def written(self, effect: str | None = None) -> str:
        """Return the policy's text, or the same policy with another effect and no demands."""
        demands = {} if effect else self.demands
        marks = "".join(f'@{name}("{value}") ' for name, value in demands.items())
        name, scope = self.id, self.scope
        if self.slots and not effect:  # the reference knows of no templates
            name = f"{name}-template"
            for slot, uid in self.slots:
                scope = re.sub(rf"({slot}\b[^,]* )({re.escape(uid)})", rf"\1?{slot}", scope)
        return f'@id("{name}") {marks}{effect or self.effect} ({scope}) {self.clauses};\n'

    def link(self) -> str:
        """Return the entry of ``links.yaml`` that makes a policy of it, if it is a template."""
        if not self.slots:
            return ""
        fills = "".join(f", {slot}: '{uid}'" for slot, uid in self.slots)
        return f"- {{template: {self.id}-template, id: {self.id}{fills}}}\n"

    @property
    def slots(self) -> tuple[tuple[str, str], ...]:
        """The entities of the scope, each with its side, where the rule is written with slots."""
        if not self.is_template:
            return ()
        return tuple(_UID.findall(self.scope))


@st.composite
def _expressions(draw: st.DrawFn, atoms: tuple[str, ...], depth: int) -> str:
    shape = draw(st.sampled_from(("atom", "atom", "not", "and", "or", "if"))) if depth else "atom"
    if shape == "atom":
        text = draw(st.sampled_from(atoms))
        if "{n}" in text:
            text = text.replace("{n}", str(draw(st.sampled_from(NUMBERS))))
        if "{s}" in text:
            text = text.replace("{s}", draw(st.sampled_from(WORDS)))
        return f"({text})"
    inner = _expressions(atoms, depth - 1)
    if shape == "not":
        return f"(!{draw(inner)})"
    if shape == "if":
        return f"(if {draw(inner)} then {draw(inner)} else {draw(inner)})"
    return f"({draw(inner)} {'&&' if shape == 'and' else '||'} {draw(inner)})"


def _scopes(narrow: tuple[str, ...]) -> st.SearchStrategy[str]:
    """Draw one, the open one (the first) as often as all others, so that rules meet."""
    return st.just(narrow[0]) | st.sampled_from(narrow[1:])


@st.composite
def rules(draw: st.DrawFn, name: str, kinds: tuple[str, ...] = ()) -> Rule:
    kind = draw(st.sampled_from(kinds or ("grant", "prohibition", "condition", "condition")))
    action, actions = draw(st.sampled_from((*ACTIONS.items(), ("action", TENSOR | RECORD))))
    who, what = draw(_scopes(PRINCIPALS)), draw(_scopes(RESOURCES))
    scope = f"{who}, {action}, {what}"
    atoms = COMMON if actions & RECORD else COMMON + OF_TENSORS
    clauses = [
        f"{draw(st.sampled_from(('when', 'when', 'unless')))} {{ {draw(_expressions(atoms, 2))} }}"
        for _ in range(draw(st.sampled_from((0, 1, 1, 2))))
    ]
    return Rule(
        name,
        "permit" if kind == "grant" else "forbid",
        draw(st.sampled_from(DEMANDS)) if kind == "condition" else {},
        scope,
        " ".join(clauses),
        actions,
        is_template=draw(st.booleans()),
    )


@st.composite
def bundles(
    draw: st.DrawFn, kinds: tuple[str, ...] = (), least: int = 1, most: int = 6
) -> tuple[Rule, ...]:
    """Draw a bundle; where it may grant, mostly with a grant that is open to many."""
    count = draw(st.sampled_from(range(least, most + 1)))
    drawn = [draw(rules(f"rule-{index}", kinds)) for index in range(count)]
    if not kinds and draw(st.sampled_from((True, True, False))):
        who = draw(st.sampled_from(PRINCIPALS[:4]))
        scope = f"{who}, action, resource"
        drawn[-1] = Rule("open", "permit", {}, scope, "", ACTIONS["action"])
    return tuple(drawn)


@dataclass(frozen=True)
class Request:
    principal: Principal
    action: str
    resource: Resource
    facts: dict[str, dict[str, Any]]


def _some(**values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Draw any of the keys."""
    return st.fixed_dictionaries({}, optional=values)


def _mostly(**values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Draw all of the keys, now and then without one."""
    whole = st.fixed_dictionaries(values)
    lacking = st.sampled_from((None, *values))
    return st.builds(lambda data, key: {k: v for k, v in data.items() if k != key}, whole, lacking)


_roles = st.lists(st.sampled_from(("clinician", "analyst", "auditor")), max_size=2, unique=True)
_users = st.builds(
    lambda roles, in_team, department, attrs: Principal(
        "User",
        "clara",
        parents=[
            *(Entity("Role", role) for role in roles),
            *([Entity("Team", "heart")] if in_team else []),
        ],
        attrs={"department": department, **attrs},
    ),
    _roles,
    st.booleans(),
    st.sampled_from(WORDS),
    _some(
        level=st.sampled_from((0, 5, 2**62)),
        score=st.sampled_from((0.25, 0.75)),
        team=st.just(Entity("Team", "heart")),
    ),
)
_carls = st.builds(
    lambda roles: Principal("User", "carl", parents=[Entity("Role", role) for role in roles]),
    _roles,
)
_numbers = st.sampled_from((0, 1, 5, 100, 2**62, -1, 2**63 - 1, -(2**63)))
_facts = st.fixed_dictionaries(
    {
        "input": _mostly(
            rows=_numbers, features=_numbers, bytes=_numbers, dtype=st.just("x"), digest=st.just("")
        ),
        "identity": _mostly(mfa=st.booleans(), actor=st.sampled_from(WORDS)),
        "time": _mostly(hour=st.integers(0, 23)),
        "app": _some(
            purpose=st.sampled_from(WORDS),
            count=_numbers,
            flag=st.booleans(),
            tags=st.lists(st.sampled_from(WORDS), max_size=2, unique=True),
            at=st.sampled_from(
                (datetime(2020, 1, 1, tzinfo=UTC), datetime(2025, 5, 5, tzinfo=UTC))
            ),
            ip=st.sampled_from(("127.0.0.1", "10.0.0.1")),
            score=st.sampled_from((0.0, 0.5)),
            owner=st.just(Entity("User", "carl")),
            note=st.builds(lambda text: {"text": text}, st.sampled_from(WORDS)),
        ),
    }
)
#: What the schema gives the action on records.
_RECORD_FACTS = {"input": ("bytes", "digest"), "app": ("purpose",)}


def _facts_of(action: str, given: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    if action in TENSOR:
        return given
    return {
        place: {name: given[place][name] for name in names if name in given[place]}
        for place, names in _RECORD_FACTS.items()
    }


#: Every combination of a few principals, facts and models with every action: 54 requests.
requests = st.builds(
    lambda principals, facts, models: tuple(
        Request(who, action, Resource("Model", model), _facts_of(action, given))
        for who in principals
        for given in facts
        for model in models
        for action in sorted(TENSOR | RECORD)
    ),
    st.tuples(_users, _users, _carls),
    st.tuples(_facts, _facts, _facts),
    st.lists(st.sampled_from(MODELS), min_size=2, max_size=2, unique=True),
)

_VOCABULARY = Vocabulary(
    in_order(
        obligations.standard(
            take_view=print, specs_documents={}, bundle="random", clock=FrozenClock(1_700_000_000.0)
        )
    ),
    obligations.NOT_BUILT,
)
_SOURCES = facts.standard(timezone="UTC", bounds=facts.Bounds())


def load(bundle: tuple[Rule, ...]) -> Snapshot:
    """Load a bundle from memory, through the real load."""
    links = "".join(rule.link() for rule in bundle)
    return load_text("".join(rule.written() for rule in bundle), links=links)


def load_text(policies: str, *, links: str = "") -> Snapshot:
    """Load policies, and links of their templates, over the schema and the world of here."""
    files = {
        "schema.cedarschema": SCHEMA.encode(),
        "policies.cedar": policies.encode(),
        "entities.json": json.dumps(WORLD).encode(),
    }
    if links:
        files["links.yaml"] = links.encode()
    snapshot, _ = load_snapshots(
        Folder(Path(), files, "random"),
        bundle=BundleSettings(name="random", version="1"),
        vocabulary=_VOCABULARY,
        sources=_SOURCES,
    )
    return snapshot
