"""The format of a test file, as models: what its keys are called and which values they take.

Owns the names of the keys. Refuses keys that it does not know; what a value means,
`guardrail.testing.cases` reads. What the docstrings say of a key, editors show.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AwareDatetime, Discriminator, Field, JsonValue, Tag, model_validator

from guardrail.documents import Section
from guardrail.hints import exactly_one, holds, of, when
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
    principals: dict[str, Caller] = Field(default={})
    facts: dict[str, Any] = Field(default={})


class Expected(Section):
    """What a test expects of the decision. A key that is left out is not looked at.

    Attributes:
        decision: whether the call is allowed.
        code: how the decision ends: ``allow``, or why it denies.
        policies: the ids of the policies that decide: all of them, in any order.
        obligations: all that must be met, as ``guardrail decide --format json`` tells it; ``{}``
            for nothing.
        errors: the ids of the policies that can't be evaluated: all of them, in any order.
        path: which value is missing or refused, such as ``context.input.rows``.
        reason: the ``@reason`` that the caller is told.
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
    """One test: a request, and what is expected of the decision.

    Attributes:
        name: what is claimed. Each name stands once in a file.
        known: who calls: a name under ``given.principals``, or the uid of a principal of
            ``entities.json``. Written ``as``.
        principal: instead of ``as``, who calls: ``{uid, in, attrs}``.
        action: what is done: ``predict``.
        resource: on what, as a uid: ``Model::"tumour"``.
        now: the time of the call, with its zone: ``2026-11-23T10:00:00Z``.
        facts: facts by place, over those that are given. ``!missing`` marks one that is not there.
        expect: ``allow``, ``deny``, or keys that must all hold.
    """

    hints = (exactly_one("as", "principal"),)

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
    """A whole file, as far as its parts are read one by one.

    Attributes:
        given: what all tests of this file have in common.
        tests: the tests, each a request and what is expected of the decision.
    """

    given: Any = None
    tests: list[Any]
