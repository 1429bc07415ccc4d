"""One request to the policies, as a document from a file or from options.

Options are turned into the document that a request file would be, so that both are checked in the
same way. A fault names the file and line, or the option.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Final

from pydantic import Field

from guardrail._documents import Document, Section, read_json, read_yaml
from guardrail._schema_hints import exactly_one
from guardrail.errors import ConfigurationError, Place
from guardrail.testing.files.yaml_values import VALUE_TAGS, Parse, PrincipalSection, principal_of
from guardrail.values import Entity, FactValue, Principal

CODE: Final = "GR003"

#: The file of a document that is made of options.
_OPTIONS: Final = "options"

#: An example of a uid, by option.
_EXAMPLES: Final = {
    "--in": 'Role::"clinician"',
    "--action": 'Action::"predict"',
    "--resource": 'Model::"tumour"',
}

#: The name of standard input in a fault.
STDIN: Final = "<stdin>"


class RequestSection(Section):
    """A request file: the fields of a policy test.

    Attributes:
        principal: the caller: ``{uid, in, attrs}``.
        known: instead of ``principal``, the uid of a caller in ``entities.json``. Written ``as``.
        action: the action: ``predict``.
        resource: the resource, as a uid: ``Model::"tumour"``.
        facts: facts by namespace: ``{input: {rows: 10}}``.
    """

    hints = (exactly_one("as", "principal"),)

    principal: PrincipalSection | None = None
    known: str | None = Field(default=None, alias="as")
    action: str
    resource: str
    facts: dict[str, dict[str, Any]] = Field(default={})


@dataclass(frozen=True, slots=True)
class DecisionRequest:
    """The arguments of `Guard.decide`. A principal that is an `Entity` is in entities.json."""

    principal: Principal | Entity
    action: str
    resource: Entity
    facts: dict[str, dict[str, FactValue]]


def read(file: str, raw: bytes) -> Document:
    """Return a request file as a document: JSON or YAML, by its name.

    Standard input has no name: a text that begins with a brace is JSON, any other text is YAML.
    Raises `ConfigurationError` with line and column if it is neither.
    """
    is_json = raw.lstrip().startswith(b"{") if file == STDIN else PurePath(file).suffix == ".json"
    return read_json(file, raw) if is_json else read_yaml(file, raw, tags=VALUE_TAGS)


def read_request(document: Document, *, parse: Parse) -> DecisionRequest:
    """Return the request of a document; raise `ConfigurationError` with all of its faults."""
    if not isinstance(document.data, dict):
        text = "Expected a mapping with `principal` or `as`, `action`, `resource` and `facts`."
        raise ConfigurationError.at(document.at(), CODE, text)
    section = document.parse(RequestSection, code=CODE)
    if document.file == _OPTIONS:
        parse = _with_quotes(parse)
    principal: Principal | Entity
    if section.known is not None and section.principal is None:
        principal = parse(section.known, document.at("as"))
    elif section.principal is not None and section.known is None:
        principal = principal_of(section.principal, document.below("principal"), parse)
    else:
        both = section.principal is not None
        ways = "--principal or --as" if document.file == _OPTIONS else "`principal` or `as`"
        text = "both `principal` and `as`. Keep one" if both else f"no caller. Add {ways}"
        raise ConfigurationError.at(document.at("as"), CODE, f"The request names {text}.")
    if "::" in section.action:  # an action in a namespace is written as its whole uid
        parse(section.action, document.at("action"))
    resource = parse(section.resource, document.at("resource"))
    return DecisionRequest(principal, section.action, resource, section.facts)


def _with_quotes(parse: Parse) -> Parse:
    """Return a parser of uids in options, whose message names the quotes that a shell removes."""

    def read_option(text: str, place: Place) -> Entity:
        try:
            return parse(text, place)
        except ConfigurationError:
            example = _EXAMPLES.get(place.file, 'User::"clara"')
        message = (
            f"Expected a uid such as {example}. In a shell, put it in single quotes: '{example}'."
        )
        raise ConfigurationError.at(place, CODE, message)

    return read_option


def from_options(
    *,
    principal: str | None,
    parents: Sequence[str],
    attrs: Sequence[str],
    known: str | None,
    action: str | None,
    resource: str | None,
    facts: Sequence[str],
) -> Document:
    """Return the document that a request file with the same content would make.

    ``attrs`` are ``NAME=VALUE`` and ``facts`` ``NAMESPACE.NAME=VALUE``; a value is JSON, or begins
    with a tag (``!entity``, ``!duration``, ``!ip``), or else is text. Places name the option.
    Raises `ConfigurationError` for a text without ``=``, and for a path that is given twice.
    """
    data: dict[str, Any] = {"as": known, "action": action, "resource": resource}
    data = {name: value for name, value in data.items() if value is not None}
    if principal is not None or parents or attrs:
        caller = {"uid": principal, "in": list(parents), "attrs": _tree("--attr", attrs, depth=1)}
        data["principal"] = {name: value for name, value in caller.items() if value is not None}
    data["facts"] = _tree("--fact", facts, depth=2)
    options = {
        ("principal",): "--principal",
        ("principal", "uid"): "--principal",
        ("principal", "in"): "--in",
        ("principal", "attrs"): "--attr",
        ("as",): "--principal",
        ("action",): "--action",
        ("resource",): "--resource",
        ("facts",): "--fact",
    }
    if known is not None:
        options["as",] = "--as"
    return Document(_OPTIONS, data, {path: Place(option) for path, option in options.items()})


def _tree(option: str, pairs: Iterable[str], *, depth: int) -> dict[str, Any]:
    """Return ``a.b=1`` as ``{"a": {"b": 1}}``; a path has at least ``depth`` names."""
    tree: dict[str, Any] = {}
    for pair in pairs:
        path, equals, text = pair.partition("=")
        names = path.split(".") if depth > 1 else [path]
        if not equals or len(names) < depth or not all(names):
            form = "NAMESPACE.NAME=VALUE" if depth > 1 else "NAME=VALUE"
            raise ConfigurationError.at(Place(option), CODE, f"Expected {form}.")
        branch = tree
        for name in names[:-1]:
            branch = branch.setdefault(name, {})
            if not isinstance(branch, dict):
                break
        if not isinstance(branch, dict) or names[-1] in branch:
            message = "The same path is given twice. Remove one."
            raise ConfigurationError.at(Place(option), CODE, message)
        branch[names[-1]] = _value(option, text)
    return tree


def _value(option: str, text: str) -> Any:
    tag, _, rest = text.partition(" ")
    if tag in VALUE_TAGS:
        try:
            return VALUE_TAGS[tag](rest.strip())
        except ValueError as error:
            message = f"{tag}: {str(error).rstrip('.')}."
        raise ConfigurationError.at(Place(option), CODE, message)
    try:
        return read_json(option, text.encode("utf-8", "surrogateescape")).data
    except ConfigurationError:
        return text
