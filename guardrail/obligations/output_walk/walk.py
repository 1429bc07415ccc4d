"""The walk over an output, for every obligation on outputs.

It handles texts, numbers, times, records, lists, tables and arrays, and rebuilds each from the
parts that it has visited: other data of an object (attributes, metadata, categories, the memory of
an array's base) is removed. An unknown type blocks the output. The result for each part is decided
by `guardrail.obligations.output_walk.leaves.Leaves`.
"""

from __future__ import annotations

import datetime
import decimal
import enum
import sys
import uuid
from typing import Any, Final

from guardrail.obligations.output_walk.arrays import (
    copied,
    is_array,
    is_number,
    is_plain_array,
    numpy_kind,
)
from guardrail.obligations.output_walk.field_paths import FieldPlace
from guardrail.obligations.output_walk.leaves import DROPPED, Collapsed, Leaves, NumberColumn
from guardrail.obligations.output_walk.records import Field, OutputRecord, open_record
from guardrail.obligations.output_walk.tables import (
    OutputColumn,
    OutputSeries,
    OutputTable,
    open_series,
    open_table,
)
from guardrail.obligations.output_walk.zones import plain_zone

#: The largest nesting depth; a deeper output is blocked.
LIMIT_DEPTH: Final = 64

# Compared by identity, because a metaclass can override equality.
_SCALARS: Final = frozenset(map(id, (bool, int, float, complex, str, bytes, type(None))))
_NUMBERS: Final = frozenset(map(id, (int, float)))
_PLAIN_CONTAINERS: Final = frozenset(map(id, (dict, list, tuple)))
_PLAIN: Final = _SCALARS | _PLAIN_CONTAINERS
_LISTS: Final = (list, tuple)
_TIMES: Final = frozenset(
    map(
        id,
        (datetime.date, datetime.datetime, datetime.time, datetime.timedelta, decimal.Decimal),
    )
)
_PANDAS_SCALARS: Final = frozenset(("Timestamp", "Timedelta", "NaTType", "NAType"))
#: Numpy's letters for numbers, bools and times.
_NUMERIC: Final = frozenset("fiubcmM")
#: The attributes of every member of an enumeration.
_OF_MEMBERS: Final = frozenset(("_value_", "_name_", "__objclass__", "_sort_order_", "_inverted_"))


def walk(output: Any, leaves: Leaves) -> Any:
    """Return a copy of ``output`` in which each leaf is the result of ``leaves``.

    Raises `ObligationNotMet` (``output_blocked``) for an unknown type, for an output that nests
    deeper than `LIMIT_DEPTH` or contains itself, and if ``leaves`` blocks a part.
    """
    result = _OutputWalk(leaves).value(output, leaves.paths.start(), 0)
    leaves.finish(output, result)
    return result


