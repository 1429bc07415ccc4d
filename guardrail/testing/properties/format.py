"""The format of properties in a test file, as models.

Unknown keys, and a property without a claim, are errors. `guardrail.testing.properties.claims`
interprets the values, which depends on the schema.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import Field, JsonValue, model_validator

from guardrail._documents import Document, Section
from guardrail._faults import faults_of
from guardrail._schema_hints import exactly_one
from guardrail.errors import ConfigurationError, Fault, Place
from guardrail.testing.files.format import Code


class Claim(Section):
    """Conditions on a request and its decision. A key that is left out matches everything.

    Attributes:
        principal: the caller: ``{type, uid, in, not_in}`` and attributes by name; or a uid.
        action: the action: a name, or a list of names.
        resource: the resource: ``{type, uid, in, not_in}`` and attributes by name; or a uid.
        facts: facts by namespace and name: a value, ``{min, max, one_of, none_of, contains,
            missing}``, or ``!missing``.
        allow: whether the request is allowed.
        code: the code of the decision: one, or a list of possible codes.
        policies: ids of policies, all of which are among the deciding ones.
        obligations: obligations that the decision has, and possibly others: names, or values by
            name.
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
    def has_conditions(self) -> bool:
        """Whether any key has a condition."""
        names = Claim.model_fields
        return any(getattr(self, name) not in (None, {}, []) for name in names)


class Checked(Claim):
    """The claim under ``never`` or ``always``.

    Attributes:
        when: the requests to which the claim applies; by default all.
    """

    hints = ({"anyOf": [{"required": [name]} for name in Claim.model_fields]},)

    when: Claim = Field(default=Claim())

    @model_validator(mode="after")
    def _claims(self) -> Checked:
        if not self.has_conditions:
            raise ValueError("it has no claim. Add one beside `when`, such as `allow: true`")
        return self


class Implied(Section):
    """The claim under ``implies``.

    Attributes:
        condition: the requests to which the claim applies. Written ``if``.
        then: the conditions that all of these requests meet.
    """

    condition: Claim = Field(alias="if")
    then: Claim

    @model_validator(mode="after")
    def _claims(self) -> Implied:
        if not self.then.has_conditions:
            raise ValueError("`then` has no claim. Add one, such as `allow: true`")
        return self


class PropertySection(Section):
    """One property.

    Attributes:
        name: what the property claims. Each name is used once in a file.
        missing: also try requests without facts that the schema requires.
        never: conditions that no request may meet.
        always: conditions that all requests meet.
        implies: requests that meet the conditions under ``if`` also meet those under ``then``.
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
    """One property as it stands in a file, before its names are checked against a bundle.

    Attributes:
        name: its name.
        place: its place.
        when: conditions on the requests to which the claim applies; ``None`` for all requests.
        claim: the conditions of the claim.
        is_never: whether no request may meet the claim; else all requests must meet it.
        is_missing: whether requests without facts that the schema requires are tried, too.
    """

    name: str
    place: Place
    when: Document | None
    claim: Document
    is_never: bool
    is_missing: bool = False


@dataclass(frozen=True, slots=True)
class InvalidProperty:
    """A property that is not valid, with its faults."""

    name: str
    place: Place
    faults: tuple[Fault, ...]


def read_properties(document: Document) -> Iterator[Property | InvalidProperty]:
    """Yield the properties of a file."""
    names: dict[str, Place] = {}
    for index in range(len(document.data)):
        item = document.below(index)
        data = item.data
        name = data.get("name") if isinstance(data, dict) else None
        name = name if isinstance(name, str) else ""
        try:
            stated = _read(item)
            if name in names:
                message = (
                    f"The property at {names[name]} has the same name. Give each property its own."
                )
                raise ConfigurationError.at(item.at("name"), "GR003", message)
        except ConfigurationError as error:
            yield InvalidProperty(name, item.at(), faults_of(error, item.at()))
            continue
        names[name] = item.at("name")
        yield stated


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
