"""What every obligation and every fact source must hold, as suites for pytest.

Owns `ObligationContract` and `FactSourceContract`: the author of a plugin subclasses one
in a test module, says what to try, and has the tests. Refuses to know any plugin of ours.
Needs hypothesis, which the extra ``test`` brings; nothing else in guardrail imports it.
"""

# ruff: noqa: D102  (the name of a test is its claim)

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence, Set
from datetime import datetime, timedelta
from decimal import Decimal
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any, Final

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DataObject, SearchStrategy

from guardrail._ports import (
    FactContext,
    FactSource,
    ObligationContext,
    ObligationNotMet,
    ObligationType,
)
from guardrail.detectors import DetectorKind, ModelKind, Redactor, StreamRedactor
from guardrail.errors import ConfigurationError, Place
from guardrail.values import NO_INPUT, Clause, Entity, FactValue, Identity, Path, Principal

#: Outputs that no filter expects: each must be refused, or come back whole.
_STRANGE: Final[SearchStrategy[Any]] = st.one_of(
    st.none(),
    st.booleans(),
    st.text(max_size=5),
    st.binary(max_size=5),
    st.builds(object),
    st.lists(st.one_of(st.none(), st.text(max_size=3), st.booleans()), max_size=3),
    st.dictionaries(st.integers(), st.text(max_size=3), max_size=3),
)

# Inherited tests run once per subclass: that is what a contract is for.
_settings = settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.differing_executors]
)

_PLACE: Final = Place("policies.cedar", 7, 3)


class ObligationContract:
    """The contract of `guardrail._ports.ObligationType`. Subclass it in a test module.

    Attributes to set:
        arguments: a strategy of annotation arguments that parse.
        malformed: arguments that do not.
        outputs: a strategy of outputs that the obligation knows.
        patience: how many calls are tried until one is refused; more than any limit in
            ``arguments`` for an obligation that counts.

    Methods to define: `make`, and `context` where the obligation reads the call.
    """

    arguments: SearchStrategy[str]
    malformed: Sequence[str] = ("",)
    outputs: SearchStrategy[Any] = st.none()
    patience: int = 1

    def make(self) -> ObligationType:
        """Return the obligation, fresh: nothing counted yet."""
        raise NotImplementedError

    def context(self) -> ObligationContext:
        """Return the call that is admitted: one without input and without attributes."""
        resource = Entity("Model", "m")
        identity = Identity(Principal("User", "u"))
        return ObligationContext(identity, NO_INPUT, "predict", resource, 0.0, _absent)

    def demand(self, data: DataObject, obligation: ObligationType) -> Any:
        """Return the demand of a drawn annotation on one of three policies."""
        policy = data.draw(st.sampled_from(("p1", "p2", "p3")))
        return obligation.parse(Clause(policy, obligation.name, data.draw(self.arguments), _PLACE))

    def test_malformed_arguments_are_faults_at_their_place(self) -> None:
        obligation = self.make()
        for argument in self.malformed:
            found: ConfigurationError | None = None
            try:
                obligation.parse(Clause("p1", obligation.name, argument, _PLACE))
            except ConfigurationError as error:
                found = error
            _hold(found is not None, f"{argument!r} parses")
            _hold(
                found is not None and [fault.place for fault in found.faults] == [_PLACE],
                f"the error for {argument!r} does not name the clause's place",
            )

    def test_it_has_a_name_and_says_when_it_acts(self) -> None:
        obligation = self.make()
        _hold(obligation.name.isidentifier(), "the name is no annotation name")
        _hold(type(obligation.on_admit) is bool, "on_admit is no bool")
        _hold(type(obligation.on_release) is bool, "on_release is no bool")
        _hold(obligation.on_admit or obligation.on_release, "it never acts")

    @_settings
    @given(st.data())
    def test_merge_is_commutative_associative_and_idempotent(self, data: DataObject) -> None:
        obligation = self.make()
        a, b, c = (self.demand(data, obligation) for _ in range(3))
        merge = obligation.merge
        _hold(merge(a, b) == merge(b, a), "merge is not commutative")
        _hold(merge(merge(a, b), c) == merge(a, merge(b, c)), "merge is not associative")
        _hold(merge(a, a) == a, "merge is not idempotent")

    @_settings
    @given(st.data())
    def test_a_demand_is_described_as_json_and_reads_paths(self, data: DataObject) -> None:
        obligation = self.make()
        a, b = (self.demand(data, obligation) for _ in range(2))
        for demand in (a, obligation.merge(a, b)):
            described = obligation.describe(demand)
            text = json.dumps(described, allow_nan=False)
            _hold(json.loads(text) == described, "describe is not JSON")
            paths = obligation.reads(demand)
            _hold(all(isinstance(path, Path) for path in paths), "reads holds no paths")
        both = set(obligation.reads(obligation.merge(a, b)))
        _hold(
            both >= {*obligation.reads(a), *obligation.reads(b)} or not obligation.on_admit,
            "the merged demand does not read what each side reads",
        )

    @_settings
    @given(st.data())
    def test_a_call_that_one_side_refuses_is_refused_by_both(self, data: DataObject) -> None:
        obligation, context = self.make(), self.context()
        a, b = (self.demand(data, obligation) for _ in range(2))
        for _ in range(self.patience):
            if _refuses(obligation, a, context):
                both = obligation.merge(a, b)
                _hold(_refuses(obligation, both, context), "the merged demand is looser")
                return

    @_settings
    @given(st.data())
    def test_what_leaves_under_both_sides_meets_each(self, data: DataObject) -> None:
        obligation, context = self.make(), self.context()
        a, b = (self.demand(data, obligation) for _ in range(2))
        output = data.draw(self.outputs)
        try:
            alone = obligation.release(a, output, context)
        except ObligationNotMet:
            alone = _BLOCKED
        try:
            released = obligation.release(obligation.merge(a, b), output, context)
        except ObligationNotMet:
            return
        _hold(alone is not _BLOCKED, "the merged demand releases what one side blocks")
        again = obligation.release(a, released, context)
        _hold(shown(again) == shown(released), "what leaves under both does not meet one side")

    @_settings
    @given(st.data())
    def test_release_is_idempotent_and_leaves_its_input_alone(self, data: DataObject) -> None:
        obligation, context = self.make(), self.context()
        demand = self.demand(data, obligation)
        output = data.draw(self.outputs)
        before = shown(output)
        released = obligation.release(demand, output, context)
        _hold(shown(output) == before, "release changed the output that it was given")
        again = obligation.release(demand, released, context)
        _hold(shown(again) == shown(released), "release is not idempotent")

    @_settings
    @given(st.data())
    def test_a_strange_output_is_refused_or_left_alone(self, data: DataObject) -> None:
        obligation, context = self.make(), self.context()
        demand = self.demand(data, obligation)
        output = data.draw(_STRANGE)
        before = shown(output)
        try:
            obligation.release(demand, output, context)
        except ObligationNotMet as refusal:
            _hold(bool(refusal.message and refusal.code), "a refusal without message or code")
        _hold(shown(output) == before, "release changed the output that it was given")


