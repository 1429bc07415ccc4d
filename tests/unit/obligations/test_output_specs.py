"""Output specs: an output that does not meet them is not returned."""

import numpy as np
import pytest

from guardrail._documents import read_yaml
from guardrail._ports import ObligationNotMet
from guardrail.errors import ConfigurationError, Place
from guardrail.facts import Bounds, Viewer
from guardrail.obligations import Output, impossible_by_specs
from guardrail.obligations.output.spec import ChunkCarrier, read_output_specs
from guardrail.values import Clause

SCORES = """\
kind: tensor
dtype: float64
shape: [0..100, 2]
meaning: probability
classes: [malignant, benign]
"""
REPLY = """\
kind: text
max_chars: 20
forbid: [control, bidi]
chunk: choices[0].delta.content
"""
NAN = float("nan")


def specs(**texts):
    files = {"scores": SCORES, "reply": REPLY, **texts}
    documents = {
        name: read_yaml(f"outputs/{name}.yaml", text.encode()) for name, text in files.items()
    }
    return read_output_specs(documents)


OUTPUT = Output(specs(), Viewer(Bounds(input_bytes=10_000)).take)


def release(name, output):
    demand = OUTPUT.parse(Clause("p", "output", name, Place("c.cedar", 1, 1)))
    return OUTPUT.release(demand, output, None)


def refused(name, output):
    with pytest.raises(ObligationNotMet) as caught:
        release(name, output)
    assert caught.value.code == "output_blocked"
    assert f"outputs/{name}.yaml" in caught.value.message
    assert "input" not in caught.value.message
    return caught.value


def test_an_output_that_meets_its_spec_leaves_as_it_is():
    scores = np.array([[0.25, 0.75], [1.0, 0.0]])
    released = release("scores", scores)
    assert released.tolist() == scores.tolist()
    assert not np.shares_memory(released, scores)  # the model may go on to change its own
    scores.resize((1, 2))  # no view of it is held any more
    assert release("scores", np.ones((0, 2))).shape == (0, 2)
    assert release("reply", "short") == "short"


@pytest.mark.parametrize(
    ("scores", "path"),
    [
        (np.array([[0.25, 0.75], [0.5, 0.6]]), "output[1]"),
        (np.array([[0.25, 0.75], [-0.5, 1.5]]), "output[1]"),
        (np.array([[NAN, 1.0]]), "output[0, 0]"),
        (np.array([[0.2, 0.2, 0.6]]), "output"),
        (np.array([0.2, 0.8]), "output"),
        (np.array([[0.25, 0.75]], dtype=np.float32), "output"),
        ("text", "output"),
        (None, "output"),
        (iter([[0.2, 0.8]]), "output"),
        (np.ones((1000, 2)), "output"),
    ],
)
def test_another_output_is_blocked_with_its_place(scores, path):
    assert refused("scores", scores).path == path


@pytest.mark.parametrize("text", ["x" * 21, "a\u202eb", "a\x00b", 3, "\ud800"])
def test_another_text_is_blocked(text):
    refused("reply", text)


def test_rounding_within_a_type_is_no_error():
    for dtype in ("float16", "float32", "float64"):
        spec = specs(
            scores=SCORES.replace("float64", dtype)
            .replace("2]", "7]")
            .replace("classes: [malignant, benign]\n", "")
        )
        output = Output(spec, Viewer(Bounds()).take)
        rows = np.random.default_rng(0).random((50, 7)).astype(dtype)
        rows /= rows.sum(axis=1, keepdims=True)
        released = output.release(frozenset(["scores"]), rows, None)
        assert (released.dtype, released.tolist()) == (rows.dtype, rows.tolist())


@pytest.mark.parametrize(
    "text",
    [
        SCORES + "chunk: text\n",
        REPLY + "classes: [a]\n",
        REPLY + "meaning: probability\n",
        SCORES.replace("probability", "likelihood"),
        SCORES.replace("benign", "malignant"),
        SCORES.replace("classes", "clases"),
        REPLY.replace("choices[0]", "choices[-1]"),
        REPLY.replace("choices[0].delta.content", "choices.[0]"),
        REPLY.replace("choices[0].delta.content", "''"),
        "meaning: probability\n",
    ],
)
def test_a_spec_that_makes_no_sense_is_a_fault_with_a_place(text):
    with pytest.raises(ConfigurationError) as caught:
        specs(other=text)
    (fault, *_) = caught.value.faults
    assert fault.code == "GR300"
    assert fault.place.file == "outputs/other.yaml"


def test_an_unknown_spec_is_a_fault():
    with pytest.raises(ConfigurationError, match="reply, scores"):
        OUTPUT.parse(Clause("p", "output", "other", Place("c.cedar", 1, 1)))


# Streams.


class Delta:
    def __init__(self, content):
        self.content = content


def chunk(content):
    return {"id": 7, "choices": [{"delta": Delta(content)}, "other"]}


CARRIER = ChunkCarrier("choices[0].delta.content")


def test_the_text_of_a_chunk_is_read_and_replaced_in_a_copy():
    item = chunk("secret")
    changed = CARRIER.with_text(item, "open")
    assert (CARRIER.text_of(item), CARRIER.text_of(changed)) == ("secret", "open")
    assert changed["id"] == 7
    assert changed["choices"][1] == "other"


@pytest.mark.parametrize("item", [{}, {"choices": []}, {"choices": [{}]}, chunk(None), 3])
def test_a_chunk_without_a_text_has_none(item):
    assert CARRIER.text_of(item) is None


def test_a_chunk_of_another_kind_is_blocked():
    with pytest.raises(ObligationNotMet) as caught:
        CARRIER.text_of(chunk(b"x"))
    assert caught.value.code == "output_blocked"


@pytest.mark.parametrize("item", ["ann@clinic.example", b"x"])
def test_a_text_where_a_chunk_was_declared_does_not_pass_as_one_without_text(item):
    with pytest.raises(ObligationNotMet) as caught:
        CARRIER.text_of(item)
    assert caught.value.code == "output_blocked"
    assert "ann" not in caught.value.message


def test_a_stream_is_checked_as_it_passes():
    held = OUTPUT.stream(frozenset(["reply"]), None)
    assert held.feed("x" * 19) == "x" * 19
    with pytest.raises(ObligationNotMet, match="at most 20"):
        held.feed("yz")
    with pytest.raises(ObligationNotMet, match="direction of text"):
        OUTPUT.stream(frozenset(["reply"]), None).feed("a\u202e")
    with pytest.raises(ObligationNotMet, match="tensor"):
        OUTPUT.stream(frozenset(["scores"]), None)


def test_what_can_never_be_met_is_said():
    types = {
        "output": OUTPUT,
        "top_k": type("K", (), {"outputs": frozenset(["tensor"])})(),
        "own": object(),
    }
    reply = ("replies", "output", frozenset(["reply"]))
    assert impossible_by_specs([reply, ("coarse", "own", 1)], types) == ""
    complaint = impossible_by_specs([("coarse", "top_k", 1), reply], types)
    assert "@top_k of coarse" in complaint
    assert "outputs/reply.yaml" in complaint


def test_what_is_checked_is_what_leaves():
    """The model holds the array, and another thread of its own may fill it anew at any time."""
    rows = np.array([[0.25, 0.75]])

    class WhileTheModelWorks(Output):
        def _check(self, spec, output):
            super()._check(spec, output)
            rows[:] = 7.5

    checked = WhileTheModelWorks(specs(scores=SCORES), Viewer(Bounds()).take)
    assert checked.release(frozenset(["scores"]), rows, None).tolist() == [[0.25, 0.75]]