class _OutputWalk:
    """One walk. An object at several places is visited once for each distinct place."""

    __slots__ = ("_done", "_leaves", "_open")

    def __init__(self, leaves: Leaves) -> None:
        self._leaves = leaves
        self._open: set[int] = set()
        self._done: dict[tuple[int, FieldPlace], tuple[Any, Any]] = {}

    def value(self, value: Any, place: FieldPlace, depth: int) -> Any:
        """Return the result for a value."""
        kind: Any = type(value)
        if id(kind) in _SCALARS:
            return self._leaf(value, place)
        if id(kind) not in _PLAIN_CONTAINERS:
            if isinstance(value, enum.Enum):
                return self._member(value, place, depth)
            if isinstance(value, str):  # a subclass, also numpy's: only its text
                return self._leaf(str.__str__(value), place)
            if numpy_kind(value):
                return self._numpy(value, place)
            plain = _plain_scalar(value, kind)
            if plain is not None:
                return self._leaf(plain, place)
        identity = id(value)
        if depth > LIMIT_DEPTH or identity in self._open:
            self._leaves.refuse(value, "that nests too deep, or holds itself")
        known = self._done.get((identity, place))
        if known is not None:
            return known[1]
        self._open.add(identity)
        result = self._container(value, place, depth + 1)
        self._open.discard(identity)
        # keeps the object, so that its id is not reused
        self._done[identity, place] = (value, result)
        return result

    def _container(self, value: Any, place: FieldPlace, depth: int) -> Any:
        if id(type(value)) not in _PLAIN_CONTAINERS:
            table = open_table(value, self._leaves)
            if table is not None:
                return self._table(table, value, place, depth)
            series = open_series(value, self._leaves)
            if series is not None:
                return self._series(series, value, place, depth)
        elif type(value) is not dict:
            return self._sequence(value, place, depth)
        record = open_record(value, self._leaves)
        if record is not None:
            if record.is_wrapper:
                return self._wrapper(record, place, depth)
            return self._record(record, value, place, depth)
        if isinstance(value, _LISTS):
            return self._sequence(value, place, depth)
        return self._unknown(value, place)

    def _unknown(self, value: Any, place: FieldPlace) -> Any:
        """Block an unknown type; leave it out if it would not be returned anyway."""
        if not self._leaves.keeps(place.outside_list()):
            return DROPPED
        return self._leaves.refuse(value)

    def _leaf(self, value: Any, place: FieldPlace) -> Any:
        place = place.outside_list()
        return self._leaves.leaf(value, place) if self._leaves.keeps(place) else DROPPED

    def _member(self, member: enum.Enum, place: FieldPlace, depth: int) -> Any:
        """Return a member of an enumeration unchanged, or block it: it can't be changed."""
        if not vars(member).keys() <= _OF_MEMBERS:
            self._leaves.refuse(member, "that has attributes of its own")
        for part in (member._value_, member._name_):
            changed = self.value(part, place, depth + 1)
            if changed is DROPPED:
                return DROPPED
            if not _same(changed, part):
                self._leaves.refuse(member, "whose value may not be returned")
        return member

    # Records.

    def _record(  # noqa: PLR0912  one loop, for each output passes here
        self, record: OutputRecord, value: Any, place: FieldPlace, depth: int
    ) -> Any:
        leaves = self._leaves
        if leaves.is_allow_list:
            self._check_names(record, value)
        if type(value) is not dict:
            leaves.label(type(value).__name__, place, is_declared=True)
        results: list[Any] = []
        numbers: list[tuple[int, str, Any, FieldPlace]] = []
        others = 0
        for index, (names, part, declared) in enumerate(record.fields):
            name, kind = names[0], type(part)
            for each in names:
                leaves.label(each, place, is_declared=declared)
            own = place.field(*names)
            is_scalar = id(kind) in _SCALARS
            if is_scalar or not isinstance(part, _LISTS):
                own = own.outside_list()
            if leaves.hides(own):
                results.append(None)
            elif not leaves.enters(name, own, is_declared=declared):
                results.append(DROPPED)
            elif id(kind) in _NUMBERS or (id(kind) not in _PLAIN and is_number(part)):
                if leaves.keeps(own):
                    numbers.append((index, name, part, own))
                results.append(DROPPED)
            else:
                others += part is not None
                results.append(self.value(part, own, depth))
        if numbers or not others:
            row = self._row(numbers, record, place, is_whole=not others)
            if isinstance(row, Collapsed):
                return row.value
            for (index, _, _, _), number in zip(numbers, row, strict=True):
                results[index] = number
        if results and all(result is DROPPED for result in results):
            return DROPPED
        made = record.make(results, DROPPED)
        self._check_made(record, made, place, depth)
        return made

    def _row(
        self,
        numbers: list[tuple[int, str, Any, FieldPlace]],
        record: OutputRecord,
        place: FieldPlace,
        *,
        is_whole: bool,
    ) -> list[Any] | Collapsed:
        return self._leaves.row(
            [part for _, _, part, _ in numbers],
            [name for _, name, _, _ in numbers],
            [own for _, _, _, own in numbers],
            place,
            is_whole=is_whole,
            is_list=record.is_series,
        )

    def _check_names(self, record: OutputRecord, value: Any) -> None:
        """Block a record in which a name matches two fields, since the intended one is unclear."""
        names = [name for own, _, _ in record.fields for name in set(own)]
        names += [name for own, _ in record.computed for name in set(own)]
        known = self._leaves.paths.vocabulary
        if any(names.count(name) > 1 for name in known.intersection(names)):
            self._leaves.refuse(value, "in which one name matches two fields")

    def _check_made(self, record: OutputRecord, made: Any, place: FieldPlace, depth: int) -> None:
        """Block a record whose class computes more than the returned fields."""
        for names, read in record.computed:
            self._check_computed(names, read, made, place, depth)
        for write in record.written:
            try:
                written = write(made)
            except ValueError:  # pydantic converts the errors of a serializer
                written = DROPPED
            if written is DROPPED or not _tells_all(self.value(written, place, depth), written):
                self._leaves.refuse(made, "that a serializer writes with other content")

    def _check_computed(
        self, names: tuple[str, ...], read: Any, made: Any, place: FieldPlace, depth: int
    ) -> None:
        """Block a computed field that may not be returned as computed from the returned fields."""
        leaves, own = self._leaves, place.field(*names)
        computed = read(made)
        for name in names:
            leaves.label(name, place, is_declared=True)
        if computed is None:
            return
        is_hidden = leaves.hides(own.outside_list())
        if not is_hidden and leaves.enters(names[0], own, is_declared=False):
            is_hidden = not _same(self.value(computed, own, depth), computed)
        elif leaves.is_allow_list:
            is_hidden = True
        if is_hidden:
            leaves.refuse(made, "with a computed field that may not be returned unchanged")

    def _wrapper(self, record: OutputRecord, place: FieldPlace, depth: int) -> Any:
        """Return the result for a model with a root value, whose place is that of the model."""
        ((names, part, _),) = record.fields
        inner = place.joined([place.field(*names)]) if place.field(*names).forms else place
        if self._leaves.hides(inner) and not self._leaves.hides(place):
            return record.make([None], DROPPED)
        result = self.value(part, inner, depth)
        if result is DROPPED:
            return DROPPED
        made = record.make([result], DROPPED)
        self._check_made(record, made, place, depth)
        return made

    # Lists.

    def _sequence(self, value: list[Any] | tuple[Any, ...], place: FieldPlace, depth: int) -> Any:
        leaves, own = self._leaves, place.item()
        entries = list(value)
        numeric = [
            entry is None
            or id(type(entry)) in _NUMBERS
            or (id(type(entry)) not in _PLAIN and is_number(entry))
            for entry in entries
        ]
        results: Any
        if all(numeric):
            results = leaves.row(entries, None, [own] * len(entries), place)
            if isinstance(results, Collapsed):
                return results.value
        else:
            if any(
                flag and entry is not None for flag, entry in zip(numeric, entries, strict=True)
            ):
                leaves.mixed(value, own)
            results = [self._item(entry, own, depth) for entry in entries]
        if entries and all(result is DROPPED for result in results):
            return DROPPED
        results = [None if result is DROPPED else result for result in results]
        return tuple(results) if isinstance(value, tuple) else results

    def _item(self, entry: Any, place: FieldPlace, depth: int) -> Any:
        return None if self._leaves.hides(place) else self.value(entry, place, depth)

    # Arrays.

    def _numpy(self, value: Any, place: FieldPlace) -> Any:
        leaves, place = self._leaves, place.outside_list()
        kind = value.dtype.kind
        if not is_array(value):
            if type(value) is not value.dtype.type or kind not in _NUMERIC:
                return self._unknown(value, place)
            return leaves.leaf(value, place) if leaves.keeps(place) else DROPPED
        if not is_plain_array(value):
            return self._unknown(value, place)
        if kind in _NUMERIC:
            return leaves.array(value, place)
        if kind not in "US":
            return self._unknown(value, place)
        if not leaves.keeps(place):
            return DROPPED
        if kind == "S":
            leaves.leaf(b"", place)
            return copied(value)
        return _text_array(value, [leaves.leaf(str(text), place) for text in value.flat])

    # Tables.

    def _table(self, table: OutputTable, value: Any, place: FieldPlace, depth: int) -> Any:
        leaves = self._leaves
        results: list[Any] = [DROPPED] * len(table.columns)
        numbers: list[tuple[int, OutputColumn, NumberColumn]] = []
        others = 0
        for index, column in enumerate(table.columns):
            leaves.label(column.name, place)
            own = place.field(column.name).row()
            if leaves.hides(own.outside_list()):
                results[index] = column.null()
                continue
            if not leaves.enters(column.name, own, is_declared=False):
                continue
            if column.is_nested:
                others += 1
                results[index] = self._nested(column, value, own, depth)
            elif not leaves.keeps(own.outside_list()):
                continue
            elif column.numbers is not None:
                values, nulls, is_nullable = column.numbers()
                numbers.append(
                    (index, column, NumberColumn(values, nulls, own.outside_list(), is_nullable))
                )
            else:
                others += 1
                results[index] = self._flat(column, own, depth)
        if numbers or not others:
            names = [column.name for _, column, _ in numbers]
            done = leaves.columns([each for _, _, each in numbers], names, place,
                                  is_whole=not others)  # fmt: skip
            if isinstance(done, Collapsed):
                return table.column_of(done.value)
            for (index, column, _), each in zip(numbers, done, strict=True):
                results[index] = column.of_numbers(each.values, each.nulls)
        if results and all(result is DROPPED for result in results):
            return DROPPED
        return table.make(results, DROPPED, place)

    def _series(self, series: OutputSeries, value: Any, place: FieldPlace, depth: int) -> Any:
        leaves, column, own = self._leaves, series.column, place
        if series.name is not None:
            leaves.label(series.name, place)
            own = place.field(series.name)
            if leaves.hides(own.outside_list()):
                return series.make(column.null(), own)
            if not leaves.enters(series.name, own, is_declared=False):
                return DROPPED
        if series.labels is not None and not column.is_nested:
            return self._record(self._labelled(series, own), value, own, depth)
        own = own.outside_list()
        if column.is_nested:
            done = self._nested(column, value, own.row(), depth)
            return done if done is DROPPED else series.make(done, own)
        if not leaves.keeps(own):
            return DROPPED
        if column.numbers is None:
            return series.make(self._flat(column, own, depth), own)
        values, nulls, _ = column.numbers()
        if values.dtype.kind == "f" and (nulls is None or not nulls.any()):
            numbers = leaves.array(values, own)
            return (
                series.make(column.of_numbers(numbers, nulls), own)
                if is_array(numbers)
                else (numbers)
            )
        entries = values.tolist()
        if nulls is not None:
            entries = [None if null else entry for entry, null in zip(entries, nulls, strict=True)]
        row = leaves.row(entries, None, [own.item()] * len(entries), own)
        if isinstance(row, Collapsed):
            return row.value
        return series.make(column.of_values(row), own)

    def _labelled(self, series: OutputSeries, place: FieldPlace) -> OutputRecord:
        """Return a series with labels as a record."""
        labels = series.labels or []

        def make(results: list[Any], dropped: Any) -> Any:
            kept = [index for index, result in enumerate(results) if result is not dropped]
            column = series.column.of_values([results[index] for index in kept])
            return series.make(column, place, [labels[index] for index in kept])

        entries = series.column.all_values()
        fields: list[Field] = [
            ((label,), entry, False) for label, entry in zip(labels, entries, strict=True)
        ]
        return OutputRecord(fields, make, is_series=True)

    def _flat(self, column: OutputColumn, place: FieldPlace, depth: int) -> Any:
        if column.values is None:  # times and bools, which no obligation changes
            self._leaves.leaf(column.sample, place.outside_list())
            return column.copy()
        return column.of_values(
            [self._cell(entry, column, place, depth) for entry in column.values()]
        )

    def _nested(self, column: OutputColumn, table: Any, place: FieldPlace, depth: int) -> Any:
        if not self._leaves.reads_nested:
            self._leaves.refuse(table, "with a nested column")
        cells = [self._cell(entry, column, place, depth) for entry in column.all_values()]
        if cells and all(cell is DROPPED for cell in cells):
            return DROPPED
        cells = [None if cell is DROPPED else cell for cell in cells]
        return column.pruned(place, self._leaves).of_values(cells)

    def _cell(self, entry: Any, column: OutputColumn, place: FieldPlace, depth: int) -> Any:
        if entry is None or _is_null(entry):
            return entry
        if type(entry) is float and entry != entry:  # noqa: PLR0124  a null of pandas
            return entry
        is_flat = id(type(entry)) in _SCALARS or isinstance(entry, str)
        if not is_flat and not column.is_nested and not self._leaves.reads_nested:
            if numpy_kind(entry) or _plain_scalar(entry, type(entry)) is not None:
                return self.value(entry, place, depth)
            self._leaves.refuse(entry, "as an object in a column")
        return self.value(entry, place, depth)


