"""Random worlds for the slices: policies, entities and requests in Cedar's own form.

Nothing here need fit a schema: what errs at run time is half of the matter. Attributes and
whole entities are missing now and then, sums overflow, types clash, hierarchies reach through
the principal, and one name stands on entities of several types.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

USERS = ("ann", "bob", "cyd", "dan")
TEAMS = ("red", "blue", "green")
FOLDERS = ("top", "mid", "low")
DOCS = ("plan", "memo", "draft")
NAMES = {"User": USERS, "Team": TEAMS, "Folder": FOLDERS, "Doc": DOCS}
#: Stands in no world; policies and attributes name it all the same.
GHOST = ("User", "ghost")
ACTIONS = ("view", "edit", "drop")
GROUPS = {"view": ["read"], "edit": ["write"], "drop": ["write"], "read": ["all"], "write": ["all"]}
NUMBERS = (0, 1, 2, 5, 2**62, 2**63 - 1, -1)
WORDS = ("a", "b", "ab*", "")
KEYS = ("k", "l")
DECIMALS = ("0.5", "1.0", "-2.25")
IPS = ("127.0.0.1", "10.0.0.0/8", "::1")
TIMES = ("2024-01-01", "2024-06-01T12:00:00Z")
SPANS = ("1h", "-1ms", "2d")

#: The attributes of each type, and what they are.
ATTRS = {
    "User": {
        "level": "long",
        "name": "string",
        "admin": "bool",
        "manager": "User",
        "team": "Team",
        "prefs": "prefs",
        "words": "strings",
        "friends": "entities",
        "score": "decimal",
        "ip": "ip",
        "since": "datetime",
        "span": "duration",
    },
    "Team": {"level": "long", "lead": "User", "members": "entities"},
    "Folder": {"owner": "User", "level": "long", "admin": "bool"},
    "Doc": {
        "owner": "User",
        "folder": "Folder",
        "level": "long",
        "words": "strings",
        "info": "info",
        "members": "entities",
    },
}
RECORDS = {
    "prefs": {"level": "long", "boss": "User", "deep": "deep", "name": "string"},
    "deep": {"level": "long", "team": "Team"},
    "info": {"owner": "User", "name": "string"},
    "context": {
        "level": "long",
        "name": "string",
        "admin": "bool",
        "who": "User",
        "where": "Folder",
        "info": "info",
        "words": "strings",
        "friends": "entities",
        "score": "decimal",
        "ip": "ip",
        "since": "datetime",
        "span": "duration",
    },
}
#: Which parents a type may have; ``User`` as a folder's parent leads through the principal.
PARENTS = {
    "User": ("Team",),
    "Team": ("Team",),
    "Folder": ("Folder", "User"),
    "Doc": ("Folder", "User", "Team"),
}


def seeded(seed: int) -> Random:
    return Random(seed)  # noqa: S311 - to be had again, not to be secret


def uid(kind: str, name: str) -> dict[str, str]:
    return {"type": kind, "id": name}


def ref(kind: str, name: str) -> dict[str, Any]:
    return {"__entity": uid(kind, name)}


def literal(pair: tuple[str, str]) -> str:
    return f'{pair[0]}::"{pair[1]}"'


def some_entity(random: Random, kind: str = "") -> tuple[str, str]:
    kind = kind or random.choice(tuple(NAMES))
    if kind == "User" and random.random() < 0.08:
        return GHOST
    return (kind, random.choice(NAMES[kind]))


def value(random: Random, kind: str) -> Any:
    """Return a value in Cedar's JSON."""
    if kind in NAMES:
        return ref(*some_entity(random, kind))
    if kind in RECORDS:
        return {
            name: value(random, inner)
            for name, inner in RECORDS[kind].items()
            if random.random() < 0.75
        }
    if kind == "entities":
        return [ref(*some_entity(random)) for _ in range(random.randrange(3))]
    if kind == "strings":
        return [random.choice(WORDS) for _ in range(random.randrange(3))]
    if kind in EXTENSIONS:
        return {"__extn": {"fn": kind, "arg": random.choice(EXTENSIONS[kind])}}
    return random.choice({"long": NUMBERS, "string": WORDS, "bool": (True, False)}[kind])


EXTENSIONS = {"decimal": DECIMALS, "ip": IPS, "datetime": TIMES, "duration": SPANS}


