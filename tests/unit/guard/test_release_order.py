"""Obligations on outputs are met in a fixed order, each on the result of the one before."""

import numpy as np
import pytest
from bundles import GRANT, principal

from guardrail import OutputBlocked

ON = {"action": "predict", "resource": 'Model::"tumour"', "input": None}
MAIL = "ann@clinic.example"


def forbid(*annotations):
    """Return one condition per annotation."""
    return GRANT + "".join(
        f'\n@id("c{number}") {annotation} forbid (principal, action, resource);'
        for number, annotation in enumerate(annotations)
    )


@pytest.fixture
def call(make_guard):
    def call(output, *annotations, **files):
        guard = make_guard(forbid(*annotations), **files)
        predict = guard.protect(**ON)(lambda: output)
        with guard.acting_as(principal()):
            return predict()

    return call


def test_the_order_is_that_of_the_documentation(make_guard):
    spec = "kind: record\nfields: {a: {type: float}}\nextra_fields: ignore\n"
    guard = make_guard(
        forbid('@redact("email")', '@round("2")', '@top_k("2 on a")', '@mask("b")',
               '@output("o")', '@only("a")'),
        **{"outputs/o.yaml": spec},
    )  # fmt: skip
    decision = guard.decide(principal=principal(), action="predict", resource='Model::"tumour"')
    assert [held.name for held in decision.obligations] == [
        "only", "output", "mask", "top_k", "round", "redact",
    ]  # fmt: skip
    assert guard.describe(decision)["obligations"] == {
        "only": ["a"], "output": "o", "mask": ["b"], "top_k": "2 on a", "round": 2,
        "redact": ["email as label"],
    }  # fmt: skip


def test_each_sees_what_the_one_before_left(call):
    output = {"a": 0.1234, "b": 0.9, "note": MAIL, "ssn": {1, 2}, "x": MAIL}
    policies = ('@redact("email as block on x; email on note")', '@round("2")', '@top_k("1")',
                '@mask("b")', '@only("a, b, note")')  # fmt: skip
    assert call(output, *policies) == {"a": 0.12, "b": None, "note": "[email]"}


def test_a_label_is_all_that_is_left_of_scores(call):
    scores = {"cat": 0.1234, "dog": 0.9}
    for other in ('@top_k("1 on dog")', '@round("1 on cat")', '@round("2")'):
        assert call(scores, "@label_only", other) == "dog"
    with pytest.raises(OutputBlocked):
        call({**scores, "text": "x"}, "@label_only", '@round("2")')
    assert call({**scores, "text": "x"}, "@label_only", '@only("cat, dog")') == "dog"


def test_allow_lists_without_a_common_field_block(call):
    output = {"score": 1, "label": "x"}
    assert call(output, '@only("score, label")', '@only("score")') == {"score": 1}
    with pytest.raises(OutputBlocked) as caught:
        call(output, '@only("label")', '@only("score")')
    assert caught.value.policies == ("c0", "c1")


def test_the_rows_of_the_input_say_whether_scores_are_rows(make_guard):
    guard = make_guard(forbid("@label_only"))
    predict = guard.protect(action="predict", resource='Model::"tumour"')(lambda rows: scores)
    with guard.acting_as(principal()):
        scores = np.array([0.1, 0.9, 0.2])
        assert predict(np.ones((1, 30))) == 1
        for rows in (3, 4):
            with pytest.raises(OutputBlocked):
                predict(np.ones((rows, 30)))
