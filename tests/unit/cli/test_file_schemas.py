"""JSON Schemas of files: shipped files are valid, mistakes are not, each key has a description."""

from __future__ import annotations

import copy
import json
import tomllib
from pathlib import Path

import jsonschema_rs
import pytest
from bundle_files import BASES, loads, of_yaml, takes, validator
from typer.testing import CliRunner

from guardrail.cli import app
from guardrail.cli.io.file_schemas import schema_of, schema_text
from guardrail.cli.io.files import Files

ROOT = Path(__file__).parents[3]
BUNDLES = sorted(
    path.parent for name in ("policies", "guardrail", "benchmarks", "examples")
    for path in (ROOT / name).rglob("guardrail.toml")
)  # fmt: skip


def files_of(bundle):
    """Yield the files of a bundle that have a schema, each with its kind and its data."""
    yield Files.settings, tomllib.loads((bundle / "guardrail.toml").read_text("utf-8"))
    for kind, pattern in (
        (Files.inputs, "inputs/*.yaml"),
        (Files.outputs, "outputs/*.yaml"),
        (Files.links, "links.yaml"),
        (Files.tests, "tests/*_test.yaml"),
    ):
        for file in sorted(bundle.glob(pattern)):
            yield kind, of_yaml(file.name, file.read_bytes())


def complaints(kind, data):
    return [str(error) for error in validator(kind).iter_errors(data)]


def test_the_bundles_are_those_that_ship():
    names = {path.relative_to(ROOT).as_posix() for path in BUNDLES}
    assert {
        "policies/clinical_scoring",
        "policies/support_replies",
        "guardrail/cli/template/policies",
    } <= names


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_file_of_a_bundle_that_ships_fits_its_schema(bundle):
    found = list(files_of(bundle))
    assert len(found) >= 2
    for kind, data in found:
        assert complaints(kind, data) == [], kind


@pytest.mark.parametrize(("kind", "data"), BASES)
def test_a_file_that_loads_fits_its_schema(kind, data):
    assert loads(kind, data)
    assert takes(kind, data)


def test_the_example_of_the_documentation_fits():
    text = (ROOT / "docs" / "test-files.md").read_text("utf-8")
    example = text.partition("given:\n")[2].partition("```")[0]
    assert complaints(Files.tests, of_yaml("a_test.yaml", f"given:\n{example}".encode())) == []


# Mistakes.


def changed(data, path, value):
    """Return data with another value at a path; without what stands there, for `...`."""
    data = copy.deepcopy(data)
    *above, last = path
    place = data
    for step in above:
        place = place[step]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return data


