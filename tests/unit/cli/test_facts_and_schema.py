"""`facts` lists the facts that a call computes; `schema` prints a schema for other Cedar tools."""

from __future__ import annotations

import json
from pathlib import Path

import cedarpy
import pytest
from typer.testing import CliRunner

from guardrail.bundle.assembly import load_bundle
from guardrail.cli import app
from guardrail.testing import FrozenClock

ROOT = Path(__file__).parents[3]
POLICIES = """\
@id("few") permit (principal, action, resource) when { context.input.rows <= 10 };
@id("early") forbid (principal, action == Action::"predict", resource)
when { context.time.hour < 7 || context.input.rows == 3 };
@id("study") forbid (principal, action == Action::"predict", resource)
when { context.app has tags && context.app.tags.contains("x") };
@id("counted") @quota("5/minute per context.app.purpose")
forbid (principal, action == Action::"summarize", resource);
"""


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def bundle(make_bundle):
    text = POLICIES.replace(
        "permit (principal, action,", 'permit (principal, action in [Action::"read"],'
    )
    return make_bundle(text)


def test_facts_are_told_per_action_with_types_and_policies(bundle):
    output = json.loads(run("facts", bundle, "--format", "json").stdout)
    actions = {action["action"]: action for action in output["actions"]}
    assert set(actions) == {"predict", "explain", "summarize"}
    reads = {fact["fact"]: (fact["type"], fact["policies"]) for fact in actions["predict"]["reads"]}
    assert reads == {
        "input.rows": ("Long", ["few", "early"]),
        "time.hour": ("Long", ["early"]),
        "app.tags": ("Set<String>", ["study"]),
    }
    assert actions["predict"]["not_computed"] == ["identity"]
    assert actions["explain"]["not_computed"] == ["app", "identity", "time"]


def test_what_an_annotation_reads_is_told(bundle):
    output = json.loads(run("facts", bundle, "--format", "json").stdout)
    (summarize,) = [action for action in output["actions"] if action["action"] == "summarize"]
    assert summarize["reads"] == [
        {"fact": "app.purpose", "type": "String", "policies": ["counted"]}
    ]
    assert summarize["not_computed"] == ["input"]


def test_facts_are_told_to_people(bundle):
    done = run("facts", bundle)
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert "predict reads input.rows, time.hour, app.tags; not computed: identity" in lines
    assert any(line.split() == ["input.rows", "Long", "few,", "early"] for line in lines)


def test_facts_of_a_bundle_that_does_not_load_exit_1(make_bundle):
    done = run("facts", make_bundle("permit (principal, action, resource);"))
    assert (done.exit_code, done.stdout) == (1, "")
    assert "GR103" in done.stderr


def test_a_policy_that_reads_nothing_computes_nothing(make_bundle):
    text = '@id("a") permit (principal, action, resource);'
    done = run("facts", make_bundle(text))
    assert "summarize reads nothing; not computed: app, input" in done.stdout


@pytest.mark.parametrize(
    "path", ["policies/clinical_scoring", "benchmarks/bundle", "guardrail/cli/template/policies"]
)
def test_the_schema_is_what_other_cedar_tools_read(path):
    done = run("schema", ROOT / path)
    assert done.exit_code == 0
    schema = cedarpy.Schema.from_str(done.stdout)
    assert "namespace guardrail" in done.stdout
    for file in (ROOT / path).glob("*.cedar"):
        assert cedarpy.validate_policies(file.read_text("utf-8"), schema).validation_passed


def test_the_schema_of_a_bundle_without_sound_policies_is_printed(make_bundle):
    assert run("schema", make_bundle("permit (")).exit_code == 0


@pytest.mark.parametrize(
    ("files", "code"),
    [
        ({"schema.cedarschema": "entity A {"}, "GR011"),
        ({"schema.cedarschema": None}, "GR010"),
        ({"second.cedarschema": "entity B;"}, "GR010"),
    ],
)
def test_what_is_no_schema_exits_1(make_bundle, files, code):
    done = run("schema", make_bundle(**files))
    assert (done.exit_code, done.stdout) == (1, "")
    assert code in done.stderr


@pytest.mark.parametrize("command", ["facts", "schema"])
def test_a_folder_that_is_not_there_exits_2(command):
    assert run(command, "no/such/folder").exit_code == 2


# The whole schema, beside the bundle.


def test_the_whole_schema_stands_where_no_load_reads_it(make_bundle):
    folder = make_bundle()
    before = load_bundle(folder, clock=FrozenClock()).snapshot.revision
    output = CliRunner().invoke(app, ["schema", str(folder), "--write"])
    assert output.exit_code == 0
    file = folder / ".schemas" / "whole.cedarschema"
    assert output.stdout.split() == [str(file), "written"]
    printed = CliRunner().invoke(app, ["schema", str(folder)]).stdout
    assert file.read_text() == printed
    assert load_bundle(folder, clock=FrozenClock()).snapshot.revision == before
    schema = cedarpy.Schema.from_str(file.read_text())  # whole: no other file is needed
    policies = (folder / "policies.cedar").read_text()
    assert cedarpy.validate_policies(policies, schema).validation_passed


def test_check_says_that_the_whole_schema_is_stale(make_bundle):
    folder = make_bundle()
    CliRunner().invoke(app, ["schema", str(folder), "--write"])
    check = ["check", str(folder)]
    assert "GR550" not in CliRunner().invoke(app, check).stdout
    with (folder / "schema.cedarschema").open("a") as file:
        file.write("entity Ward;\n")
    output = CliRunner().invoke(app, check)
    assert ".schemas/whole.cedarschema GR550 " in output.stdout
    assert "guardrail schema DIR --write" in output.stdout
    CliRunner().invoke(app, ["schema", str(folder), "--write"])
    assert "GR550" not in CliRunner().invoke(app, check).stdout


def test_what_cannot_be_written_is_told(make_bundle):
    folder = make_bundle()
    (folder / ".schemas").write_text("no folder")
    output = CliRunner().invoke(app, ["schema", str(folder), "--write"])
    assert (output.exit_code, output.stdout) == (2, "")
    assert "cannot be written" in output.stderr
    assert CliRunner().invoke(app, ["schema", "--write"]).exit_code == 2


def test_init_writes_the_whole_schema_and_names_it_to_the_editor(tmp_path):
    CliRunner().invoke(app, ["init", str(tmp_path / "prices")])
    settings = json.loads((tmp_path / "prices/.vscode/settings.json").read_text())
    file = tmp_path / "prices" / settings["cedar.schemaFile"]
    printed = CliRunner().invoke(app, ["schema", str(tmp_path / "prices/policies")]).stdout
    assert file.read_text() == printed
    assert CliRunner().invoke(app, ["check", str(tmp_path / "prices/policies")]).exit_code == 0
