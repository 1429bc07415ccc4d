"""Policy tests: what coverage, mutants and explanations cost beside bare decisions.

Run with ``python -m benchmarks.policy_tests``. Each part has its baseline in the same run:

*Coverage.* A thousand tests on a hundred policies, run with coverage, against a thousand decisions
of cedarpy on the same policies, entities and requests, parsed once.

*Explaining.* One denied request on a thousand policies, explained, against one decision of cedarpy
on them.

*Mutants.* All those of the clinical bundle, for which only the time is held. Those of thirty
policies under four hundred tests in two processes, against one; where two cores are idle.

*Replaying.* A million records, as a guard on the clinical bundle writes them, of some thousand
different requests at all hours, read from the journal and decided on it again; against cedarpy on
a sample of the same requests, one by one, with what can be parsed once parsed.
"""

from __future__ import annotations

import json
import random
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import cedarpy

from benchmarks.harness import Row, read_options, report
from benchmarks.spans import RECORD
from guardrail._ports import SystemClock
from guardrail.audit import Journal
from guardrail.audit.journal.maintenance import Maintenance
from guardrail.audit.journal_read.grouped_calls import GroupedCalls
from guardrail.bundle.assembly import Bundle, load_bundle
from guardrail.policy.analysis.explain import Explainer
from guardrail.testing import FrozenClock
from guardrail.testing.coverage.coverage import Coverage
from guardrail.testing.files.cases import Suite, read_suite
from guardrail.testing.mutation.mutants import collect, mutate
from guardrail.testing.mutation.parallel import mutate_at_once
from guardrail.testing.replay.report import Slots, replay
from guardrail.testing.run.suite import run
from guardrail.values import Entity, Principal, Record

CLINICAL = Path(__file__).parents[1] / "policies" / "clinical_scoring"
TESTS = 1000
#: Seconds for the mutants of the clinical bundle.
LIMIT_MUTANTS_S = 30.0
#: Records that are replayed, different requests among them, and those that cedarpy is asked.
RECORDS, REQUESTS, SAMPLE = 1_000_000, 4000, 5000
REPLAYED = '\n[audit]\njournal = "{}"\nfacts = {}\n'
FACTS = ["principal.in", "input.rows", "identity.delegated", "app.study"]

SETTINGS = '[bundle]\nname = "many"\nversion = "1.0.0"\n'
SCHEMA = """\
entity Team;
entity User in [Team] { department: String };
entity Model { purpose: String };
action predict appliesTo {
  principal: [User], resource: [Model],
  context: { input: guardrail::TensorInput, identity: guardrail::IdentityFacts },
};
"""


def policies(count: int) -> str:
    """Return so many policies: grants to teams, two prohibitions and a condition."""
    grants = [
        f'@id("team-{number}") permit (principal in Team::"t{number}",'
        f' action == Action::"predict", resource == Model::"m{number % 10}")'
        f' when {{ context.input.rows <= {number + 1} && principal.department == "care" }};\n'
        for number in range(count - 3)
    ]
    return "".join(grants) + (
        '@id("no-borrowed") forbid (principal, action, resource)'
        " when { context.identity.delegated };\n"
        '@id("no-retired") forbid (principal, action, resource)'
        ' when { resource.purpose == "retired" };\n'
        '@id("rounded") @round("2") forbid (principal, action, resource)'
        ' unless { principal in Team::"t0" };\n'
    )


def entities(count: int) -> list[dict[str, Any]]:
    """Return the teams and the models."""
    teams = [
        {"uid": {"type": "Team", "id": f"t{at}"}, "attrs": {}, "parents": []} for at in range(count)
    ]
    models = [
        {"uid": {"type": "Model", "id": f"m{at}"}, "attrs": {"purpose": "care"}, "parents": []}
        for at in range(10)
    ]
    return teams + models