#: For each mistake: which of the valid files, by its number, where, and what stands there instead.
MISTAKES = [
    (kind, changed(data, path, value))
    for number, path, value in (
        # guardrail.toml
        (0, ("bundel",), {}),
        (0, ("bundle",), ...),
        (0, ("bundle", "nmae"), "x"),
        (0, ("bundle", "name"), "a b"),
        (0, ("bundle", "version"), 1),
        (0, ("bundle", "version"), ...),
        (1, ("identity", "a", "type"), "saml"),
        (1, ("identity", "a", "type"), ...),
        (1, ("identity", "a", "isuer"), "x"),
        (1, ("identity", "a", "issuer"), ...),
        (1, ("identity", "a", "issuer"), ""),
        (1, ("identity", "a", "algorithms"), []),
        (1, ("identity", "a", "algorithms"), ["ES256", "ES256"]),
        (1, ("identity", "a", "algorithms"), ["none"]),
        (1, ("identity", "a", "algorithms"), ["ES256", "HS256"]),
        (1, ("identity", "a", "audience"), []),
        (1, ("identity", "a", "leeway_s"), 121),
        (1, ("identity", "a", "leeway_s"), "nan"),
        (1, ("identity", "a", "secret_env"), "SECRET"),
        (1, ("identity", "a", "key_file"), ...),
        (1, ("identity", "a", "principal", "type"), "User-Type"),
        (1, ("identity", "a", "principal", "in", "Role!"), "roles"),
        (1, ("identity", "a", "principal", "id"), []),
        (1, ("identity", "a", "unknown_parents"), "ignore"),
        (1, ("identity", "b", "keys_file"), "keys.toml"),
        (1, ("identity", "b", "secret_file"), "run/secret"),
        (1, ("identity", "b", "secret_env"), "SECRET"),
        (1, ("identity", "c", "ca_file"), ...),
        (1, ("identity", "c", "id"), "dns"),
        (2, ("identity", "revoked_file"), "revoked.json"),
        (2, ("identity", "a", "jwks"), "http://sso.example/keys"),
        (2, ("identity", "a", "issuer"), "https://sso.example/?a"),
        (2, ("identity", "a", "algorithms"), ["HS256"]),
        (2, ("identity", "a", "timeout_ms"), 10),
        (3, ("identity", "a", "secret_env"), "A-B"),
        (3, ("identity", "a", "secret_file"), "/x"),
        (4, ("evidence", "a", "format"), "sgx"),
        (4, ("evidence", "a", "about"), "us"),
        (4, ("evidence", "a", "audience"), ...),
        (4, ("evidence", "a", "key_file"), "a.pem"),
        (4, ("evidence", "a", "token_file"), "/run/token"),
        (4, ("evidence", "a", "tcb_status"), ["UpToDate"]),
        (4, ("evidence", "a", "max_age_s"), 0),
        (4, ("evidence", "b", "token_file"), ...),
        (4, ("evidence", "b", "nonce"), "required"),
        (4, ("evidence", "b", "audience"), "x"),
        (4, ("evidence", "b", "tcb_status"), ["Revoked"]),
        (5, ("resources", "unknown"), "maybe"),
        (5, ("check", "allow"), ["GR003"]),
        (5, ("check", "allow"), "GR520"),
        (5, ("quota", "store"), "redis://x"),
        (5, ("quota", "when_unavailable"), "allow"),
        (5, ("quota", "timeout_ms"), 5),
        (5, ("bounds", "input_bytes"), 0),
        (5, ("bounds", "input_bytes"), "1MB"),
        (5, ("bounds", "input_depth"), 201),
        (6, ("audit", "journal"), ...),
        (6, ("audit", "keep"), "90 days"),
        (6, ("audit", "key_file"), ...),
        (6, ("audit", "facts"), ["rows"]),
        (6, ("audit", "digests"), ["facts"]),
        (6, ("audit", "checkpoints", "key_file"), ...),
        (6, ("audit", "checkpoints", "file"), "/c"),
        (6, ("audit", "checkpoints", "url"), "ftp://a.example"),
        # inputs/*.yaml, and so outputs/*.yaml
        *(
            (number + shift, *rest)
            for shift in (0, 5)
            for number, *rest in (
                (7, ("kind",), "tensors"),
                (7, ("kind",), ...),
                (7, ("dtype",), "float"),
                (7, ("dtype",), []),
                (7, ("dtype",), ...),
                (7, ("shape",), ["1-1000", 3]),
                (7, ("shape",), [-1, 3]),
                (7, ("finite",), "yes"),
                (7, ("columns", 0, "max"), "nan"),
                (7, ("columns", 0, "names"), "0..1"),
                (7, ("columns", 0, "name"), ...),
                (7, ("columns", 0, "mx"), 1),
                (8, ("fields",), ...),
                (8, ("feilds",), {}),
                (8, ("fields", "age", "type"), "integer"),
                (8, ("fields", "age", "max"), "120"),
                (8, ("fields", "age", "one_of"), ["1"]),
                (8, ("fields", "age", "max_chars"), 3),
                (8, ("fields", "name", "min"), 3),
                (8, ("fields", "name", "one_of"), []),
                (8, ("fields", "ok", "one_of"), ["a"]),
                (8, ("fields", "of", "fields"), ...),
                (8, ("fields", "of", "fields", "x", "typ"), "int"),
                (8, ("fields", "all", "items"), ...),
                (8, ("fields", "all", "extra_fields"), "ignore"),
                (8, ("extra_fields",), "drop"),
                (9, ("rows",), "1.."),
                (9, ("columns", "a", "type"), "decimal"),
                (9, ("columns", "a", "max_chars"), 2),
                (9, ("columns", "b", "min"), 2),
                (9, ("columns", "c", "finite"), True),
                (9, ("columns", "c", "min"), 0),
                (9, ("on_bad_row",), "quarantine"),
                (10, ("max_chars",), -1),
                (10, ("max_chars",), "10"),
                (10, ("forbid",), ["emoji"]),
                (10, ("forbid",), "control"),
                (11, ("roles",), []),
                (11, ("max_messages",), 1.5),
                (11, ("first_role",), ""),
            )
        ),
        (7, ("meaning",), "probability"),
        (16, ("meaning",), "probability"),
        (17, ("meaning",), "logits"),
        (17, ("classes",), ["a", "a"]),
        (17, ("chunk",), "text"),
        (18, ("chunk",), "choices[].delta"),
        (18, ("classes",), ["a"]),
        # links.yaml
        (20, (0, "template"), ...),
        (20, (0, "id"), ...),
        (20, (0, "id"), "a b"),
        (20, (0, "id"), 5),
        (20, (0, "action"), "x"),
        (20, (1, "principal"), 3),
        # tests/*_test.yaml
        (21, ("test",), []),
        (21, ("tests",), ...),
        (21, ("tests",), {}),
        (21, ("given", "principal"), {}),
        (21, ("given", "now"), 5),
        (21, ("given", "principals", "clara", "uid"), ...),
        (21, ("given", "principals", "clara", "in"), 'Role::"x"'),
        (21, ("tests", 0, "name"), ...),
        (21, ("tests", 0, "name"), ""),
        (21, ("tests", 0, "as"), ...),
        (21, ("tests", 1, "as"), "clara"),
        (21, ("tests", 0, "expect"), ...),
        (21, ("tests", 0, "expect"), "denied"),
        (21, ("tests", 0, "expect"), {}),
        (21, ("tests", 0, "fact"), {}),
        (21, ("tests", 1, "expect", "code"), "forbidden"),
        (21, ("tests", 1, "expect", "code"), "no_grant"),
        (21, ("tests", 1, "expect", "policy"), "a"),
        (21, ("tests", 1, "expect", "policies"), "a"),
        (21, ("tests", 1, "expect", "obligations"), ["round"]),
        (27, ("tests", 0, "stream"), ["a"]),
        (27, ("tests", 0, "input"), {}),
        (27, ("tests", 0, "input"), {"a": 1, "b": 2}),
        (27, ("tests", 0, "expect", "retry_after_s"), -1),
        (27, ("tests", 0, "expect", "retry_after_s"), "soon"),
        (27, ("tests", 1, "stream"), []),
        (27, ("tests", 2, "steps"), []),
        (27, ("tests", 2, "expect"), "deny"),
        (27, ("tests", 2, "steps", 0, "times"), 0),
        (27, ("tests", 2, "steps", 0, "time"), 3),
        (27, ("tests", 2, "steps", 0, "expect"), ...),
        (27, ("tests", 2, "steps", 1, "as"), "clara"),
        (27, ("tests", 2, "steps", 1, "after"), 61),
        (27, ("tests", 3, "matrix", "table"), {}),
        (27, ("tests", 3, "matrix", "rows"), []),
        (27, ("tests", 3, "matrix"), ...),
        (28, ("properties", 0, "name"), ...),
        (28, ("properties", 0, "always"), {"allow": True}),
        (28, ("properties", 0, "never"), {"when": {}}),
        (28, ("properties", 0, "never", "allowed"), True),
        (28, ("properties", 1, "always"), ...),
        (28, ("properties", 1, "always", "obligations"), "round"),
        (28, ("properties", 2, "implies", "then"), ...),
        (28, ("properties", 2, "implies", "if", "code"), "forbidden"),
        # requests
        (23, ("action",), ...),
        (23, ("as",), 'User::"x"'),
        (23, ("principal",), ...),
        (23, ("facts", "input"), 3),
        (23, ("reason",), "x"),
        (24, ("resource",), 3),
        (25, ("subject", "type"), ...),
        (25, ("subject", "type"), "user type"),
        (25, ("subject", "roles"), []),
        (25, ("action",), "predict"),
        (25, ("action", "properties"), {"method": "GET"}),
        (25, ("resource", "properties"), {"purpose": "care"}),
        (25, ("resource", "id"), 3),
        (25, ("context",), {"rows": 3}),
        (26, ("evaluations",), []),
        (26, ("evaluations", 0, "subjects"), {}),
        (26, ("options", "evaluations_semantic"), "all"),
    )
    for kind, data in [BASES[number]]
]


