"""What the detectors find and what they take for a finding, form by form.

Makes values of every form that ``docs/detectors.md`` lists, and texts in which nothing is to be
found; both come of fixed seeds (``tests/unit/detectors/forms.py``). A value counts where it is cut
whole and nothing else is. Run it with ``python -m benchmarks.detectors``; the exit code is 1 where
a form has a recall or a precision below 0.98.
"""

from __future__ import annotations

import argparse
import sys
from typing import Final, NamedTuple

from tests.unit.detectors import forms

LEAST: Final = 0.98


class Row(NamedTuple):
    """What one form came to.

    Attributes:
        form: its name.
        kind: what it is a finding of.
        positives: how many values were made.
        recall: the part of them that was cut whole.
        false: in how many of the other texts its kind was found.
        precision: right findings of all, of this form and of the other texts.
    """

    form: str
    kind: str
    positives: int
    recall: float
    false: int
    precision: float

    @property
    def holds(self) -> bool:
        """Whether both are what is promised."""
        return self.recall >= LEAST and self.precision >= LEAST


def measure(positives: int, negatives: int) -> list[Row]:
    """Return a row for each form."""
    found: dict[str, dict[str, list[str]]] = {}
    rows = []
    for name, form in forms.FORMS.items():
        asked = form.asked if form.asked != form.kind else ""
        if asked not in found:
            found[asked] = forms.false_findings(negatives, asked)
        false = len(found[asked].get(form.kind, ()))
        reached, _ = forms.recall(name, positives)
        right = reached * positives
        precision = right / (right + false) if right else 0.0
        rows.append(Row(name, form.kind, positives, reached, false, precision))
    return rows


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Recall and precision of the detectors")
    parser.add_argument("--positives", type=int, default=400, help="values of each form")
    parser.add_argument("--negatives", type=int, default=100_000, help="texts without a finding")
    options = parser.parse_args()
    rows = measure(options.positives, options.negatives)
    print(f"{'form':<44} {'values':>6} {'recall':>7} {'false':>6} {'precision':>9}")
    for row in rows:
        mark = "" if row.holds else "  below"
        print(
            f"{row.form:<44} {row.positives:>6} {row.recall:>7.4f} {row.false:>6} "
            f"{row.precision:>9.4f}{mark}"
        )
    return 0 if all(row.holds for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
