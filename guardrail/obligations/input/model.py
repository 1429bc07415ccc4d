"""Input specs that are pydantic models, which the application registers with the guard.

`ModelSpec` only validates an input, in strict mode, and discards the instance: the function gets
the original input. A message has the path and pydantic's name of the rule, never a value, and no
text from a validator of the model.
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

#: Pydantic's names of rules. Other names are not shown: a custom error can be named by data.
_RULES: Final = frozenset(get_args(ErrorType))


class ModelSpec:
    """An input spec that is a pydantic model.

    Arguments:
        name: the spec's name.
        model: the model. Its validators run on each call; an object that is passed to the guard is
            validated by its fields, even if it is an instance of the model.

    Raises `ConfigurationError` if it is not a model.
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
        if failed is not None:  # outside of the handler: pydantic's error holds the value
            steps, rule, count = failed
            named = rule if rule in _RULES else "its rule"
            more = f" ({count} errors in all)" if count > 1 else ""
            expected = f"a value that {self._model.__name__} accepts ({named})"
            refuse(path_of(view.name, steps, self.keys), expected, f"another{more}")


def _fields_below(model: type[BaseModel]) -> frozenset[str]:
    """Return the names of all fields of a model and of nested models, which a path may show."""
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
    """Return the specs of an application's models.

    Raises `ConfigurationError` for an invalid model or name.
    """
    for name in models:
        if not (isinstance(name, str) and re.fullmatch(r"[A-Za-z0-9_.-]+", name)):
            raise ConfigurationError(
                "models: a name is letters, digits, `_`, `.` and `-`, as @input names it."
            )
    return {name: ModelSpec(name, model) for name, model in models.items()}
