"""The walk over an output, which all obligations on outputs share, and field paths.

- `field_paths`: the paths by which policies name fields, and the places that they match
- `leaves`: the interface by which an obligation handles the parts of an output
- `walk`: traverses an output and builds a copy
- `records`: mappings, dataclasses, named tuples and models
- `arrays`: numpy's arrays and scalars
- `tables`: the interface of all tables; `pandas_tables`, `polars_tables`, `arrow_tables`
- `rows`: whether several numbers are scores of several rows, or the classes of one row
- `demands`: demands of a number, with or without fields
- `declared_fields`: the fields that a function's return type, or an output spec, can have
- `refusal`: the error for an output; `zones`: the time zones of outputs

An obligation handles each leaf; it does not traverse the output. A part of an unknown type blocks
the output (``output_blocked``).
"""

from guardrail.obligations.output_walk.arrays import (
    copied,
    is_number,
    is_plain_array,
    numpy_kind,
)
from guardrail.obligations.output_walk.demands import NumberFilter, NumberRule, OutputFilter
from guardrail.obligations.output_walk.field_paths import FieldPlace, fields_of, paths_of
from guardrail.obligations.output_walk.leaves import DROPPED, Collapsed, Leaves, NumberColumn
from guardrail.obligations.output_walk.refusal import blocked
from guardrail.obligations.output_walk.rows import are_scores_of_rows
from guardrail.obligations.output_walk.walk import walk

__all__ = [
    "DROPPED",
    "Collapsed",
    "FieldPlace",
    "Leaves",
    "NumberColumn",
    "NumberFilter",
    "NumberRule",
    "OutputFilter",
    "are_scores_of_rows",
    "blocked",
    "copied",
    "fields_of",
    "is_number",
    "is_plain_array",
    "numpy_kind",
    "paths_of",
    "walk",
]