def entity(random: Random, kind: str, name: str) -> dict[str, Any]:
    """Return one entity; its parents come later in the names of their type, so none cycles."""
    attrs = {
        attr: value(random, inner) for attr, inner in ATTRS[kind].items() if random.random() < 0.8
    }
    if random.random() < 0.08:  # of another type than elsewhere
        attrs["level"] = "high"
    parents = []
    for above in PARENTS[kind]:
        names = NAMES[above]
        if above == kind:
            names = names[names.index(name) + 1 :]
        parents += [uid(above, up) for up in names if random.random() < 0.3]
    data = {"uid": uid(kind, name), "attrs": attrs, "parents": parents}
    if kind in ("User", "Doc") and random.random() < 0.6:
        kinds = ("User", "Team", "string", "long", "prefs")
        data["tags"] = {key: value(random, random.choice(kinds)) for key in KEYS}
    return data


class Expressions:
    """Expressions of Cedar, mostly of the types that they should have."""

    def __init__(self, random: Random) -> None:
        self.random = random

    def pick(self, *texts: str) -> str:
        return self.random.choice(texts)

    def owner(self, depth: int) -> tuple[str, str]:
        """Return an expression and its type: an entity's or a record's."""
        random = self.random
        chance = random.random()
        if depth <= 0 or chance < 0.6:
            return random.choice(
                (
                    ("principal", "User"),
                    ("resource", "Doc"),
                    ("resource", "Folder"),
                    ("context", "context"),
                    (literal(one := some_entity(random)), one[0]),
                )
            )
        if chance < 0.85:
            kinds = (*NAMES, "prefs", "info")
            kind = random.choice(kinds)
            return self.of(kind, depth - 1), kind
        if chance < 0.92:
            base = self.pick("principal", "resource", "context.who")
            return f'{base}.getTag("{self.pick(*KEYS)}")', self.pick("User", "prefs")
        then, kind = self.owner(depth - 1)
        other, _ = self.owner(depth - 1)
        return f"(if {self.truth(0)} then {then} else {other})", kind

    def of(self, kind: str, depth: int) -> str:
        """Return an expression of a type: a path to it, or a literal."""
        random = self.random
        if depth > 0 and random.random() < 0.8:
            holders = {**ATTRS, **RECORDS}
            fitting = [
                (holder, attr)
                for holder, attrs in holders.items()
                for attr, inner in attrs.items()
                if inner == kind
            ]
            if fitting:
                holder, attr = random.choice(fitting)
                return f"{self.holder(holder, depth - 1)}.{attr}"
        if kind in NAMES:
            return self.holder(kind, 0)
        if kind in RECORDS:
            return self.record(depth)
        if kind == "entities":
            inside = ", ".join(self.holder(random.choice(tuple(NAMES)), depth - 1) for _ in "ab")
            return f"[{inside}]"
        if kind == "strings":
            return f'["{self.pick(*WORDS)}", "{self.pick(*WORDS)}"]'
        if kind in EXTENSIONS:
            return f'{kind}("{random.choice(EXTENSIONS[kind])}")'
        if kind == "bool":
            return self.pick("true", "false")
        if kind == "string":
            return f'"{self.pick(*WORDS)}"'
        if depth > 0 and random.random() < 0.4:
            sign = self.pick("+", "-", "*")
            return f"({self.of('long', depth - 1)} {sign} {self.pick('1', '2')})"
        return str(random.choice(NUMBERS))

    def record(self, depth: int) -> str:
        inside = ", ".join(f"{name}: {self.of(kind, depth - 1)}" for name, kind in _MADE.items())
        return f"{{{inside}}}"

    def holder(self, kind: str, depth: int) -> str:
        """Return something that has attributes of a type."""
        random = self.random
        if kind == "context":
            return "context"
        if depth > 0 and random.random() < 0.45:
            return self.of(kind, depth)
        if depth > 0 and random.random() < 0.15:
            made = self.of(kind, depth - 1)
            return f"{{inner: {made}, level: 1}}.inner"
        if depth > 0 and random.random() < 0.15:
            then, other = self.of(kind, depth - 1), self.of(kind, depth - 1)
            return f"(if {self.truth(0)} then {then} else {other})"
        roots = {"User": ("principal",), "Doc": ("resource",), "Folder": ("resource",)}
        if kind in roots and random.random() < 0.75:
            return random.choice(roots[kind])
        if kind in RECORDS:
            return {"prefs": "principal.prefs", "info": "resource.info"}.get(
                kind, "principal.prefs.deep"
            )
        return literal(some_entity(random, kind))

    def truth(self, depth: int) -> str:
        """Return a condition."""
        random = self.random
        if depth > 0 and random.random() < 0.5:
            shape = self.pick("and", "or", "not", "if")
            if shape == "not":
                return f"!({self.truth(depth - 1)})"
            if shape == "if":
                inner = [self.truth(depth - 1) for _ in range(3)]
                return f"(if {inner[0]} then {inner[1]} else {inner[2]})"
            sign = "&&" if shape == "and" else "||"
            return f"({self.truth(depth - 1)} {sign} {self.truth(depth - 1)})"
        return random.choice(self.atoms)(self, random.choice((0, 1, 1, 2, 2, 3)))

    def has(self, depth: int) -> str:
        base, kind = self.owner(depth)
        attrs = {**ATTRS, **RECORDS}[kind]
        attr = self.random.choice(tuple(attrs))
        below = {**ATTRS, **RECORDS}.get(attrs[attr])
        if below and self.random.random() < 0.4:
            attr = f"{attr}.{self.random.choice(tuple(below))}"
        if attrs.get(attr) == "long" and self.random.random() < 0.5:
            return f"({base} has {attr} && {base}.{attr} < {self.of('long', 1)})"
        if attrs.get(attr) == "User" and self.random.random() < 0.6:
            sign = self.pick("==", "in")
            return f"({base} has {attr} && {base}.{attr} {sign} {self.of('User', 1)})"
        return f"({base} has {attr})"

    def compare(self, depth: int) -> str:
        sign = self.pick("<", "<=", ">", ">=", "==", "!=")
        return f"({self.of('long', depth)} {sign} {self.of('long', depth)})"

    def same(self, depth: int) -> str:
        kind = self.pick(*NAMES, "string", "decimal", "ip", "prefs", "strings", "entities", "bool")
        return f"({self.of(kind, depth)} {self.pick('==', '!=')} {self.of(kind, depth)})"

    def whole(self, depth: int) -> str:
        return self.pick(
            "(context == context)",
            "(context.info == resource.info)",
            "(principal.prefs == principal.manager.prefs)",
            "([context.info, resource.info].contains(principal.prefs))",
            "({a: context}.a == {level: 1})",
            "(principal == resource.owner)",
            "(resource == context.where)",
        )

    def member(self, depth: int) -> str:
        left = self.of(self.pick(*NAMES), depth)
        right = (
            self.of(self.pick(*NAMES), depth) if self.random.random() < 0.6 else self.group(depth)
        )
        return f"({left} in {right})"

    def group(self, depth: int) -> str:
        return self.pick(
            self.of("entities", depth),
            "[resource, principal.team]",
            'Team::"red"',
            'Team::"green"',
            'Folder::"top"',
        )

    def kind_of(self, depth: int) -> str:
        left = self.of(self.pick(*NAMES), depth)
        kind = self.pick(*NAMES)
        more = f" in {self.group(depth)}" if self.random.random() < 0.5 else ""
        return f"({left} is {kind}{more})"

    def action_in(self, depth: int) -> str:
        groups = ('Action::"read"', 'Action::"write"', 'Action::"all"', 'Action::"view"')
        return f"({self.pick('action', *groups)} {self.pick('in', '==')} {self.pick(*groups)})"

    def sets(self, depth: int) -> str:
        kind = self.pick("strings", "entities")
        name = self.pick("contains", "containsAll", "containsAny", "isEmpty")
        left = self.of(kind, depth)
        if name == "isEmpty":
            return f"({left}.isEmpty())"
        if name == "contains":
            inner = "string" if kind == "strings" else self.pick("User", "Doc")
            return f"({left}.contains({self.of(inner, depth)}))"
        return f"({left}.{name}({self.of(kind, depth)}))"

    def like(self, depth: int) -> str:
        pattern = self.pick("a*", "*b", r"ab\*", "*")
        return f'({self.of("string", depth)} like "{pattern}")'

    def extension(self, depth: int) -> str:
        return self.pick(
            f"({self.of('decimal', depth)}.lessThan({self.of('decimal', depth)}))",
            f"({self.of('decimal', depth)}.greaterThanOrEqual({self.of('decimal', depth)}))",
            f"({self.of('ip', depth)}.isInRange({self.of('ip', depth)}))",
            f"({self.of('ip', depth)}.isLoopback())",
            f"({self.of('datetime', depth)} < {self.of('datetime', depth)})",
            f"({self.of('datetime', depth)}.offset({self.of('duration', depth)}).toDate() =="
            f" {self.of('datetime', depth)})",
            f"({self.of('datetime', depth)}.durationSince({self.of('datetime', depth)}) >"
            f" {self.of('duration', depth)})",
            f"({self.of('duration', depth)}.toHours() >= {self.of('long', depth)})",
        )

    def tags(self, depth: int) -> str:
        base = self.of(self.pick("User", "Doc"), depth)
        key = self.pick('"k"', '"l"', '"z"', "principal.name", "context.name")
        tag = f"{base}.getTag({key})"
        use = self.pick(
            f"{tag} == {self.of('User', 1)}",
            f"{tag} in {self.group(0)}",
            f"{tag}.level < 3",
            f"{tag} has level",
            f"{tag}.boss.level == 1",
            f"{tag}.manager.team == {self.of('Team', 0)}",
            f'{tag} like "a*"',
        )
        return f"({base}.hasTag({key}) && {use})" if self.random.random() < 0.7 else f"({use})"

    def plain(self, depth: int) -> str:
        return self.of("bool", depth)

    atoms = (
        has,
        has,
        compare,
        compare,
        same,
        whole,
        member,
        member,
        member,
        kind_of,
        action_in,
        sets,
        like,
        extension,
        tags,
        tags,
        plain,
    )