class FactSourceContract:
    """The contract of `guardrail.values.FactSource`. Subclass it in a test module.

    Attributes to set:
        context: a strategy of calls that the source looks at.

    Methods to define: `make`.
    """

    context: SearchStrategy[FactContext]

    def make(self) -> FactSource:
        """Return the source."""
        raise NotImplementedError

    def names(self, data: DataObject, source: FactSource, context: FactContext) -> frozenset[str]:
        """Return some of the names that a policy could read from the source."""
        known = sorted(source.facts or {*context.app, "absent"})
        return frozenset(data.draw(st.lists(st.sampled_from(known), unique=True)))

    def test_it_says_its_place_and_its_facts(self) -> None:
        source = self.make()
        _hold(source.place.isidentifier(), "the place is no name")
        _hold(isinstance(source.facts, frozenset), "the facts are no frozenset")
        _hold(all(name.isidentifier() for name in source.facts), "a fact's name is no name")

    @_settings
    @given(st.data())
    def test_only_the_facts_asked_for_are_computed(self, data: DataObject) -> None:
        source, context = self.make(), data.draw(self.context)
        names = self.names(data, source, context)
        _hold(set(source.compute(names, context)) <= names, "facts that nobody asked for")
        _hold(not source.compute(frozenset(), context), "facts where none was asked for")

    @_settings
    @given(st.data())
    def test_facts_are_cedar_values_and_the_same_each_time(self, data: DataObject) -> None:
        source, context = self.make(), data.draw(self.context)
        names = self.names(data, source, context)
        app = copy.deepcopy(dict(context.app))
        computed = source.compute(names, context)
        if source.facts:  # what the application passes is checked by the policies' schema
            _hold(all(map(_is_cedar, computed.values())), "a fact is no Cedar value")
        _hold(dict(source.compute(names, context)) == dict(computed), "the facts change")
        _hold(dict(context.app) == app, "the application's facts were changed")

    @_settings
    @given(st.data())
    def test_a_fact_does_not_depend_on_what_else_is_asked(self, data: DataObject) -> None:
        source, context = self.make(), data.draw(self.context)
        names = self.names(data, source, context)
        computed = source.compute(names, context)
        for name in names:
            alone = source.compute(frozenset((name,)), context)
            _hold(
                dict(alone) == {key: computed[key] for key in computed if key == name},
                f"`{name}` differs when it is asked for alone",
            )


