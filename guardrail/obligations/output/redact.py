"""The obligation `redact`: personal data, secrets and tricks are cut out of what leaves.

`guardrail.detectors` defines the kinds and finds them. A name (a key, a column's,
an index's) can't be cut: an output with a finding in one is refused, and so is one in which a
text could hide. Numbers pass: a number is no text, whatever its digits are. Comes last but for
`sign`, so that nothing after it brings a text back.

Streams are filtered as they pass: a piece leaves when nothing that may follow could make it
part of a match.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, cast

from guardrail._hooks import ArgumentChange, Stage
from guardrail._ports import ObligationContext, ObligationNotMet
from guardrail._streams import TextFilter
from guardrail.detectors import (
    LIMIT_FINDINGS,
    Detector,
    KnownFindings,
    ModelKind,
    Redactor,
    Scanner,
    StreamRedactor,
    Style,
    TooManyFindings,
    expand,
)
from guardrail.errors import ConfigurationError
from guardrail.obligations.output_walk import Leaves, OutputFilter, Place, paths_of, walk
from guardrail.obligations.output_walk.demands import read_fields
from guardrail.values import Clause, RecordAnnotations

#: What becomes of a match, from what tells least to what tells most.
STYLES: Final = ("block", "drop", "label", "hash")

_STRICT_STYLE: Final = re.compile(r"(?<= as )(?:block|drop|label)\b")
_LOOSER_STYLE: Final[Mapping[str, str]] = dict(itertools.pairwise(STYLES))
#: A kind, or one with the countries whose national forms it takes: ``phone(ES, PL)``.
_KIND: Final = re.compile(r"[a-z0-9_]+(?:\([A-Z]{2}(?:, [A-Z]{2})*\))?")
_CLAUSE: Final = re.compile(
    r"(?P<kinds>KIND(?:, KIND)*)(?: as (?P<style>[a-z]+))?(?: on (?P<columns>.+))?".replace(
        "KIND", _KIND.pattern
    )
)


class Rule(NamedTuple):
    """One kind, at one field path and below (``""``: everywhere), and what becomes of it."""

    kind: str
    column: str
    style: str


Demand = tuple[Rule, ...]


class Redact(OutputFilter):
    """``@redact("email, phone as label; secrets as block on reply")``.

    Demands unite: each kind is cut wherever either side cuts it, in the way that tells less.

    Arguments:
        key: what marks of the style ``hash`` are made with; a fresh one where it is left out,
            so that marks can be compared within one process only.
        limit: how many places of one text are looked at closely; one with more is blocked.
        own: the bundle's own kinds.
    """

    __slots__ = ("_declared", "_key", "_limit", "_models", "_own", "_ready")

    name = "redact"
    stage = Stage.REDACT
    outputs = OutputFilter.outputs | {"text", "messages"}

    def __init__(
        self,
        key: bytes | None = None,
        *,
        limit: int = LIMIT_FINDINGS,
        own: Sequence[Detector | ModelKind] = (),
    ) -> None:
        self._limit = limit
        self._own = tuple(own)
        self._models = frozenset(kind.name for kind in own if isinstance(kind, ModelKind))
        self._key = key if key is not None else os.urandom(32)
        self._ready: dict[tuple[Demand, frozenset[str]], tuple[_Stage, ...]] = {}
        self._declared: dict[Demand, set[tuple[str, frozenset[str]]]] = {}

    def parse(self, clause: Clause) -> Demand:
        """Return the rules; raise `ConfigurationError` at the clause's place."""
        rules: Demand = ()
        for text in clause.argument.split("; "):
            rules = self.merge(rules, _rules(clause, text, self._own))
        for column in {rule.column for rule in rules}:  # made at load, so that no call has to
            self._stages(rules, frozenset((column,)) if column else _NOWHERE)
        return rules

    def mutate(self, argument: str) -> Iterator[ArgumentChange]:
        """Yield changes of an argument to a style that shows more of what was cut."""
        for found in _STRICT_STYLE.finditer(argument):
            looser = _LOOSER_STYLE[found[0]]
            what = f"{found[0]} became {looser}"
            yield ArgumentChange(what, found.start(), found.end(), looser)

    def merge(self, one: Demand, other: Demand) -> Demand:
        """Return the rules of both sides; of two for one kind and column, what tells less."""
        styles: dict[tuple[str, str], str] = {}
        for rule in (*one, *other):
            place = (rule.kind, rule.column)
            styles[place] = _stricter(styles.get(place, rule.style), rule.style)
        return tuple(sorted(Rule(*place, style) for place, style in styles.items()))

    def describe(self, demand: Demand) -> list[str]:
        """Return one clause for each rule, sorted."""
        return [
            f"{kind} as {style}" + (f" on {column}" if column else "")
            for kind, column, style in demand
        ]

    def fields(self, demand: Demand) -> Collection[str]:
        """Return the fields that a demand names."""
        return {rule.column for rule in demand if rule.column}

    def is_narrow(self, demand: Demand) -> bool:
        """Return whether a demand asks for nothing outside the fields that it names."""
        return all(rule.column for rule in demand)

    def release(self, demand: Demand, output: Any, context: ObligationContext) -> Any:
        """Return a copy of ``output`` without what the demand names.

        Takes texts, numbers, records (mappings, dataclasses, named tuples, models of pydantic's),
        lists and tuples of these, numeric arrays and arrays of fixed strings, and tables and series
        of pandas, polars and pyarrow. Raises `ObligationNotMet` (``output_blocked``) for anything
        else, where a name would have to be cut, and where a kind is found that is to be blocked.
        """
        if type(output) is str:
            return self.cut(demand, _NOWHERE, output, context.notes)
        if not self._models.intersection(rule.kind for rule in demand):
            return walk(output, _Cuts(self, demand, context.notes))
        known = KnownFindings()  # a model reads all texts in batches, before the first one is cut
        walk(output, _Cuts(self, demand, None, known))
        known.search(self._limit)
        return walk(output, _Cuts(self, demand, context.notes, known))

    def stream(self, demand: Demand, context: ObligationContext) -> TextFilter | None:
        """Return a filter for one call's text. Columns play no part: a stream is one text.

        Raises `ObligationNotMet` (``output_blocked``) where a kind needs the whole text.
        """
        everywhere = self.merge((), tuple(rule._replace(column="") for rule in demand))
        stages = self._stages(everywhere, _NOWHERE)
        whole = sorted({kind for stage in stages for kind in stage.whole_text_kinds})
        if whole:
            raise ObligationNotMet(
                f"@redact: {', '.join(whole)} can be found in whole texts only, and this function "
                "yields its output in pieces. Return the output as one value, or use a kind with "
                "held_chars.",
                code="output_blocked",
            )
        streams = [stage.stream() for stage in stages]
        return _Filter(streams, context.notes) if streams else None

    def cut(
        self,
        demand: Demand,
        named: frozenset[str],
        text: str,
        notes: RecordAnnotations | None,
        known: KnownFindings | None = None,
    ) -> str:
        """Return a text that stands in the fields ``named``, without what the demand names."""
        try:
            for stage in self._stages(demand, named):
                text = stage.cut(text, notes, known)
        except TooManyFindings as error:
            reason, cure = error.reason, error.cure
        else:
            return text
        raise _too_many(reason, cure)

    def declared(self, demand: Demand) -> set[tuple[str, frozenset[str]]]:
        """Return the names of classes and their fields in which a demand finds nothing."""
        known = self._declared.get(demand)
        if known is None or len(known) >= _LIMIT_DECLARED:
            if len(self._declared) >= _LIMIT_READY:
                self._declared = {}
            known = self._declared[demand] = set()
        return known

    def _stages(self, demand: Demand, named: frozenset[str]) -> tuple[_Stage, ...]:
        """Return what is done to the texts in some fields: found once per demand and fields."""
        stages = self._ready.get((demand, named))
        if stages is None:
            styles: dict[str, str] = {}
            for kind, where, style in demand:
                if not where or where in named:
                    styles[kind] = _stricter(styles.get(kind, style), style)
            by_style = {
                style: tuple(sorted(kind for kind, own in styles.items() if own == style))
                for style in STYLES
            }
            stages = tuple(
                _Stage(kinds, style, self._key, self._limit, self._own)
                for style, kinds in by_style.items()
                if kinds
            )
            if len(self._ready) >= _LIMIT_READY:
                self._ready = {}
            self._ready[demand, named] = stages
        return stages


