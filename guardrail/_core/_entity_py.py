"""The entity uid in plain Python: the reference for `_entity.pyx`.

A uid is hashed and compared some thirty times for a new principal (`benchmarks/decisions.py`); the
compiled class takes a tenth of the time.
"""

from __future__ import annotations

from typing import Any, Self


class Entity:
    """A Cedar entity uid as a value: ``Entity("Role", "clinician")``.

    A fact or an attribute can name an entity only by this class; a dict that looks like an entity
    stays a record. Two entities are equal if their uids are, whatever their classes: a `Resource`
    equals the entity that it names. Entities are ordered by type, then by id. Type and id are
    exactly `str`: a subclass could override comparison, so its plain text is used.

    Raises `TypeError` for anything but text.
    """

    __slots__ = ("id", "type")

    __match_args__ = ("type", "id")

    type: str
    id: str

    def __new__(cls, type: str, id: str) -> Self:
        entity = super().__new__(cls)
        object.__setattr__(entity, "type", exact(type))
        object.__setattr__(entity, "id", exact(id))
        return entity

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{self.__class__.__name__} is frozen")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Entity):
            return NotImplemented
        return self.type == other.type and self.id == other.id

    def __hash__(self) -> int:
        return hash((self.type, self.id))

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, Entity):
            return NotImplemented
        return (self.type, self.id) < (other.type, other.id)

    def __str__(self) -> str:
        escaped = self.id.replace("\\", "\\\\").replace('"', '\\"')
        return f'{self.type}::"{escaped}"'

    def __repr__(self) -> str:
        return f"{self.__class__.__name__}(type={self.type!r}, id={self.id!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return (self.__class__, (self.type, self.id))


def exact(text: str) -> str:
    """Return text as exactly `str`; raise `TypeError` for anything else."""
    if not isinstance(text, str):
        raise TypeError(f"the type and the id of an Entity are text, got {type(text).__name__}")
    return text if type(text) is str else str.__str__(text)
