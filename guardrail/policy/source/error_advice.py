"""Advice on error messages of Cedar: the nearest name, the right operator, the missing character.

Cedar's own words stay as they are, without the names of its internals; a sentence of ours follows.
Runs only where a bundle does not load.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from guardrail._nearest import did_you_mean
from guardrail.policy.schema.schema import Schema
from guardrail.policy.source.lexer import SourceToken
from guardrail.values import Entity, Path

#: Words of other languages, each with Cedar's.
_WORDS: Final = {"and": "&&", "or": "||", "not": "!", "&": "&&", "|": "||"}
_VALUES: Final = {"True": "true", "False": "false"}
_INTERNAL: Final = re.compile(r"__cedar::internal::AnyEntity")
#: What the validator says of a scope that fits nothing.
NO_ACTION: Final = "unable to find an applicable action given the policy scope constraints"


def on_syntax(tokens: Sequence[SourceToken], at: int, complaint: str) -> str:
    """Return what to do about a text that is not Cedar; empty without advice.

    Arguments:
        tokens: of the policy.
        at: the offset that Cedar complains of.
        complaint: what it says.
    """
    index = next((n for n, token in enumerate(tokens) if token.start >= at), len(tokens))
    here = tokens[index].text if index < len(tokens) else ""
    before = [token.text for token in tokens[max(0, index - 2) : index]]
    if "'='" in complaint:
        return "Compare with `==`."
    for word in (here, *before[-1:]):
        if word in _WORDS:
            return f"Write `{_WORDS[word]}`."
    if "'" in here or (tokens and "invalid token" in complaint and _has_quote(tokens)):
        return "Put texts in double quotes."
    if here.isdigit() and before[-1:] == ["."] and before[0].isdigit():
        number = f"{before[0]}.{here}"
        return (
            f'A number with a point is a decimal: `decimal("{number}")`, compared with '
            f'`.greaterThan(decimal("{number}"))` and its like.'
        )
    if here in ("@", "permit", "forbid") and index:
        return "Each policy ends with `;`. Put one after the policy before this one."
    if "unexpected end" in complaint:
        return "Each policy ends with `;`. Close each bracket, too."
    found = re.search(r"invalid variable: (\w+)|`(\w+)` has no fields", complaint)
    if found is not None:
        name = found[1] or found[2]
        if name in _VALUES:
            return f"Write `{_VALUES[name]}`."
        if name.casefold() in ("null", "none", "nil"):
            return "Cedar has no null. Test with `has` whether an attribute is there."
        hint = did_you_mean(name, ("principal", "action", "resource", "context"))
        return (
            hint or "The variables are principal, action, resource, context; put texts in quotes."
        )
    if "invalid policy effect" in complaint:
        return "A policy is `permit` or `forbid`."
    if before[-1:] in (["when"], ["unless"]):
        return f"Put the condition in braces: `{before[-1]} {{ ... }}`."
    return ""


def _has_quote(tokens: Sequence[SourceToken]) -> bool:
    return any("'" in token.text for token in tokens)


def on_types(said: str, schema: Schema, actions: Iterable[Entity]) -> tuple[str, str]:
    """Return what the validator says, without internals, and what to do; empty without advice.

    Arguments:
        said: its words.
        schema: of the bundle.
        actions: those to which the policy applies, or all.
    """
    plain = _INTERNAL.sub("an entity", said)
    for pattern, advise in _ADVICE:
        found = pattern.search(said)
        if found is not None:
            return plain, advise(found, schema, tuple(actions))
    if NO_ACTION in said:
        return "no action of the schema applies to what the scope names", (
            "Correct the types that it names, or the action."
        )
    return plain, ""


_Advise = Callable[["re.Match[str]", Schema, tuple[Entity, ...]], str]


def _no_attribute(found: re.Match[str], schema: Schema, actions: tuple[Entity, ...]) -> str:
    from guardrail.policy.schema.schema_paths import attributes_of

    *above, name = found["path"].split(".")
    kind = found["type"]
    known: dict[str, None] = {}
    for action in actions:
        if kind is None:
            asked = [(Path("context", tuple(above)), "")]
        else:
            asked = [(Path("principal", tuple(above)), kind), (Path("resource", tuple(above)), "")]
        for root, principal in asked:
            if principal and not _calls(schema, principal, action):
                continue
            if root.root == "resource" and kind is not None and _calls(schema, kind, action):
                continue
            found_there = attributes_of(schema, action, root, principal=principal)
            known |= dict.fromkeys(each.path.attrs[-1] for each in found_there)
    return did_you_mean(name, known, "Correct the name, or declare it in the schema.")


def _calls(schema: Schema, kind: str, action: Entity) -> bool:
    """Tell whether callers of a type can call an action."""
    from guardrail.policy.schema.schema_paths import types_of

    return any(schema.fits(kind, action, name) for name in types_of(schema))


def _no_type(found: re.Match[str], schema: Schema, actions: tuple[Entity, ...]) -> str:  # noqa: ARG001
    from guardrail.policy.schema.schema_paths import types_of

    return did_you_mean(found[1], types_of(schema), "Correct the name, or declare it.")


def _no_action(found: re.Match[str], schema: Schema, actions: tuple[Entity, ...]) -> str:  # noqa: ARG001
    known = [each.id for each in schema.actions]
    there_are = f"There are: {', '.join(sorted(set(known))) or 'none'}."
    return did_you_mean(found[1], known, there_are)


def _no_member(found: re.Match[str], schema: Schema, actions: tuple[Entity, ...]) -> str:  # noqa: ARG001
    from guardrail.policy.schema.schema_paths import members_of

    known = [each.id for each in members_of(schema) if each.type == found[1]]
    return did_you_mean(found[2], known, f"There are: {', '.join(known)}.")


def _optional(found: re.Match[str], schema: Schema, actions: tuple[Entity, ...]) -> str:  # noqa: ARG001
    *above, name = found["path"].split(".")
    kind = found["type"]
    if kind is None:
        base = ".".join(("context", *above))
    else:
        base = ".".join(above) if above else f"the {kind}"
        if not above:
            return f"It may be absent. Test first, as in `principal has {name} && ...`."
    return f"It may be absent. Test first: `{base} has {name} && ...`."


def _decimal(found: re.Match[str], schema: Schema, actions: tuple[Entity, ...]) -> str:  # noqa: ARG001
    return (
        'Decimals are compared with decimals, by `.lessThan(decimal("3.5"))`, '
        '`.greaterThan(decimal("3.5"))` and `...OrEqual`.'
    )


def _membership(found: re.Match[str], schema: Schema, actions: tuple[Entity, ...]) -> str:  # noqa: ARG001
    return "`in` is for entities. For a set of values, use `.contains(...)`."


def _number(found: re.Match[str], schema: Schema, actions: tuple[Entity, ...]) -> str:  # noqa: ARG001
    return "Write numbers without quotes, and texts with quotes."


_ADVICE: Final[tuple[tuple[re.Pattern[str], _Advise], ...]] = (
    (
        re.compile(
            r"attribute `(?P<path>[^`]+)` "
            r"(?:on entity type `(?P<type>[^`]+)`|in context .*) not found"
        ),
        _no_attribute,
    ),
    (
        re.compile(
            r"optional attribute `(?P<path>[^`]+)` (?:on entity type `(?P<type>[^`]+)`|in context)"
        ),
        _optional,
    ),
    (re.compile(r"unrecognized entity type `([^`]+)`"), _no_type),
    (re.compile(r'unrecognized action `(?:[^`]*::)?"([^`]+)"`'), _no_action),
    (re.compile(r'entity `([^`]+)::"[^`]*"` is of an enumerated .* but `"([^`]+)"`'), _no_member),
    (re.compile(r"expected .* saw decimal|expected decimal"), _decimal),
    (re.compile(r"AnyEntity but saw"), _membership),
    (re.compile(r"expected Long but saw String|expected String but saw Long"), _number),
)  # fmt: skip
