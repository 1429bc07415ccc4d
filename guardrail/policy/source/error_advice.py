"""Adds advice to Cedar's error messages: the nearest name, the right operator, a missing character.

It runs only if a bundle does not load. Cedar's message is kept, without the names of its internals,
and a sentence of advice follows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from guardrail._nearest import did_you_mean
from guardrail.policy.schema.schema import Schema
from guardrail.policy.source.lexer import SourceToken
from guardrail.values import Entity, Path

#: Operators of other languages, each with that of Cedar.
_WORDS: Final = {"and": "&&", "or": "||", "not": "!", "&": "&&", "|": "||"}
_VALUES: Final = {"True": "true", "False": "false"}
#: A scope that takes one principal: its uid, and its type.
_EQUAL_PRINCIPAL: Final = re.compile(r'\bprincipal\s*==\s*(([\w:]+)::"(?:[^"\\\n]|\\.)*")')
_INTERNAL: Final = re.compile(r"__cedar::internal::AnyEntity")
#: The validator's message for a scope that fits no action.
NO_ACTION: Final = "unable to find an applicable action given the policy scope constraints"


def on_syntax(tokens: Sequence[SourceToken], at: int, complaint: str) -> str:
    """Return advice on a syntax error; empty if there is none.

    Arguments:
        tokens: the tokens of the policy.
        at: the offset of the error.
        complaint: Cedar's error message.
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
        return "Put strings in double quotes."
    if here.isdigit() and before[-1:] == ["."] and before[0].isdigit():
        number = f"{before[0]}.{here}"
        return (
            f'Write a number with a point as `decimal("{number}")`, and compare it with methods '
            f'such as `.greaterThan(decimal("{number}"))`.'
        )
    if here in ("@", "permit", "forbid") and index:
        return "Each policy ends with `;`. Add it after the policy before this one."
    if "unexpected end" in complaint:
        return "Close each bracket. A policy ends with `;`."
    match = re.search(r"invalid variable: (\w+)|`(\w+)` has no fields", complaint)
    if match is not None:
        name = match[1] or match[2]
        if name in _VALUES:
            return f"Write `{_VALUES[name]}`."
        if name.casefold() in ("null", "none", "nil"):
            return "Cedar has no null. Test with `has` whether an attribute is present."
        hint = did_you_mean(name, ("principal", "action", "resource", "context"))
        return (
            hint
            or "The variables are principal, action, resource and context. Put strings in quotes."
        )
    if "invalid policy effect" in complaint:
        return "Begin a policy with `permit` or `forbid`."
    if before[-1:] in (["when"], ["unless"]):
        return f"Put the condition in braces: `{before[-1]} {{ ... }}`."
    return ""


def _has_quote(tokens: Sequence[SourceToken]) -> bool:
    return any("'" in token.text for token in tokens)


def on_types(
    complaint: str, schema: Schema, actions: Iterable[Entity], text: str = ""
) -> tuple[str, str]:
    """Return a message of the validator without internal names, and advice; empty if there is none.

    Arguments:
        complaint: the validator's message.
        schema: the schema of the bundle.
        actions: the actions to which the policy applies, or all.
        text: the text of the policy.
    """
    plain = _INTERNAL.sub("an entity", complaint)
    for pattern, advise in _ADVICE:
        match = pattern.search(complaint)
        if match is not None and advise is _optional:
            return plain, _optional(match, schema, tuple(actions), text)
        if match is not None:
            return plain, advise(match, schema, tuple(actions))
    if NO_ACTION in complaint:
        return "no action of the schema applies to the types in the scope", (
            _group_as_principal(text, schema) or "Correct the types, or the action."
        )
    return plain, ""


_Advise = Callable[["re.Match[str]", Schema, tuple[Entity, ...]], str]


