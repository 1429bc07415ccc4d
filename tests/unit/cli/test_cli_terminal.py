"""Printed texts can't control a terminal, and a decision is one line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.cli.io.terminal import findings, printable
from guardrail.errors import ConfigurationError, Fault, Place
from guardrail.testing.run.render_decision import sentence
from guardrail.values import Decision


@given(st.text(st.characters()))
def test_what_is_printed_is_printable_and_on_one_line(text):
    assert printable(text).isprintable()


def test_plain_text_stays_as_it_is():
    assert printable("Größe: 3 µm") == "Größe: 3 µm"


def test_error_without_faults_is_a_finding_too():
    assert findings(ConfigurationError("No.")) == (Fault("configuration", Place(""), "No."),)


DENIED = Decision(
    allowed=False, code="prohibited", policies=("no-retired-models",), reason="It is retired."
)


@pytest.mark.parametrize(
    ("decision", "obligations", "line"),
    [
        (DENIED, {}, "deny prohibited by no-retired-models: It is retired."),
        (
            Decision(allowed=False, code="no_grant", message="No policy grants this."),
            {},
            "deny no_grant: No policy grants this.",
        ),
        (
            Decision(allowed=False, code="bad_fact", path="context.input.rows", message="Got one."),
            {},
            "deny bad_fact at context.input.rows: Got one.",
        ),
        (Decision(allowed=True, code="allow", policies=("a", "b")), {}, "allow by a, b"),
        (
            Decision(allowed=True, code="allow", policies=("analysts-may-score",)),
            {"round": 2, "top_k": 1},
            "allow by analysts-may-score, if: round 2, top_k 1",
        ),
        (
            Decision(allowed=True, code="allow", policies=("a",)),
            {"quota": ["10/minute", "60/hour per principal"]},
            "allow by a, if: quota 10/minute; 60/hour per principal",
        ),
    ],
)
def test_decision_reads_as_one_line(decision, obligations, line):
    assert sentence(decision, obligations) == line
