"""`guardrail replay`, and `explain` and `diff` with a journal: their output and exit codes."""

import json
import shutil

import pytest
from bundles import ENTITIES, principal
from journals import journal_in
from records import record
from typer.testing import CliRunner

from guardrail import Guard
from guardrail.audit.journal.keys import add_key, read_keys
from guardrail.bundle.assembly import load_bundle
from guardrail.cli import app
from guardrail.testing import FrozenClock

POLICIES = """\
@id("wards") permit (principal in Role::"clinician", action == Action::"predict", resource)
when { context.input.rows <= 100 };
@id("at-night-only") forbid (principal, action == Action::"predict", resource)
when { context.time.hour < 2 };
@id("rounded") @round("2") forbid (principal, action == Action::"predict", resource);
"""
FACTS = (("principal.in", ['Role::"clinician"']), ("input.rows", 60))
NINE = 1_800_000_000 // 86400 * 86400 + 9 * 3600.0
TESTS = """\
given: {action: predict, resource: 'Model::"tumour"', now: 2026-11-23T10:00:00Z}
tests:
  - name: allowed
    principal: {uid: 'User::"c"', in: ['Role::"clinician"'], attrs: {department: care}}
    facts: {input: {rows: 10}}
    expect: allow
"""


@pytest.fixture
def bundle(make_bundle):
    things = [each for each in ENTITIES if each["uid"]["type"] != "User"]
    return make_bundle(
        POLICIES, **{"tests/a_test.yaml": TESTS, "entities.json": json.dumps(things)}
    )


@pytest.fixture
def other(bundle, tmp_path):
    """Return a function that writes another version of the bundle."""

    def other(old, new):
        folder = tmp_path / "other"
        shutil.copytree(bundle, folder)
        (folder / "policies.cedar").write_text(POLICIES.replace(old, new))
        return folder

    return other


def written(folder, **options):
    """Write three calls of the small bundle: two like each other, and one without its facts."""
    journal = journal_in(folder, **options)
    for number, changes in enumerate(({}, {}, {"facts": ()})):
        made = record(
            decision_id=f"{number}{'ab' * 15}c", guard="small", principal="k1:" + "0" * 32,
            resource="tumour", obligations=("round",), policies=("wards",), started_at=NINE,
            **{"facts": FACTS, **changes},
        )  # fmt: skip
        handle = journal.begin("small", "predict", "app.predict")
        journal.admit(handle, made._replace(outcome="admitted", stage="audit"))
        journal.end(handle, made._replace(stage="release"))
    journal.close()
    return folder


@pytest.fixture
def journal(tmp_path):
    return written(tmp_path / "journal")


def run(*arguments):
    return CliRunner().invoke(app, [*map(str, arguments)])


def test_nothing_flips_on_the_same_policies(bundle, journal):
    result = run("replay", bundle, journal)
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "1 cannot be replayed: principal.in is not recorded",
        "3 records: 2 same, 1 cannot be replayed",
    ]


def test_what_flips_is_told_with_one_call_explained(other, journal):
    result = run("replay", other("hour < 2", "hour < 10"), journal)
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[1] == "2 now denied by at-night-only"
    assert "0abababa" in lines[2]
    assert any("yes  when context.time.hour < 10" in line for line in lines)
    assert lines[-1] == ("3 records: 0 same, 2 now denied by at-night-only, 1 cannot be replayed")


def test_other_obligations_flip_too(other, journal):
    result = run("replay", other('@round("2")', '@round("2") @top_k("1")'), journal)
    assert result.exit_code == 1
    assert "2 now with the obligations round, top_k, before round" in result.stdout


def test_json_tells_all_of_it(other, journal):
    result = run("replay", other("<= 100", "<= 50"), journal, "--format", "json")
    assert result.exit_code == 1
    answer = json.loads(result.stdout)
    assert (answer["records"], answer["same"], answer["damage"]) == (3, 0, [])
    assert answer["unknown"] == [{"reason": "principal.in is not recorded", "count": 1}]
    (flip,) = answer["flips"]
    assert flip["count"] == 2
    assert flip["was"] == {"decision": "allow", "code": "allow", "obligations": ["round"]}
    assert flip["now"] == {
        "decision": "deny", "code": "no_grant", "obligations": [], "policies": [],
    }  # fmt: skip
    assert flip["explanation"]["policies"][0]["policy"] == "wards"


