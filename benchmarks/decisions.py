"""What a decision costs: beside one call of cedarpy, and in a large bundle beside a small one.

Every goal is a ratio within one run. The baseline of the first rows is cedarpy as whoever
reads its manual would use it: policies and entities parsed once, uids as dicts, the context
as a dict, the very policies of the bundle with the conditions standing as permits, as our
one set has them. The later rows hold a bundle of 10,000 policies, or of 100,000 entities,
against a small one with the same common policies; what cedarpy alone costs there is shown,
and is no gate. The last rows load such a bundle, beside cedarpy's own parse, syntax tree and
validation of the same texts.

Uncached means: facts that never came before. A new principal never came before either.
Decisions are timed in the CPU time of their thread, so that what else a machine does falls on
none of them.
"""

from __future__ import annotations

import json
import sys
import tempfile
import threading
from collections.abc import Callable
from itertools import count, cycle
from pathlib import Path
from time import perf_counter, process_time, thread_time
from typing import Any

import cedarpy

from benchmarks.harness import Case, measure, read_options, report
from benchmarks.worlds import CONDITIONS, GRANTS, World, make_world
from guardrail import Entity, Guard, Principal
from guardrail._ports import SystemClock
from guardrail.bundle.assembly import load_bundle
from guardrail.policy import Answer

PREDICT = Entity("Action", "predict")
CLINICIANS = Entity("Team", "clinicians")
CEDAR, CACHED, SMALL, NEW = (
    "cedarpy, 5 policies, handles reused",
    "guardrail, cached",
    "guardrail, uncached, 3 policies and conditions",
    "guardrail, new principal, 13 entities",
)
COMMON = GRANTS + CONDITIONS.replace("forbid", "permit")
CEDAR_LOAD, ONE_THREAD = "cedarpy: parse, tree, validation", "8,000 cached, one thread"


def clinician(name: str) -> Principal:
    """Return a user whom the common policies grant the call."""
    attrs = {"department": "oncology", "level": 2, "manager": Entity("User", "lead")}
    return Principal("User", name, attrs=attrs, parents=(CLINICIANS,))


def facts(rows: int) -> dict[str, dict[str, Any]]:
    """Return the facts of a call."""
    return {"input": {"rows": rows}, "identity": {"delegated": False}}


def cedar_alone(world: World, texts: str, *, models: int) -> Callable[[], object]:
    """Return a call of cedarpy on these policies, with facts that never came before."""
    policies = cedarpy.PolicySet.from_str(texts)
    clara = {
        "uid": {"type": "User", "id": "clara"},
        "attrs": {
            "department": "oncology", "level": 2,
            "manager": {"__entity": {"type": "User", "id": "lead"}},
        },
        "parents": [{"type": "Team", "id": "clinicians"}],
    }  # fmt: skip
    everything = json.dumps([*json.loads(world.entities), clara])
    entities = cedarpy.Entities.from_json_str(everything)
    rows, turn = count(1), cycle(range(models))

    def call() -> object:
        request = {
            "principal": {"type": "User", "id": "clara"},
            "action": {"type": "Action", "id": "predict"},
            "resource": {"type": "Model", "id": f"m{next(turn)}"},
            "context": facts(next(rows)),
        }
        result = cedarpy.is_authorized(request, policies, entities)
        if not result.allowed or result.diagnostics.errors:
            raise PermissionError
        return result.diagnostics.reasons

    return call


def with_added(world: World) -> Callable[[], object]:
    """Return what cedarpy alone would do for a new principal: add it to all entities."""
    entities = cedarpy.Entities.from_json_str(world.entities)
    numbers = count()

    def call() -> object:
        user = {"uid": {"type": "User", "id": f"u{next(numbers)}"}, "attrs": {}, "parents": []}
        return entities.with_added_json_str(json.dumps([user]))

    return call


def cached(world: World) -> Callable[[], object]:
    """Return a decision on facts that came before, asked as the flow asks it."""
    snapshot, clara = load_bundle(world.folder, clock=SystemClock()).snapshot, clinician("clara")
    model, known = Entity("Model", "m0"), facts(10)

    def call() -> Answer:
        return snapshot.ask(clara, PREDICT, model).decide(known)

    if not call().decision.allowed or not call().cached:
        raise PermissionError
    return call


def uncached(guard: Guard, *, models: int) -> Callable[[], object]:
    """Return a decision through ``guard.decide`` on facts that never came before."""
    clara, rows = clinician("clara"), count(1)
    names = cycle([f'Model::"m{number}"' for number in range(models)])
    for _ in range(models):  # every model's slice is found once
        allowed(guard, clara, next(names), next(rows))
    return lambda: allowed(guard, clara, next(names), next(rows))


def with_new_principal(guard: Guard) -> Callable[[], object]:
    """Return a decision for a principal who never came before."""
    numbers = count(1)

    def call() -> object:
        number = next(numbers)
        return allowed(guard, clinician(f"u{number}"), 'Model::"m0"', number)

    return call