#: The fields around a text that stands in none.
_NOWHERE: Final[frozenset[str]] = frozenset()
#: Demands and columns of which it is remembered what they come to.
_LIMIT_READY: Final = 512
#: Names of classes and fields that are remembered for one demand.
_LIMIT_DECLARED: Final = 2048


class _Cuts(Leaves):
    """Texts are cut, names are looked at, numbers pass."""

    name = "redact"
    expected = "text, records, lists or tables of texts and numbers"
    reads_nested = False
    reads_index = False

    def __init__(
        self,
        redact: Redact,
        demand: Demand,
        notes: RecordAnnotations | None,
        known: KnownFindings | None = None,
    ) -> None:
        fields = tuple(sorted(redact.fields(demand)))
        super().__init__(paths_of(fields))
        self._redact = redact
        self._demand = demand
        self._notes = notes
        self._labels: set[tuple[str, frozenset[str]]] = set()
        self._known = known
        is_collecting = known is not None and known.is_collecting
        self._declared = set() if is_collecting else redact.declared(demand)

    def _named(self, place: Place) -> frozenset[str]:
        texts = self.paths.texts
        return frozenset([texts[hit] for hit in place.hits]) if place.hits else _NOWHERE

    def label(self, text: str, place: Place, *, is_declared: bool = False) -> None:
        named = self._named(place)
        known = self._declared if is_declared else self._labels
        if (text, named) not in known:
            if self._redact.cut(self._demand, named, text, None, self._known) != text:
                self.refuse(text, "with a finding in a name")
            known.add((text, named))

    def leaf(self, value: Any, place: Place) -> Any:
        if type(value) is str:
            return self._redact.cut(
                self._demand, self._named(place), value, self._notes, self._known
            )
        if type(value) is bytes or type(value).__name__ == "bytes_":
            self.refuse(value)
        return value

    def row(
        self, values: list[Any], names: Sequence[str] | None, places: Sequence[Place], place: Place,  # noqa: ARG002
        *, is_whole: bool = True, is_list: bool = True,  # noqa: ARG002
    ) -> list[Any]:  # fmt: skip
        return values


