"""Values that are valid by definition are found, and similar ones are not."""

import pytest

from guardrail.detectors import Scanner
from tests.unit.detectors import generate

SCANNER = Scanner(["personal", "secrets"])
EACH = 1500


def measure(kind, make, seed):
    """Return recall and precision over as many valid values as spoilt ones, in sentences."""
    rnd = generate.rnd_of(seed)
    right = wrong = 0
    for _ in range(EACH):
        value = make(rnd)
        text, at = generate.sentence(rnd, value)
        own = [found for found in SCANNER.find(text) if found.kind == kind]
        whole = [found for found in own if at <= found.start and found.end == at + len(value)]
        right += bool(whole)
        wrong += len(own) - bool(whole)
    for _ in range(EACH):
        text, _ = generate.sentence(rnd, generate.spoil(rnd, kind, make(rnd)))
        wrong += sum(found.kind == kind for found in SCANNER.find(text))
    return right / EACH, right / (right + wrong)


@pytest.mark.parametrize("kind", generate.MAKERS)
def test_recall_and_precision(kind):
    recall, precision = measure(kind, generate.MAKERS[kind], kind)
    assert recall >= 0.98
    assert precision >= 0.98


@pytest.mark.parametrize("number", generate.NATIONAL)
def test_each_national_number_is_found(number):
    rnd = generate.rnd_of(number)
    for _ in range(300):
        value = generate.NATIONAL[number](rnd)
        found = SCANNER.find(f"The number is {value}.")
        assert [one.kind for one in found] == ["national_id"], number
        assert found[0].end == len("The number is ") + len(value)


@pytest.mark.parametrize("service", generate.KEYS)
def test_each_service_has_its_key_found(service):
    prefix, chars, size = generate.KEYS[service]
    rnd = generate.rnd_of(service)
    value = prefix + generate.some(rnd, chars, size) + ("==" if service == "Azure" else "")
    (found,) = SCANNER.find(f"export KEY={value}\n")
    assert (found.kind, found.start, found.end) == ("api_key", 11, 11 + len(value))


def test_every_country_of_the_registry_is_known():
    rnd = generate.rnd_of("iban")
    seen = set()
    while len(seen) < len(generate.COUNTRIES):
        value = generate.iban(rnd)
        if value[:2].upper() not in seen:
            seen.add(value[:2].upper())
            assert SCANNER.kinds_in(value) == {"iban"}


def test_distractors_are_nothing():
    rnd = generate.rnd_of("distractors")
    for make in generate.DISTRACTORS:
        for _ in range(40):
            text = f"We saw {make(rnd)}, as before."
            assert not SCANNER.kinds_in(text) - {"card"}, make
