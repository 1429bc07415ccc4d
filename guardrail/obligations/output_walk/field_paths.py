"""Field paths: how a policy names the fields and columns of an output, and how they match.

They are read at load (`fields_of`) and matched on a call (`Paths`, `FieldPlace`). A bare name such
as ``ssn`` means that field or column at any depth. A path such as ``patient.ssn`` or ``rows[].ssn``
means that place, starting from the whole output, and also a field with exactly this name. Lists in
a path may be left out: ``rows.ssn`` and ``rows[].ssn`` both match the field in each row. A name
with dots, brackets or a quote at its start is written in double quotes, as in JSON: ``"a.b"``; it
then means only that name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable
from functools import lru_cache
from typing import Final, NamedTuple

#: The most characters of one name, and the most steps of one path.
LIMIT_NAME: Final = 200
LIMIT_STEPS: Final = 32
#: The most places that are cached for one demand; there can be as many as sets of its paths.
LIMIT_PLACES: Final = 4096

_NAME: Final = r'[^\s,;.\[\]"](?:[^,;.\[\]]*[^\s,;.\[\]])?'
_QUOTED: Final = r'"(?:[^",;\\]|\\.)*"'
_STEP: Final = re.compile(rf"(?P<quoted>{_QUOTED})|(?P<name>{_NAME})|(?P<item>\[\])")
_PATH: Final = re.compile(
    rf"(?:\[\]\.)?(?:{_QUOTED}|{_NAME})(?:\[\])*(?:\.(?:{_QUOTED}|{_NAME})(?:\[\])*)*"
)
_PLAIN_NAME: Final = re.compile(_NAME)

#: The step to the items of a list.
_ITEM: Final = "[]"


class Step(NamedTuple):
    """One step of a path: a name, or ``[]``. A quoted name is always one step."""

    text: str
    is_quoted: bool = False
    is_item: bool = False


@lru_cache(maxsize=1024)
def _read(text: str) -> tuple[Step, ...]:
    """Return the steps of a path; raise `ValueError` for any other text."""
    steps: list[Step] = []
    if _PATH.fullmatch(text):
        for found in _STEP.finditer(text):
            if found["item"]:
                steps.append(Step(_ITEM, is_item=True))
            elif found["quoted"]:
                name = json.loads(found["quoted"])
                steps.append(Step(name, is_quoted=_PLAIN_NAME.fullmatch(name) is None))
            else:
                steps.append(Step(found["name"]))
    if not 0 < len(steps) <= LIMIT_STEPS or any(len(step.text) > LIMIT_NAME for step in steps):
        raise ValueError("no field path")
    return tuple(steps)


def _write(steps: Iterable[Step]) -> str:
    """Return the normal text of a path: a name is quoted only if necessary."""
    text = ""
    for step in steps:
        if step.is_item:
            text += _ITEM
            continue
        name = step.text
        if step.is_quoted:
            name = json.dumps(name, ensure_ascii=False)
            name = name.replace(",", "\\u002c").replace(";", "\\u003b")
        text += f".{name}" if text else name
    return text


def fields_of(text: str) -> tuple[str, ...]:
    """Return the field paths of a list such as ``ssn, rows[].ssn``, each in its normal form.

    Raises:
        ValueError: if the text is not such a list, or names a field twice.
    """
    fields = tuple(_write(_read(path)) for path in text.split(", "))
    if len(set(fields)) != len(fields):
        raise ValueError("a field is named twice")
    return fields


class PathMatch(NamedTuple):
    """How the paths of one demand match a value.

    Attributes:
        hits: the numbers of the paths that match this value, or a value that contains it.
        live: the paths that match so far, each with its next step.
        forms: for each path that matches here, whether it matched a name that is written like the
            path (``a.b``), instead of step by step.
        is_here: whether a path matches this field itself, not only one that contains it.
        is_named: whether the value is in a field or column.
        lists: how many lists directly contain it.
        in_rows: whether it is in a list or a table, and so one of several.
    """

    hits: frozenset[int]
    live: frozenset[tuple[int, int]]
    forms: frozenset[tuple[int, bool]] = frozenset()
    is_here: bool = False
    is_named: bool = False
    lists: int = 0
    in_rows: bool = False


class FieldPlace:
    """The place of a value in an output, as far as the paths of one demand distinguish places.

    Places are shared: two values for which the paths match in the same way have the same place. Its
    attributes are those of `PathMatch`, and ``following``: the paths that match so far and can
    still match below.
    """

    __slots__ = (
        "_children",
        "_item",
        "_other",
        "_outside_list",
        "_paths",
        "following",
        "forms",
        "hits",
        "in_rows",
        "is_here",
        "is_named",
        "lists",
        "path_match",
    )  # fmt: skip

    def __init__(self, paths: Paths, path_match: PathMatch) -> None:
        self._paths = paths
        self._children: dict[str, FieldPlace] = {}
        self._item: FieldPlace | None = None
        self._other: FieldPlace | None = None
        self._outside_list: FieldPlace | None = None
        self.path_match = path_match
        self.hits = path_match.hits
        self.forms = path_match.forms
        self.is_here = path_match.is_here
        self.is_named = path_match.is_named
        self.lists = path_match.lists
        self.in_rows = path_match.in_rows
        self.following = frozenset([number for number, _ in path_match.live])

    def field(self, name: str, *others: str) -> FieldPlace:
        """Return the place of a field or column; ``others`` are its aliases."""
        if name in self._paths.vocabulary:
            child = self._children.get(name)
            if child is None:
                child = self._children[name] = self._paths.step(self.path_match, name)
        else:
            child = self._other  # all names that are in no path have the same place
            if child is None:
                child = self._other = self._paths.step(self.path_match, name)
        return child if not others else child.joined([self.field(other) for other in others])

    def joined(self, others: Iterable[FieldPlace]) -> FieldPlace:
        """Return the place of a value that is at all of these places."""
        own = self.path_match
        for other in others:
            own = own._replace(
                live=own.live | other.path_match.live,
                hits=own.hits | other.hits,
                forms=own.forms | other.forms,
                is_here=own.is_here or other.is_here,
            )
        return self._paths.place(own)

    def item(self) -> FieldPlace:
        """Return the place of the items of a list at this place."""
        if self._item is None:
            self._item = self._paths.enter(self.path_match)
        return self._item

    def row(self) -> FieldPlace:
        """Return the place of one row among several: a cell of a table's column."""
        return self._paths.place(self.path_match._replace(in_rows=True))

    def outside_list(self) -> FieldPlace:
        """Return the place of a value that is not a list.

        A path that ends with ``[]`` also matches such a value.
        """
        if self._outside_list is None:
            self._outside_list = self._paths.outside_list(self.path_match)
        return self._outside_list


