"""What checking a table costs, beside pandera on the same frame with the same rules.

Owns the cases for specs of ``kind: table``: reading the view and checking it, as a guarded
call does. 100,000 rows of 30 columns: 22 of float64 and 4 of int32 within bounds, 4 of text
out of a list. The baselines are pandera's schemas as their users write them, for pandas and
for polars, made once. Our goal is a tenth of pandera's own time on pandas. Python's own
strings have no goal: each lies elsewhere in memory, and to look at it at all is what it costs.

Run ``python -m benchmarks.validation.tables [--format json]``; exit 1 where a goal is missed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.harness import Case, Row, measure, read_options, report
from guardrail._core import BACKEND
from guardrail._documents import read_yaml
from guardrail.facts import Bounds
from guardrail.facts.input_view.tables import read_table
from guardrail.obligations.input.specs import Spec, read_specs

TITLE = f"Checking a table of 100,000 x 30 ({BACKEND} core)"
ROWS = 100_000
FLOATS = [f"amount_{i}" for i in range(22)]
INTEGERS = [f"age_{i}" for i in range(4)]
TEXTS = [f"country_{i}" for i in range(4)]
COUNTRIES = ["DE", "FR", "US", "IT", "ES"]
GOAL = 1 / 10


def make_columns() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(30)
    columns: dict[str, np.ndarray] = {name: generator.random(ROWS) * 9 for name in FLOATS}
    for name in INTEGERS:
        columns[name] = generator.integers(0, 100, ROWS).astype("int32")
    for name in TEXTS:
        columns[name] = generator.choice(COUNTRIES, ROWS).astype(object)
    return columns


def make_spec() -> Spec:
    lines = ["kind: table", f"rows: 1..{ROWS}", "columns:"]
    lines += [f"  {name}: {{type: float64, min: 0, max: 10}}" for name in FLOATS]
    lines += [f"  {name}: {{type: int32, min: 0, max: 130}}" for name in INTEGERS]
    lines += [f"  {name}: {{type: string, one_of: [{', '.join(COUNTRIES)}]}}" for name in TEXTS]
    return read_specs({"bench": read_yaml("inputs/bench.yaml", "\n".join(lines).encode())})["bench"]


def ours(spec: Spec, table: Any) -> Callable[[], object]:
    bounds = Bounds()
    return lambda: spec.check(read_table(table, "transactions", bounds))


def by_pandera(library: Any, types: tuple[Any, Any, Any], frame: Any) -> Callable[[], object]:
    check, column = library.Check, library.Column
    columns = {name: column(types[0], check.in_range(0, 10)) for name in FLOATS}
    columns |= {name: column(types[1], check.in_range(0, 130)) for name in INTEGERS}
    columns |= {name: column(types[2], check.isin(COUNTRIES)) for name in TEXTS}
    schema = library.DataFrameSchema(columns, strict=True)
    return lambda: schema.validate(frame)


def cases() -> list[Case]:
    os.environ.setdefault("DISABLE_PANDERA_IMPORT_WARNING", "True")
    import pandas as pd
    import pandera.pandas as for_pandas
    import pandera.polars as for_polars
    import polars as pl
    import pyarrow as pa

    columns, spec = make_columns(), make_spec()
    frame = pd.DataFrame(columns)
    objects = frame.astype(dict.fromkeys(TEXTS, object))
    coded = frame.astype(dict.fromkeys(TEXTS, "category"))
    arrow = pa.Table.from_pandas(frame, preserve_index=False)
    polars = pl.from_arrow(arrow)
    spread = pl.concat([polars[:50_000], polars[50_000:]], rechunk=False)
    text = frame[TEXTS[0]].dtype
    baseline = "pandera, pandas"
    return [
        Case(baseline, by_pandera(for_pandas, ("float64", "int32", text), frame)),
        Case(
            "pandera, polars",
            by_pandera(for_polars, (pl.Float64, pl.Int32, pl.String), polars),
            baseline,
        ),
        Case("guardrail, pandas", ours(spec, frame), baseline, GOAL),
        Case("guardrail, pandas with objects", ours(spec, objects), baseline),
        Case("guardrail, pandas with categories", ours(spec, coded), baseline, GOAL),
        Case("guardrail, polars", ours(spec, polars), baseline, GOAL),
        Case("guardrail, polars in two chunks", ours(spec, spread), baseline, GOAL),
        Case("guardrail, pyarrow", ours(spec, arrow), baseline, GOAL),
        Case("guardrail, dict of arrays", ours(spec, columns), baseline),
    ]


def rows(rounds: int) -> list[Row]:
    """Measure all cases and return their rows."""
    return measure(cases(), rounds=rounds)


if __name__ == "__main__":
    options = read_options(TITLE)
    sys.exit(report(rows(options.rounds), TITLE, options))
