"""Whatever looks on, a call ends as it would have: the same outcome, the same quotas.

Random bundles, some of whose policies are in shadow, against the same bundles without these; and
with all of them enforced, for what the shadow says. Each call takes the whole way: facts,
decision, quota, model, release, record.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bundles import SCHEMA
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from random_bundles import WORLD, Request, Rule, bundles, requests

from guardrail import Denied, Entity, obligations
from guardrail._hooks import in_order
from guardrail._ports import Runtime, Target
from guardrail.audit import FanOut
from guardrail.policy import (
    BundleSettings,
    Folder,
    Question,
    Shadow,
    Snapshot,
    Vocabulary,
    load_snapshots,
)
from guardrail.runtime.call import Call
from guardrail.runtime.flow import advance, release
from guardrail.testing import FrozenClock, Recorder
from guardrail.values import NO_INPUT, FactValue

NAMES = {
    "input": frozenset(("rows", "features", "bytes", "dtype", "digest", "fields")),
    "identity": frozenset(("mfa", "actor")),
    "time": frozenset(("hour",)),
    "app": frozenset[str](),
}


@dataclass
class State:
    """Whether the shadow is asked now, and which places fail it."""

    broken: frozenset[str]
    is_aside: bool = False


class Given:
    """A fact source that has what the request gives, and may raise for the shadow alone."""

    def __init__(self, namespace: str, state: State) -> None:
        self.namespace = namespace
        self.facts = NAMES[namespace]
        self.state = state

    def compute(self, names: frozenset[str], context: Any) -> Mapping[str, FactValue]:
        if self.state.is_aside and self.namespace in self.state.broken:
            raise RuntimeError(self.namespace)
        found = context.app.get(self.namespace, {})
        return dict(found) if not self.facts else {n: found[n] for n in names if n in found}


class Seen(Shadow):
    """A shadow that says when it is asked, so that sources can fail it alone."""

    def __init__(self, snapshot: Snapshot, live: Snapshot, state: State) -> None:
        super().__init__(snapshot, live)
        self.state = state

    def ask(self, principal: Any, action: Entity, resource: Entity) -> Question:
        self.state.is_aside = True
        return super().ask(principal, action, resource)


class Scene:
    """One bundle from memory, with quotas of its own, and how its calls end."""

    def __init__(
        self, rules: tuple[Rule, ...], marks: tuple[bool, ...], broken: frozenset[str]
    ) -> None:
        clock = FrozenClock(1_700_000_000.0)
        policies = "".join(
            ('@mode("shadow") ' if mark else "") + rule.written()
            for mark, rule in zip(marks, rules, strict=True)
        )
        files = {
            "schema.cedarschema": SCHEMA.encode(),
            "policies.cedar": policies.encode(),
            "entities.json": json.dumps(WORLD).encode(),
        }
        links = "".join(rule.link() for rule in rules)
        if links:
            files["links.yaml"] = links.encode()
        types = obligations.standard(
            take_view=print, specs_documents={}, bundle="random", clock=clock
        )
        self.state = State(broken)
        self.live, self.shadow = load_snapshots(
            Folder(Path(), files, "random"),
            bundle=BundleSettings(name="random", version="1"),
            vocabulary=Vocabulary(in_order(types), obligations.NOT_BUILT),
            sources=tuple(Given(place, self.state) for place in NAMES),
        )
        self.recorder = Recorder()
        self.runtime = Runtime(
            snapshot=self.live,
            identify=None,  # type: ignore[arg-type]  # each call says who calls
            take_view=lambda value, name: NO_INPUT,
            sink=FanOut((self.recorder,)),
            clock=clock,
            new_id=lambda: "id",
            backend="test",
            shadow=Seen(self.shadow, self.live, self.state) if self.shadow else None,
        )

    @property
    def serving(self) -> Scene:
        return self

    def call(self, asked: Request) -> Any:
        """Return how a call ends: for its caller, and in its record."""
        self.state.is_aside = False
        target = Target(
            serving=self,
            function="f",
            action=Entity("Action", asked.action),
            resource=asked.resource,
            principal=asked.principal,
            facts=asked.facts,
        )
        call = Call(target, None, ((), {}))
        try:
            assert advance(call) is None
            came: Any = repr(release(call, [0.123456, 0.9]))
        except Denied as error:
            came = type(error), error.code, error.message, error.policies, error.path, error.reason
        record = self.recorder.records[-1]
        left = tuple(count for count in record.counts if not count[0].startswith("shadow/"))
        told = record._replace(
            admit_s=0, model_s=0, release_s=0, cached=None, counts=left, revision=""
        )
        return came, told

    def differences(self) -> list[str]:
        """Return what the last call's record has of the shadow."""
        counts = self.recorder.records[-1].counts
        return [name for name, _ in counts if name.startswith("shadow/")]


def notice(snapshot: Snapshot, asked: Request) -> tuple[Any, ...]:
    """Return what a caller would notice of a decision."""
    action = Entity("Action", asked.action)
    told = snapshot.describe(
        snapshot.ask(asked.principal, action, asked.resource).decide(asked.facts).decision
    )
    return told["decision"], told["code"], told["obligations"]


marks = st.lists(st.booleans(), min_size=6, max_size=6)
broken = st.sampled_from((frozenset[str](), frozenset(NAMES)))


@settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(bundles(), marks, broken, requests)
def test_a_call_ends_the_same_whatever_looks_on(rules, marked, fails, asked):
    in_shadow = tuple(marked[: len(rules)])
    enforced = tuple(rule for rule, mark in zip(rules, in_shadow, strict=True) if not mark)
    with_shadow = Scene(rules, in_shadow, fails)
    without = Scene(enforced, (False,) * len(enforced), fails)
    whole = Scene(rules, (False,) * len(rules), fails)
    for one in asked:
        assert with_shadow.call(one) == without.call(one)
        differences = with_shadow.differences()
        failed = [name for name in differences if name.startswith("shadow/failed/")]
        if with_shadow.shadow is None:
            assert differences == []
        elif failed:
            assert failed == differences == ["shadow/failed/RuntimeError"]
            assert fails
            event("failed")
        else:
            differs = notice(whole.live, one) != notice(without.live, one)
            assert bool(differences) == differs
            event(differences[0].split("/")[1] if differs else "same")
