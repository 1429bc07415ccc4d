"""What the obligations on outputs share: one walk over an output, and field paths.

fields     the paths by which policies name fields, and whether one means a place
leaves     what an obligation says of the parts of an output
walk       the walk: knows what outputs are made of, and builds them anew
records    mappings, dataclasses, named tuples and models
arrays     arrays and scalars of numpy
tables     what tables have in common; ``pandas_tables``, ``polars_tables``, ``arrow_tables``
rows       whether several numbers are scores of several rows, or the classes of one
demands    demands of a number, with or without fields
declared   which fields a function's return type, or an output spec, can have

An obligation decides about each leaf; it does not traverse the output. A part that the walk does
not know blocks the output (``output_blocked``).
"""

from guardrail.obligations.output_walk.arrays import (
    copied,
    is_number,
    is_plain_array,
    numpy_kind,
)
from guardrail.obligations.output_walk.demands import NumberFilter, NumberRule, OutputFilter
from guardrail.obligations.output_walk.field_paths import Place, fields_of, paths_of
from guardrail.obligations.output_walk.leaves import DROPPED, Collapsed, Leaves, Numbers
from guardrail.obligations.output_walk.refusal import blocked
from guardrail.obligations.output_walk.rows import are_scores_of_rows
from guardrail.obligations.output_walk.walk import walk

__all__ = [
    "DROPPED",
    "Collapsed",
    "Leaves",
    "NumberFilter",
    "NumberRule",
    "Numbers",
    "OutputFilter",
    "Place",
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
