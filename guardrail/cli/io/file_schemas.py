"""JSON Schemas of the files of a bundle, for editors, made from the models that read the files.

A schema takes keys, types and hints from a model, and the description of each key from the
``Attributes`` section of the model's docstring. Schemas are made when they are requested, so that
they always match this version. They are of draft 7, which all editors support. No load uses them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import BaseModel, Field, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from guardrail._documents import Section
from guardrail.audit.settings import AuditSettings
from guardrail.bundle.named_extensions import ExtensionSettings
from guardrail.cli.io import authzen, request_document
from guardrail.cli.io.files import Files
from guardrail.detectors import GROUPS, KINDS
from guardrail.detectors.custom_kinds import NAME
from guardrail.facts import Bounds, DetectorSettings
from guardrail.facts.custom_detectors import LIMIT_DETECTORS
from guardrail.identity.attestation.formats import FORMATS
from guardrail.identity.attestation.settings import TokenEvidenceSettings
from guardrail.identity.registry import STANDARD as PROVIDERS
from guardrail.obligations.input.specs import KINDS as SPECS
from guardrail.obligations.output.spec import OWN, OutputSection
from guardrail.obligations.quota.settings import QuotaSettings
from guardrail.policy import BundleSettings, CheckSettings, ResourceSettings
from guardrail.policy.source.parser import ID
from guardrail.testing.files import format as tests
from guardrail.testing.properties.format import PropertySection

_Schema: TypeAlias = dict[str, Any]

#: An entry of a docstring: names and a description, which can continue on deeper lines.
_ENTRY: Final = re.compile(r"^    (\w+(?:, \w+)*): (.+(?:\n {6,}.+)*)", re.MULTILINE)
#: The note on a key's other name, which is left out beside that name.
_WRITTEN: Final = re.compile(r" Written `\w+`\.")
_DRAFT: Final = "http://json-schema.org/draft-07/schema#"


class _Link(Section):
    """One link: a template that becomes a policy.

    Attributes:
        template: the ``@id`` of the template.
        id: the id of the policy that it becomes.
        principal: what fills ``?principal``, as a uid: ``Team::"acme"``.
        resource: what fills ``?resource``, as a uid: ``Model::"tumour"``.
    """

    template: str
    id: Annotated[str, Field(pattern=f"^{ID.pattern}$")]
    principal: str = ""
    resource: str = ""


class _Identity(Section):
    """The ``[identity]`` table.

    Attributes:
        revoked_file: the absolute path of a JSON file outside the bundle that lists revoked
            credentials; it is read again when it changes.
        inherit: where an identity holds. ``tasks``: also in tasks and threads that are started
            inside its ``acting_as`` block; ``none``: only in the one that entered the block.
    """

    revoked_file: Annotated[str, Field(pattern="^/")] = ""
    inherit: Literal["tasks", "none"] = "tasks"


class _Settings(Section):
    """guardrail.toml.

    Attributes:
        bundle: the name, version and time zone of the bundle.
        resources: which resources a call may name.
        check: the accepted findings of ``guardrail check``.
        bounds: size limits, which are checked before an input is read.
        quota: where quotas are counted.
        audit: how calls are recorded.
        extensions: which plug-ins of installed packages are loaded.
        identity: the identity providers: a table for each, ``[identity.NAME]``.
        evidence: the providers of evidence about machines: a table for each, ``[evidence.NAME]``.
        detectors: custom kinds of findings: a table for each, ``[detectors.NAME]``.
    """

    bundle: BundleSettings
    resources: ResourceSettings = Field(default=ResourceSettings())
    check: CheckSettings = Field(default=CheckSettings())
    bounds: Bounds = Field(default=Bounds())
    quota: QuotaSettings = Field(default=QuotaSettings())
    audit: AuditSettings = Field(default=AuditSettings())
    extensions: ExtensionSettings = Field(default=ExtensionSettings())
    identity: _Identity = Field(default=_Identity())
    evidence: dict[str, TokenEvidenceSettings] = Field(default={})
    detectors: Annotated[dict[str, DetectorSettings], Field(max_length=LIMIT_DETECTORS, default={})]


class _Generator(GenerateJsonSchema):
    """Makes the schema of a model, with its hints and descriptions, and without titles."""

    def model_schema(self, schema: Any) -> _Schema:
        result = super().model_schema(schema)
        model: type[BaseModel] = schema["cls"]
        result.pop("title", None)
        result["description"] = _plain((model.__doc__ or "").split("\n\n")[0])
        descriptions = dict(_descriptions(model))
        for name, key in result.get("properties", {}).items():
            if name in descriptions:
                key["description"] = descriptions[name]
        hints = [hint for kind in model.__mro__ for hint in vars(kind).get("hints", ())]
        if hints:
            result["allOf"] = hints
        return result

    def default_schema(self, schema: Any) -> _Schema:
        """Leave out a default that is empty or a whole table."""
        result = super().default_schema(schema)
        if result.get("default") in (None, "", [], {}) or isinstance(result["default"], dict):
            result.pop("default", None)
        return result

    def dict_schema(self, schema: Any) -> _Schema:
        """Reject names that do not match the pattern; pydantic's schema accepts them."""
        result = super().dict_schema(schema)
        if "patternProperties" in result:
            ((pattern, below),) = result.pop("patternProperties").items()
            result |= {"propertyNames": {"pattern": pattern}, "additionalProperties": below}
        return result

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Return False: a title would repeat the name of the key."""
        del schema
        return False


def _descriptions(model: type[BaseModel]) -> Iterator[tuple[str, str]]:
    """Yield the description of each key from the docstrings of a model and its bases."""
    for kind in reversed(model.__mro__):
        if not issubclass(kind, BaseModel):
            continue
        _, _, entries = (kind.__doc__ or "").partition("Attributes:\n")
        entries = re.sub(r"^ {4}(?= )", "", entries, flags=re.MULTILINE)
        for names, text in _ENTRY.findall(entries):
            for name in names.split(", "):
                field = model.model_fields.get(name)
                yield (field.alias if field and field.alias else name), _plain(text)


def _plain(text: str) -> str:
    """Return a docstring's text as one line of Markdown, as a sentence."""
    line = _WRITTEN.sub("", " ".join(text.split()).replace("``", "`"))
    return line[:1].upper() + line[1:]


