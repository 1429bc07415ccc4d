"""The rates of the injection signals, measured on our own texts, are those in the docs."""

import re
import sys
from pathlib import Path

from guardrail.detectors import Scanner
from tests.unit.detectors.injections import ATTACKS, BENIGN

SCANNER = Scanner(["injection"])
DOCS = Path(__file__).parents[3] / "docs" / "detectors.md"


def test_the_set_is_large_enough():
    assert len(set(ATTACKS)) >= 60
    assert len(set(BENIGN)) >= 120


def test_the_published_figures_are_those_that_are_measured(capsys):
    hits = sum(bool(SCANNER.kinds_in(text)) for text in ATTACKS)
    false = sum(bool(SCANNER.kinds_in(text)) for text in BENIGN)
    with capsys.disabled():
        sys.stdout.write(
            f"\ninjection: {hits} of {len(ATTACKS)} found, {false} of {len(BENIGN)} false\n"
        )
    published = re.search(
        r"find (\d+) of (\d+) attacks, and report (\d+) of (\d+)", DOCS.read_text(), re.DOTALL
    )
    assert published is not None
    figures = tuple(int(figure) for figure in published.groups())
    assert figures == (hits, len(ATTACKS), false, len(BENIGN))
