"""Recorded calls, decided again: the same on the same bundle, with changes on another one."""

import json
import random
import shutil
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from guardrail import Denied, Entity, Guard, Principal
from guardrail.audit.journal.keys import add_key, read_keys
from guardrail.audit.journal_read.grouped_calls import GroupedCalls
from guardrail.audit.journal_read.reader import read_calls
from guardrail.bundle.assembly import load_bundle
from guardrail.testing import FrozenClock
from guardrail.testing.replay.replay import (
    RecordReader,
    ReplayOutcome,
    UnknownRequest,
    outcome_of,
    recorded,
)
from guardrail.testing.replay.report import Slots, replay

CLINICAL = Path(__file__).parents[3] / "policies" / "clinical_scoring"
#: All that its policies look at.
FACTS = ["principal.in", "input.rows", "identity.delegated", "app.study", "time.hour"]
ROLES = ("clinician", "analyst", "auditor")


def version(folder, facts=FACTS, audit="", **changes):
    """Write a copy of the clinical bundle, with facts to keep, and texts changed by file."""
    shutil.copytree(CLINICAL, folder)
    settings = (folder / "guardrail.toml").read_text()
    kept = f'\n[audit]\njournal = "/nowhere"\nfacts = {json.dumps(facts)}\n{audit}'
    (folder / "guardrail.toml").write_text(settings + kept)
    for name, (old, new) in changes.items():
        path = folder / f"{name}.cedar"
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))
    return folder


class Ward:
    """A guard on a bundle, with a journal, whose callers come by chance."""

    def __init__(self, bundle, journal, *, clock=None, seed=7):
        self.clock = clock or FrozenClock(datetime(2026, 11, 23, 6, 30, tzinfo=UTC))
        self.journal = journal
        self.guard = Guard.from_dir(bundle, journal=journal, clock=self.clock)
        self.chance = random.Random(seed)  # noqa: S311
        self.asked = []

    def call(self, principal, action="predict", resource="tumour", rows=10, study=None):
        facts = {} if study is None else {"study": study}
        guarded = self.guard.protect(
            action=action, resource=Entity("Model", resource), input="patients", facts=facts
        )(lambda patients: np.full((len(patients), 2), 0.5))
        hour = datetime.fromtimestamp(self.clock.now(), UTC).hour
        self.asked.append((principal, action, resource, rows, study, hour))
        try:
            with self.guard.acting_as(principal):
                guarded(np.zeros((rows, 30), np.float32))
        except Denied as error:
            return error.code
        return "allow"

    def anybody(self):
        chance = self.chance
        roles = chance.sample(ROLES, chance.choice((0, 1, 1, 1, 2)))
        return Principal(
            "User", f"u{chance.randrange(40)}",
            parents=[Entity("Role", role) for role in roles], attrs={"department": "care"},
        )  # fmt: skip

    def day(self, calls):
        chance = self.chance
        for _ in range(calls):
            self.call(
                self.anybody(), chance.choice(("predict", "predict", "explain")),
                chance.choice(("tumour", "tumour", "tumour-2019")),
                chance.choice((1, 99, 100, 101)),
            )  # fmt: skip
            self.clock.advance(300)
        self.guard.close()


def replayed(bundle, journal, keys=None):
    candidate = load_bundle(bundle, clock=FrozenClock())
    slots = Slots(candidate)
    calls = GroupedCalls(slots if slots.is_asked else None)
    calls.read(journal, keys=keys)
    return replay(candidate, calls, slots)


def flip_counts(found):
    return {flip.what: flip.count for flip in found.flips}


@pytest.fixture(scope="module")
def busy(tmp_path_factory):
    """Return a bundle, the journal of some hundred calls on it, and what was asked."""
    folder = tmp_path_factory.mktemp("busy")
    bundle = version(folder / "bundle")
    ward = Ward(bundle, folder / "journal")
    ward.day(400)
    return bundle, folder / "journal", ward.asked