@pytest.mark.parametrize(("kind", "data"), MISTAKES)
def test_a_mistake_that_the_loader_refuses_the_schema_refuses(kind, data):
    assert not loads(kind, data)
    assert not takes(kind, data)


# What an editor shows.


def keys_of(part):
    """Yield every key that a schema describes, with its schema; hints describe none."""
    if isinstance(part, list):
        for item in part:
            yield from keys_of(item)
    elif isinstance(part, dict):
        named = part.get("properties", {})
        yield from named.items()
        for name, below in part.items():
            if name not in ("properties", "allOf", "if", "then", "not"):
                yield from keys_of(below)
        yield from (found for below in named.values() for found in keys_of(below))


@pytest.mark.parametrize("kind", Files)
def test_every_key_has_a_word_that_is_a_sentence(kind):
    found = list(keys_of(schema_of(kind)))
    assert len(found) >= 4
    for name, key in found:
        word = key.get("description", "")
        assert word.endswith("."), name
        assert word[:1] == word[:1].upper()
        assert "``" not in word
        assert "\n" not in word


@pytest.mark.parametrize("kind", Files)
def test_a_schema_is_one_of_draft_7_and_refers_to_nothing_outside(kind):
    schema = schema_of(kind)
    jsonschema_rs.meta.validate(schema)
    text = json.dumps(schema)
    named = {part.split('"')[0] for part in text.split('"$ref": "#/definitions/')[1:]}
    assert named <= set(schema["definitions"])
    assert text.count('"$ref"') == text.count('"$ref": "#/definitions/')
    assert '"$defs"' not in text


