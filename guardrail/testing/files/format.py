"""The format of a test file, as models: the names of its keys and their types.

Unknown keys are errors. `guardrail.testing.files.cases` interprets the values. Editors show the
docstrings as descriptions of the keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Final, Literal, TypeAlias, get_args

from pydantic import AwareDatetime, Discriminator, Field, JsonValue, Tag, model_validator

from guardrail._documents import Section
from guardrail._schema_hints import Hint, at_most_one, exactly_one, given, holds, of, when
from guardrail.testing.files.yaml_values import PrincipalSection

#: A time that can be written in every time zone.
Now: TypeAlias = Annotated[
    AwareDatetime,
    Field(ge=datetime(1970, 1, 1, tzinfo=UTC), lt=datetime(9999, 1, 1, tzinfo=UTC)),
]

#: What `now` is, for messages.
_NOW: Final = "a time with its zone, such as 2026-11-23T10:00:00Z"

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

#: The codes with which a test can end; those that are not of a decision need a call.
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
        action: the action: ``predict``.
        resource: the resource, as a uid: ``Model::"tumour"``.
        principals: callers by name, for the ``as`` of a test.
        facts: facts by namespace: ``{input: {rows: 10}}``. ``!missing`` marks a missing fact.
    """

    expected: ClassVar[Mapping[str, str]] = {"now": _NOW}

    now: Now | None = None
    action: str | None = None
    resource: str | None = None
    principals: dict[str, PrincipalSection] = Field(default={})
    facts: dict[str, Any] = Field(default={})


class Expected(Section):
    """What a test expects. A key that is left out is not compared.

    Attributes:
        decision: whether the call is allowed.
        code: how the call ends: ``allow``, or the code of the denial.
        policies: the ids of the policies that decide: all of them, in any order.
        obligations: all obligations, as ``guardrail decide --format json`` prints them; ``{}``
            for none.
        errors: the ids of the policies that can't be evaluated: all of them, in any order.
        path: the path of the missing or refused value, such as ``context.input.rows``.
        reason: the ``@reason`` in the denial.
        released: the output that the caller of the model gets; null for values that a filter
            removed. For tests that make a call.
        retry_after_s: the seconds after which the caller may retry. For tests that make a call.
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
    def _has_expectation(self) -> Expected:
        stated = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if not stated and not self.expects_released:
            raise ValueError("a test that expects nothing always passes. Add what it expects")
        is_allow = None if self.code is None else self.code == "allow"
        if None not in (self.decision, is_allow) and (self.decision == "allow") != is_allow:
            raise ValueError("`decision` and `code` contradict each other. Correct one")
        return self

    @property
    def expects_released(self) -> bool:
        """Whether the test expects an output, which may be null."""
        return "released" in self.model_fields_set

    @property
    def call_keys(self) -> tuple[str, ...]:
        """The keys of the expectation that apply to calls only."""
        keys = [] if self.code is None or self.code in DECIDED else ["code"]
        keys += ["released"] if self.expects_released else []
        return (*keys, "retry_after_s") if self.retry_after_s is not None else tuple(keys)


def _form(value: Any) -> str:
    return "word" if isinstance(value, str) else "keys"


#: An expectation: ``allow``, ``deny``, or keys that must all match.
Expect: TypeAlias = Annotated[
    Annotated[Verdict, Tag("word")] | Annotated[Expected, Tag("keys")], Discriminator(_form)
]


class Situation(Section):
    """The request of a test or a step, with its facts, input and output.

    Attributes:
        known: the caller: a name under ``given.principals``, or the uid of a principal of
            ``entities.json``. Written ``as``.
        principal: instead of ``as``, the caller: ``{uid, in, attrs}``.
        action: the action: ``predict``.
        resource: the resource, as a uid: ``Model::"tumour"``.
        facts: facts by namespace, merged over those of ``given``. ``!missing`` marks a missing
            fact.
        input: the name of the guarded parameter and its value: plain data, or a form such as
            ``{zeros: [10, 30], set: {"3,7": .nan}}``. With it, the test makes a call.
        output: the value that the model returns. With it, the test makes a call.
        stream: instead of ``output``, the pieces that the model yields.
    """

    hints: ClassVar[tuple[Hint, ...]] = (
        at_most_one("as", "principal"),
        {"not": {"required": ["output", "stream"]}},
    )

    expected: ClassVar[Mapping[str, str]] = {
        "input": "the guarded parameter's name and its value, such as `{patient: {age: 40}}`",
        "stream": "a list of pieces, at least one",
    }

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
            raise ValueError("the test has both `output` and `stream`. Keep one")
        return self


class StepSection(Situation):
    """One step of a test of several calls: the same call, one or more times.

    Attributes:
        times: how many times the call is made.
        after: the time since the step before: ``61s``, ``500ms``, ``2h``.
        expect: ``allow``, ``deny``, or keys that must all match.
    """

    expected: ClassVar[Mapping[str, str]] = {"after": "a duration such as 60s"}

    times: int = Field(default=1, ge=1, le=100_000)
    after: str | None = None
    expect: Expect


class Matrix(Section):
    """Expected decisions as a table of callers, actions and resources.

    Attributes:
        actions: the actions; by default the one of the test or of ``given``.
        resources: the columns; by default the resource of the test or of ``given``.
        table: a row for each caller: one word for all resources, or a list with a word for each
            resource; or a mapping from each action to one of these.
    """

    actions: list[str] = Field(default=[])
    resources: list[str] = Field(default=[])
    table: dict[str, Any] = Field(min_length=1)


class PolicyTestSection(Situation):
    """One test: a request or a call, and the expected result.

    Attributes:
        name: what the test claims. Each name is used once in a file.
        now: the time of the call, with its zone: ``2026-11-23T10:00:00Z``.
        expect: ``allow``, ``deny``, or keys that must all match.
        steps: instead of ``expect``, several calls, one after the other, on the same quotas.
        matrix: instead of ``expect``, the expected decisions as a table.
    """

    hints = (
        exactly_one("expect", "steps", "matrix"),
        when(given("expect"), exactly_one("as", "principal")),
    )

    expected: ClassVar[Mapping[str, str]] = {"now": _NOW}

    name: str = Field(min_length=1)
    now: Now | None = None
    expect: Expect | None = None
    steps: Annotated[list[Any], Field(min_length=1)] | None = None
    matrix: Matrix | None = None

    @model_validator(mode="after")
    def _expects_once(self) -> PolicyTestSection:
        keys = [name for name in ("expect", "steps", "matrix") if getattr(self, name) is not None]
        if len(keys) != 1:
            what = f"`{'` and `'.join(keys)}`" if keys else "none of them"
            raise ValueError(
                f"a test needs exactly one of `expect`, `steps`, `matrix`; it has {what}"
            )
        return self


class TestFileSection(Section):
    """A whole test file; its sections are parsed one by one later.

    Attributes:
        given: what all tests of this file have in common.
        tests: the tests: each a request or a call, and the expected result.
        properties: decisions that must always, or never, be made, whatever the request.
    """

    hints = ({"anyOf": [{"required": ["tests"]}, {"required": ["properties"]}]},)

    given: Any = None
    tests: list[Any] = Field(default=[])
    properties: list[Any] = Field(default=[])