def made(folder: Path, count: int, tests: int) -> Path:
    """Write a bundle of so many policies, with so many tests."""
    folder.mkdir()
    (folder / "guardrail.toml").write_text(SETTINGS)
    (folder / "schema.cedarschema").write_text(SCHEMA)
    (folder / "entities.json").write_text(json.dumps(entities(count)))
    (folder / "policies.cedar").write_text(policies(count))
    (folder / "tests").mkdir()
    cases = [
        {
            "name": f"test {number}",
            "principal": {
                "uid": f'User::"u{number % 50}"', "in": [f'Team::"t{number % (count - 3)}"'],
                "attrs": {"department": "care"},
            },
            "action": "predict",
            "resource": f'Model::"m{number % (count - 3) % 10}"',
            "facts": {
                "input": {"rows": number % (count - 3) + 1 + number // 500},
                "identity": {"delegated": False},
            },
            "expect": "deny" if number // 500 else "allow",
        }
        for number in range(tests)
    ]  # fmt: skip
    (folder / "tests" / "a_test.yaml").write_text(json.dumps({"tests": cases}))
    return folder


def bare(bundle: Bundle, suite: Suite) -> Callable[[], None]:
    """Return what asks cedarpy all that the tests ask, with what can be parsed once parsed."""
    folder_policies = "".join(policy.chunk.text + "\n" for policy in bundle.snapshot.policies)
    parsed = cedarpy.PolicySet.from_str(folder_policies)
    store = cedarpy.Entities.from_json_str(json.dumps(entities(len(bundle.snapshot.policies))))
    asked = []
    for case in suite.cases:
        principal: Any = case.principal  # type: ignore[union-attr]
        user = {
            "uid": {"type": principal.type, "id": principal.id},
            "attrs": dict(principal.attrs),
            "parents": [{"type": up.type, "id": up.id} for up in principal.parents],
        }
        request = {
            "principal": user["uid"],
            "action": {"type": "Action", "id": "predict"},
            "resource": {"type": "Model", "id": case.resource.id},  # type: ignore[union-attr]
            "context": dict(case.facts),  # type: ignore[union-attr]
        }
        asked.append((request, json.dumps([user])))

    def ask() -> None:
        for request, user in asked:
            cedarpy.is_authorized(request, parsed, store.with_added_json_str(user))

    return ask


def took(call: Callable[[], object]) -> float:
    """Return the seconds that a call takes."""
    start = perf_counter()
    call()
    return perf_counter() - start


def beside(
    name: str, baseline: str, ours: Callable[[], object], theirs: Callable[[], object],
    *, goal: float, rounds: int, each: int = 1,
) -> list[Row]:  # fmt: skip
    """Return ours against theirs, one after the other in each round."""
    mine, other = [], []
    for _ in range(rounds):
        other.append(took(theirs))
        mine.append(took(ours))
    ratio = median(one / two for one, two in zip(mine, other, strict=True))
    return [
        Row(baseline, median(other) / each * 1e6, "us", "", None, None, True),
        Row(name, median(mine) / each * 1e6, "us", baseline, ratio, goal, ratio <= goal),
    ]


def coverage_rows(folder: Path, rounds: int) -> list[Row]:
    """Return a test with coverage against a bare decision."""
    path = made(folder / "hundred", 100, TESTS)
    bundle, suite = load_bundle(path, clock=FrozenClock()), read_suite(path)
    results = list(run(bundle, suite, Coverage(bundle.snapshot)))
    assert all(result.outcome == "passed" for result in results), results[0]
    return beside(
        "a policy test, with coverage", "a bare decision on 100 policies",
        lambda: list(run(bundle, suite, Coverage(bundle.snapshot))), bare(bundle, suite),
        goal=2.0, rounds=max(3, rounds // 3), each=TESTS,
    )  # fmt: skip


def explain_rows(folder: Path, rounds: int) -> list[Row]:
    """Return an explanation against a bare decision, on a thousand policies."""
    path = made(folder / "thousand", 1000, 1)
    bundle, suite = load_bundle(path, clock=FrozenClock()), read_suite(path)
    nobody = Principal("User", "nora", parents=[Entity("Team", "t7")], attrs={"department": "care"})
    request = (nobody, Entity("Action", "predict"), Entity("Model", "m7"))
    facts: dict[str, dict[str, Any]] = {"input": {"rows": 99}, "identity": {"delegated": False}}
    explainer = Explainer(bundle.snapshot)
    found = explainer.explain(*request, facts)
    assert found.policies[0].policy.id == "team-7"
    return beside(
        "an explanation among 1,000 policies", "a bare decision on 1,000 policies",
        lambda: Explainer(bundle.snapshot).explain(*request, facts), bare(bundle, suite),
        goal=40.0, rounds=rounds,
    )  # fmt: skip


def mutant_rows() -> list[Row]:
    """Return how long the mutants of the clinical bundle take."""
    bundle, suite = load_bundle(CLINICAL, clock=FrozenClock()), read_suite(CLINICAL)
    start = perf_counter()
    ended = collect(mutate(bundle, suite))
    spent = perf_counter() - start
    assert not ended.survivors
    return [
        Row(
            "all mutants of the clinical bundle", spent * 1e6, "us", "", None, None,
            spent <= LIMIT_MUTANTS_S,
        )
    ]  # fmt: skip


def parallel_rows(folder: Path) -> list[Row]:
    """Return the mutants of a bundle in two processes against one."""
    path = made(folder / "thirty", 30, 400)
    bundle, suite = load_bundle(path, clock=FrozenClock()), read_suite(path)
    return beside(
        "mutants of 30 policies, 400 tests, in two processes", "the same in one",
        lambda: collect(mutate_at_once(path, bundle, suite, jobs=2)),
        lambda: collect(mutate(bundle, suite)),
        goal=0.7, rounds=1,
    )  # fmt: skip


def some_requests(chance: random.Random) -> list[tuple[Principal, str, str, dict[str, Any]]]:
    """Return the different requests of a journal: who, what, on what, with which facts."""
    return [
        (
            Principal(
                "User", f"u{number % 900}", attrs={"department": "care"},
                parents=[Entity("Role", chance.choice(("clinician", "analyst", "auditor")))],
            ),
            chance.choice(("predict", "predict", "predict", "explain")),
            chance.choice(("tumour",) * 9 + ("tumour-2019",)),
            {
                "input": {"rows": chance.randrange(1, 120)}, "app": {},
                "identity": {"delegated": False},
            },
        )
        for number in range(REQUESTS)
    ]  # fmt: skip


def write_journal(folder: Path, bundle: Bundle, chance: random.Random) -> list[dict[str, Any]]:
    """Write the records of a few months' calls; return a sample of them as cedarpy is asked."""
    journal = Journal(
        folder, guard=bundle.snapshot.name, clock=SystemClock(), segment_bytes=64 << 20,
        maintenance=lambda journal: Maintenance(journal, compresses=False),
    )  # fmt: skip
    asked = some_requests(chance)
    made: dict[tuple[int, int], Record] = {}
    sample = []
    for number in range(RECORDS):
        at = min(int(chance.paretovariate(0.6)), REQUESTS) - 1  # a few are asked all the time
        started_at = 1.8e9 + number * 10.0
        hour = int(started_at // 3600 % 24)
        record = made.get((at, hour))
        if record is None:
            record = made[at, hour] = record_of(bundle, asked[at], hour)
        record = record._replace(
            decision_id=f"{chance.getrandbits(128):032x}", started_at=started_at
        )
        if record.outcome == "denied":
            journal.end(None, record)
        else:
            handle = journal.begin("", "", "")
            journal.admit(handle, record._replace(outcome="admitted", stage="audit"))
            journal.end(handle, record)
        if number % (RECORDS // SAMPLE) == 0:
            sample.append(as_asked(asked[at], hour))
    journal.close()
    return sample


def record_of(bundle: Bundle, asked: tuple[Principal, str, str, dict[str, Any]], hour: int) -> Any:
    """Return the record of a call that was decided as the bundle decides."""
    principal, action, resource, facts = asked
    question = bundle.snapshot.ask(principal, Entity("Action", action), Entity("Model", resource))
    decision = question.decide({**facts, "time": {"hour": hour}}).decision
    is_asked = question.refusal is None  # else no fact was computed
    kept = {"input.rows": facts["input"]["rows"], "identity.delegated": False, "app.study": None}
    return RECORD._replace(
        guard=bundle.snapshot.name,
        revision=bundle.snapshot.revision,
        action=action,
        outcome="released" if decision.allowed else "denied",
        code=decision.code,
        stage="release" if decision.allowed else "decide",
        policies=decision.policies,
        obligations=tuple(held.name for held in decision.obligations),
        principal=f"k1:{int(principal.id[1:]):032x}",
        resource=resource,
        facts=(
            *(kept if is_asked else {}).items(), ("principal.in", [str(principal.parents[0])]),
        ),
        counts=(("quota/fair-use/calls", 1),) if decision.allowed else (),
        rows=facts["input"]["rows"],
        input_bytes=240 * facts["input"]["rows"],
    )  # fmt: skip


def as_asked(asked: tuple[Principal, str, str, dict[str, Any]], hour: int) -> dict[str, Any]:
    """Return a request as cedarpy is asked it."""
    principal, action, resource, facts = asked
    user = {
        "uid": {"type": "User", "id": principal.id},
        "attrs": dict(principal.attrs),
        "parents": [{"type": up.type, "id": up.id} for up in principal.parents],
    }
    request = {
        "principal": user["uid"],
        "action": {"type": "Action", "id": action},
        "resource": {"type": "Model", "id": resource},
        "context": {**facts, "time": {"hour": hour}},
    }
    return {"request": request, "user": json.dumps([user])}


def replay_rows(folder: Path, rounds: int) -> list[Row]:
    """Return the replay of a million records against one decision after the other."""
    path, journal = folder / "clinical", folder / "journal"
    shutil.copytree(CLINICAL, path)
    settings = path / "guardrail.toml"
    settings.write_text(settings.read_text() + REPLAYED.format(journal, json.dumps(FACTS)))
    bundle = load_bundle(path, clock=FrozenClock())
    sample = write_journal(journal, bundle, random.Random(0))
    parsed = cedarpy.PolicySet.from_str(
        "".join(policy.chunk.text + "\n" for policy in bundle.snapshot.policies)
    )
    store = cedarpy.Entities.from_json_str((path / "entities.json").read_text())

    def theirs() -> None:
        for each in sample:
            cedarpy.is_authorized(each["request"], parsed, store.with_added_json_str(each["user"]))

    def ours() -> None:
        candidate = load_bundle(path, clock=FrozenClock())
        slots = Slots(candidate)
        calls = GroupedCalls(slots)
        calls.read(journal)
        found = replay(candidate, calls, slots)
        assert found.same == RECORDS, found.summary
        assert not found.damage

    mine, other = [], []
    for _ in range(max(3, rounds // 7)):
        other.append(took(theirs) / len(sample))
        mine.append(took(ours) / RECORDS)
    ratio = median(one / two for one, two in zip(mine, other, strict=True))
    baseline = "a bare decision on the clinical policies"
    goal = 1 / 20
    return [
        Row(baseline, median(other) * 1e6, "us", "", None, None, True),
        Row(
            "a record replayed, of 1,000,000", median(mine) * 1e6, "us", baseline, ratio, goal,
            ratio <= goal,
        ),
    ]  # fmt: skip


def main() -> int:
    """Measure everything, print it, and return the exit code."""
    title = str(__doc__).splitlines()[0]
    options = read_options(title)
    with tempfile.TemporaryDirectory() as name:
        rows = coverage_rows(Path(name), options.rounds)
        rows += explain_rows(Path(name), options.rounds)
        rows += parallel_rows(Path(name))
        rows += replay_rows(Path(name), options.rounds)
    rows += mutant_rows()
    return report(rows, title, options)


if __name__ == "__main__":
    sys.exit(main())
