"""Records and text checked, beside pydantic and `re` on the same rules in the same run.

The goals: to check a record costs no more than pydantic's strict validation of it, and to check
a million characters no more than the search of a pattern. The view comes before a check, and is
shown with it. Run with ``python -m benchmarks.validation.records``.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from benchmarks.harness import Case, Row, measure, read_options, report
from guardrail._documents import read_yaml
from guardrail._ports import ObligationNotMet
from guardrail.facts import Bounds, Viewer
from guardrail.obligations.input.specs import Spec, read_specs

TITLE = "Records and text"

VISIT = """\
kind: record
fields:
  age: {type: int, min: 0, max: 130}
  weight: {type: float, min: 0.5, max: 500}
  height: {type: float, min: 0.3, max: 2.6}
  smoker: {type: bool}
  note: {type: string, max_chars: 1000, nullable: true}
  sex: {type: string, one_of: [f, m, x]}
  ward: {type: string, max_chars: 40}
  beds: {type: int, min: 0, max: 1000}
  score: {type: float, min: 0, max: 1}
  visits: {type: int, min: 0}
"""
ORDER = """\
kind: record
fields:
  rows:
    type: list
    max_items: 1000
    items:
      type: record
      fields: {amount: {type: float, min: 0}, name: {type: string, max_chars: 40}}
"""
PROMPT = "kind: text\nforbid: [control, bidi, tag, surrogate, zero_width]\n"

Finite = Annotated[float, Field(allow_inf_nan=False)]


class Strict(BaseModel):
    """As our specs are: nothing is converted, and no other field is let in."""

    model_config = ConfigDict(strict=True, extra="forbid")


class Visit(Strict):
    """The rules of ``VISIT``."""

    age: Annotated[int, Field(ge=0, le=130)]
    weight: Annotated[Finite, Field(ge=0.5, le=500)]
    height: Annotated[Finite, Field(ge=0.3, le=2.6)]
    smoker: bool
    note: Annotated[str, Field(max_length=1000)] | None
    sex: Literal["f", "m", "x"]
    ward: Annotated[str, Field(max_length=40)]
    beds: Annotated[int, Field(ge=0, le=1000)]
    score: Annotated[Finite, Field(ge=0, le=1)]
    visits: Annotated[int, Field(ge=0)]


class OrderRow(Strict):
    """A row of ``ORDER``."""

    amount: Annotated[Finite, Field(ge=0)]
    name: Annotated[str, Field(max_length=40)]


class Order(Strict):
    """The rules of ``ORDER``."""

    rows: Annotated[list[OrderRow], Field(max_length=1000)]


GOOD: dict[str, Any] = {
    "age": 40, "weight": 70.5, "height": 1.7, "smoker": False, "note": "fine", "sex": "f",
    "ward": "north", "beds": 12, "score": 0.25, "visits": 3,
}  # fmt: skip
BAD = {**GOOD, "visits": -1}
ROWS = {"rows": [{"amount": 0.5 * number, "name": f"row {number}"} for number in range(100)]}
TEXTS = {"ASCII": "a b " * 250_000, "CJK": "日本語。" * 250_000, "quotes": "“a” " * 250_000}
FORBIDDEN = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    r"\ufeff\U000e0000-\U000e0fff]"
)


def read(text: str) -> Spec:
    return read_specs({"it": read_yaml("inputs/it.yaml", text.encode())})["it"]


def both(spec: Spec, value: Any) -> Callable[[], None]:
    """Return the view and the check, as a call takes them."""
    take = Viewer(Bounds()).take

    def call() -> None:
        spec.check(take(value, "visit"))

    return call


def one(spec: Spec, value: Any) -> Callable[[], None]:
    view = Viewer(Bounds()).take(value, "visit")
    return lambda: spec.check(view)


def refused(call: Callable[[], object], error: type[Exception]) -> Callable[[], None]:
    def refuse() -> None:
        with suppress(error):
            call()
            raise SystemExit("a bad record passed")

    return refuse


def cases() -> list[Case]:
    visit, order, prompt = read(VISIT), read(ORDER), read(PROMPT)
    validate, validate_order = (
        TypeAdapter(Visit).validate_python,
        TypeAdapter(Order).validate_python,
    )
    found = [
        Case("pydantic: 10 fields", lambda: validate(GOOD)),
        Case("check: 10 fields", one(visit, GOOD), "pydantic: 10 fields", 1.0),
        Case("view and check: 10 fields", both(visit, GOOD), "pydantic: 10 fields"),
        Case("pydantic: 10 fields, one bad", refused(lambda: validate(BAD), ValidationError)),
        Case(
            "view and check: 10 fields, one bad",
            refused(both(visit, BAD), ObligationNotMet),
            "pydantic: 10 fields, one bad",
        ),
        Case("pydantic: list of 100 records", lambda: validate_order(ROWS)),
        Case("check: list of 100 records", one(order, ROWS), "pydantic: list of 100 records", 1.0),
        Case(
            "view and check: list of 100 records",
            both(order, ROWS),
            "pydantic: list of 100 records",
        ),
    ]
    for name, text in TEXTS.items():
        base = f"re: 1 million characters, {name}"
        found.append(Case(base, lambda text=text: FORBIDDEN.search(text)))  # type: ignore[misc]
        found.append(Case(f"check: 1 million characters, {name}", one(prompt, text), base, 1.0))
    return found


def rows(rounds: int) -> list[Row]:
    """Return what was measured."""
    return measure(cases(), rounds=rounds)


if __name__ == "__main__":
    OPTIONS = read_options(TITLE)
    sys.exit(report(rows(OPTIONS.rounds), TITLE, OPTIONS))
