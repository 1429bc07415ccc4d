"""Plain Python data as outputs: read field by field, and copied with other values.

Owns what records are among outputs (mappings, dataclasses, models of pydantic's), and
`map_plain`, which changes every text in nested data. Refuses data that nests too deep, and
whatever is none of these: an object that is not known could hold anything. Changes nothing in
place. Used by the filters of `mask`, `redact` and `label_only`.
"""

from __future__ import annotations

import copy
import dataclasses
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final

from guardrail.obligations.frames import frame_kind, map_texts
from guardrail.obligations.outputs import blocked, numpy_kind

#: Outputs nested deeper are refused.
LIMIT_DEPTH: Final = 64
_EXPECTED: Final = "text, records, lists or tables of texts and numbers"
_PLAIN: Final = (bool, int, float, type(None))


def fields_of(output: Any) -> dict[str, Any] | None:
    """Return the fields of a record by name; ``None`` where it is none.

    A mapping whose keys are all texts, an instance of a dataclass, or a model of pydantic's,
    each with whatever else it carries, for that leaves too. A model with private attributes is
    none: what they hold would leave unseen.
    """
    if isinstance(output, Mapping):
        return dict(output) if all(type(key) is str for key in output) else None
    if dataclasses.is_dataclass(output) and not isinstance(output, type):
        fields = {field.name: getattr(output, field.name) for field in dataclasses.fields(output)}
        return {**fields, **getattr(output, "__dict__", {})}
    return _model_fields(output) if _is_model(output) else None


def _model_fields(model: Any) -> dict[str, Any] | None:
    if model.__pydantic_private__:
        return None
    return {**model.__dict__, **(model.__pydantic_extra__ or {})}


def with_fields(output: Any, fields: Mapping[str, Any]) -> Any:
    """Return a copy of a record with these values: a dict, or an object of the same type.

    Nothing is validated anew: a hidden value may be one that the type would refuse.
    """
    if isinstance(output, Mapping):
        return dict(fields)
    if _is_model(output):
        return output.model_copy(update=dict(fields))
    made = copy.copy(output)
    for name, value in fields.items():
        object.__setattr__(made, name, value)  # frozen ones too: the copy is ours
    return made


def _is_model(output: Any) -> bool:
    pydantic: Any = sys.modules.get("pydantic")
    return pydantic is not None and isinstance(output, pydantic.BaseModel)


def map_plain(
    output: Any, change: Callable[[str, str], str], *, name: str, column: str = "", depth: int = 0
) -> Any:
    """Return a copy of ``output`` in which every text is changed.

    Arguments:
        output: a text, a number, a record, a list or tuple of them, nested; a numeric array, or
            a table.
        change: returns the new text for a text and the name of the nearest field around it,
            which is empty outside of all.
        name: the obligation's, for the refusal.
        column: the name of the field around ``output``; empty at the top.
        depth: how deep ``output`` stands; 0 at the top.

    Raises `Unmet` (``output_blocked``) for anything else, where a field's own name would be
    changed, and where it nests deeper than `LIMIT_DEPTH`.
    """
    if isinstance(output, str):
        return change(str.__str__(output), column)
    if isinstance(output, _PLAIN):
        return output
    if depth > LIMIT_DEPTH:
        raise blocked(name, _EXPECTED, output, inside="that nests too deep")
    if isinstance(output, list | tuple):
        entries = [
            map_plain(entry, change, name=name, column=column, depth=depth + 1) for entry in output
        ]
        return tuple(entries) if isinstance(output, tuple) else entries
    fields = fields_of(output)
    if fields is not None:
        changed = {}
        for key, value in fields.items():
            if change(key, "") != key:
                raise blocked(name, _EXPECTED, output, inside="with such data in a field's name")
            changed[key] = map_plain(value, change, name=name, column=key, depth=depth + 1)
        return with_fields(output, changed)
    if frame_kind(output):
        return map_texts(output, change, name=name)
    return _array(output, change, name, column)


def _array(output: Any, change: Callable[[str, str], str], name: str, column: str) -> Any:
    kind = numpy_kind(output)
    if kind and kind in "fiubcmM":
        return output
    if kind == "U" and not hasattr(output, "ndim"):
        return change(str(output), column)
    if kind == "U":
        import numpy as np

        return np.array([change(str(text), column) for text in output.flat]).reshape(output.shape)
    raise blocked(name, _EXPECTED, output)