def test_the_same_bundle_decides_all_calls_as_it_did(busy):
    bundle, journal, asked = busy
    found = replayed(bundle, journal)
    codes = Counter(kept.record.code for kept in read_calls(journal))
    assert set(codes) == {"allow", "no_grant", "prohibited"}
    assert found.summary == "400 records: 400 same"
    assert found.holds
    assert len(asked) == 400


@pytest.mark.parametrize(
    "changes",
    [
        {"grants": ("<= 100", "<= 50")},
        {"grants": (">= 7", ">= 9")},
        {"grants": ('Role::"analyst"', 'Role::"auditor"')},
        {"prohibitions": ('"retired"', '"diagnosis"')},
        {"conditions": ('@top_k("1")\n', "")},
        {"conditions": ('unless { principal in Role::"auditor" }', "")},
    ],
    ids=str,
)
def test_what_flips_is_what_both_bundles_say_when_asked(busy, tmp_path, changes):
    bundle, journal, asked = busy
    other = version(tmp_path / "other", **changes)
    one, two = (load_bundle(each, clock=FrozenClock()).snapshot for each in (bundle, other))
    flips = 0
    for principal, action, resource, rows, study, hour in asked:
        facts = {
            "input": {"rows": rows}, "identity": {"delegated": False}, "time": {"hour": hour},
            "app": {} if study is None else {"study": study},
        }  # fmt: skip
        request = (principal, Entity("Action", action), Entity("Model", resource))
        before, after = (each.ask(*request).decide(facts).decision for each in (one, two))
        flips += outcome_of(before) != outcome_of(after)
    found = replayed(other, journal)
    assert flips > 0
    assert found.unknown == {}
    assert sum(flip.count for flip in found.flips) == flips
    assert found.same == 400 - flips
    assert not any(flip.is_own for flip in found.flips)


def one_call(tmp_path, *, facts=FACTS, audit="", who=None, **asked):
    """Return a bundle, and the journal of one call on it."""
    bundle = version(tmp_path / "bundle", facts, audit)
    ward = Ward(bundle, tmp_path / "journal")
    who = who or Principal(
        "User", "clara", parents=[Entity("Role", "clinician")], attrs={"department": "care"}
    )
    ward.call(who, **asked)
    ward.guard.close()
    return bundle, tmp_path / "journal"


@pytest.mark.parametrize(
    ("lacking", "reason"),
    [
        ("principal.in", "principal.in is not recorded"),
        ("input.rows", "context.input.rows is not recorded"),
        ("identity.delegated", "context.identity.delegated is not recorded"),
        ("app.study", "context.app.study is not recorded"),
    ],
)
def test_what_the_policies_look_at_must_be_in_the_record(tmp_path, lacking, reason):
    bundle, journal = one_call(tmp_path, facts=[path for path in FACTS if path != lacking])
    found = replayed(bundle, journal)
    assert found.unknown == {reason: 1}
    assert found.summary == "1 records: 0 same, 1 cannot be replayed"


def test_what_they_do_not_look_at_may_be_absent(tmp_path):
    bundle, journal = one_call(tmp_path, facts=["principal.in", "identity.delegated", "app.study"],
        who=Principal("User", "ana", parents=[Entity("Role", "analyst")],
                      attrs={"department": "care"}))  # fmt: skip
    assert replayed(bundle, journal).same == 1  # analysts may score any number of rows


def test_a_text_that_is_a_pseudonym_is_not_guessed(tmp_path):
    bundle, journal = one_call(tmp_path, study="trial-2019")
    assert replayed(bundle, journal).unknown == {"context.app.study is recorded as a pseudonym": 1}


