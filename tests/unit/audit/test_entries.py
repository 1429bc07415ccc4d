"""Definitions: what many entries have in common stands once, under a number of its own."""

import json

from races import race
from records import RECORD

from guardrail.audit.entries import _FROM, _TO, Definitions

VALUES = tuple(RECORD)[_FROM:_TO]


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
    Interrupting.work = lambda: made.append(definitions.of(VALUES))
    made.append(definitions.of((*VALUES[:-2], Interrupting(("e",)), "path")))
    assert [number_in(body) for _, body in made] == [number for number, _ in made]
    assert len({number for number, _ in made}) == 2
    assert definitions.of(VALUES) == made[0]


def test_many_threads_make_definitions_and_none_has_anothers_number():
    definitions = Definitions()
    made = []

    def work(mine):
        for index in range(300):
            values = (f"{mine}-{index}", *VALUES[1:])
            made.append((values, definitions.of(values)))

    race(work, 4)
    assert len({number for _, (number, _) in made}) == len(made) == 1200
    for values, (number, body) in made:
        said = json.loads(body)
        assert (said["as"], said["guard"]) == (number, values[0])