def test_the_last_of_them_only(bundle, journal):
    result = run("replay", bundle, journal, "--last", "1")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1].startswith("1 records:")


def test_only_those_between_two_times(bundle, journal):
    assert run("replay", bundle, journal, "--since", "2090-01-01").stdout == "0 records: 0 same\n"


def test_a_damaged_journal_is_not_fine(bundle, journal):
    (segment,) = journal.glob("*.seg")
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 1
    segment.write_bytes(data)
    result = run("replay", bundle, journal)
    assert result.exit_code == 1
    assert "damaged: " in result.stderr


def test_a_bundle_that_does_not_load_is_told(other, journal):
    result = run("replay", other("permit", "allow"), journal)
    assert result.exit_code == 1
    assert "policies.cedar" in result.stderr


def test_an_encrypted_journal_needs_its_key(bundle, tmp_path):
    add_key(tmp_path / "key")
    folder = written(tmp_path / "secret", keys=read_keys(tmp_path / "key"), encrypt=True)
    without = run("replay", bundle, folder)
    assert without.exit_code == 2
    assert "is encrypted" in without.stderr
    result = run("replay", bundle, folder, "--key-file", tmp_path / "key")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == "3 records: 2 same, 1 cannot be replayed"


def test_a_record_is_explained(bundle, journal):
    result = run("explain", bundle, "--record", "1ab", "--journal", journal)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert "1abababa" in lines[0]
    assert "no known value: principal.department" in lines[1]
    assert lines[2].startswith("allow by wards, if: round 2")


def test_a_record_that_lacks_something_is_not_explained(bundle, journal):
    result = run("explain", bundle, "--record", "2", "--journal", journal, "--format", "json")
    assert result.exit_code == 1
    assert json.loads(result.stdout) == {
        "recorded": {"decision": "allow", "code": "allow", "obligations": ["round"]},
        "not_known": ["principal.in is not recorded"],
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--record", "9"], "no record of the journal begins with '9'"),
        (["--record", ""], "3 records begin with ''"),
        (["--record", "1", "--action", "predict"], "not both"),
    ],
)
def test_a_record_must_be_one(bundle, journal, options, message):
    result = run("explain", bundle, *options, "--journal", journal)
    assert result.exit_code == 2
    assert message in result.stderr


def test_a_record_needs_its_journal(bundle):
    result = run("explain", bundle, "--record", "1")
    assert result.exit_code == 2
    assert "--record and --journal need each other" in result.stderr


def test_diff_compares_on_recorded_requests_too(bundle, other, journal):
    new = other("<= 100", "<= 59 || context.input.rows == 100 || context.input.rows == 101")
    result = run("diff", bundle, new, "--journal", journal, "--format", "json")
    assert result.exit_code == 1
    assert "1 recorded requests can be decided by both versions" in result.stderr
    found = [
        change for change in json.loads(result.stdout) if change["facts"].get("input.rows") == "60"
    ]
    assert found[0]["kind"] == "loses"
    assert found[0]["principal"] == f'User::"k1:{"0" * 32}"'


def test_the_own_revision_of_a_record_is_told_apart(bundle, tmp_path):
    revision = load_bundle(bundle, clock=FrozenClock()).snapshot.revision
    journal = journal_in(tmp_path / "journal")
    made = record(
        guard="small", resource="tumour", revision=revision, outcome="denied", code="no_grant",
        stage="decide", policies=(), obligations=(), started_at=NINE, facts=FACTS,
    )  # fmt: skip
    journal.end(None, made)
    journal.close()
    result = run("replay", bundle, tmp_path / "journal")
    assert result.exit_code == 1
    assert "the same revision decided differently then" in result.stdout
    assert result.stdout.splitlines()[-1] == (
        "1 records: 0 same, 1 decided differently by the same revision"
    )


