"""The stored facts about a caller, and of facts that a call does not have."""

import json

import pytest

from guardrail import ConfigurationError, Entity, Principal
from guardrail.audit.journal.keys import own_keys
from guardrail.audit.pseudonyms import Pseudonyms
from guardrail.bundle.assembly import load_bundle
from guardrail.testing import FrozenClock

PREDICT = Entity("Action", "predict")
READS = {PREDICT: {"app": frozenset(("study", "count")), "input": frozenset()}}
KNOWN = {Entity("Role", "clinician"), Entity("Team", 'a "b"')}
CLARA = Principal(
    "User", "clara", parents=[Entity("Role", "clinician"), Entity("Team", 'a "b"')],
    attrs={"department": "care", "level": 3, "team": Entity("Team", 'a "b"'), "score": 0.5},
)  # fmt: skip


@pytest.fixture
def names(tmp_path):
    def names(*facts, plain=()):
        return Pseudonyms(
            lambda: own_keys(tmp_path),
            facts=facts,
            reads=READS,
            plain=frozenset(plain),
            knows=KNOWN.__contains__,
            digest_of=lambda _: "",
            take_view=lambda value, _: value,
        )

    return names


def kept(names, facts=None, noted=None, principal=CLARA, action=PREDICT):
    return dict(names.facts(facts or {}, noted or {}, principal, action))


def test_nothing_of_a_caller_is_kept_unless_it_is_listed(names):
    assert kept(names()) == {}
    assert kept(names("app.count"), {"app": {"count": 1}}) == {"app.count": 1}


def test_the_groups_that_the_bundle_knows_are_kept_as_uids(names):
    assert kept(names("principal.in")) == {
        "principal.in": ['Role::"clinician"', 'Team::"a \\"b\\""']
    }


def test_any_other_group_is_kept_as_a_pseudonym(names):
    stranger = Principal("User", "x", parents=[Entity("Role", "surgeon")])
    (group,) = kept(names("principal.in"), principal=stranger)["principal.in"]
    key, _, digits = group.partition(":")
    assert (key[0], len(digits)) == ("k", 32)


def test_a_caller_without_groups_is_told_from_one_of_whom_none_are_kept(names):
    assert kept(names("principal.in"), principal=Principal("User", "x")) == {"principal.in": []}
    assert kept(names("principal.in"), principal=None) == {}


def test_texts_of_a_caller_are_pseudonyms_and_all_else_is_kept_as_it_is(names):
    paths = [f"principal.{name}" for name in ("department", "level", "team", "score", "absent")]
    found = kept(names(*paths))
    assert found.pop("principal.department").startswith("k")
    assert found == {
        "principal.level": 3, "principal.team": 'Team::a "b"', "principal.score": 0.5,
        "principal.absent": None,
    }  # fmt: skip


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_in_json_is_told_by_its_type(names, value):
    caller = Principal("User", "clara", attrs={"score": value})
    told = kept(names("principal.score", "app.count"), {"app": {"count": value}}, principal=caller)
    assert told == {"principal.score": "float", "app.count": "float"}
    json.dumps(told, allow_nan=False)


def test_a_text_is_kept_where_the_list_says_so(names):
    found = kept(names("principal.department", plain=["principal.department"]))
    assert found == {"principal.department": "care"}


def test_a_fact_that_was_asked_for_and_is_not_there_is_none(names):
    facts = names("app.study", "app.count", "input.rows")
    assert kept(facts, {"app": {"count": 1}}) == {"app.study": None, "app.count": 1}


def test_a_fact_that_the_policies_of_the_action_do_not_read_is_left_out(names):
    facts = names("app.study", "app.other")
    assert kept(facts, {"app": {}}) == {"app.study": None}
    assert kept(facts, {"app": {}}, action=Entity("Action", "explain")) == {}


def test_what_a_caller_brought_stands_where_a_policy_notes_the_bundles_word(names):
    noted = {"principal.level as text": 9}
    assert kept(names("principal.level"), noted=noted) == {"principal.level": 3}


def loads(make_bundle, tmp_path, *paths):
    text = f'[audit]\njournal = "{tmp_path}/journal"\nfacts = {json.dumps(paths)}\n'
    settings = '[bundle]\nname = "small"\nversion = "1"\n' + text
    policies = (
        '@id("a") permit (principal in Role::"clinician", action == Action::"predict", resource)\n'
        'when { principal.department == "care" && context.input.rows < 3 };'
    )
    return load_bundle(make_bundle(policies, **{"guardrail.toml": settings}), clock=FrozenClock())


def test_groups_and_attributes_that_policies_read_can_be_kept(make_bundle, tmp_path):
    bundle = loads(
        make_bundle, tmp_path, "principal.in", "principal.department as text", "input.rows"
    )
    assert bundle.audit.paths == ("principal.in", "principal.department", "input.rows")
    assert bundle.audit.plain == {"principal.department"}


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (
            "principal.level",
            "No policy reads principal.level, so it is never computed or recorded. Remove it.",
        ),
        (
            "principal.department.name",
            "No policy reads principal.department.name, so it is never computed or recorded. "
            "Did you mean principal.department?",
        ),
        (
            "input.bytes",
            "No policy reads context.input.bytes, so it is never computed or recorded. Remove it.",
        ),
        ("principal", "`principal` is not the path of a fact. Give one such as `input.rows`."),
    ],
)
def test_what_no_policy_reads_is_a_fault_of_the_list(make_bundle, tmp_path, path, message):
    with pytest.raises(ConfigurationError) as raised:
        loads(make_bundle, tmp_path, path)
    assert [(fault.code, fault.message) for fault in raised.value.faults] == [("GR003", message)]