class _Stage:
    """The kinds of one style, ready to be cut."""

    __slots__ = ("_kinds", "_redactor", "_scanner")

    def __init__(
        self,
        kinds: Sequence[str],
        style: str,
        key: bytes,
        limit: int,
        own: Sequence[Detector | ModelKind],
    ) -> None:
        self._kinds = kinds
        self._scanner = Scanner(kinds, limit=limit, own=own) if style == "block" else None
        way = cast("Style", "label" if style == "block" else style)
        self._redactor = Redactor(kinds, way, key, limit=limit, own=own)

    @property
    def whole_text_kinds(self) -> tuple[str, ...]:
        """The kinds that need a whole text."""
        return self._redactor.whole_text_kinds

    def cut(
        self, text: str, notes: RecordAnnotations | None, known: KnownFindings | None = None
    ) -> str:
        """Return the text without these kinds, or raise where one is found that blocks."""
        if self._scanner is None:
            text, cuts = self._redactor.cut(text, known)
            _note(notes, cuts)
            return text
        found = self._scanner.kinds_in(text)
        if found:
            raise _blocking(found)
        return text

    def stream(self) -> TextFilter:
        """Return a filter of one stream."""
        stream = StreamRedactor(self._redactor)
        return stream if self._scanner is None else _Blocking(stream, self._kinds)


class _Blocking:
    """A stream in which nothing may be cut: it ends where something would be."""

    __slots__ = ("_kinds", "_stream")

    def __init__(self, stream: StreamRedactor, kinds: Sequence[str]) -> None:
        self._stream = stream
        self._kinds = kinds

    def feed(self, text: str) -> str:
        return self._checked(self._stream.feed(text))

    def close(self) -> str:
        return self._checked(self._stream.close())

    @property
    def kinds(self) -> dict[str, int]:
        return {}  # nothing is cut here

    def _checked(self, text: str) -> str:
        if self._stream.cuts:
            raise _blocking(self._kinds)
        return text


class _Filter:
    """Several filters of one text, one behind the other."""

    __slots__ = ("_notes", "_stages")

    def __init__(self, stages: Sequence[Any], notes: RecordAnnotations | None) -> None:
        self._stages = stages
        self._notes = notes

    def feed(self, text: str) -> str:
        """See `TextFilter`."""
        try:
            for stage in self._stages:
                text = stage.feed(text)
        except TooManyFindings as error:
            reason, cure = error.reason, error.cure
        else:
            return text
        raise _too_many(reason, cure)

    def close(self) -> str:
        """See `TextFilter`."""
        text = ""
        try:
            for stage in self._stages:
                text = (stage.feed(text) if text else "") + stage.close()
                _note(self._notes, stage.kinds)
        except TooManyFindings as error:
            reason, cure = error.reason, error.cure
        else:
            return text
        raise _too_many(reason, cure)


def _note(notes: RecordAnnotations | None, cuts: Mapping[str, int]) -> None:
    """Have the record say how much was cut."""
    if notes is not None:
        for kind, count in cuts.items():
            notes.count(f"redact/{kind}", count)


def _blocking(kinds: Any) -> ObligationNotMet:
    return ObligationNotMet(
        f"@redact: the output holds {' or '.join(sorted(kinds))}, which may not leave. Keep it "
        "out of what the model returns.",
        code="output_blocked",
    )


def _too_many(reason: str, cure: str) -> ObligationNotMet:
    return ObligationNotMet(
        f"@redact: a text of the output has {reason}. Return shorter texts, or {cure}.",
        code="output_blocked",
    )


def _stricter(one: str, other: str) -> str:
    return min(one, other, key=STYLES.index)


def _rules(clause: Clause, text: str, own: Sequence[Detector | ModelKind]) -> Demand:
    found = _CLAUSE.fullmatch(text)
    if found is None:
        raise _fault(clause, "expected KINDS [as STYLE] [on FIELDS], with single spaces")
    style = found["style"] or "label"
    if style not in STYLES:
        raise _fault(clause, f"expected a style of {', '.join(sorted(STYLES))}")
    columns = read_fields(clause, found["columns"]) if found["columns"] else ("",)
    try:
        kinds = expand(_KIND.findall(found["kinds"]), [detector.name for detector in own])
    except ValueError as error:
        complaint = str(error)
    else:
        return tuple(Rule(kind, column, style) for kind in kinds for column in columns)
    raise _fault(clause, complaint.rstrip("."))


def _fault(clause: Clause, message: str) -> ConfigurationError:
    return ConfigurationError.at(clause.place, "GR109", f"@redact: {message}.")
