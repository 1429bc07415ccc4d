"""docs/journal.md: every configuration loads, every policy too, and the commands exist."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from guardrail import Guard
from guardrail.cli import app

TEXT = (Path(__file__).parents[2] / "docs" / "journal.md").read_text("utf-8")
SCHEMA = """
entity Role;
entity User in [Role] { department: String };
entity Model;
action predict appliesTo { principal: [User], resource: [Model], context: {
  input: guardrail::TensorInput, identity: guardrail::IdentityFacts, app: { study: String } } };
"""
READS = """
@id("reads") permit (principal, action, resource)
when { principal in Role::"clinician" && context.input.rows < 5 && context.identity.mfa };
"""


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize("toml", blocks("toml"))
def test_every_configuration_loads(make_bundle, toml):
    head = '[bundle]\nname = "small"\nversion = "1"\n'
    folder = make_bundle(
        READS + blocks("cedar")[0],
        **{"guardrail.toml": head + toml, "schema.cedarschema": SCHEMA, "entities.json": "[]"},
    )
    assert Guard.from_dir(folder, journal=None).name == "small"


@pytest.mark.parametrize(
    "command", sorted(set(re.findall(r"\$ guardrail (journal [a-z]+|[a-z]+)", TEXT)))
)
def test_every_command_is_there(command):
    assert CliRunner().invoke(app, [*command.split(), "--help"]).exit_code == 0


def test_every_option_is_there():
    for line in re.findall(r"\$ guardrail journal (.*)", TEXT):
        name, *rest = line.split()
        output = CliRunner().invoke(app, ["journal", name, "--help"], env={"COLUMNS": "200"}).stdout
        for option in rest:
            if option.startswith("--"):
                assert option in output, line
