"""`guardrail check`: accepted findings pass, others fail, and errors always fail."""

from __future__ import annotations

import json
import re

import pytest
from typer.testing import CliRunner
from weak_bundles import ENTITIES, HEAD, PATIENTS, SCHEMA, SECRET, SOUND, WEAK

from guardrail.cli import app

ALWAYS = ("GR520", "GR540")


@pytest.fixture(autouse=True)
def plain_terminal(monkeypatch):
    for name in ("FORCE_COLOR", "GITHUB_ACTIONS", "PY_COLORS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv(*SECRET)


@pytest.fixture
def bundle(make_bundle):
    """Return a function that writes a bundle that accepts ``codes``."""

    def write(policies=SOUND, *, codes=(), **files):
        written = {
            "guardrail.toml": HEAD,
            "schema.cedarschema": SCHEMA,
            "entities.json": ENTITIES,
            "inputs/patients.yaml": PATIENTS,
            **files,
        }
        written["guardrail.toml"] += f"\n[check]\nallow = {json.dumps(list(codes))}\n"
        return make_bundle(policies, **written)

    return write


def check(folder, *options):
    return CliRunner().invoke(app, ["check", str(folder), *options])


@pytest.mark.parametrize("code", WEAK)
def test_a_weakness_exits_1_unless_its_code_is_accepted(bundle, code):
    weak = WEAK[code]
    rest = [other for other in WEAK if other != code]
    denied = check(bundle(weak.policies, codes=rest, **weak.files))
    assert denied.exit_code == 1
    assert re.fullmatch(rf"{re.escape(weak.place)} {code} .+\.\n", denied.stdout)
    assert denied.stderr.startswith("1 finding")
    allowed = check(bundle(weak.policies, codes=[*rest, code], **weak.files))
    assert (allowed.exit_code, allowed.stderr) == (0, "")
    assert re.search(r": no findings \([1-9][0-9]* accepted\)\n$", allowed.stdout)


def test_an_error_is_told_and_never_accepted(bundle):
    folder = bundle(SOUND + "permit (principal, action, resource);", codes=list(WEAK))
    done = check(folder)
    assert done.exit_code == 1
    assert " GR103 " in done.stdout
    done = check(bundle(codes=["GR103"]))
    assert done.exit_code == 1
    assert re.match(r"guardrail\.toml:\d+:1 GR003 .*can't be accepted\.\n", done.stdout)


def test_what_is_accepted_is_hidden_and_counted(bundle):
    done = check(bundle(codes=["GR520"]))
    assert done.exit_code == 1
    assert "GR520" not in done.stdout
    assert "GR540" in done.stdout
    assert done.stderr.startswith("1 finding (1 accepted). ")
    assert "[check] allow" in done.stderr


def test_json_tells_all_and_what_is_accepted(bundle):
    done = check(bundle(WEAK["GR503"].policies, codes=ALWAYS), "--format", "json")
    assert (done.exit_code, done.stderr) == (1, "")
    output = json.loads(done.stdout)
    assert output["bundle"] == "small"
    assert {found["code"]: found["accepted"] for found in output["findings"]} == {
        "GR503": False,
        "GR520": True,
        "GR540": True,
    }
    (found,) = [found for found in output["findings"] if found["code"] == "GR503"]
    assert set(found) == {"code", "file", "line", "column", "message", "policy", "accepted"}
    assert (found["file"], found["line"], found["column"]) == ("policies.cedar", 3, 26)
    assert found["policy"] == "it"


def test_json_exits_0_where_all_is_accepted(bundle):
    done = check(bundle(codes=ALWAYS), "--format", "json")
    assert done.exit_code == 0
    assert all(found["accepted"] for found in json.loads(done.stdout)["findings"])


def test_json_of_errors_has_the_same_keys(bundle):
    done = check(bundle("permit (principal, action, resource);"), "--format", "json")
    assert done.exit_code == 1
    output = json.loads(done.stdout)
    (found,) = output["findings"]
    assert (output["bundle"], found["code"], found["accepted"]) == (None, "GR103", False)
    assert found["policy"] == ""


def test_an_id_cannot_steer_the_terminal(bundle):
    data = json.loads(ENTITIES)
    data[-1]["uid"]["id"] = "tu\x1b[31mmour"
    done = check(bundle(codes=ALWAYS, **{"entities.json": json.dumps(data)}))
    assert done.exit_code == 1
    assert "GR505" in done.stdout
    assert "\x1b" not in done.stdout


def test_a_folder_that_is_not_there_exits_2():
    assert check("no/such/folder").exit_code == 2


# Accepted beside the policy.


def test_a_finding_is_accepted_beside_its_policy_with_a_reason(bundle):
    weak = WEAK["GR508"]
    rest = [code for code in WEAK if code != "GR508"]
    folder = bundle(weak.policies, codes=rest, **weak.files)
    named = json.loads(check(folder, "--format", "json").stdout)["findings"]
    (owner,) = {each["policy"] for each in named if each["code"] == "GR508"}
    mark = f'@id("{owner}") @x_allow("GR508: nobody counts a nightly job; GR509: it is fine")'
    accepting = weak.policies.replace(f'@id("{owner}")', mark)
    done = check(bundle(accepting, codes=rest, **weak.files))
    assert (done.exit_code, done.stderr) == (0, "")
    output = json.loads(check(folder, "--format", "json").stdout)["findings"]
    (finding,) = [each for each in output if each["code"] == "GR508"]
    assert finding["accepted"] is True
    assert finding["reason"] == "nobody counts a nightly job"


def test_what_one_policy_accepts_no_other_does(bundle):
    weak = WEAK["GR508"]
    rest = [code for code in WEAK if code != "GR508"]
    more = (
        '@id("another") @x_allow("GR508: it is") '
        'forbid (principal, action, resource) when { resource.purpose == "never" };\n'
    )
    done = check(bundle(weak.policies + more, codes=rest, **weak.files))
    assert done.exit_code == 1
    assert " GR508 " in done.stdout


@pytest.mark.parametrize(
    "argument",
    ["GR508", "GR508:", "GR508: ", "GR103: an error", "GR999: none", "", "GR508: a;GR509", "all"],
)
def test_an_acceptance_without_a_reason_or_of_no_finding_is_an_error(bundle, argument):
    policies = SOUND.replace('@id("', f'@x_allow("{argument}") @id("', 1)
    done = check(bundle(policies, codes=list(ALWAYS)))
    if argument == "GR508: a;GR509":  # all of it is the reason
        assert done.exit_code == 0
        return
    assert done.exit_code == 1
    assert re.match(r"policies\.cedar:1:\d+ GR109 @x_allow ", done.stdout)
