"""The types of fields in the ``[identity.NAME]`` and ``[evidence.NAME]`` tables."""

from __future__ import annotations

from typing import Annotated, Any, Final, TypeAlias
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, StringConstraints

#: A text that is not empty, of limited length.
Text: TypeAlias = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
#: The name of a Cedar entity type.
TypeName: TypeAlias = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*(::[A-Za-z_][A-Za-z0-9_]*)*$")
]
#: The prefix of the ids of a provider's principals, without the ``#`` that follows it; may be
#: empty.
IdPrefixText: TypeAlias = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]*$", max_length=64)
]
#: The name of an environment variable.
Variable: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


def distinct(values: list[Any]) -> list[Any]:
    """Check that a list is not empty and has no duplicates."""
    if not values or len(set(values)) != len(values):
        raise ValueError("name at least one, without duplicates")
    return values


#: A list without duplicates, for an annotation.
Distinct: Final = (
    AfterValidator(distinct),
    Field(json_schema_extra={"minItems": 1, "uniqueItems": True}),
)


def https_url(value: str) -> str:
    """Check the address of a key set."""
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise ValueError("expected an https address") from None
    if parts.scheme != "https" or not parts.hostname or port == 0:
        raise ValueError("expected an https address: keys are only fetched over https")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise ValueError("the address of keys must not have a user or a fragment")
    if not value.isascii() or any(char <= " " for char in value):
        raise ValueError("an address must be ASCII without spaces")
    return value


HttpsUrl: TypeAlias = Annotated[
    Text,
    AfterValidator(https_url),
    Field(json_schema_extra={"pattern": "^[hH][tT][tT][pP][sS]://"}),
]
