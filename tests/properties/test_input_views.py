"""Properties of the view: nested data is measured from above, or refused."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail._ports import FactContext, ObligationNotMet
from guardrail.facts import Bounds, InputFacts, take_view

TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT
DATA = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=25,
)
RECORDS = st.dictionaries(TEXT, DATA, max_size=5)


def unescaped(value):
    """The record as JSON, but for the escapes: what the estimate must not fall short of."""
    if isinstance(value, dict):
        items = (unescaped(key) + b":" + unescaped(item) for key, item in value.items())
        return b"{" + b",".join(items) + b"}"
    if isinstance(value, list):
        return b"[" + b",".join(map(unescaped, value)) + b"]"
    if isinstance(value, str):
        return b'"' + value.encode() + b'"'
    return json.dumps(value).encode()


def digest(record):
    view = take_view(record, name="visit", bounds=Bounds())
    context = FactContext(identity=None, view=view, action="", resource=None, now=0.0, app={})
    return InputFacts().compute(frozenset({"digest"}), context)["digest"]


@settings(deadline=None)
@given(RECORDS)
def test_the_size_of_a_record_is_estimated_from_above(record):
    view = take_view(record, name="visit", bounds=Bounds())
    assert view.nbytes >= len(unescaped(record))


@settings(deadline=None)
@given(RECORDS, RECORDS)
def test_records_have_the_same_digest_only_where_they_are_the_same_json(one, other):
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (digest(one) == digest(other)) == same
    assert digest(json.loads(json.dumps(one))) == digest(one)


@settings(deadline=None)
@given(RECORDS, st.integers(1, 4), st.integers(1, 12), st.integers(1, 90))
def test_over_the_bounds_there_is_a_refusal_and_nothing_else(record, depth, nodes, nbytes):
    bounds = Bounds(input_depth=depth, input_nodes=nodes, input_bytes=nbytes)
    try:
        nbytes_seen = take_view(record, name="visit", bounds=bounds).nbytes
    except ObligationNotMet as error:
        refusal = (error.code, error.path)
    else:
        refusal = None
    assert refusal == ("too_large", "visit") or nbytes_seen <= nbytes
