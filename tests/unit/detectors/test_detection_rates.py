# ruff: noqa: E501 (a case per line)
"""Each documented form is cut whole at its published rate, and other numbers are not cut."""

import json
import random

import pytest
from stdnum import luhn

from guardrail.detectors import Redactor, Scanner
from tests.unit.detectors import forms, generate

LEAST = 0.98


def held(count):
    """Return for each form that does not reach its recall what it comes to, and a text."""
    short = {}
    for name in forms.FORMS:
        reached, missed = forms.recall(name, count)
        if reached < LEAST:
            short[name] = (reached, missed[0])
    return short


#: What is asked for by name: phone numbers of some countries.
ASKED = sorted({form.asked for form in forms.FORMS.values() if form.asked != form.kind})


def imprecise(positives, negatives, asked=""):
    """Return for each kind that is not precise what is found in texts without it."""
    false = forms.false_findings(negatives, asked)
    return {
        kind: texts[:3]
        for kind, texts in false.items()
        if positives < LEAST * (positives + len(texts))
    }


def test_each_form_is_cut_whole():
    assert held(60) == {}


def test_texts_without_a_finding_have_none():
    assert imprecise(200, 6_000) == {}


@pytest.mark.parametrize("asked", ASKED)
def test_texts_without_a_finding_have_none_where_countries_are_named(asked):
    assert imprecise(200, 2_000, asked) == {}


@pytest.mark.long
def test_each_of_many_is_cut_whole():
    assert held(400) == {}


@pytest.mark.long
def test_a_hundred_thousand_texts_without_a_finding_have_none():
    # as if a kind had two hundred positives in all: at most four may be false
    assert imprecise(200, 100_000) == {}


@pytest.mark.long
@pytest.mark.parametrize("asked", ASKED)
def test_a_hundred_thousand_texts_have_none_where_countries_are_named(asked):
    assert imprecise(200, 100_000, asked) == {}


NUMBERS = Redactor(["phone", "card", "ssn", "iban"])


def pass_whole(count, seed):
    rnd = generate.rnd_of(seed)
    changed = []
    for _ in range(count):
        text = rnd.choice((forms.float_text, forms.float_text, forms.softmax))(rnd)
        if NUMBERS.redact(text) != (text, 0):
            changed.append(text)
    return changed


def test_floats_come_through_whole():
    assert pass_whole(8_000, "floats") == []


@pytest.mark.long
def test_a_hundred_thousand_floats_come_through_whole():
    assert pass_whole(100_000, "many floats") == []


@pytest.mark.parametrize(
    "text",
    [
        "0.4111111111111111", "x=0.4111111111111111", "-0.4111111111111111", "+0.4111111111111111",
        "0,4111111111111111", "=0,4111111111111111", "-0,4111111111111111; 0,5", "4111111111111111.0",
        "4111111111111.25", "4111111111111,25", "4,111111111111111", "1e-04 12345678901", "[0.0412, 0.0345678]",
        "+4.1234567890", "+49.301234567", "1.5e+49 30123456", "0.03012345678", "0.0412345678",
        "4.111111111111111e+15", "234.567 8901.2", "+846 166 781 221 740 160,000", "1 234 567 890 123",
        "006 045 013 067 089", "+387603025,677764", "a1b2c3da-0212-4555-8123-aabbccddeeff", "p=.04111111111111111",
        "4512\n4830\n4120\n4444\n4511\n4833\n4125\n4444", "a4111111111111111f", "0x4111111111111111",
    ],
)  # fmt: skip
def test_a_number_is_no_phone_and_no_card(text):
    for shape in ("{}", "[{}]", '{{"x": {}}}', "a;{}", "{}\n", "({})", "{} ", "{};{}"):
        framed = shape.format(text, text)
        assert NUMBERS.redact(framed) == (framed, 0)


def test_groups_of_digits_within_a_uuid_are_no_phone_number():
    redactor = Redactor(["phone(DK, NO)", "phone(ES)", "phone(PL)"])
    for text in (
        "6be2be03-2546-4949-b7c8-fc783580d25e",
        "802d5107-6485-4645-82d2-22227e80784e, within",
        "id=cec30849-8685-4357-9bae-f6aea443d3a4",
        "38495262-65f4-4140-8705-0634cd81e3e0",
    ):
        assert redactor.redact(text) == (text, 0)


def test_whole_numbers_that_pass_their_check_stay_cards():
    rnd = generate.rnd_of("cards")
    for _ in range(2_000):
        number = forms.card_number(rnd, rnd.choice((13, 14, 15, 16, 19)))
        assert luhn.is_valid(number)
        shape = rnd.choice((
            "{}", "={}", "-{}", "x={}", "[{}, 1]", '{{"n": {}}}', "a,{},12/29", "1001,{},Visa", "{}.", "{}\n",
            "1.5 {}", "{};1,5", "n:{}", "{}-", "#{}", "<td>{}</td>",
        ))  # fmt: skip
        text = shape.format(number)
        assert Scanner(["card"]).find(text), text


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize(
    "name", [name for name in forms.FORMS if not name.startswith("private_key")]
)
def test_several_in_a_row_are_each_cut_whole(name, count):
    form = forms.FORMS[name]
    redactor = Redactor([form.asked])
    rnd = generate.rnd_of(name)
    for join in (", ", "\n\n", " | ", " and "):
        parts = [form.make(rnd) for _ in range(count)]
        text = join.join("".join(part) for part in parts)
        expected = join.join(f"{before}[{form.kind}]{after}" for before, _, after in parts)
        assert redactor.redact(text)[0] == expected


def test_a_csv_of_floats_and_a_json_of_them_come_through_whole():
    rnd = random.Random(5)  # noqa: S311
    rows = [[rnd.uniform(-1e6, 1e6) for _ in range(12)] for _ in range(400)]
    for text in (
        "\n".join(",".join(map(repr, row)) for row in rows),
        "\n".join(";".join(repr(value).replace(".", ",") for value in row) for row in rows),
        json.dumps(rows),
    ):
        assert NUMBERS.redact(text) == (text, 0)
