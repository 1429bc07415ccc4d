"""Records are named tuples of their class, by the kernel as by its twin."""

import gc
from typing import NamedTuple

import pytest

from guardrail._core import BACKEND, _record_py
from guardrail.values import Record

MAKERS = [pytest.param(_record_py.as_record, id="pure")]
if BACKEND == "compiled":
    from guardrail._core import _record

    MAKERS.append(pytest.param(_record.as_record, id="compiled"))

every_maker = pytest.mark.parametrize("make", MAKERS)


class Pair(NamedTuple):
    one: object
    other: object


@every_maker
def test_it_is_what_its_class_makes(make):
    made = make(Pair, (1, "b"))
    assert type(made) is Pair
    assert made == Pair(1, "b") == (1, "b")
    assert made._replace(one=2) == Pair(2, "b")
    assert made._asdict() == {"one": 1, "other": "b"}
    assert hash(made) == hash(Pair(1, "b"))


@every_maker
def test_it_holds_its_fields_and_lets_them_go(make):
    class Seen:
        gone = 0

        def __del__(self):
            Seen.gone += 1

    made = [make(Pair, (Seen(), [Seen()])) for _ in range(1000)]
    gc.collect()
    assert Seen.gone == 0
    assert all(type(each.one) is Seen for each in made)
    del made
    assert Seen.gone == 2000


@every_maker
def test_the_fields_are_its_own_after_the_tuple_is_gone(make):
    fields = tuple(object() for _ in Record._fields)
    first = fields[0]
    made = make(Record, fields)
    del fields
    gc.collect()
    assert made[0] is first
    assert len(made) == len(Record._fields)


@every_maker
def test_a_tuple_that_somebody_else_holds_stays_what_it_is(make):
    for fields in ((1, "b"), tuple(iter("ab")), (object(), object())):
        made = make(Pair, fields)
        assert (type(made), type(fields)) == (Pair, tuple)
        assert made == fields
        assert made is not fields


class Empty(NamedTuple):
    pass


@every_maker
def test_the_empty_tuple_stays_what_it_is(make):
    made = make(Empty, ())
    assert (type(made), type(())) == (Empty, tuple)
    assert len(made) == 0


@every_maker
def test_a_record_outlives_many_that_were_made_of_nobodys_tuple(make):
    made = [make(Pair, (str(number), [number])) for number in range(5000)]
    gc.collect()
    assert [(each.one, each.other[0]) for each in made[::1000]] == [
        (str(number), number) for number in range(0, 5000, 1000)
    ]


@every_maker
@pytest.mark.parametrize("kind", [int, list, object, dict])
def test_another_class_is_refused(make, kind):
    with pytest.raises(TypeError):
        make(kind, (1, 2))


@every_maker
def test_a_class_with_room_for_more_is_refused(make):
    """Its instances lie otherwise in memory."""

    class Wide(tuple):
        """Without slots, and so with a dict."""

    with pytest.raises(TypeError, match="named tuples"):
        make(Wide, (1,))


@every_maker
def test_the_collector_walks_over_records_of_the_twin_alone(make):
    """What a record holds never holds the record, so the kernel takes it from that walk."""
    made = make(Record, tuple(range(len(Record._fields))))
    assert gc.is_tracked(made) == (make is _record_py.as_record)