def test_words_of_a_base_hold_for_what_derives_of_it():
    oidc = schema_of(Files.settings)["definitions"]["OidcSettings"]["properties"]
    assert oidc["issuer"]["description"] == "The exact value of `iss`."
    assert oidc["jwks"]["description"].startswith("The address of the key set")
    assert oidc["type"]["description"] == "`oidc`: the issuer publishes the keys."


def test_a_key_is_described_under_the_name_that_is_written():
    caller = schema_of(Files.tests)["definitions"]["PrincipalSection"]["properties"]
    assert caller["in"]["description"] == 'Roles and groups, each a uid: `Role::"clinician"`.'


# The command.


def run(*arguments):
    return CliRunner().invoke(app, ["schema", *map(str, arguments)])


@pytest.mark.parametrize("kind", Files)
def test_a_schema_is_printed_without_a_bundle(kind):
    done = run("--for", kind)
    assert (done.exit_code, done.stdout) == (0, schema_text(kind))
    assert json.loads(done.stdout) == schema_of(kind)


@pytest.mark.parametrize(
    "arguments", [(), (ROOT / "policies/clinical_scoring", "--for", "tests"), ("--for", "cedar")]
)
def test_neither_a_bundle_nor_a_kind_or_both_exit_2(arguments):
    done = run(*arguments)
    assert (done.exit_code, done.stdout) == (2, "")


def test_init_writes_the_schemas_and_every_file_names_its_own(tmp_path):
    assert CliRunner().invoke(app, ["init", str(tmp_path / "hello")]).exit_code == 0
    bundle = tmp_path / "hello" / "policies"
    written = {file.name for file in (bundle / ".schemas").iterdir()}
    assert written == {"whole.cedarschema", *(f"{kind}.json" for kind in Files)}
    for file, kind in (
        ("guardrail.toml", Files.settings),
        ("inputs/house.yaml", Files.inputs),
        ("tests/prices_test.yaml", Files.tests),
    ):
        line = (bundle / file).read_text("utf-8").splitlines()[0]
        mark = "#:schema " if file.endswith(".toml") else "# yaml-language-server: $schema="
        assert line.startswith(mark)
        named = (bundle / file).parent / line.removeprefix(mark)
        assert named.read_text("utf-8") == schema_text(kind)


def test_the_schemas_are_no_part_of_the_bundle(tmp_path):
    from guardrail.policy import read_folder

    assert CliRunner().invoke(app, ["init", str(tmp_path / "hello")]).exit_code == 0
    folder = read_folder(tmp_path / "hello" / "policies")
    assert not [name for name in folder.files if "schemas" in name]