_MADE = {"level": "long", "owner": "User", "name": "string"}


@dataclass(frozen=True)
class World:
    """Policies as text, links to their templates, and entities in Cedar's JSON."""

    policies: str
    links: tuple[dict[str, Any], ...]
    entities: tuple[dict[str, Any], ...]


def _side(random: Random, name: str, kinds: tuple[str, ...], slots: list[str]) -> str:
    """Return the constraint on a principal or a resource."""
    shape = random.choice(("any", "any", "==", "in", "in", "is", "is in", "slot"))
    kind = random.choice(kinds)
    group = random.choice(PARENTS[kind])
    to = random.choice((kind, group)) if shape != "==" else kind
    what = literal(some_entity(random, to))
    if shape == "slot":
        slots.append(f"?{name}")
        return f"{name} {random.choice(('==', 'in', f'is {kind} in'))} ?{name}"
    return {
        "any": name,
        "==": f"{name} == {what}",
        "in": f"{name} in {what}",
        "is": f"{name} is {kind}",
        "is in": f"{name} is {kind} in {what}",
    }[shape]


def _action(random: Random) -> str:
    names = (*ACTIONS, "read", "write", "all")
    return random.choice(
        (
            "action",
            "action",
            f'action == Action::"{random.choice(names)}"',
            f'action in Action::"{random.choice(names)}"',
            f'action in [Action::"{random.choice(names)}", Action::"{random.choice(names)}"]',
        )
    )