def test_a_text_that_is_kept_as_text_is_replayed(tmp_path):
    facts = [*FACTS[:3], "app.study as text"]
    bundle, journal = one_call(tmp_path, facts=facts, study="trial-2019")
    assert replayed(bundle, journal).summary == "1 records: 1 same"
    (kept,) = read_calls(journal)
    assert dict(kept.record.facts)["app.study"] == "trial-2019"
    reopened = version(tmp_path / "other", facts, prohibitions=('"trial-2019"', '"trial-2020"'))
    assert flip_counts(replayed(reopened, journal)) == {"now allowed by clinicians-may-score": 1}


def test_who_calls_is_not_guessed_where_a_policy_names_somebody(tmp_path):
    _, journal = one_call(tmp_path)
    grant = 'principal in Role::"clinician"', 'principal == User::"clara"'
    named = version(tmp_path / "named", grants=grant)
    assert replayed(named, journal).unknown == {
        "the caller is recorded as a pseudonym, and the decision may depend on the caller: a "
        "policy "
        "names one, or entities.json has callers": 1
    }


def test_who_calls_is_known_where_the_journal_keeps_ids(tmp_path):
    audit = 'principal = "id"\n'
    _, journal = one_call(tmp_path, audit=audit)
    grant = 'principal in Role::"clinician"', 'principal == User::"clara"'
    named = version(tmp_path / "named", audit=audit, grants=grant)
    assert replayed(named, journal).summary == "1 records: 1 same"
    other = version(tmp_path / "x", audit=audit, grants=(grant[0], 'principal == User::"nora"'))
    assert flip_counts(replayed(other, journal)) == {"now denied: no_grant": 1}


def test_a_group_that_the_bundle_does_not_know_is_a_pseudonym_and_not_dropped(tmp_path):
    who = Principal(
        "User", "clara", parents=[Entity("Role", "clinician"), Entity("Role", "surgeon")],
        attrs={"department": "care"},
    )  # fmt: skip
    bundle, journal = one_call(tmp_path, who=who)
    (kept,) = read_calls(journal)
    groups = dict(kept.record.facts)["principal.in"]
    assert 'Role::"clinician"' in groups
    assert not any("surgeon" in group for group in groups)
    assert kept.record.code == "wrong_type"
    assert replayed(bundle, journal).unknown == {
        "the caller did not fit the schema, and the record does not show how": 1
    }


def test_a_resource_that_nobody_knew_is_not_guessed(tmp_path):
    bundle, journal = one_call(tmp_path, resource="another")
    assert replayed(bundle, journal).unknown == {
        "the resource is not an entity of the bundle, and is recorded as a pseudonym": 1
    }


def test_a_model_that_is_gone_denies_whoever_asks(tmp_path):
    _, journal = one_call(tmp_path, facts=["identity.delegated"])
    other = version(tmp_path / "other")
    entities = json.loads((other / "entities.json").read_text())
    left = [each for each in entities if each["uid"]["id"] != "tumour"]
    (other / "entities.json").write_text(json.dumps(left))
    for file in other.glob("*.cedar"):
        file.write_text(file.read_text().replace('Model::"tumour"', 'Model::"tumour-2019"'))
    assert flip_counts(replayed(other, journal)) == {"now denied: unknown_entity": 1}


def test_calls_that_ended_before_the_policies_were_asked_are_told_apart(tmp_path):
    bundle = version(tmp_path / "bundle")
    ward = Ward(bundle, tmp_path / "journal")
    guarded = ward.guard.protect(action="predict", resource='Model::"tumour"', input="patients")(
        lambda patients: patients
    )
    with pytest.raises(Denied):
        guarded(np.ones((1, 30), np.float32))
    clara = Principal(
        "User", "clara", parents=[Entity("Role", "clinician")], attrs={"department": "care"}
    )
    with pytest.raises(Denied), ward.guard.acting_as(clara):
        guarded(np.ones((1, 29), np.float32))  # after the decision: the policies allowed it
    with pytest.raises(Denied), ward.guard.acting_as(clara):
        guarded(np.ones((100_000, 30), np.float32))  # before it: beyond the bounds
    ward.guard.close()
    records = [kept.record for kept in read_calls(tmp_path / "journal")]
    output = {record.code: recorded(record) for record in records}
    met = ReplayOutcome(True, "allow", ("input", "quota"))
    assert output == {
        "not_authenticated": "it ended before the policies were evaluated (not_authenticated)",
        "input_rejected": met,
        "too_large": "it ended before the policies were evaluated (too_large)",
    }
    found = replayed(bundle, tmp_path / "journal")
    assert found.same == 1
    assert found.unknown.total() == 2