def _no_attribute(match: re.Match[str], schema: Schema, actions: tuple[Entity, ...]) -> str:
    from guardrail.policy.schema.schema_paths import attributes_of

    *above, name = match["path"].split(".")
    kind = match["type"]
    known: dict[str, None] = {}
    for action in actions:
        if kind is None:
            roots = [(Path("context", tuple(above)), "")]
        else:
            roots = [(Path("principal", tuple(above)), kind), (Path("resource", tuple(above)), "")]
        for root, principal in roots:
            if principal and not _can_call(schema, principal, action):
                continue
            if root.root == "resource" and kind is not None and _can_call(schema, kind, action):
                continue
            attributes = attributes_of(schema, action, root, principal=principal)
            known |= dict.fromkeys(each.path.attrs[-1] for each in attributes)
    return did_you_mean(name, known, "Correct the name, or declare it in the schema.")


def _can_call(schema: Schema, kind: str, action: Entity) -> bool:
    """Tell whether an action applies to callers of a type."""
    from guardrail.policy.schema.schema_paths import types_of

    return any(schema.fits(kind, action, name) for name in types_of(schema))


def _no_type(match: re.Match[str], schema: Schema, actions: tuple[Entity, ...]) -> str:  # noqa: ARG001
    from guardrail.policy.schema.schema_paths import types_of

    return did_you_mean(match[1], types_of(schema), "Correct the name, or declare it.")


def _no_action(match: re.Match[str], schema: Schema, actions: tuple[Entity, ...]) -> str:  # noqa: ARG001
    known = [each.id for each in schema.actions]
    there_are = f"The actions are: {', '.join(sorted(set(known))) or 'none'}."
    return did_you_mean(match[1], known, there_are)


def _no_member(match: re.Match[str], schema: Schema, actions: tuple[Entity, ...]) -> str:  # noqa: ARG001
    from guardrail.policy.schema.schema_paths import members_of

    known = [each.id for each in members_of(schema) if each.type == match[1]]
    return did_you_mean(match[2], known, f"Its ids are: {', '.join(known)}.")


def _optional(
    match: re.Match[str], schema: Schema, actions: tuple[Entity, ...], text: str = ""
) -> str:
    path, kind = match["path"], match["type"]
    *above, name = path.split(".")
    if kind is None:
        bases = [".".join(("context", *above))]
    else:
        # The message has the type only: the policy has the variable, and the path to the type.
        written = rf"\b((?:principal|resource)(?:\.\w+)*?)\.{re.escape(path)}\b"
        found = list(dict.fromkeys(re.findall(written, text)))
        can_call = any(_can_call(schema, kind, action) for action in actions)
        fitting = [each for each in found if each == ("principal" if can_call else "resource")]
        roots = fitting or found or ["principal" if can_call else "resource"]
        bases = [".".join((root, *above)) for root in roots]
    tests = " or ".join(f"`{base} has {name} && ...`" for base in bases)
    return f"It may be absent. Test it first: {tests}."


def _group_as_principal(text: str, schema: Schema) -> str:
    """Return advice if a policy compares the principal with a group of principals."""
    from guardrail.policy.schema.schema_paths import types_of

    found = _EQUAL_PRINCIPAL.search(text)
    if found is None:
        return ""
    group = found[1]
    for kind in types_of(schema):
        if not schema.errors(f"permit(principal is {kind} in {group}, action, resource);"):
            return f"A {kind} is in a {found[2]}: write `principal in {group}`."
    return ""


def _decimal(match: re.Match[str], schema: Schema, actions: tuple[Entity, ...]) -> str:  # noqa: ARG001
    return (
        'Compare a decimal with a decimal, by `.lessThan(decimal("3.5"))`, '
        '`.greaterThan(decimal("3.5"))` or their `...OrEqual` forms.'
    )


def _membership(match: re.Match[str], schema: Schema, actions: tuple[Entity, ...]) -> str:  # noqa: ARG001
    return "`in` takes entities. For a set of values, use `.contains(...)`."


def _number(match: re.Match[str], schema: Schema, actions: tuple[Entity, ...]) -> str:  # noqa: ARG001
    return "Write numbers without quotes, and strings with quotes."


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
