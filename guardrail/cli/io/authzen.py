"""Reads and writes requests of OpenID AuthZEN's Authorization API 1.0, for ``guardrail decide``.

A subject becomes a principal, and a context becomes facts. Properties of an action or a resource
are an error, since only the bundle defines these; so are unknown keys. The module supports the file
format, not an endpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from pydantic import Field

from guardrail._documents import Document, Key, Section
from guardrail._schema_hints import given, of, when
from guardrail.cli.io.request_document import CODE, DecisionRequest
from guardrail.errors import ConfigurationError
from guardrail.identity.field_types import TypeName
from guardrail.testing.files.yaml_values import Parse, PrincipalSection, principal_of
from guardrail.values import Decision, Entity, Principal

Semantic: TypeAlias = Literal["execute_all", "deny_on_first_deny", "permit_on_first_permit"]

#: The schema of properties that must be empty.
_EMPTY: Final = {"maxProperties": 0}
_SEVERAL: Final = ("evaluations", "options")
_EMPTY_LIST: Final = {"maxItems": 0}
_PARTS: Final = ("subject", "action", "resource", "context")


class EntitySection(Section):
    """An entity in AuthZEN's form.

    Attributes:
        type: the entity type in the schema: ``Role``.
        id: the id: ``clinician``.
    """

    type: TypeName
    id: str


class SubjectSection(EntitySection):
    """The caller.

    Attributes:
        type: the entity type in the schema: ``User``.
        id: the id: ``clara``.
        properties: the attributes that the schema declares for this type; and under ``in`` roles
            and groups, each a uid (``Role::"clinician"``) or ``{type, id}``. Without
            ``properties``, the subject is an entity of ``entities.json``.
    """

    properties: dict[str, Any] | None = None


class ActionSection(Section):
    """The action.

    Attributes:
        name: the action in the schema: ``predict``.
        properties: must be empty; facts are in ``context``.
    """

    hints = (of("properties", _EMPTY),)

    name: str
    properties: dict[str, Any] | None = None


class ResourceSection(EntitySection):
    """The resource.

    Attributes:
        type: the entity type in the schema: ``Model``.
        id: the id: ``tumour``.
        properties: must be empty; the attributes of a resource are in ``entities.json``.
    """

    hints = (of("properties", _EMPTY),)

    properties: dict[str, Any] | None = None


class Evaluation(Section):
    """An Access Evaluation request of AuthZEN, for one decision.

    Attributes:
        subject: the caller.
        action: the action.
        resource: the resource.
        context: facts by namespace: ``{"input": {"rows": 10}}``.
    """

    subject: SubjectSection
    action: ActionSection
    resource: ResourceSection
    context: dict[str, dict[str, Any]] = Field(default={})


class EvaluationItem(Section):
    """One of several evaluations; the request has the default of each part.

    Attributes:
        subject: the caller.
        action: the action.
        resource: the resource.
        context: facts by namespace: ``{"input": {"rows": 10}}``.
    """

    subject: SubjectSection | None = None
    action: ActionSection | None = None
    resource: ResourceSection | None = None
    context: dict[str, dict[str, Any]] | None = None


class Options(Section):
    """The options of several evaluations.

    Attributes:
        evaluations_semantic: ``execute_all`` decides all; ``deny_on_first_deny`` ends with the
            first denial, ``permit_on_first_permit`` with the first allow.
    """

    evaluations_semantic: Semantic = "execute_all"


class Evaluations(EvaluationItem):
    """An Access Evaluations request of AuthZEN, for several decisions.

    Attributes:
        subject: the caller, for evaluations without one.
        action: the action, for evaluations without one.
        resource: the resource, for evaluations without one.
        context: facts by namespace, for evaluations without a context:
            ``{"input": {"rows": 10}}``.
        evaluations: the evaluations; if the list is empty, the request itself is one.
        options: how they are decided.
    """

    hints = (when(of("evaluations", _EMPTY_LIST), given("subject", "action", "resource")),)

    evaluations: list[EvaluationItem]
    options: Options = Field(default=Options())


@dataclass(frozen=True, slots=True)
class Exchange:
    """The requests of an AuthZEN document; ``semantic`` is set if it can have several."""

    questions: tuple[DecisionRequest, ...]
    semantic: Semantic | None = None

    def answer(self, decide: Callable[[DecisionRequest], Decision]) -> Iterator[Decision]:
        """Yield the decisions, until the semantic ends the evaluations."""
        ends = {"deny_on_first_deny": False, "permit_on_first_permit": True}
        end = ends.get(self.semantic or "")
        for request in self.questions:
            decision = decide(request)
            yield decision
            if decision.allowed is end:
                return

    def response(self, descriptions: Iterable[dict[str, Any]]) -> dict[str, Any]:
        """Return the response with these decisions, each as `Guard.describe` returns it."""
        answers = [
            {
                "decision": each["decision"] == "allow",
                "context": {name: value for name, value in each.items() if name != "decision"},
            }
            for each in descriptions
        ]
        return answers[0] if self.semantic is None else {"evaluations": answers}


def is_authzen(document: Document) -> bool:
    """Whether a document is an AuthZEN request: it has a subject, or evaluations."""
    data = document.data
    return isinstance(data, dict) and ("subject" in data or "evaluations" in data)


def read(document: Document, *, parse: Parse) -> Exchange:
    """Return the requests of a document; raise `ConfigurationError` with all faults."""
    if document.data.get("evaluations", []) == []:  # an empty list counts as absent: AuthZEN §7.1
        data = {name: value for name, value in document.data.items() if name not in _SEVERAL}
        alone = Document(document.file, data, document.places, document.root)
        evaluation = alone.parse(Evaluation, code=CODE)
        return Exchange((_question(document, dict.fromkeys(_PARTS, ()), evaluation, parse),))
    several = document.parse(Evaluations, code=CODE)
    questions = []
    for index, part in enumerate(several.evaluations):
        own = {name for name in _PARTS if getattr(part, name) is not None}
        roots: dict[str, tuple[Key, ...]] = {
            name: ("evaluations", index) if name in own else () for name in _PARTS
        }
        merged = {name: getattr(part if name in own else several, name) for name in _PARTS}
        for name in ("subject", "action", "resource"):
            if merged[name] is None:
                message = f"The evaluation has no `{name}`. Add it here, or for all evaluations."
                raise ConfigurationError.at(document.at("evaluations", index), CODE, message)
        merged["context"] = merged["context"] or {}
        whole = Evaluation.model_construct(**merged)
        questions.append(_question(document, roots, whole, parse))
    return Exchange(tuple(questions), several.options.evaluations_semantic)


def _question(
    document: Document,
    roots: dict[str, tuple[Key, ...]],
    evaluation: Evaluation,
    parse: Parse,
) -> DecisionRequest:
    """Return one request; ``roots`` has the path below which each of its parts stands."""
    for name, remedy in (
        ("action", "Remove them, and write facts in `context`"),
        ("resource", "Remove them, and write attributes of a resource in entities.json"),
    ):
        if getattr(evaluation, name).properties:
            place = document.at(*roots[name], name, "properties")
            message = f"`{name}.properties` has no effect on the decision. {remedy}."
            raise ConfigurationError.at(place, CODE, message)
    if "::" in evaluation.action.name:
        parse(evaluation.action.name, document.at(*roots["action"], "action", "name"))
    return DecisionRequest(
        _principal(document.below(*roots["subject"], "subject"), evaluation.subject, parse),
        evaluation.action.name,
        Entity(evaluation.resource.type, evaluation.resource.id),
        evaluation.context,
    )


def _principal(document: Document, subject: SubjectSection, parse: Parse) -> Principal | Entity:
    """Return the principal with its properties; without them, an entity of the bundle."""
    uid = Entity(subject.type, subject.id)
    if subject.properties is None:
        return uid
    attrs = {name: value for name, value in subject.properties.items() if name != "in"}
    named = subject.properties.get("in", [])
    if not isinstance(named, list):
        message = "`properties.in` is not a list of roles and groups. Put the value in brackets."
        raise ConfigurationError.at(document.at("properties", "in"), CODE, message)
    parents = [_parent(document, index, value, parse) for index, value in enumerate(named)]
    # `principal_of` checks the attributes
    principal = principal_of(PrincipalSection(uid="", attrs=attrs), document, lambda *_: uid)
    return Principal(principal.type, principal.id, parents=parents, attrs=principal.attrs)


def _parent(document: Document, index: int, value: Any, parse: Parse) -> Entity:
    place = document.at("properties", "in", index)
    if isinstance(value, str):
        return parse(value, place)
    if isinstance(value, dict):
        section = document.below("properties", "in", index).parse(EntitySection, code=CODE)
        return Entity(section.type, section.id)
    message = 'Expected a role or group: a uid such as Role::"clinician", or {type, id}.'
    raise ConfigurationError.at(place, CODE, message)
