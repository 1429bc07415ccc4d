"""The commands: their errors, their advice, and their exit codes."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from guardrail._documents import read_json, read_toml, read_yaml
from guardrail._version import __version__
from guardrail.cli import app
from guardrail.cli.io.files import Files


@pytest.fixture(autouse=True)
def plain_terminal(monkeypatch):
    for name in ("FORCE_COLOR", "GITHUB_ACTIONS", "PY_COLORS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")


def run(*arguments, **options):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], **options)


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("chek",),
        ("check",),
        ("check", "no/such/folder"),
        ("check", __file__),
        ("check", ".", "--format", "xml"),
        ("test",),
        ("test", "no/such/folder"),
        ("decide", "."),
        ("decide", ".", "--request", "r.yaml", "--action", "predict"),
        ("decide", ".", "--request", "r.yaml", "--principal", ""),
        ("init",),
    ],
)
def test_wrong_call_exits_2_and_writes_no_result(arguments, tmp_path, monkeypatch):
    if arguments[:2] == ("decide", "."):  # a bundle that loads: only the request is wrong
        assert run("init", tmp_path / "hello").exit_code == 0
        monkeypatch.chdir(tmp_path / "hello" / "policies")
    result = run(*arguments)
    assert result.exit_code == 2
    if arguments:
        assert not result.stdout
        assert result.stderr


def test_version_is_told():
    result = run("--version")
    assert (result.exit_code, result.stdout) == (0, f"guardrail {__version__}\n")


def test_importing_the_command_line_leaves_requests_and_templates_alone():
    code = (
        "import sys; import guardrail.cli as cli; "
        "print(*(name for name in ('guardrail.cli.io.request_document', 'guardrail.cli.demo.demo', "
        "'numpy', 'sklearn', 'jwt', 'limits', 'rich') if name in sys.modules))"
    )
    done = subprocess.run(  # noqa: S603  # our own arguments
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []


# init


def snapshot(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", ["app.py", "notes.txt", ".git"])
def test_init_refuses_a_folder_that_holds_anything(name, tmp_path):
    (tmp_path / name).write_text("mine")
    before = snapshot(tmp_path)
    result = run("init", tmp_path)
    assert result.exit_code == 2
    assert "not an empty folder" in result.stderr
    assert snapshot(tmp_path) == before


def test_init_refuses_a_file(tmp_path):
    target = tmp_path / "hello"
    target.write_text("mine")
    assert run("init", target).exit_code == 2
    assert target.read_text() == "mine"


def test_init_below_a_file_is_no_traceback(tmp_path):
    (tmp_path / "hello").write_text("mine")
    result = run("init", tmp_path / "hello" / "world")
    assert result.exit_code == 2
    assert "cannot be written" in result.stderr


@pytest.mark.parametrize("name", ["größe", "a+b", ".hidden", "a\nb", 'a"b', "a" * 65])
def test_init_refuses_a_name_that_names_no_bundle(name, tmp_path):
    result = run("init", tmp_path / name)
    assert result.exit_code == 2
    assert "--name" in result.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("folder", "options", "name"),
    [
        ("hello", (), "hello"),
        ("my first-app.2", (), "my_first-app.2"),
        ("größe", ("--name", "size"), "size"),
    ],
)
def test_init_names_the_bundle(folder, options, name, tmp_path):
    result = run("init", tmp_path / folder, *options)
    assert result.exit_code == 0
    written = tmp_path / folder / "policies" / "guardrail.toml"
    assert read_toml("guardrail.toml", written.read_bytes()).data["bundle"]["name"] == name


def test_init_writes_files_that_parse_and_leaves_no_placeholder(tmp_path):
    (tmp_path / "hello").mkdir()  # an empty folder will do
    assert run("init", tmp_path / "hello").exit_code == 0
    written = snapshot(tmp_path / "hello")
    names = {path.relative_to(tmp_path / "hello").as_posix() for path in written}
    assert names == {
        "README.md",
        "app.py",
        "policies/entities.json",
        "policies/guardrail.toml",
        "policies/inputs/house.yaml",
        "policies/policies.cedar",
        "policies/schema.cedarschema",
        "policies/tests/prices_test.yaml",
        *(f"policies/.schemas/{kind}.json" for kind in Files),
        "policies/.schemas/whole.cedarschema",
        ".vscode/settings.json",
    }
    readers = {".yaml": read_yaml, ".json": read_json, ".toml": read_toml}
    for path, raw in written.items():
        assert b"BUNDLE_NAME" not in raw
        if path.suffix in readers:
            assert readers[path.suffix](path.name, raw).data


def test_init_leaves_out_what_an_installer_compiled(tmp_path, monkeypatch):
    compiled = tmp_path / "package" / "template" / "__pycache__"
    compiled.mkdir(parents=True)
    (compiled / "app.cpython-311.pyc").write_bytes(b"\xff")
    (compiled.parent / "app.py").write_text("NAME = 'BUNDLE_NAME'")
    monkeypatch.setattr("guardrail.cli.commands.init.files", lambda package: tmp_path / "package")
    assert run("init", tmp_path / "hello").exit_code == 0
    written = {path for path in snapshot(tmp_path / "hello") if path.parent.name != ".schemas"}
    assert {path.name for path in written} == {"app.py"}


# doctor


def test_doctor_exits_1_and_says_what_to_do_where_a_library_is_missing(monkeypatch):
    monkeypatch.setattr("guardrail.cli.commands.doctor.REQUIRED", ("no-such-distribution",))
    result = run("doctor")
    assert result.exit_code == 1
    assert re.search(r"^OFF no-such-distribution +missing$", result.stdout, re.M)
    assert "no-such-distribution: Reinstall" in result.stderr


def test_doctor_does_not_mind_an_extra_that_is_absent(monkeypatch):
    monkeypatch.setattr(
        "guardrail.cli.commands.doctor.OPTIONAL", {"demo": ("no-such-distribution",)}
    )
    assert re.search(r"^ok  extra: demo +no no-such-distribution$", run("doctor").stdout, re.M)


def test_doctor_does_not_mind_plain_python_that_was_chosen(monkeypatch):
    monkeypatch.setenv("GUARDRAIL_PURE", "1")
    assert re.search(r"^ok  core: flow", run("doctor").stdout, re.M)


def test_doctor_minds_a_self_test_that_does_not_load(monkeypatch):
    monkeypatch.setattr(
        "guardrail.cli.commands.doctor.template", lambda name: {"policies/guardrail.toml": "no"}
    )
    result = run("doctor", "--format", "json")
    assert result.exit_code == 1
    (check,) = [
        check for check in json.loads(result.stdout)["checks"] if check["name"] == "self-test"
    ]
    assert (check["ok"], check["value"]) == (False, "ConfigurationError")
