"""The format of a test file, as models: what its keys are called and which values they take.

Owns the names of the keys. Refuses keys that it does not know; what a value means,
`guardrail.testing.cases` reads. The same for editors, with a word on each key, stands in
``tests.schema.json``; a test holds the two together.
"""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.resources import files
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AwareDatetime, Discriminator, Field, JsonValue, Tag, model_validator

from guardrail.documents import Section
from guardrail.testing.notation import Caller

#: A time that every time zone has a name for.
Now: TypeAlias = Annotated[
    AwareDatetime,
    Field(ge=datetime(1970, 1, 1, tzinfo=UTC), lt=datetime(9999, 1, 1, tzinfo=UTC)),
]

Verdict: TypeAlias = Literal["allow", "deny"]

#: The codes with which a decision can end; what comes of an input or a quota is none.
Code: TypeAlias = Literal[
    "allow",
    "no_grant",
    "prohibited",
    "evaluation_error",
    "unknown_entity",
    "undeclared_action",
    "wrong_type",
    "bad_fact",
]


class Given(Section):
    """What all tests of a file have in common."""

    now: Now | None = None
    action: str | None = None
    resource: str | None = None
    principals: dict[str, Caller] = Field(default={})
    facts: dict[str, Any] = Field(default={})


class Expected(Section):
    """What a test expects of the decision. A key that is left out is not looked at."""

    decision: Verdict | None = None
    code: Code | None = None
    policies: list[str] | None = None
    obligations: dict[str, JsonValue] | None = None
    errors: list[str] | None = None
    path: str | None = None
    reason: str | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Expected:
        if all(getattr(self, name) is None for name in type(self).model_fields):
            raise ValueError("a test that expects nothing passes always. Say what it expects")
        is_allow = None if self.code is None else self.code == "allow"
        if None not in (self.decision, is_allow) and (self.decision == "allow") != is_allow:
            raise ValueError("`decision` and `code` contradict each other. Correct one")
        return self


def _form(value: Any) -> str:
    return "word" if isinstance(value, str) else "keys"


class Asked(Section):
    """One test: a request, and what is expected of the decision."""

    name: str = Field(min_length=1)
    known: str | None = Field(default=None, alias="as")
    principal: Caller | None = None
    action: str | None = None
    resource: str | None = None
    now: Now | None = None
    facts: dict[str, Any] = Field(default={})
    expect: Annotated[
        Annotated[Verdict, Tag("word")] | Annotated[Expected, Tag("keys")],
        Discriminator(_form),
    ]


class Head(Section):
    """A whole file, as far as its parts are read one by one."""

    given: Any = None
    tests: list[Any] = Field(default=[])
    properties: list[Any] = Field(default=[])


def schema_text() -> str:
    """Return the JSON Schema of a test file, for editors."""
    return files("guardrail.testing").joinpath("tests.schema.json").read_text("utf-8")