# What was demanded.


def demanded(folder, condition, make_bundle):
    """Serve a call under a condition; return the bundle, and the journal that keeps the call."""
    things = [each for each in ENTITIES if each["uid"]["type"] != "User"]
    files = {"guardrail.toml": KEEPS.format(folder), "entities.json": json.dumps(things)}
    bundle = make_bundle(GRANT + condition, **files)
    guard = Guard.from_dir(bundle, clock=FrozenClock(NINE))
    output = "some text" if "redact" in condition else 0.123456
    function = guard.protect(action="predict", resource='Model::"tumour"')(lambda: output)
    with guard.acting_as(principal()):
        function()
    guard.close()
    return bundle


GRANT = '@id("grant") permit (principal in Role::"clinician", action, resource);\n'
KEEPS = """\
[bundle]
name = "small"
version = "1.0.0"
[audit]
journal = "{}"
facts = ["principal.in"]
"""
CONDITION = '@id("c") {} forbid (principal, action, resource);\n'


@pytest.mark.parametrize(
    ("before", "after", "what"),
    [
        ('@round("2")', '@round("1")', "1 now with other arguments of obligations: round 1"),
        ('@round("1")', '@round("2")', "1 now with other arguments of obligations: round 2"),
        (
            '@quota("9/minute per principal")', '@quota("8/minute per principal")',
            "1 now with other arguments of obligations: quota 8/minute per principal",
        ),
        ('@quota("9/minute")', '@quota("9/hour")', "arguments of obligations: quota 9/hour"),
        (
            '@round("2") @quota("9/minute")', '@round("3") @quota("8/minute")',
            "1 now with other arguments of obligations: quota 8/minute, round 3",
        ),
        ('@redact("email")', '@redact("email, phone")', "other arguments of obligations: redact"),
    ],
)  # fmt: skip
def test_a_demand_that_is_another_one_flips(tmp_path, make_bundle, before, after, what):
    journal = tmp_path / "journal"
    bundle = demanded(journal, CONDITION.format(before), make_bundle)
    same = run("replay", bundle, journal)
    assert (same.exit_code, same.stdout) == (0, "1 records: 1 same\n")
    (bundle / "policies.cedar").write_text(GRANT + CONDITION.format(after))
    result = run("replay", bundle, journal)
    assert result.exit_code == 1
    assert what in result.stdout
    answer = json.loads(run("replay", bundle, journal, "--format", "json").stdout)
    assert answer["flips"][0]["demands_changed"] != []


def test_another_spelling_of_the_same_demand_is_the_same(tmp_path, make_bundle):
    journal = tmp_path / "journal"
    bundle = demanded(journal, CONDITION.format('@redact("email, phone")'), make_bundle)
    (bundle / "policies.cedar").write_text(GRANT + CONDITION.format('@redact("phone, email")'))
    assert run("replay", bundle, journal).stdout == "1 records: 1 same\n"


def test_a_record_of_an_earlier_version_is_compared_by_names(other, journal):
    """Its records have no demands."""
    result = run("replay", other('@round("2")', '@round("1")'), journal)
    assert result.exit_code == 0
    assert "2 same" in result.stdout


def test_a_journal_of_which_nothing_can_be_replayed_is_not_fine(make_bundle, journal):
    policies = 'permit (principal, action == Action::"predict", resource)'
    other = make_bundle(f'@id("x") {policies} when {{ context.input.bytes < 5 }};')
    result = run("replay", other, journal)
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1] == "3 records: 0 same, 3 cannot be replayed"


def test_arguments_in_the_wrong_order_are_named(bundle, tmp_path):
    written(tmp_path / "journal")
    done = CliRunner().invoke(app, ["replay", str(tmp_path / "journal"), str(bundle)])
    assert done.exit_code == 1
    assert "is a journal. The order is: guardrail replay DIR JOURNAL." in done.stderr
