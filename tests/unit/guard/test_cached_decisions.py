"""Cached decisions: the record says so, and they end with what they depend on."""

import numpy as np
import pytest
from bundles import GRANT, principal

from guardrail import NotAuthenticated, NotAuthorized
from guardrail.identity import ActingAs
from guardrail.values import Identity

ROWS = np.ones((2, 3))
ON = {"action": "predict", "resource": 'Model::"tumour"'}
ONCOLOGY = GRANT + (
    '@id("only-oncology") forbid (principal, action, resource)\n'
    'unless { principal.department == "oncology" };\n'
)


def test_the_record_says_whether_an_equal_question_was_answered_before(make_guard, recorder):
    predict = make_guard().protect(**ON)(lambda patients: 1)
    for name in ("clara", "clara", "dora"):
        with ActingAs(Identity(principal(name=name))):
            predict(ROWS)
    with pytest.raises(NotAuthenticated):
        predict(ROWS)
    assert [record.cached for record in recorder.records] == [False, True, True, None]


def test_a_decision_that_is_kept_does_not_outlive_its_token(make_guard, clock, recorder):
    predict = make_guard().protect(**ON)(lambda patients: 1)
    with ActingAs(Identity(principal(), expires_at=clock.now() + 10)):
        assert predict(ROWS) == predict(ROWS) == 1
        clock.advance(10)
        with pytest.raises(NotAuthenticated, match="expired"):
            predict(ROWS)
    assert [record.cached for record in recorder.records] == [False, True, None]


def test_a_denial_that_is_kept_still_denies(make_guard, recorder):
    predict = make_guard(ONCOLOGY).protect(**ON)(lambda patients: 1)
    with ActingAs(Identity(principal(department="surgery"))):
        for _ in range(2):
            with pytest.raises(NotAuthorized, match="only-oncology"):
                predict(ROWS)
    assert [record.cached for record in recorder.records] == [False, True]


def test_a_caller_whose_attributes_changed_is_decided_anew(make_guard, recorder):
    predict = make_guard(ONCOLOGY).protect(**ON)(lambda patients: 1)
    with ActingAs(Identity(principal(department="oncology"))):
        assert predict(ROWS) == 1
    with ActingAs(Identity(principal(department="surgery"))), pytest.raises(NotAuthorized):
        predict(ROWS)
    assert [record.cached for record in recorder.records] == [False, False]