_BLOCKED: Final = object()


def _hold(claim: bool, otherwise: str) -> None:
    """Fail the test where the claim is false: no ``assert`` stands in shipped code."""
    if not claim:
        raise AssertionError(otherwise)


def _absent(path: Path) -> FactValue:
    raise LookupError(str(path))


def _refuses(obligation: ObligationType, demand: Any, context: ObligationContext) -> bool:
    try:
        obligation.admit(demand, context)
    except ObligationNotMet:
        return True
    return False


def shown(output: Any) -> str:
    """Return an output as text, by which two can be compared: NaN is NaN, types count."""
    if hasattr(output, "tolist"):
        kind = f"{type(output).__name__} {getattr(output, 'dtype', '')}"
        return f"{kind} {getattr(output, 'shape', '')} {output.tolist()!r}"
    if isinstance(output, list | tuple):
        return f"{type(output).__name__} {[shown(entry) for entry in output]}"
    if isinstance(output, Mapping):
        return f"mapping {[(repr(key), shown(entry)) for key, entry in output.items()]}"
    return f"{type(output).__name__} {output!r}"


_ATOMS: Final = (
    str,
    int,
    float,  # for an attribute that the schema types as decimal
    bool,
    Decimal,
    datetime,
    timedelta,
    Entity,
    IPv4Address,
    IPv6Address,
    IPv4Network,
    IPv6Network,
)


def _is_cedar(value: FactValue) -> bool:
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and _is_cedar(entry) for key, entry in value.items())
    if isinstance(value, list | tuple | Set):
        return all(map(_is_cedar, value))
    return isinstance(value, _ATOMS)


class DetectorKindContract:
    """The contract of `guardrail.detectors.DetectorKind`. Subclass it in a test module.

    Attributes to set:
        found: texts in which the kind is found.
        not_found: texts in which it is not found.

    Methods to define: `make`.
    """

    found: Sequence[str] = ()
    not_found: Sequence[str] = ()

    def make(self) -> DetectorKind:
        """Return the kind."""
        raise NotImplementedError

    def test_its_attributes_are_valid(self) -> None:
        ModelKind(self.make())

    def test_it_finds_what_it_must_and_nothing_else(self) -> None:
        _hold(bool(self.found), "`found` is empty: name a text in which the kind is found")
        kind = ModelKind(self.make())
        for texts, expected in ((self.found, True), (self.not_found, False)):
            for number, spans in enumerate(kind.find(list(texts), _LIMIT_FINDINGS)):
                _hold(bool(spans) == expected, f"text {number} is not judged as expected")

    def test_a_batch_has_the_findings_of_its_texts_one_by_one(self) -> None:
        kind = ModelKind(self.make())
        texts = [*self.found, *self.not_found]
        alone = [kind.find([text], _LIMIT_FINDINGS)[0] for text in texts]
        _hold(kind.find(texts, _LIMIT_FINDINGS) == alone, "a batch changes what is found")
        _hold(kind.find(texts[::-1], _LIMIT_FINDINGS) == alone[::-1], "the order changes it")

    @_settings
    @given(st.text(max_size=200))
    def test_it_answers_for_any_text(self, text: str) -> None:
        ModelKind(self.make()).find([text], max(_LIMIT_FINDINGS, len(text)))

    def test_a_stream_is_cut_as_its_whole_text(self) -> None:
        kind = ModelKind(self.make())
        if kind.held_chars is None:
            return
        redactor = Redactor([kind.name], own=[kind])
        filler = "x " * kind.held_chars
        for text in (*self.found, *(filler + text + filler for text in self.found)):
            stream = StreamRedactor(redactor)
            pieces = [stream.feed(text[at : at + 7]) for at in range(0, len(text), 7)]
            whole, _ = redactor.redact(text)
            _hold("".join(pieces) + stream.close() == whole, "a stream is cut otherwise")


_LIMIT_FINDINGS: Final = 100_000

__all__ = ["DetectorKindContract", "FactSourceContract", "ObligationContract", "shown"]
