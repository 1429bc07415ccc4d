"""Input specs that are pydantic models, registered under a name with the guard.

Owns `ModelSpec`, which only asks whether an input is valid: strictly, without conversion, and
the function gets what came, not an instance. Refuses to quote: a message has the place and
pydantic's name of the rule, never the input, and no text that a validator of the model wrote.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core.core_schema import ErrorType

from guardrail._paths import path_of
from guardrail.errors import ConfigurationError
from guardrail.obligations.input.text import refuse
from guardrail.values import View

#: The rules by pydantic's own names: an error of the model's author could be named by its data.
_RULES: Final = frozenset(get_args(ErrorType))


class ModelSpec:
    """What a record must be by a pydantic model.

    Arguments:
        name: the spec's name.
        model: the model. Its validators run on each call; an object that is given to the
            guard is validated by its fields, even where it is an instance of the model.

    Raises `ConfigurationError` where it is no model.
    """

    __slots__ = ("_model", "keys", "name")

    def __init__(self, name: str, model: type[BaseModel]) -> None:
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            raise ConfigurationError(f"models: {name} must be a class that is a pydantic model.")
        self.name = name
        self._model = model
        self.keys = _fields_below(model)

    def check(self, view: View) -> None:
        """Raise `ObligationNotMet` (``input_rejected``) with the place and the rule that failed."""
        if view.kind != "record":
            refuse(view.name, "a record", f"a {view.kind}")
        failed: tuple[tuple[Any, ...], str, int] | None = None
        try:
            self._model.model_validate(view.value if view.data is None else view.data, strict=True)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            failed = first["loc"], first["type"], error.error_count()
        if failed is not None:  # outside the handler: pydantic's error holds the value
            steps, rule, count = failed
            named = rule if rule in _RULES else "its rule"
            more = f" ({count} errors in all)" if count > 1 else ""
            expected = f"what {self._model.__name__} demands ({named})"
            refuse(path_of(view.name, steps, self.keys), expected, f"another{more}")


def _fields_below(model: type[BaseModel]) -> frozenset[str]:
    """Return the names of all fields of a model and of those within: what a path may show."""
    names: set[str] = set()
    seen: set[int] = set()
    pending: list[Any] = [model]
    while pending:
        kind = pending.pop()
        if id(kind) in seen:
            continue
        seen.add(id(kind))
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            names.update(kind.model_fields)
            for field in kind.model_fields.values():
                aliases = (field.alias, field.validation_alias)
                names.update(alias for alias in aliases if isinstance(alias, str))
                pending.append(field.annotation)
        elif isinstance(kind, type) and is_dataclass(kind):
            names.update(field.name for field in fields(kind))
            pending.extend(field.type for field in fields(kind))
        pending.extend(get_args(kind))
    return frozenset(names)


def read_models(models: Mapping[str, type[BaseModel]]) -> dict[str, ModelSpec]:
    """Return the specs of an application's models; raise `ConfigurationError` for what is none."""
    for name in models:
        if not (isinstance(name, str) and re.fullmatch(r"[A-Za-z0-9_.-]+", name)):
            raise ConfigurationError(
                "models: a name is letters, digits, `_`, `.` and `-`, as @input names it."
            )
    return {name: ModelSpec(name, model) for name, model in models.items()}
