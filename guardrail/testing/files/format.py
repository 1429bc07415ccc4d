"""The format of a test file, as models: the names of its keys and their types.

Unknown keys are errors. `guardrail.testing.files.cases` interprets the values. Editors show the
docstrings as descriptions of the keys.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Final, Literal, TypeAlias, get_args

from pydantic import AwareDatetime, Discriminator, Field, JsonValue, Tag, model_validator

from guardrail._documents import Section
from guardrail._schema_hints import Hint, at_most_one, exactly_one, given, holds, of, when
from guardrail.testing.files.yaml_values import PrincipalSection

#: A time that every time zone has a name for.
Now: TypeAlias = Annotated[
    AwareDatetime,
    Field(ge=datetime(1970, 1, 1, tzinfo=UTC), lt=datetime(9999, 1, 1, tzinfo=UTC)),
]

Verdict: TypeAlias = Literal["allow", "deny"]

#: The codes with which a decision can end.
Decided: TypeAlias = Literal[
    "allow",
    "no_grant",
    "prohibited",
    "evaluation_error",
    "unknown_entity",
    "undeclared_action",
    "wrong_type",
    "bad_fact",
]
DECIDED: Final[tuple[str, ...]] = get_args(Decided)

#: The codes with which a test can end; those beyond a decision are a call's.
Code: TypeAlias = Literal[
    Decided,
    "too_large",
    "input_rejected",
    "quota_exceeded",
    "obligation_failed",
    "output_blocked",
    "store_unavailable",
]


class Given(Section):
    """What all tests of a file have in common.

    Attributes:
        now: the time of the call, with its zone: ``2026-11-23T10:00:00Z``.
        action: what is done: ``predict``.
        resource: on what, as a uid: ``Model::"tumour"``.
        principals: callers by name, for the ``as`` of a test.
        facts: facts by place: ``{input: {rows: 10}}``. ``!missing`` marks one that is not there.
    """

    now: Now | None = None
    action: str | None = None
    resource: str | None = None
    principals: dict[str, PrincipalSection] = Field(default={})
    facts: dict[str, Any] = Field(default={})


class Expected(Section):
    """What a test expects. A key that is left out is not looked at.

    Attributes:
        decision: whether the call is allowed.
        code: how it ends: ``allow``, or why it is denied.
        policies: the ids of the policies that decide: all of them, in any order.
        obligations: all that must be met, as ``guardrail decide --format json`` tells it; ``{}``
            for nothing.
        errors: the ids of the policies that can't be evaluated: all of them, in any order.
        path: which value is missing or refused, such as ``context.input.rows``.
        reason: the ``@reason`` that the caller is told.
        released: what leaves, of a call; null for what a filter has taken out.
        retry_after_s: how many seconds the caller of a call is told to wait.
    """

    hints = (
        {"minProperties": 1},
        when(holds("decision", "allow"), of("code", {"enum": ["allow", None]})),
        when(holds("decision", "deny"), of("code", {"not": {"const": "allow"}})),
    )

    decision: Verdict | None = None
    code: Code | None = None
    policies: list[str] | None = None
    obligations: dict[str, JsonValue] | None = None
    errors: list[str] | None = None
    path: str | None = None
    reason: str | None = None
    released: Any = None
    retry_after_s: Annotated[float, Field(ge=0, strict=False)] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Expected:
        stated = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if not stated and not self.says_released:
            raise ValueError("a test that expects nothing passes always. Say what it expects")
        is_allow = None if self.code is None else self.code == "allow"
        if None not in (self.decision, is_allow) and (self.decision == "allow") != is_allow:
            raise ValueError("`decision` and `code` contradict each other. Correct one")
        return self

    @property
    def says_released(self) -> bool:
        """Whether an output is expected: it may be null."""
        return "released" in self.model_fields_set

    @property
    def of_a_call(self) -> tuple[str, ...]:
        """The keys that only a call can meet."""
        found = [] if self.code is None or self.code in DECIDED else ["code"]
        found += ["released"] if self.says_released else []
        return (*found, "retry_after_s") if self.retry_after_s is not None else tuple(found)


def _form(value: Any) -> str:
    return "word" if isinstance(value, str) else "keys"


#: What is expected: a word, or keys that must all hold.
Expect: TypeAlias = Annotated[
    Annotated[Verdict, Tag("word")] | Annotated[Expected, Tag("keys")], Discriminator(_form)
]


class Situation(Section):
    """Who does what on what, with which facts, on which input and with which output.

    Attributes:
        known: who calls: a name under ``given.principals``, or the uid of a principal of
            ``entities.json``. Written ``as``.
        principal: instead of ``as``, who calls: ``{uid, in, attrs}``.
        action: what is done: ``predict``.
        resource: on what, as a uid: ``Model::"tumour"``.
        facts: facts by place, over those that are given. ``!missing`` marks one that is not there.
        input: the guarded parameter's name, and its value: plain data, or a form such as
            ``{zeros: [10, 30], set: {"3,7": .nan}}``. It makes the test a call.
        output: what the model returns. It makes the test a call.
        stream: instead of ``output``, what the model yields, piece by piece.
    """

    hints: ClassVar[tuple[Hint, ...]] = (
        at_most_one("as", "principal"),
        {"not": {"required": ["output", "stream"]}},
    )

    known: str | None = Field(default=None, alias="as")
    principal: PrincipalSection | None = None
    action: str | None = None
    resource: str | None = None
    facts: dict[str, Any] = Field(default={})
    input: Annotated[dict[str, Any], Field(min_length=1, max_length=1)] | None = None
    output: Any = None
    stream: Annotated[list[Any], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _gives_one_output(self) -> Situation:
        if self.stream is not None and "output" in self.model_fields_set:
            raise ValueError("`output` and `stream` are both there. Keep one")
        return self


class StepSection(Situation):
    """One step of a test of several calls: the same call, a number of times.

    Attributes:
        times: how often.
        after: how much later than the step before: ``61s``, ``500ms``, ``2h``.
        expect: ``allow``, ``deny``, or keys that must all hold.
    """

    times: int = Field(default=1, ge=1, le=100_000)
    after: str | None = None
    expect: Expect


class Matrix(Section):
    """Who may do what, as a table.

    Attributes:
        actions: what is done; without them there is one, the action that is given.
        resources: the columns; without them there is one, the resource that is given.
        table: a row for each caller: a word, which holds for all resources, or a list with one for
            each; or either of them for each action, by its name.
    """

    actions: list[str] = Field(default=[])
    resources: list[str] = Field(default=[])
    table: dict[str, Any] = Field(min_length=1)


class PolicyTestSection(Situation):
    """One test: a request or a call, and what is expected of it.

    Attributes:
        name: what is claimed. Each name stands once in a file.
        now: the time of the call, with its zone: ``2026-11-23T10:00:00Z``.
        expect: ``allow``, ``deny``, or keys that must all hold.
        steps: instead of ``expect``, several calls, one after the other, on the same quotas.
        matrix: instead of ``expect``, who may do what, as a table.
    """

    hints = (
        exactly_one("expect", "steps", "matrix"),
        when(given("expect"), exactly_one("as", "principal")),
    )

    name: str = Field(min_length=1)
    now: Now | None = None
    expect: Expect | None = None
    steps: Annotated[list[Any], Field(min_length=1)] | None = None
    matrix: Matrix | None = None

    @model_validator(mode="after")
    def _expects_once(self) -> PolicyTestSection:
        there = [name for name in ("expect", "steps", "matrix") if getattr(self, name) is not None]
        if len(there) != 1:
            what = f"`{'` and `'.join(there)}`" if there else "none of them"
            raise ValueError(f"a test has one of `expect`, `steps`, `matrix`; it has {what}")
        return self


class TestFileSection(Section):
    """A whole file, as far as its parts are read one by one.

    Attributes:
        given: what all tests of this file have in common.
        tests: the tests, each a request and what is expected of the decision.
        properties: what must never, or always, be decided, whatever is asked.
    """

    hints = ({"anyOf": [{"required": ["tests"]}, {"required": ["properties"]}]},)

    given: Any = None
    tests: list[Any] = Field(default=[])
    properties: list[Any] = Field(default=[])
