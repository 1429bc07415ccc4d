"""The obligation `redact`: personal data, secrets and injected text are cut out of an output.

`guardrail.detectors` defines the kinds and finds them. A name (a key, or the name of a column or an
index) can't be cut: an output with a finding in a name is blocked, and so is an output of a type
that could hide a text. Numbers pass, since a number is not a text, whatever its digits are. It runs
last, before `sign` only, so that no later step adds text again.

Streams are filtered as they pass: a piece is returned when no later text can make it part of a
match.
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
from guardrail.obligations.output_walk import FieldPlace, Leaves, OutputFilter, paths_of, walk
from guardrail.obligations.output_walk.demands import read_fields
from guardrail.values import Clause, RecordAnnotations

#: The replacements of a match, from the strictest to the most informative.
STYLES: Final = ("block", "drop", "label", "hash")

_STRICT_STYLE: Final = re.compile(r"(?<= as )(?:block|drop|label)\b")
_LOOSER_STYLE: Final[Mapping[str, str]] = dict(itertools.pairwise(STYLES))
#: A kind, also with the countries whose national forms it includes: ``phone(ES, PL)``.
_KIND: Final = re.compile(r"[a-z0-9_]+(?:\([A-Z]{2}(?:, [A-Z]{2})*\))?")
_CLAUSE: Final = re.compile(
    r"(?P<kinds>KIND(?:, KIND)*)(?: as (?P<style>[a-z]+))?(?: on (?P<columns>.+))?".replace(
        "KIND", _KIND.pattern
    )
)


class RedactRule(NamedTuple):
    """One kind, the field path at or below which it is cut (``""``: everywhere), and its style."""

    kind: str
    column: str
    style: str


Demand = tuple[RedactRule, ...]


class Redact(OutputFilter):
    """``@redact("email, phone as label; secrets as block on reply")``.

    Demands are united: a kind is cut wherever either side cuts it, in the stricter style.

    Arguments:
        key: the key of marks in the style ``hash``; by default a random one, with which marks can
            be compared only within one process.
        limit: how many findings and possible findings a text may have; a text with more is blocked.
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
        self._ready: dict[tuple[Demand, frozenset[str]], tuple[_StyleRedactor, ...]] = {}
        self._declared: dict[Demand, set[tuple[str, frozenset[str]]]] = {}

    def parse(self, clause: Clause) -> Demand:
        """Return the rules; raise `ConfigurationError` at the clause's place."""
        rules: Demand = ()
        for text in clause.argument.split("; "):
            rules = self.merge(rules, _rules(clause, text, self._own))
        for column in {rule.column for rule in rules}:  # made at load, not on a call
            self._stages(rules, frozenset((column,)) if column else _NOWHERE)
        return rules

    def mutate(self, argument: str) -> Iterator[ArgumentChange]:
        """Yield changes of an argument to a style that shows more of what was cut."""
        for found in _STRICT_STYLE.finditer(argument):
            looser = _LOOSER_STYLE[found[0]]
            what = f"{found[0]} became {looser}"
            yield ArgumentChange(what, found.start(), found.end(), looser)

    def merge(self, one: Demand, other: Demand) -> Demand:
        """Return the rules of both sides; of two for one kind and column, the stricter."""
        styles: dict[tuple[str, str], str] = {}
        for rule in (*one, *other):
            place = (rule.kind, rule.column)
            styles[place] = _stricter(styles.get(place, rule.style), rule.style)
        return tuple(sorted(RedactRule(*place, style) for place, style in styles.items()))

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
        """Return whether a demand concerns only the fields that it names."""
        return all(rule.column for rule in demand)

    def release_blocks(self, demand: Demand) -> bool:
        """Return whether a demand names a kind with its own code, such as a model."""
        return not self._models.isdisjoint([rule.kind for rule in demand])

    def release(self, demand: Demand, output: Any, context: ObligationContext) -> Any:
        """Return a copy of ``output`` without the kinds that the demand names.

        Accepts texts, numbers, records (mappings, dataclasses, named tuples, pydantic models),
        lists and tuples of these, numeric arrays and arrays of fixed-width strings, and tables and
        series of pandas, polars and pyarrow. Raises `ObligationNotMet` (``output_blocked``) for
        anything else, if a name would have to be cut, and if a kind with the style ``block`` is
        found.
        """
        if type(output) is str:
            return self.cut(demand, _NOWHERE, output, context.notes)
        if not self.release_blocks(demand):
            return walk(output, _RedactLeaves(self, demand, context.notes))
        known = KnownFindings()  # a model reads all texts in batches before the first one is cut
        walk(output, _RedactLeaves(self, demand, None, known))
        known.search(self._limit)
        return walk(output, _RedactLeaves(self, demand, context.notes, known))

    def stream(self, demand: Demand, context: ObligationContext) -> TextFilter | None:
        """Return a filter for one call's text. Columns do not matter, since a stream is one text.

        Raises `ObligationNotMet` (``output_blocked``) if a kind needs the whole text.
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
        return _ChainedFilters(streams, context.notes) if streams else None

    def cut(
        self,
        demand: Demand,
        named: frozenset[str],
        text: str,
        notes: RecordAnnotations | None,
        known: KnownFindings | None = None,
    ) -> str:
        """Return a text inside the fields ``named``, without the kinds that the demand names."""
        try:
            for stage in self._stages(demand, named):
                text = stage.cut(text, notes, known)
        except TooManyFindings as error:
            reason, cure = error.reason, error.cure
        else:
            return text
        raise _too_many(reason, cure)

    def declared(self, demand: Demand) -> set[tuple[str, frozenset[str]]]:
        """Return the cache of class and field names in which a demand finds nothing."""
        known = self._declared.get(demand)
        if known is None or len(known) >= _LIMIT_DECLARED:
            if len(self._declared) >= _LIMIT_READY:
                self._declared = {}
            known = self._declared[demand] = set()
        return known

    def _stages(self, demand: Demand, named: frozenset[str]) -> tuple[_StyleRedactor, ...]:
        """Return the redactors for texts in some fields, cached by demand and fields."""
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
                _StyleRedactor(kinds, style, self._key, self._limit, self._own)
                for style, kinds in by_style.items()
                if kinds
            )
            if len(self._ready) >= _LIMIT_READY:
                self._ready = {}
            self._ready[demand, named] = stages
        return stages


#: The fields of a text that is in none.
_NOWHERE: Final[frozenset[str]] = frozenset()
#: How many demands and columns are cached with their redactors.
_LIMIT_READY: Final = 512
#: How many names of classes and fields are cached for one demand.
_LIMIT_DECLARED: Final = 2048


class _RedactLeaves(Leaves):
    """Cuts texts, checks names, and returns numbers unchanged."""

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

    def _named(self, place: FieldPlace) -> frozenset[str]:
        texts = self.paths.texts
        return frozenset([texts[hit] for hit in place.hits]) if place.hits else _NOWHERE

    def label(self, text: str, place: FieldPlace, *, is_declared: bool = False) -> None:
        named = self._named(place)
        known = self._declared if is_declared else self._labels
        if (text, named) not in known:
            if self._redact.cut(self._demand, named, text, None, self._known) != text:
                self.refuse(text, "with a finding in a name")
            known.add((text, named))

    def leaf(self, value: Any, place: FieldPlace) -> Any:
        if type(value) is str:
            return self._redact.cut(
                self._demand, self._named(place), value, self._notes, self._known
            )
        if type(value) is bytes or type(value).__name__ == "bytes_":
            self.refuse(value)
        return value

    def row(
        self,
        values: list[Any],
        names: Sequence[str] | None,  # noqa: ARG002
        places: Sequence[FieldPlace],  # noqa: ARG002
        place: FieldPlace,  # noqa: ARG002
        *,
        is_whole: bool = True,  # noqa: ARG002
        is_list: bool = True,  # noqa: ARG002
    ) -> list[Any]:
        return values


class _StyleRedactor:
    """The redactor for the kinds of one style."""

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
        """The kinds that can be found only in whole texts."""
        return self._redactor.whole_text_kinds

    def cut(
        self, text: str, notes: RecordAnnotations | None, known: KnownFindings | None = None
    ) -> str:
        """Return the text without these kinds; raise if one is found and the style is ``block``."""
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
        return stream if self._scanner is None else _BlockingStream(stream, self._kinds)


class _BlockingStream:
    """A stream that raises at the first finding, for the style ``block``."""

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
        return {}  # nothing is cut

    def _checked(self, text: str) -> str:
        if self._stream.cuts:
            raise _blocking(self._kinds)
        return text


class _ChainedFilters:
    """Several filters of one text, applied in order."""

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
    """Add the number of cuts to the record."""
    if notes is not None:
        for kind, count in cuts.items():
            notes.count(f"redact/{kind}", count)


def _blocking(kinds: Any) -> ObligationNotMet:
    return ObligationNotMet(
        f"@redact: the output holds {' or '.join(sorted(kinds))}, which may not be returned. "
        "Remove it in the model.",
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
        return tuple(RedactRule(kind, column, style) for kind in kinds for column in columns)
    raise _fault(clause, complaint.rstrip("."))


def _fault(clause: Clause, message: str) -> ConfigurationError:
    return ConfigurationError.at(clause.place, "GR109", f"@redact: {message}.")
