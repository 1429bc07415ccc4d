"""Input specs that are JSON Schemas of draft 2020-12: the files ``inputs/NAME.json``.

This is the only module that imports jsonschema-rs, which is optional; the first such file loads it.
A schema is rejected at load if it refers to another file (nothing is fetched, and an ``$id`` is
only a name), if it has a keyword or a format that the validator would ignore, or if a pattern could
backtrack. The validator's messages hold values; the messages of this module have only the path and
the keyword.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from typing import Any, Final, NoReturn
from urllib.parse import urldefrag, urljoin

from guardrail._documents import Document, Key
from guardrail._paths import path_of
from guardrail._scalars import as_json
from guardrail.errors import ConfigurationError, Fault
from guardrail.obligations.input.text import refuse
from guardrail.values import View

_DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"
_KINDS: Final = ("record", "list", "text")

# What each keyword of the draft contains: a schema, a list of schemas, or schemas by name.
_ONE: Final = frozenset(
    (
        "additionalProperties", "contains", "contentSchema", "else", "if", "items", "not",
        "propertyNames", "then", "unevaluatedItems", "unevaluatedProperties",
    )
)  # fmt: skip
_SEVERAL: Final = frozenset(("allOf", "anyOf", "oneOf", "prefixItems"))
_NAMED: Final = frozenset(("$defs", "dependentSchemas", "patternProperties", "properties"))
_OTHER: Final = frozenset(
    (
        "$anchor", "$comment", "$dynamicAnchor", "$dynamicRef", "$id", "$ref", "$schema",
        "$vocabulary", "const", "contentEncoding", "contentMediaType", "default",
        "dependentRequired", "deprecated", "description", "enum", "examples", "exclusiveMaximum",
        "exclusiveMinimum", "format", "maxContains", "maximum", "maxItems", "maxLength",
        "maxProperties", "minContains", "minimum", "minItems", "minLength", "minProperties",
        "multipleOf", "pattern", "readOnly", "required", "title", "type", "uniqueItems",
        "writeOnly",
    )
)  # fmt: skip
_KNOWN: Final = _ONE | _SEVERAL | _NAMED | _OTHER
#: Keywords that describe a value and require nothing of it.
_SAYING: Final = frozenset(
    (
        "$anchor", "$comment", "$defs", "$dynamicAnchor", "$id", "$schema", "$vocabulary",
        "contentEncoding", "contentMediaType", "contentSchema", "default", "deprecated",
        "description", "examples", "readOnly", "title", "writeOnly",
    )
)  # fmt: skip
#: The name of a schema without an ``$id``.
_BASE: Final = "json-schema:///"


class JsonSchemaSpec:
    """An input spec that is a JSON Schema. Made by `from_document`."""

    __slots__ = ("_failure", "_validator", "keys", "name")

    def __init__(
        self, name: str, validator: Any, failure: type[Exception], properties: frozenset[str]
    ) -> None:
        self.name = name
        self.keys = properties
        self._validator = validator
        self._failure = failure

    @classmethod
    def from_document(cls, name: str, document: Document) -> JsonSchemaSpec:
        """Return the spec of a file.

        Raises `ConfigurationError` (``GR300``) if it is not a self-contained schema of draft
        2020-12, or if jsonschema-rs is not installed.
        """
        properties: set[str] = set()
        faults = tuple(_faults(document, properties))
        if faults:
            raise ConfigurationError(faults=faults)
        if find_spec("jsonschema_rs") is None:
            message = (
                "A JSON Schema needs jsonschema-rs: pip install 'guardrail-cedar[jsonschema]'."
            )
            raise ConfigurationError.at(document.at(), "GR300", message)
        import jsonschema_rs

        try:
            validator = jsonschema_rs.Draft202012Validator(
                document.data,
                validate_formats=True,
                ignore_unknown_formats=False,
                retriever=_retrieve,
                pattern_options=jsonschema_rs.RegexOptions(),  # linear in time, on any text
            )
        except (ValueError, TypeError) as error:  # its own error is a ValueError
            where = tuple(getattr(error, "instance_path", ()))
        else:
            return cls(name, validator, jsonschema_rs.ValidationError, frozenset(properties))
        at = ".".join(str(step) for step in where) or "the file"
        message = f"`{at}` is not valid in JSON Schema 2020-12, or refers to a missing definition."
        raise ConfigurationError.at(document.at(*where), "GR300", message)

    def check(self, view: View) -> None:
        """Raise `ObligationNotMet` (``input_rejected``) with the place and the keyword that failed.

        NaN, infinities, lone surrogates and decimals with more digits than a float never pass,
        because JSON does not have them.
        """
        if view.kind not in _KINDS:
            refuse(view.name, "a record, a list or text", f"a {view.kind}")
        value = view.value if view.data is None else as_json(view.data)
        if not _is_json(value):
            refuse(
                view.name,
                "finite numbers that JSON holds exactly and Unicode text",
                "others",
            )
        steps: tuple[Any, ...] = ()
        keyword = ""
        try:
            self._validator.validate(value)
        except self._failure as error:
            steps = tuple(getattr(error, "instance_path", ()))
            keyword = _keyword(getattr(error, "schema_path", ()))
        except (ValueError, TypeError):
            keyword = "its schema"
        if keyword:  # outside of the handlers: the validator's error holds the value
            path = path_of(view.name, steps, self.keys)
            refuse(path, f"a value that its schema accepts ({keyword})", "another")


def _keyword(schema_path: Any) -> str:
    """Return the last keyword in a path through a schema; other steps may be any names."""
    known = [step for step in schema_path if isinstance(step, str) and step in _KNOWN]
    return known[-1] if known else "its schema"


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, TypeError):  # a number that JSON does not have, or a lone surrogate
        return False
    return True


def _retrieve(uri: str) -> NoReturn:
    del uri
    raise ValueError("a reference to another file")


def _faults(document: Document, properties: set[str]) -> Iterator[Fault]:
    """Yield the faults that the validator does not report, and collect the names of properties."""
    if not isinstance(document.data, Mapping | bool):
        message = "A JSON Schema is an object, or `true` or `false`."
        yield Fault("GR300", document.at(), message)
        return
    ids = frozenset(base for _, _, base in _schemas(document.data))
    for path, schema, base in _schemas(document.data):
        for key, value in schema.items():
            problem = _problem(key, value, base, ids)
            if problem:
                at = (*path, key)
                yield Fault("GR300", document.at(*at), f"`{'.'.join(map(str, at))}`: {problem}")
        names = schema.get("properties")
        if isinstance(names, Mapping):
            properties.update(names)


def _schemas(root: Any) -> Iterator[tuple[tuple[Key, ...], Mapping[str, Any], str]]:
    """Yield each schema of a file: its path, its keywords, and its name from ``$id``."""
    pending: list[tuple[tuple[Key, ...], Any, str]] = [((), root, _BASE)]
    while pending:
        path, schema, base = pending.pop()
        if not isinstance(schema, Mapping):
            continue  # a boolean; the validator rejects anything else
        base = _resolved(base, schema.get("$id"))
        yield path, schema, base
        for key, value in schema.items():
            at = (*path, key)
            if key in _ONE:
                pending.append((at, value, base))
            elif key in _SEVERAL and isinstance(value, list):
                pending.extend(((*at, index), item, base) for index, item in enumerate(value))
            elif key in _NAMED and isinstance(value, Mapping):
                pending.extend(((*at, name), item, base) for name, item in value.items())


def _resolved(base: str, reference: Any) -> str:
    """Return the address of a reference without its fragment; the base if it is invalid."""
    if not isinstance(reference, str):
        return base
    try:
        return urldefrag(urljoin(base, reference)).url
    except ValueError:  # brackets that hold no address
        return base


def lets_all_through(document: Document) -> bool:
    """Return whether a JSON Schema requires nothing at its root: ``true``, or annotations only."""
    data = document.data
    return data is True or (isinstance(data, Mapping) and _SAYING.issuperset(data))


def _problem(key: str, value: Any, base: str, ids: frozenset[str]) -> str:
    """Return what is wrong with a keyword on its own; empty if nothing is."""
    if key not in _KNOWN:
        return "is not a supported keyword of JSON Schema 2020-12. Remove it."
    if key in ("$ref", "$dynamicRef") and not (
        isinstance(value, str) and (value.startswith("#") or _resolved(base, value) in ids)
    ):
        return "refers to another file. Put the definition into `$defs`."
    if key == "$schema" and value != _DRAFT:
        return f"is {_DRAFT}, or left out."
    return ""