def test_the_time_of_a_call_is_the_time_of_its_record(tmp_path):
    facts = FACTS[:4]
    bundle = version(tmp_path / "bundle", facts)
    clock = FrozenClock(datetime(2026, 11, 23, 6, 59, 59, tzinfo=UTC))
    ward = Ward(bundle, tmp_path / "journal", clock=clock)
    auditor = Principal(
        "User", "olga", parents=[Entity("Role", "auditor")], attrs={"department": "care"}
    )
    assert ward.call(auditor, "explain") == "no_grant"
    clock.advance(1)
    assert ward.call(auditor, "explain") == "allow"
    ward.guard.close()
    assert replayed(bundle, tmp_path / "journal").summary == "2 records: 2 same"
    later = version(tmp_path / "later", facts, grants=(">= 7", ">= 8"))
    assert flip_counts(replayed(later, tmp_path / "journal")) == {"now denied: no_grant": 1}
    east = version(tmp_path / "east", facts)
    settings = (
        (east / "guardrail.toml")
        .read_text()
        .replace('timezone = "UTC"', 'timezone = "Asia/Kathmandu"')
    )
    (east / "guardrail.toml").write_text(settings)
    found = replayed(east, tmp_path / "journal")
    assert flip_counts(found) == {"now allowed by auditors-may-evaluate": 1}


def test_an_encrypted_journal_is_replayed_with_its_key(tmp_path):
    key = tmp_path / "journal.key"
    add_key(key)
    audit = f'encrypt = true\nkey_file = "{key}"\n'
    bundle, journal = one_call(tmp_path, audit=audit)
    assert replayed(bundle, journal, read_keys(key)).summary == "1 records: 1 same"


def test_another_outcome_under_the_records_own_revision_is_told_apart(busy):
    bundle, journal, _ = busy
    candidate = load_bundle(bundle, clock=FrozenClock())
    (first, *_) = [kept.record for kept in read_calls(journal) if kept.record.code == "allow"]
    calls = GroupedCalls(Slots(candidate))
    calls.add(first._replace(outcome="denied", code="no_grant", stage="decide", obligations=()))
    found = replay(candidate, calls, Slots(candidate))
    (flip,) = found.flips
    assert flip.is_own
    assert found.summary == "1 records: 0 same, 1 decided differently by the same revision"


def test_the_records_of_another_guard_are_not_taken_for_this_ones(busy):
    bundle, journal, _ = busy
    candidate = load_bundle(bundle, clock=FrozenClock())
    (first, *_) = [kept.record for kept in read_calls(journal)]
    calls = GroupedCalls(Slots(candidate))
    calls.add(first._replace(guard="chat"))
    found = replay(candidate, calls, Slots(candidate))
    assert found.unknown == {"it is a record of the guard chat, not clinical_scoring": 1}


def test_a_record_without_a_beginning_is_not_guessed(busy):
    bundle, journal, _ = busy
    candidate = load_bundle(bundle, clock=FrozenClock())
    (first, *_) = [kept.record for kept in read_calls(journal) if kept.record.code == "allow"]
    assert recorded(first._replace(cached=None)) == "only the end of the call is in the journal"
    recalled = RecordReader(candidate).read(first._replace(facts=()))
    assert recalled == UnknownRequest(("principal.in is not recorded",))
