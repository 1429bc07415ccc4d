"""Recorded values of each type are read back and decided the same, or the call is not decided."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from ipaddress import ip_address

import pytest
from bundles import ENTITIES, SCHEMA

from guardrail import Denied, Entity, Guard, Principal
from guardrail.audit.journal_read.grouped_calls import GroupedCalls
from guardrail.audit.journal_read.reader import read_calls
from guardrail.bundle.assembly import load_bundle
from guardrail.testing import FrozenClock
from guardrail.testing.replay.replay import RecordReader, UnknownRequest
from guardrail.testing.replay.report import Slots, replay

THINGS = [each for each in ENTITIES if each["uid"]["type"] != "User"]
AT = datetime(2026, 11, 23, 10, 0, 0, 123456, tzinfo=UTC)
FORM = "is recorded in a form from which its value can't be read"


@pytest.fixture
def bundle(make_bundle, tmp_path):
    def bundle(clause, *facts):
        policy = f'permit (principal, action == Action::"predict", resource) when {{ {clause} }};'
        audit = f'[audit]\njournal = "{tmp_path}/nowhere"\nfacts = {json.dumps(facts)}\n'
        settings = '[bundle]\nname = "small"\nversion = "1.0.0"\n' + audit
        return make_bundle(
            f'@id("grant") {policy}',
            **{"guardrail.toml": settings, "entities.json": json.dumps(THINGS)},
        )

    return bundle


def calls_of(path, folder, callers, facts):
    """Make one call of each caller with each of some facts; return the codes."""
    guard = Guard.from_dir(path, journal=folder, clock=FrozenClock())
    codes = []
    for caller in callers:
        for each in facts:
            guarded = guard.protect(action="predict", resource='Model::"tumour"', facts=each)(
                lambda: 1
            )
            try:
                with guard.acting_as(caller):
                    guarded()
                codes.append("allow")
            except Denied as error:
                codes.append(error.code)
    guard.close()
    return codes


def replayed(path, folder):
    candidate = load_bundle(path, clock=FrozenClock())
    slots = Slots(candidate)
    calls = GroupedCalls(slots if slots.is_asked else None)
    calls.read(folder)
    return replay(candidate, calls, slots)


CLARA = Principal("User", "clara", attrs={"department": "care"})
VALUES = [
    ("count", "context.app.count > 3", [3, 4, -(2**63)]),
    ("flag", "context.app.flag", [True, False]),
    ("score", 'context.app.score.lessThan(decimal("0.5"))', [0.49999, 0.50001, 1, Decimal("0.4")]),
    ("at", 'context.app.at < datetime("2026-11-23T10:00:00.124Z")', [AT, AT + timedelta(0, 1)]),
    ("span", 'context.app.span < duration("1s500ms")', [timedelta(0, 1.4999), timedelta(0, 1.5)]),
    ("purpose", 'context.app.purpose == "care"', ["care", "cäre", 'c"', "k1:x"]),
    ("tags", 'context.app.tags.contains("a")', [["a", "b"], [], {"b"}]),
    ("ip", 'context.app.ip.isInRange(ip("10.0.0.0/8"))', ["10.1.2.3", "11.0.0.0"]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "clause", "values"), VALUES, ids=[name for name, *_ in VALUES])
def test_a_value_that_is_kept_is_decided_as_it_was(bundle, tmp_path, name, clause, values):
    path = bundle(f"context.app has {name} && {clause}", f"app.{name} as text")
    facts = [{name: value} for value in values] + [{}]
    codes = calls_of(path, tmp_path / "journal", [CLARA], facts)
    assert set(codes) == {"allow", "no_grant"}
    found = replayed(path, tmp_path / "journal")
    assert found.summary == f"{len(facts)} records: {len(facts)} same"


@pytest.mark.parametrize(
    ("name", "clause", "value", "reason"),
    [
        ("ip", "context.app.ip.isIpv4()", ip_address("10.0.0.1"), FORM),
        (
            "tags", 'context.app.tags.contains("a")', [f"t{at}" for at in range(100)],
            "has so many items that some may not be recorded",
        ),
        (
            "purpose", 'context.app.purpose == "care"', "k1:" + "0" * 32,
            "is recorded as a pseudonym",
        ),
        (
            "note", 'context.app.note.text == "x"', {"text": "x"},
            "is a record, and its content is not recorded",
        ),
    ],
)  # fmt: skip
def test_a_value_that_its_record_does_not_tell_is_not_guessed(
    bundle, tmp_path, name, clause, value, reason
):
    path = bundle(f"context.app has {name} && {clause}", f"app.{name} as text")
    calls_of(path, tmp_path / "journal", [CLARA], [{name: value}])
    assert replayed(path, tmp_path / "journal").unknown == {f"context.app.{name} {reason}": 1}


def test_attributes_of_a_caller_are_decided_as_they_were(bundle, tmp_path):
    path = bundle(
        'principal.department == "care" && principal has level && principal.level > 2'
        " && principal has team && principal.team.level == 3",
        "principal.department as text", "principal.level", "principal.team",
    )  # fmt: skip
    heart = Entity("Team", "heart")
    callers = [
        Principal("User", "x", attrs={"department": department, **more})
        for department in ("care", "research")
        for more in ({}, {"level": 2}, {"level": 3, "team": heart}, {"level": 3})
    ]
    codes = calls_of(path, tmp_path / "journal", callers, [{}])
    assert codes.count("allow") == 1
    assert replayed(path, tmp_path / "journal").summary == "8 records: 8 same"


def test_an_attribute_that_is_a_pseudonym_matters_only_where_it_is_read(bundle, tmp_path):
    path = bundle('principal.department == "care"', "principal.department")
    calls_of(path, tmp_path / "journal", [CLARA], [{}])
    assert replayed(path, tmp_path / "journal").unknown == {
        "principal.department is recorded as a pseudonym": 1
    }
    other = tmp_path / "bundle" / "policies.cedar"
    other.write_text('@id("all") permit (principal, action, resource);')
    settings = tmp_path / "bundle" / "guardrail.toml"
    settings.write_text(settings.read_text().split("[audit]")[0])
    assert replayed(path, tmp_path / "journal").summary == "1 records: 1 same"


def test_an_attribute_that_the_schema_demands_now_is_not_made_up_for_who_had_none(bundle, tmp_path):
    path = bundle("principal has level && principal.level > 2", "principal.level")
    calls_of(path, tmp_path / "journal", [CLARA], [{}])
    schema = path / "schema.cedarschema"
    schema.write_text(SCHEMA.replace("level?: Long", "level: Long"))
    assert replayed(path, tmp_path / "journal").unknown == {
        "the caller had no principal.level, and the schema requires it": 1
    }


def test_who_brings_too_many_groups_is_not_guessed(bundle, tmp_path):
    things = [
        *THINGS,
        *(
            {"uid": {"type": "Team", "id": f"t{at}"}, "attrs": {"level": 1}, "parents": []}
            for at in range(120)
        ),
    ]
    path = bundle('principal in Team::"t119"', "principal.in")
    (path / "entities.json").write_text(json.dumps(things))
    teams = [Entity("Team", f"t{at}") for at in range(120)]
    many = Principal("User", "x", parents=teams, attrs={"department": "care"})
    assert calls_of(path, tmp_path / "journal", [many], [{}]) == ["allow"]
    assert replayed(path, tmp_path / "journal").unknown == {
        "principal.in has so many groups that some may not be recorded": 1
    }


def test_a_caller_of_whom_the_bundle_has_others_is_not_guessed(bundle, tmp_path):
    path = bundle("principal has level", "principal.level")
    calls_of(path, tmp_path / "journal", [CLARA], [{}])
    (path / "entities.json").write_text(json.dumps(ENTITIES))
    (kept,) = read_calls(tmp_path / "journal")
    recalled = RecordReader(load_bundle(path, clock=FrozenClock())).read(kept.record)
    assert isinstance(recalled, UnknownRequest)
    (reason,) = recalled.reasons
    assert reason.startswith("the caller is recorded as a pseudonym")