def schema_of(files: Files) -> _Schema:
    """Return the JSON Schema of one kind of files."""
    return _SCHEMAS[files]()


def schema_text(files: Files) -> str:
    """Return the JSON Schema of one kind of files as text."""
    return json.dumps(schema_of(files), indent=2) + "\n"


def _schema(title: str, kind: Any, change: Callable[[_Schema], None] | None = None) -> _Schema:
    """Return the schema of a type, in draft 7."""
    adapter: TypeAdapter[Any] = TypeAdapter(kind)
    schema = adapter.json_schema(
        ref_template="#/definitions/{model}", schema_generator=_Generator, mode="validation"
    )
    parts = schema.pop("$defs", {})
    schema.pop("description", None)  # the title describes it
    whole = {"$schema": _DRAFT, "title": title, **schema, "definitions": parts}
    if change is not None:
        change(whole)
    return {name: _as_draft_7(below) for name, below in whole.items()}


def _as_draft_7(part: Any) -> Any:
    """Move the keys beside a ``$ref`` into an ``allOf``: draft 7 ignores them there."""
    if isinstance(part, list):
        return [_as_draft_7(item) for item in part]
    if not isinstance(part, dict):
        return part
    part = {name: _as_draft_7(below) for name, below in part.items() if name != "discriminator"}
    if isinstance(part.get("$ref"), str) and len(part) > 1:
        part["allOf"] = [{"$ref": part.pop("$ref")}, *part.get("allOf", ())]
    return part


def _one_of(models: Iterable[type[BaseModel]], key: str) -> Any:
    """Return the union of models that a key discriminates."""
    kinds: Any = None
    for model in models:
        kinds = model if kinds is None else kinds | model
    return Annotated[kinds, Field(discriminator=key)]


def _settings() -> _Schema:
    tables = _schema("", _one_of((kind.settings for kind in PROVIDERS), "type"))

    def change(whole: _Schema) -> None:
        whole["definitions"] |= tables["definitions"]
        whole["definitions"]["_Identity"]["additionalProperties"] = {"oneOf": tables["oneOf"]}
        evidence = whole["definitions"]["TokenEvidenceSettings"]["properties"]
        evidence["format"]["enum"] = [form.name for form in FORMATS]
        whole["properties"]["detectors"]["propertyNames"] = {
            "pattern": f"^{NAME.pattern}$", "not": {"enum": [*KINDS, *GROUPS]},
        }  # fmt: skip

    return _schema("The settings of a guardrail bundle: guardrail.toml", _Settings, change)


def _inputs() -> _Schema:
    kinds = _one_of((kind.section for kind in SPECS.values()), "kind")
    return _schema("An input spec of a guardrail bundle: inputs/NAME.yaml", kinds)


def _outputs() -> _Schema:
    own = _schema("", OutputSection)

    def change(whole: _Schema) -> None:
        for kind, (section, _) in SPECS.items():
            part = whole["definitions"][section.__name__]
            names = [name for name, kinds in OWN.items() if kind in kinds]
            part["properties"] |= {name: own["properties"][name] for name in names}
            fitting = [hint for hint in own["allOf"] if set(hint["properties"]) <= set(names)]
            if fitting:
                part["allOf"] = [*part.get("allOf", ()), *fitting]

    kinds = _one_of((kind.section for kind in SPECS.values()), "kind")
    return _schema("An output spec of a guardrail bundle: outputs/NAME.yaml", kinds, change)


def _links() -> _Schema:
    title = "Template links of a guardrail bundle: links.yaml"
    return _schema(title, list[_Link] | None)


def _tests() -> _Schema:
    parts = _schema(
        "", tests.Given | tests.PolicyTestSection | tests.StepSection | PropertySection
    )["definitions"]

    def change(whole: _Schema) -> None:
        given, test, step, stated = (
            {"$ref": f"#/definitions/{name}"}
            for name in ("Given", "PolicyTestSection", "StepSection", "PropertySection")
        )
        whole["definitions"] |= parts
        whole["properties"]["given"] |= {"anyOf": [given, {"type": "null"}]}
        whole["properties"]["tests"]["items"] = test
        whole["properties"]["properties"]["items"] = stated
        steps = parts["PolicyTestSection"]["properties"]["steps"]
        next(form for form in steps["anyOf"] if form["type"] == "array")["items"] = step

    return _schema(
        "Policy tests of a guardrail bundle: tests/NAME_test.yaml", tests.TestFileSection, change
    )


def _request() -> _Schema:
    kinds = request_document.RequestSection | authzen.Evaluation | authzen.Evaluations
    return _schema("A request for `guardrail decide` and `guardrail explain`", kinds)


_SCHEMAS: Final[Mapping[Files, Callable[[], _Schema]]] = {
    Files.settings: _settings,
    Files.inputs: _inputs,
    Files.outputs: _outputs,
    Files.links: _links,
    Files.tests: _tests,
    Files.request: _request,
}