def world(random: Random, *, most: int = 8) -> World:
    """Return a random world."""
    policies, links = [], []
    expressions = Expressions(random)
    for number in range(random.randrange(1, most + 1)):
        slots: list[str] = []
        who = _side(random, "principal", ("User",), slots)
        what = _side(random, "resource", ("Doc", "Folder"), slots)
        clauses = "".join(
            f" {random.choice(('when', 'unless'))} {{ {expressions.truth(2)} }}"
            for _ in range(random.choice((0, 1, 1, 1, 2)))
        )
        effect = random.choice(("permit", "permit", "forbid"))
        policies.append(f"{effect} ({who}, {_action(random)}, {what}){clauses};\n")
        for link in range(random.randrange(3) if slots else 0):
            kinds = {"?principal": ("User", "Team"), "?resource": ("Doc", "Folder", "User")}
            chosen = {slot: some_entity(random, random.choice(kinds[slot])) for slot in slots}
            links.append(
                {
                    "template_id": f"policy{number}",
                    "new_id": f"link{number}-{link}",
                    "values": {slot: uid(*pair) for slot, pair in chosen.items()},
                }
            )
    entities = [
        entity(random, kind, name)
        for kind, names in NAMES.items()
        for name in names
        if random.random() < 0.85
    ]
    return World("".join(policies), tuple(links), (*entities, *action_entities()))


def action_entities() -> list[dict[str, Any]]:
    names = {*GROUPS, *(group for groups in GROUPS.values() for group in groups)}
    return [
        {
            "uid": uid("Action", name),
            "attrs": {},
            "parents": [uid("Action", up) for up in GROUPS.get(name, ())],
        }
        for name in sorted(names)
    ]


def context(random: Random) -> dict[str, Any]:
    """Return a context in Cedar's JSON; some hold no entity at all."""
    made = value(random, "context")
    if random.random() < 0.3:
        for name in ("who", "where", "info", "friends"):
            made.pop(name, None)
    return made
