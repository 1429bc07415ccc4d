"""The format of a test file, as models: what its keys are called and which values they take.

Owns the names of the keys. Refuses keys that it does not know; what a value means,
`guardrail.testing.cases` reads. The same for editors, with a word on each key, stands in
``tests.schema.json``; a test holds the two together.
"""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.resources import files
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import AwareDatetime, Discriminator, Field, JsonValue, Tag, model_validator

from guardrail.documents import Section
from guardrail.testing.notation import Caller

#: A time that every time zone has a name for.
Now: TypeAlias = Annotated[
    AwareDatetime,
    Field(ge=datetime(1970, 1, 1, tzinfo=UTC), lt=datetime(9999, 1, 1, tzinfo=UTC)),
]

Verdict: TypeAlias = Literal["allow", "deny"]

#: The codes with which a decision can end.
DECIDED: Final = (
    "allow",
    "no_grant",
    "prohibited",
    "evaluation_error",
    "unknown_entity",
    "undeclared_action",
    "wrong_type",
    "bad_fact",
)
#: The codes with which a test can end; those beyond a decision are a call's.
Code: TypeAlias = Literal[
    "allow",
    "no_grant",
    "prohibited",
    "evaluation_error",
    "unknown_entity",
    "undeclared_action",
    "wrong_type",
    "bad_fact",
    "too_large",
    "input_rejected",
    "quota_exceeded",
    "obligation_failed",
    "output_blocked",
    "store_unavailable",
]


class Given(Section):
    """What all tests of a file have in common."""

    now: Now | None = None
    action: str | None = None
    resource: str | None = None
    principals: dict[str, Caller] = Field(default={})
    facts: dict[str, Any] = Field(default={})


class Expected(Section):
    """What a test expects. A key that is left out is not looked at.

    ``released`` and ``retry_after_s`` are of a call: what leaves, and how long to wait.
    """

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
        said = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if not said and not self.says_released:
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
        known: a name under ``given.principals``, or a uid of ``entities.json``.
        principal: instead, the caller right here.
        action, resource: what is done, and on what.
        facts: by place.
        input: the guarded parameter's name, and its value.
        output: what the model returns.
        stream: instead, what it yields, piece by piece.
    """

    known: str | None = Field(default=None, alias="as")
    principal: Caller | None = None
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


class Step(Situation):
    """One step of a test of several calls: the same call, a number of times."""

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


class Asked(Situation):
    """One test: a request or a call, and what is expected of it."""

    name: str = Field(min_length=1)
    now: Now | None = None
    expect: Expect | None = None
    steps: Annotated[list[Any], Field(min_length=1)] | None = None
    matrix: Matrix | None = None

    @model_validator(mode="after")
    def _expects_once(self) -> Asked:
        there = [name for name in ("expect", "steps", "matrix") if getattr(self, name) is not None]
        if len(there) != 1:
            what = f"`{'` and `'.join(there)}`" if there else "none of them"
            raise ValueError(f"a test has one of `expect`, `steps`, `matrix`; it has {what}")
        return self


class Head(Section):
    """A whole file, as far as its parts are read one by one."""

    given: Any = None
    tests: list[Any] = Field(default=[])
    properties: list[Any] = Field(default=[])


def schema_text() -> str:
    """Return the JSON Schema of a test file, for editors."""
    return files("guardrail.testing").joinpath("tests.schema.json").read_text("utf-8")
