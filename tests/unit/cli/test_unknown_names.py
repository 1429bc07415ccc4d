"""Unknown names on the command line are refused, or reported with the nearest known name."""

import pytest
from bundles import GRANT
from typer.testing import CliRunner

from guardrail.cli import app

MFA = GRANT + (
    '@id("no-mfa") forbid (principal, action == Action::"predict", resource)\n'
    "unless { context.identity.mfa };\n"
)
CALL = ("--principal", 'User::"clara"', "--in", 'Role::"clinician"', "--attr", "department=care")
ON = ("--action", "predict", "--resource", 'Model::"tumour"')


@pytest.fixture
def run(make_bundle):
    folder = make_bundle(MFA)
    return lambda command, *options: CliRunner().invoke(app, [command, str(folder), *options])


@pytest.mark.parametrize("command", ["decide", "explain"])
@pytest.mark.parametrize(
    ("options", "option", "meant"),
    [
        (("--fact", "identity.mfaa=true"), "--fact", "Did you mean mfa?"),
        (("--fact", "identty.mfa=true"), "--fact", "Did you mean identity?"),
        (("--fact", "identity.mfa=true", "--fact", "app.purpse=x"), "--fact", "purpose"),
        (("--fact", "input.rows.x=1"), "", ""),
        (("--attr", "levl=3"), "--attr", "Did you mean level?"),
        (("--attr", 'team=Team::"heart"'), "--attr", "!entity"),
        (("--attr", "level=high"), "--attr", "principal.level is a whole number"),
    ],
)
def test_a_fact_or_an_attribute_that_there_is_not_is_refused(run, command, options, option, meant):
    result = run(command, *CALL, *ON, *options)
    if not option:  # a value where the schema has a number: the decision has the say
        assert result.exit_code == 0
        return
    assert result.exit_code == 2
    assert result.stderr.startswith(option)
    assert meant in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize("command", ["decide", "explain"])
@pytest.mark.parametrize(
    ("options", "meant"),
    [
        ((*CALL, "--action", "predict", "--resource", 'Model::"tumor"'), 'Model::"tumour"'),
        ((*CALL, "--action", "predct", "--resource", 'Model::"tumour"'), "predict"),
        ((*CALL, "--in", 'Role::"analist"', *ON), 'Role::"analyst"'),
        (("--as", 'User::"crl"', *ON), 'User::"carl"'),
        (("--principal", 'Usr::"x"', *ON), "User"),
    ],
)
def test_another_name_is_told_beside_its_denial(run, command, options, meant):
    result = run(command, *options, "--fact", "identity.mfa=true")
    assert result.exit_code == 0
    assert result.stdout.startswith("deny ")
    assert meant in result.stderr


def test_a_request_file_is_held_to_the_bundle_too(run, tmp_path):
    file = tmp_path / "request.yaml"
    file.write_text(
        "as: 'User::\"carl\"'\naction: predict\nresource: 'Model::\"tumour\"'\n"
        "facts:\n  identity:\n    mfaa: true\n"
    )
    result = run("decide", "--request", str(file))
    assert result.exit_code == 2
    assert f"{file}:6:" in result.stderr
    assert "Did you mean mfa?" in result.stderr


def test_an_attribute_can_be_an_entity(run):
    options = ("--attr", 'team=!entity Team::"heart"', "--fact", "identity.mfa=true")
    result = run("decide", *CALL, *ON, *options)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("allow")
    assert run("decide", *CALL, *ON, "--attr", "team=!entity x").exit_code == 2


# A test, by its place.

TESTS = """\
given:
  action: predict
  resource: Model::"tumour"
  facts: {identity: {mfa: true}}
  principals:
    clara: {uid: 'User::"clara"', attrs: {department: care}}
tests:
  - name: one
    as: clara
    expect: allow

  # between
  - {name: two, as: clara, expect: allow}
  - name: many
    matrix:
      table:
        clara: allow
properties:
  - {name: p, never: {code: bad_fact}}
"""


@pytest.mark.parametrize(
    ("line", "is_test"),
    [(1, False), (6, False), (7, False), (8, True), (9, True), (10, True), (11, False),
     (12, False), (13, True), (14, False), (17, True), (18, False), (19, False), (20, False),
     (999, False)],
)  # fmt: skip
def test_a_place_is_that_of_a_test_or_an_error(make_bundle, line, is_test):
    folder = make_bundle(MFA, **{"tests/a_test.yaml": TESTS})
    result = CliRunner().invoke(
        app, ["explain", str(folder), "--test", f"tests/a_test.yaml:{line}"]
    )
    if is_test:
        assert (result.exit_code, result.stderr) == (0, "")
        assert result.stdout.startswith("allow by grant")
    else:
        assert (result.exit_code, result.stdout) == (2, "")
        assert "no test is on this line" in result.stderr


def test_a_place_in_no_file_names_the_nearest(make_bundle):
    folder = make_bundle(MFA, **{"tests/a_test.yaml": TESTS})
    result = CliRunner().invoke(app, ["explain", str(folder), "--test", "tests/b_test.yaml:8"])
    assert result.exit_code == 2
    assert "Did you mean tests/a_test.yaml?" in result.stderr