def allowed(guard: Guard, principal: Principal, resource: str, rows: int) -> object:
    """Ask ``guard.decide`` and raise where it does not allow."""
    decision = guard.decide(
        principal=principal, action="predict", resource=resource, facts=facts(rows)
    )
    if not decision.allowed:
        raise PermissionError(decision.code)
    return decision


def in_threads(call: Callable[[], object], threads: int, calls: int = 8_000) -> Callable[[], None]:
    """Return the same work, shared out to some threads."""

    def work() -> None:
        for _ in range(calls // threads):
            call()

    def run() -> None:
        workers = [threading.Thread(target=work) for _ in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()

    return run


def cedar_load(world: World) -> object:
    """Do with cedarpy alone what a load cannot do without."""
    schema = cedarpy.Schema.from_str(world.schema)
    policies = cedarpy.PolicySet.from_str(world.policies)
    tree = cedarpy.policies_to_pst(world.policies)
    found = cedarpy.validate_policies(world.policies, schema)
    if not found.validation_passed:
        raise ValueError(found.errors)
    return policies, tree, cedarpy.Entities.from_json_str(world.entities, schema)


def decision_cases(base: Path) -> list[Case]:
    """Return the rows on decisions: cached, and on facts that never came before."""
    small = make_world(base / "small")
    many = make_world(base / "many", models=1_000, per_model=10)
    return [
        Case(CEDAR, cedar_alone(small, COMMON, models=5)),
        Case(CACHED, cached(small), CEDAR, goal=1 / 40),
        Case(SMALL, uncached(Guard.from_dir(small.folder), models=5), CEDAR, goal=1.4),
        Case(
            "guardrail, uncached, 10,003 policies and conditions",
            uncached(Guard.from_dir(many.folder), models=1_000), SMALL, goal=1.5,
        ),
    ]  # fmt: skip


def caller_cases(base: Path) -> list[Case]:
    """Return the rows on principals who never came before."""
    crowds: dict[str, dict[str, int]] = {
        NEW: {},
        "guardrail, new principal, 100,000 entities": {"crowd": 99_991},
        "guardrail, and 100,000 members, 20 managers": {
            "crowd": 99_991, "members": 99_991, "chain": 20,
        },
    }  # fmt: skip
    cases = []
    for number, (name, sizes) in enumerate(crowds.items()):
        guard = Guard.from_dir(make_world(base / f"callers{number}", **sizes).folder)
        is_baseline = name == NEW
        call = with_new_principal(guard)
        cases.append(Case(name, call) if is_baseline else Case(name, call, NEW, goal=1.5))
    return cases


def cedar_cases(base: Path) -> list[Case]:
    """Return the rows on what cedarpy alone costs in a large bundle; shown, and no gate.

    Apart from the others: what these allocate and free would fall on whoever comes next.
    """
    small = make_world(base / "few")
    many = make_world(base / "ten thousand", models=1_000, per_model=10)
    crowded = make_world(base / "crowded", crowd=99_991)
    policies = many.policies.replace(CONDITIONS, "") + CONDITIONS.replace("forbid", "permit")
    few, one = "cedarpy, 5 policies, once more", "cedarpy, one entity added to 13"
    return [
        Case(few, cedar_alone(small, COMMON, models=5)),
        Case(
            "cedarpy, 10,003 policies and conditions",
            cedar_alone(many, policies, models=1_000), few,
        ),
        Case(one, with_added(small)),
        Case("cedarpy, one entity added to 100,000", with_added(crowded), one),
    ]  # fmt: skip


def load_cases(base: Path) -> list[Case]:
    """Return the rows on loading 10,000 policies and 100,000 entities."""
    large = make_world(base / "large", models=1_000, per_model=10, crowd=98_992)
    return [
        Case(CEDAR_LOAD, lambda: cedar_load(large)),
        Case("guardrail: load", lambda: Guard.from_dir(large.folder), CEDAR_LOAD, goal=2.5),
    ]


def thread_cases(base: Path) -> list[Case]:
    """Return the rows on two threads, which gain nothing and must lose nothing."""
    call = cached(make_world(base / "threads"))
    return [
        Case(ONE_THREAD, in_threads(call, 1)),
        Case("8,000 cached, shared by two threads", in_threads(call, 2), ONE_THREAD, goal=1.25),
    ]


def run() -> int:
    """Measure everything, print it, and return the exit code."""
    title = str(__doc__).splitlines()[0]
    options = read_options(title)
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        rows = measure(decision_cases(base), rounds=options.rounds, clock=thread_time)
        rows += measure(caller_cases(base), rounds=options.rounds, clock=thread_time)
        rows += measure(thread_cases(base), rounds=options.rounds, clock=perf_counter)
        few = min(3, options.rounds)
        rows += measure(cedar_cases(base), rounds=few, clock=thread_time)
        rows += measure(load_cases(base), rounds=few, slice_s=0.0, clock=process_time)
    return report(rows, title, options)


if __name__ == "__main__":
    sys.exit(run())