def _is_null(entry: Any) -> bool:
    """Return whether it is one of pandas' two nulls; another class with the same name is not."""
    pandas: Any = sys.modules.get("pandas")
    return pandas is not None and (entry is pandas.NA or entry is pandas.NaT)


def _plain_scalar(value: Any, kind: Any) -> Any:
    """Return a time, a decimal or a UUID without attached data; ``None`` for anything else."""
    if id(kind) in _TIMES:
        zone = getattr(value, "tzinfo", None)
        if zone is None or zone is datetime.UTC:
            return value
        zone = plain_zone(zone)
        return None if zone is None else value.replace(tzinfo=zone)
    if kind is uuid.UUID:
        return uuid.UUID(int=value.int)
    pandas: Any = sys.modules.get("pandas")
    if pandas is not None and kind.__name__ in _PANDAS_SCALARS:
        if value is pandas.NA or value is pandas.NaT or kind is pandas.Timedelta:
            return value
        if kind is pandas.Timestamp:
            zone = value.tzinfo
            if zone is None:
                return value
            zone = plain_zone(zone)
            return None if zone is None else value.tz_convert(zone)
    return None


def _text_array(array: Any, texts: list[Any]) -> Any:
    import numpy as np

    if not texts:
        return copied(array)
    return np.array(texts, dtype=np.str_).reshape(array.shape)


def _tells_all(result: Any, written: Any) -> bool:
    """Return whether everything in serialized data may be returned.

    Names without a value do not matter.
    """
    if written is None:
        return True
    if isinstance(written, dict):
        return type(result) is dict and all(
            _tells_all(result.get(name), each) for name, each in written.items()
        )
    if isinstance(written, list | tuple):
        return type(result) is type(written) and len(result) == len(written) and all(
            map(_tells_all, result, written)
        )  # fmt: skip
    return _same(result, written)


def _same(one: Any, other: Any) -> bool:
    """Return whether a value is unchanged after the walk; ``False`` if that is unclear."""
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(_same(one[key], other[key]) for key in one)
    if id(type(one)) in _SCALARS or id(type(one)) in _TIMES:
        return bool(one == other or (one != one and other != other))  # noqa: PLR0124  NaN
    if is_array(one):
        return bool(one.shape == other.shape and one.tobytes() == other.tobytes())
    return False