class Paths:
    """The field paths of one demand, prepared for matching.

    Arguments:
        paths: each as `fields_of` returns it; the number of a path is its index.
    """

    __slots__ = ("_bare", "_places", "_steps", "root", "texts", "vocabulary")

    def __init__(self, paths: Iterable[str]) -> None:
        self.texts = tuple(paths)
        self._steps = tuple(_read(text) for text in self.texts)
        self._places: dict[PathMatch, FieldPlace] = {}
        #: Names that match a field at any depth: the path's number, and whether the path has other
        #: forms.
        self._bare: dict[str, list[tuple[int, bool]]] = {}
        #: All names that are a step of a path; all other names have the same place.
        self.vocabulary: set[str] = set()
        for number, steps in enumerate(self._steps):
            for start in range(len(steps)):
                for stop in range(start + 1, len(steps) + 1):
                    joined = _joined(steps[start:stop])
                    if joined is not None:
                        self.vocabulary.add(joined)
            whole = _joined(steps)
            if whole is not None:
                self._bare.setdefault(whole, []).append((number, len(steps) > 1))
        self.root = self._make_root()

    def _make_root(self) -> FieldPlace:
        live = frozenset((number, 0) for number in range(len(self._steps)))
        return self.place(PathMatch(frozenset(), live))

    def start(self) -> FieldPlace:
        """Return the place of a whole output; clear the cache of places if it is too large."""
        if len(self._places) > LIMIT_PLACES:
            self._places = {}
            self.root = self._make_root()
        return self.root

    def place(self, path_match: PathMatch) -> FieldPlace:
        """Return the shared place of a match."""
        place = self._places.get(path_match)
        if place is None:
            place = self._places.setdefault(path_match, FieldPlace(self, path_match))
        return place

    def step(self, above: PathMatch, name: str) -> FieldPlace:
        """Return the place of a field below another place."""
        live: set[tuple[int, int]] = set()
        met = {(number, is_flat) for number, is_flat in self._bare.get(name, ())}
        for number, start in above.live:
            steps = self._steps[number]
            for at in _skipping_items(steps, start):
                for stop in range(at + 1, len(steps) + 1):
                    if _joined(steps[at:stop]) != name:
                        continue
                    if stop == len(steps):
                        met.add((number, stop > at + 1))
                    else:
                        live.add((number, stop))
        hits = above.hits | {number for number, _ in met}
        return self.place(
            PathMatch(
                hits, frozenset(live), frozenset(met), bool(met), is_named=True,
                in_rows=above.in_rows,
            )
        )  # fmt: skip

    def enter(self, around: PathMatch) -> FieldPlace:
        """Return the place of the items of a list."""
        hits, live = set(around.hits), set(around.live)
        is_here = around.is_here
        for number, start in around.live:
            steps = self._steps[number]
            if steps[start].is_item:
                if start + 1 == len(steps):
                    hits.add(number)
                    is_here = True
                else:
                    live.add((number, start + 1))
        return self.place(
            around._replace(
                hits=frozenset(hits), live=frozenset(live), is_here=is_here,
                lists=min(around.lists + 1, 3), in_rows=True,
            )
        )  # fmt: skip

    def outside_list(self, path_match: PathMatch) -> FieldPlace:
        """Return the place of a value that is not a list."""
        ended = {
            number
            for number, start in path_match.live
            if start and all(step.is_item for step in self._steps[number][start:])
        }
        if not ended:
            return self.place(path_match)
        return self.place(path_match._replace(hits=path_match.hits | ended, is_here=True))


def _skipping_items(steps: tuple[Step, ...], at: int) -> Iterable[int]:
    """Return the steps at which a field's name can match, as lists may be left out."""
    yield at
    while at < len(steps) and steps[at].is_item:
        at += 1
        if at < len(steps):
            yield at


def _joined(steps: tuple[Step, ...]) -> str | None:
    """Return the name that is written like several steps; ``None`` if a part is quoted."""
    if len(steps) == 1:
        return steps[0].text if not steps[0].is_item else None
    if steps[0].is_item or any(step.is_quoted for step in steps):
        return None
    return _write(steps)


@lru_cache(maxsize=256)
def paths_of(fields: Collection[str]) -> Paths:
    """Return the prepared paths of a demand, cached."""
    return Paths(fields)
