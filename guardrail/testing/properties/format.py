"""The format of properties in a test file, as models.

Unknown keys, and a property without a claim, are errors. `guardrail.testing.properties.conditions`
interprets the values, since that depends on the schema.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import Field, JsonValue, model_validator

from guardrail._documents import Document, Section
from guardrail._schema_hints import exactly_one
from guardrail.errors import ConfigurationError, Fault, Place
from guardrail.testing.files.format import Code


class Claim(Section):
    """What is said of a request, and of the decision on it. A key that is left out says nothing.

    Attributes:
        principal: what the caller is: ``{type, uid, in, not_in}`` and its attributes by name; or
            a uid.
        action: what is done: a name, or several.
        resource: what the resource is: ``{type, uid, in, not_in}`` and its attributes by name; or
            a uid.
        facts: what facts are, by place: a value, ``{min, max, one_of, none_of, contains,
            missing}``, or ``!missing``.
        allow: whether it is allowed.
        code: how the decision ends: a code, or one of several.
        policies: the ids of policies that are among the deciding ones.
        obligations: what must be met, at least: names, or values by name.
        errors: whether any policy could not be evaluated.
    """

    principal: Any = None
    action: Any = None
    resource: Any = None
    facts: dict[str, Any] = Field(default={})
    allow: bool | None = None
    code: Code | list[Code] | None = None
    policies: list[str] | None = None
    obligations: list[str] | dict[str, JsonValue] | None = None
    errors: bool | None = None

    @property
    def says_something(self) -> bool:
        """Whether any request could be told from another by it."""
        names = Claim.model_fields
        return any(getattr(self, name) not in (None, {}, []) for name in names)


class Checked(Claim):
    """What stands under ``never`` and ``always``.

    Attributes:
        when: of which requests; of all where it is left out.
    """

    hints = ({"anyOf": [{"required": [name]} for name in Claim.model_fields]},)

    when: Claim = Field(default=Claim())

    @model_validator(mode="after")
    def _claims(self) -> Checked:
        if not self.says_something:
            raise ValueError("it claims nothing. Say what, such as `allow: true`, beside `when`")
        return self


class Implied(Section):
    """What stands under ``implies``.

    Attributes:
        condition: of which requests. Written ``if``.
        then: what holds of them, too.
    """

    condition: Claim = Field(alias="if")
    then: Claim

    @model_validator(mode="after")
    def _claims(self) -> Implied:
        if not self.then.says_something:
            raise ValueError("`then` claims nothing. Say what, such as `allow: true`")
        return self


class PropertySection(Section):
    """One property.

    Attributes:
        name: what is claimed. Each name stands once in a file.
        missing: whether facts that the schema demands are left out, too.
        never: what no request may show.
        always: what all requests show.
        implies: whatever is as under ``if`` is as under ``then``, too.
    """

    hints = (exactly_one("never", "always", "implies"),)

    name: str = Field(min_length=1)
    missing: bool = False
    never: Checked | None = None
    always: Checked | None = None
    implies: Implied | None = None

    @model_validator(mode="after")
    def _is_one(self) -> PropertySection:
        if sum(each is not None for each in (self.never, self.always, self.implies)) != 1:
            raise ValueError("expected one of `never`, `always` and `implies`")
        return self


@dataclass(frozen=True, slots=True)
class Property:
    """One property as it is written: on which requests (``when``) something must hold or not.

    Attributes:
        name: the claim.
        place: where it stands.
        when: which requests, with the decision on them; ``None`` for all.
        claim: what of them.
        is_never: whether it must never hold; else it always must.
        is_missing: whether facts that the schema demands are left out, too.
    """

    name: str
    place: Place
    when: Document | None
    claim: Document
    is_never: bool
    is_missing: bool = False


@dataclass(frozen=True, slots=True)
class InvalidProperty:
    """A property that is not valid, and why."""

    name: str
    place: Place
    faults: tuple[Fault, ...]


def read_properties(document: Document) -> Iterator[Property | InvalidProperty]:
    """Yield the properties of a file, from the list of them."""
    names: dict[str, Place] = {}
    for index in range(len(document.data)):
        item = document.below(index)
        data = item.data
        name = data.get("name") if isinstance(data, dict) else None
        name = name if isinstance(name, str) else ""
        try:
            found = _read(item)
            if name in names:
                message = f"The same name stands at {names[name]}. Name each property once."
                raise ConfigurationError.at(item.at("name"), "GR003", message)
        except ConfigurationError as error:
            yield InvalidProperty(name, item.at(), error.faults)
            continue
        names[name] = item.at("name")
        yield found


def _read(document: Document) -> Property:
    if not isinstance(document.data, dict):
        message = "Expected a property: a mapping with `name` and `never`, `always` or `implies`."
        raise ConfigurationError.at(document.at(), "GR003", message)
    stated = document.parse(PropertySection)
    place = document.at()
    if stated.implies is not None:
        whole = document.below("implies")
        when, claim = whole.below("if"), whole.below("then")
        return Property(stated.name, place, when, claim, False, stated.missing)
    is_never = stated.never is not None
    whole = document.below("never" if is_never else "always")
    return Property(
        stated.name, place, whole.below("when") if "when" in whole.data else None, whole,
        is_never, stated.missing,
    )  # fmt: skip
