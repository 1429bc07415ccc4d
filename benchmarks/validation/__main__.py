"""What validation costs: tensors, tables, records and texts, each beside its peers.

Run with ``python -m benchmarks.validation [--format json] [--rounds N]``; exit 1 where a goal is
missed. Needs the dependency group ``bench``.
"""

from __future__ import annotations

import sys

from benchmarks.harness import read_options, report
from benchmarks.validation import records, tables, tensors, texts


def run() -> int:
    """Measure everything, print it, and return the exit code."""
    title = str(__doc__).splitlines()[0]
    options = read_options(title)
    rows = [row for part in (tensors, tables, records, texts) for row in part.rows(options.rounds)]
    return report(rows, title, options)


if __name__ == "__main__":
    sys.exit(run())
