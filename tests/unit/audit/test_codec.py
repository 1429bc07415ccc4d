"""Definitions: fields that many entries share are stored once, under a number."""

import json

from races import race
from records import RECORD

from guardrail.audit.journal.codec import Definitions, encode_opening, encode_outcome
from guardrail.values import Record


class Interrupting(tuple):
    """The last moment before a definition is made: whoever asks whether it is empty."""

    __slots__ = ()
    work = None

    def __bool__(self):
        work, Interrupting.work = Interrupting.work, None
        if work is not None:
            work()
        return True


def number_in(definition):
    return json.loads(definition)["as"]


def test_two_that_are_made_at_once_have_each_their_own_number():
    definitions = Definitions()
    made = []
    Interrupting.work = lambda: made.append(definitions.for_opening(RECORD))
    other = RECORD._replace(errors=Interrupting(("e",)), path="path")
    made.append(definitions.for_opening(other))
    assert [number_in(body) for _, body in made] == [number for number, _ in made]
    assert len({number for number, _ in made}) == 2
    assert definitions.for_opening(RECORD) == made[0]
    assert definitions.for_opening(other) == made[1]


def test_many_threads_make_definitions_and_none_has_anothers_number():
    definitions = Definitions()
    made = []

    def work(mine):
        for index in range(300):
            guard = f"{mine}-{index}"
            made.append((guard, definitions.for_opening(RECORD._replace(guard=guard))))

    race(work, 4)
    assert len({number for _, (number, _) in made}) == len(made) == 1200
    for guard, (number, body) in made:
        said = json.loads(body)
        assert (said["as"], said["guard"]) == (number, guard)


def test_a_record_that_differs_from_the_one_before_has_its_own_definition():
    """The one before is found again by its very objects, field by field."""
    definitions = Definitions()
    first = definitions.for_opening(RECORD)
    assert definitions.for_outcome(RECORD) == first
    alike = ("guard", "version", "revision", "backend", "function", "action", "principal_type",
             "resource_type", "outcome", "code", "stage", "path")  # fmt: skip
    for name in alike:
        other = definitions.for_opening(RECORD._replace(**{name: "another"}))
        assert other[0] != first[0], name
        assert json.loads(other[1])[name] == "another"
        assert definitions.for_opening(RECORD) == first
    for name in ("policies", "obligations", "errors"):
        other = definitions.for_outcome(RECORD._replace(**{name: ("another",)}))
        assert json.loads(other[1])[name] == ["another"]
        assert definitions.for_outcome(RECORD) == first


def test_what_is_equal_and_another_object_has_the_same_definition():
    definitions = Definitions()
    first = definitions.for_opening(RECORD)
    copy = RECORD._replace(guard="".join(list(RECORD.guard)), policies=tuple(iter(RECORD.policies)))
    assert definitions.for_opening(copy) == first


def test_every_field_of_a_record_is_told_by_its_entries():
    """One that no layout named would be lost, and nobody would miss it."""
    told = Record(
        *(f"{name} told" for name in Record._fields[: Record._fields.index("policies")]),
        ("policy told",), ("obligation told",), ("error told",), "path told", 17, 18, 19.0, 20.0,
        21.0, 22.0, "error_type told", True, "principal told", "resource told",
        (("fact told", 23),), (("count told", 24),), 25, 26, "input_digest told",
        "output_digest told",
    )  # fmt: skip
    definitions = Definitions()
    _, definition, one = encode_opening(told, ("trace", "span", "above"), definitions)
    _, _, other = encode_outcome(told, definitions)
    text = (definition + one + other).decode()
    for name, value in told._asdict().items():
        if isinstance(value, str):
            assert value in text, name
        elif isinstance(value, int) and not isinstance(value, bool):
            assert str(value) in text, name
    opened, ended = json.loads(one), json.loads(other)
    assert (opened["at_ns"], opened["admit_ns"]) == (19 * 10**9, 20 * 10**9)
    assert ended["ended_ns"] == (19 + 20 + 21 + 22) * 10**9
    assert (ended["model_ns"], ended["release_ns"]) == (21 * 10**9, 22 * 10**9)
    assert opened["cached"] is True
    assert opened["facts"] == {"fact told": 23}
    assert opened["counts"] == ended["counts"] == {"count told": 24}
    assert opened["trace"] == ["trace", "span", "above"]
    assert "counts" not in json.loads(encode_outcome(told, definitions, told.counts)[2])
