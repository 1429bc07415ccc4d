"""Requests and responses of OpenID AuthZEN's Authorization API 1.0, for ``guardrail decide``.

A subject becomes a principal, and a context becomes facts. Properties of an action or a resource
are an error, since the bundle alone defines these; so are unknown keys. This is a file format and
no endpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from pydantic import Field

from guardrail._documents import Document, Key, Section
from guardrail._schema_hints import given, of, when
from guardrail.cli.io.question import CODE, DecisionRequest
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
    """An entity, as AuthZEN names one.

    Attributes:
        type: its type, as the schema has it: ``Role``.
        id: its id: ``clinician``.
    """

    type: TypeName
    id: str


class SubjectSection(EntitySection):
    """Who calls.

    Attributes:
        type: the entity type, as the schema has it: ``User``.
        id: which one: ``clara``.
        properties: attributes, as the schema has them for this type; and under ``in`` roles and
            groups, each a uid (``Role::"clinician"``) or ``{type, id}``. Where there are no
            ``properties`` at all, the subject is one of ``entities.json``.
    """

    properties: dict[str, Any] | None = None


class ActionSection(Section):
    """What is done.

    Attributes:
        name: the action, as the schema has it: ``predict``.
        properties: none: facts stand in ``context``.
    """

    hints = (of("properties", _EMPTY),)

    name: str
    properties: dict[str, Any] | None = None


class ResourceSection(EntitySection):
    """On what.

    Attributes:
        type: the entity type, as the schema has it: ``Model``.
        id: which one: ``tumour``.
        properties: none: what is known of a resource stands in ``entities.json``.
    """

    hints = (of("properties", _EMPTY),)

    properties: dict[str, Any] | None = None


class Evaluation(Section):
    """An Access Evaluation request of AuthZEN: one question.

    Attributes:
        subject: who calls.
        action: what is done.
        resource: on what.
        context: facts by place: ``{"input": {"rows": 10}}``.
    """

    subject: SubjectSection
    action: ActionSection
    resource: ResourceSection
    context: dict[str, dict[str, Any]] = Field(default={})


class EvaluationItem(Section):
    """One of several questions; what it leaves out, the request has for all.

    Attributes:
        subject: who calls.
        action: what is done.
        resource: on what.
        context: facts by place: ``{"input": {"rows": 10}}``.
    """

    subject: SubjectSection | None = None
    action: ActionSection | None = None
    resource: ResourceSection | None = None
    context: dict[str, dict[str, Any]] | None = None


class Options(Section):
    """How several questions are asked.

    Attributes:
        evaluations_semantic: ``execute_all`` asks all; ``deny_on_first_deny`` ends with the first
            denial, ``permit_on_first_permit`` with the first allow.
    """

    evaluations_semantic: Semantic = "execute_all"


class Evaluations(EvaluationItem):
    """An Access Evaluations request of AuthZEN: several questions.

    Attributes:
        subject: who calls, where a question does not say.
        action: what is done, where a question does not say.
        resource: on what, where a question does not say.
        context: facts by place, where a question has none: ``{"input": {"rows": 10}}``.
        evaluations: the questions; where there is none, the request itself is one.
        options: how they are asked.
    """

    hints = (when(of("evaluations", _EMPTY_LIST), given("subject", "action", "resource")),)

    evaluations: list[EvaluationItem]
    options: Options = Field(default=Options())


@dataclass(frozen=True, slots=True)
class Exchange:
    """What a request asks; ``semantic`` is how, where it may ask several things."""

    questions: tuple[DecisionRequest, ...]
    semantic: Semantic | None = None

    def answer(self, decide: Callable[[DecisionRequest], Decision]) -> Iterator[Decision]:
        """Yield the decision of each question, as far as they are to be asked."""
        ends = {"deny_on_first_deny": False, "permit_on_first_permit": True}
        end = ends.get(self.semantic or "")
        for asked in self.questions:
            decision = decide(asked)
            yield decision
            if decision.allowed is end:
                return

    def response(self, told: Iterable[dict[str, Any]]) -> dict[str, Any]:
        """Return the response with these decisions, each as `Guard.describe` tells it."""
        answers = [
            {
                "decision": each["decision"] == "allow",
                "context": {name: value for name, value in each.items() if name != "decision"},
            }
            for each in told
        ]
        return answers[0] if self.semantic is None else {"evaluations": answers}


def is_authzen(document: Document) -> bool:
    """Tell whether a request is one of AuthZEN's: it has a subject, or evaluations."""
    data = document.data
    return isinstance(data, dict) and ("subject" in data or "evaluations" in data)


def read(document: Document, *, parse: Parse) -> Exchange:
    """Return what a request asks; raise `ConfigurationError` with every place it can name."""
    if document.data.get("evaluations", []) == []:  # an empty list is none: AuthZEN §7.1
        data = {name: value for name, value in document.data.items() if name not in _SEVERAL}
        alone = Document(document.file, data, document.places, document.root)
        asked = alone.parse(Evaluation, code=CODE)
        return Exchange((_question(document, dict.fromkeys(_PARTS, ()), asked, parse),))
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
                message = f"The evaluation has no `{name}`. Add it, here or for all."
                raise ConfigurationError.at(document.at("evaluations", index), CODE, message)
        merged["context"] = merged["context"] or {}
        whole = Evaluation.model_construct(**merged)
        questions.append(_question(document, roots, whole, parse))
    return Exchange(tuple(questions), several.options.evaluations_semantic)


def _question(
    document: Document,
    roots: dict[str, tuple[Key, ...]],
    asked: Evaluation,
    parse: Parse,
) -> DecisionRequest:
    """Return one question; ``roots`` says below what each of its parts stands."""
    for name, why in (
        ("action", "Facts stand in `context`"),
        ("resource", "What is known of a resource stands in entities.json"),
    ):
        if getattr(asked, name).properties:
            place = document.at(*roots[name], name, "properties")
            message = f"`{name}.properties` would change nothing. {why}; remove them here."
            raise ConfigurationError.at(place, CODE, message)
    if "::" in asked.action.name:
        parse(asked.action.name, document.at(*roots["action"], "action", "name"))
    return DecisionRequest(
        _principal(document.below(*roots["subject"], "subject"), asked.subject, parse),
        asked.action.name,
        Entity(asked.resource.type, asked.resource.id),
        asked.context,
    )


def _principal(document: Document, subject: SubjectSection, parse: Parse) -> Principal | Entity:
    """Return the principal: with properties as they say, and else one of the bundle."""
    uid = Entity(subject.type, subject.id)
    if subject.properties is None:
        return uid
    attrs = {name: value for name, value in subject.properties.items() if name != "in"}
    named = subject.properties.get("in", [])
    if not isinstance(named, list):
        message = "`properties.in` is a list of roles and groups. Put this one in brackets."
        raise ConfigurationError.at(document.at("properties", "in"), CODE, message)
    parents = [_parent(document, index, value, parse) for index, value in enumerate(named)]
    # the one way to a principal, which holds attributes to what they may be
    made = principal_of(PrincipalSection(uid="", attrs=attrs), document, lambda *_: uid)
    return Principal(made.type, made.id, parents=parents, attrs=made.attrs)


def _parent(document: Document, index: int, value: Any, parse: Parse) -> Entity:
    place = document.at("properties", "in", index)
    if isinstance(value, str):
        return parse(value, place)
    if isinstance(value, dict):
        found = document.below("properties", "in", index).parse(EntitySection, code=CODE)
        return Entity(found.type, found.id)
    message = 'A role or group is a uid such as Role::"clinician", or {type, id}.'
    raise ConfigurationError.at(place, CODE, message)
