# ruff: noqa: E501  (a case per line)
"""Every fault of a bundle is an error at load that names the place and the remedy."""

import json
import os
import pathlib
import pickle
import re

import pytest

from guardrail import ConfigurationError, Guard
from guardrail.policy import read_folder

FORBID = '@id("f") {} forbid (principal, action, resource);'
PERMIT = '@id("g") permit (principal, action, resource)'
PREDICT = '@id("g") permit (principal, action == Action::"predict", resource)'


def faults(make_bundle, *args, **kwargs):
    with pytest.raises(ConfigurationError) as caught:
        Guard.from_dir(make_bundle(*args, **kwargs))
    assert caught.value.faults
    return [(fault.code, str(fault.place), fault.message) for fault in caught.value.faults]


@pytest.mark.parametrize(
    ("policies", "code", "place", "says"),
    [
        ("permit (principal, action, resource);", "GR103", "policies.cedar:1:1", "@id"),
        ('@id("a b") permit (principal, action, resource);', "GR111", "policies.cedar:1:1", "@id"),
        ('@id permit (principal, action, resource);', "GR111", "policies.cedar:1:1", "@id"),
        (
            f"{PERMIT};\n  @id(\"g\") forbid (principal, action, resource);",
            "GR105", "policies.cedar:2:3", "policies.cedar:1:1",
        ),
        (FORBID.format('\n@topk("1")'), "GR104", "policies.cedar:2:1", "@top_k"),
        (FORBID.format('@zzzz("1")'), "GR104", "policies.cedar:1:10", "x_"),
        (FORBID.format('@sign("name")'), "GR004", "policies.cedar:1:10", "not built"),
        (FORBID.format('@mode("enforce")'), "GR109", "policies.cedar:1:10", '"shadow"'),
        (FORBID.format('@mode'), "GR109", "policies.cedar:1:10", '"shadow"'),
        (FORBID.format('\n@mode("shadow") @topk("1")'), "GR104", "policies.cedar:2:17", "@top_k"),
        (FORBID.format('@mode("shadow") @quota("1/minute per context.app.no")'), "GR109",
         "policies.cedar:1:1", "context.app.no"),
        (FORBID.format('@mode("shadow")') + " " + FORBID.format(""), "GR105", "policies.cedar:1:64",
         "policies.cedar:1:1"),
        ('@mode("shadow") ' + PERMIT + " when { context.input.rowz > 1 };", "GR108",
         "policies.cedar:1:", "rowz"),
        (FORBID.format('@round("2x")'), "GR109", "policies.cedar:1:10", ""),
        (FORBID.format('@input("nothing")'), "GR301", "policies.cedar:1:10", ""),
        (FORBID.format('@quota("5/minute per principal.nope")'), "GR109", "policies.cedar:1:1",
         "principal.nope"),
        ('@round("2") ' + PERMIT + ";", "GR106", "policies.cedar:1:1", "forbid"),
        (
            '@id("t") permit (principal == ?principal, action, resource);',
            "GR107", "policies.cedar:1:31", "links.yaml",
        ),
        (PERMIT, "GR100", "policies.cedar:1:46", "end of input"),
        (PERMIT + "\n when { 1 + };", "GR100", "policies.cedar:2:13", "`}`"),
        (PREDICT + '\nwhen { duration("1d","") == duration("1d") };', "GR100", "policies.cedar:2:8", "expects 1 argument"),
        (PREDICT + '\nwhen { ip("::1", "x").isIpv4() };', "GR100", "policies.cedar:2:8", "expects 1 argument"),
        (PREDICT + '\nwhen { ip(a,b).isIpv4() };', "GR100", "policies.cedar:2:11", "variable: a"),
        (PREDICT + '\nwhen { decimal("1.0").lessThan() };', "GR100", "policies.cedar:2:23", "expects 2 argument"),
        (PREDICT + '\nwhen { decimal("1.0").lessThan(decimal("1.0"), 1) };', "GR100", "policies.cedar:2:23", "expects 2"),
        (PREDICT + '\nwhen { datetime() < datetime("2024-01-01") };', "GR100", "policies.cedar:2:8", "expects 1"),
        (PERMIT + " when { foo(1) };", "GR100", "policies.cedar:1:54", "foo"),
        (PERMIT + '\n when { context.app.count == "unclosed };', "GR100", "policies.cedar:2:30", ""),
        (PERMIT + "\n when { context.input.rowz > 1 };", "GR108", "policies.cedar:2:23", "rowz"),
        (PREDICT + '\n when { context.input.rows > "x" };', "GR108", "policies.cedar:2:2", "Long"),
        (PREDICT + '\n when { 1 < 2 }\n unless { 1 < "x" };', "GR108", "policies.cedar:3:2", "Long"),
        (
            '@id("g") permit (principal in Role::"anlyst", action, resource);',
            "GR108", "policies.cedar:1:37", "anlyst",
        ),
        ("\x00", "GR005", "policies.cedar:1:1", "NUL"),
    ],
)  # fmt: skip
def test_fault_names_code_place_and_remedy(make_bundle, policies, code, place, says):
    found = faults(make_bundle, policies)
    assert found[0][0] == code
    assert found[0][1].startswith(place)
    assert says in found[0][2]


def test_all_faults_are_reported_together(make_bundle):
    text = "permit (principal, action, resource);\n" + FORBID.format('@topk("1")')
    assert [code for code, _, _ in faults(make_bundle, text)] == ["GR103", "GR104"]


@pytest.mark.parametrize(
    ("expression", "code"),
    [
        ("(" * 5000 + "true" + ")" * 5000, "GR101"),
        ("[" * 200_000, "GR101"),
        (" || ".join(["context.input.rows == 1"] * 5000), "GR102"),
        (" && ".join(["true"] * 5000), "GR102"),
        ("1" + " + 1" * 5000 + " == 1", "GR102"),
        ("!" * 5000 + "true", "GR102"),
        ("-" * 5000 + "1 == 1", "GR102"),
        ("context" + ".a" * 5000, "GR102"),
        ("context" + '["a"]' * 5000, "GR102"),
        ("if true then true else " * 5000 + "true", "GR102"),
        ("(" * 30 + "principal" + " has a.b)" * 30 + " has a.b", "GR102"),
        ("(" * 30 + "principal" + " is User in principal)" * 30, "GR102"),
        ("(" * 30 + "principal" + " has a.b) + 1" * 30, "GR102"),
        ("[" * 30 + "principal" + " is User in principal].a" * 30 + " has a.b", "GR102"),
        ("principal has a" + ".a" * 80, "GR102"),
        (" || ".join(["(" + " && ".join(["true"] * 80) + ")"] * 80), "GR102"),
    ],
)
def test_deep_text_is_refused_before_the_parser_sees_it(make_bundle, expression, code):
    found = faults(make_bundle, f"{PERMIT}\nwhen {{ {expression} }};")
    assert found[0][0] == code
    assert re.match(r"policies\.cedar:2:\d+", found[0][1])


@pytest.mark.parametrize(
    "expression",
    [
        " || ".join(f"context.input.rows == {n}" for n in range(80)),
        "[" + ", ".join(str(n) for n in range(5000)) + "].contains(context.input.rows)",
        "(" * 30 + "true" + ")" * 30,
        " && ".join(["(context.input.rows == 1 || context.input.rows == 2)"] * 60),
        '(context has app.note.text && principal is User in Role::"auditor") '
        '|| (context has app.note && (principal is User in Role::"analyst"))',
    ],
)
def test_text_within_the_bounds_loads(make_guard, expression):
    assert make_guard(f"{PREDICT} when {{ {expression} }};").policies == ("g",)


def test_a_chain_right_at_the_bound_is_within_what_the_tree_holds(make_bundle):
    """Whatever the estimate lets through, Cedar's parser and tree survive."""
    for terms in range(80, 100):
        text = f"{PREDICT} when {{ {' || '.join(['context.input.rows == 1'] * terms)} }};"
        folder = make_bundle(text)
        if terms <= 85:
            Guard.from_dir(folder)
        elif terms >= 90:
            with pytest.raises(ConfigurationError, match="GR102"):
                Guard.from_dir(folder)


@pytest.mark.parametrize(
    ("files", "code", "place"),
    [
        ({"guardrail.toml": None}, "GR001", "guardrail.toml"),
        ({"guardrail.toml": "[bundle\n"}, "GR002", "guardrail.toml:1"),
        ({"guardrail.toml": '[bundle]\nname="a"\nversion="1"\nnope=1\n'}, "GR003", "guardrail.toml:4"),
        ({"guardrail.toml": '[bundle]\nversion="1"\n'}, "GR003", "guardrail.toml:1"),
        ({"guardrail.toml": '[bundle]\nname="a/b"\nversion="1"\n'}, "GR003", "guardrail.toml:2"),
        ({"guardrail.toml": '[bundle]\nname="a"\nversion=1\n'}, "GR003", "guardrail.toml:3"),
        ({"guardrail.toml": '[bundle]\nname="a"\nversion="1"\ntimezone="Nowhere"\n'}, "GR003",
         "guardrail.toml:4"),
        ({"guardrail.toml": '[bundle]\nname="a"\nversion="1"\n[surprise]\n'}, "GR003",
         "guardrail.toml:4"),
        ({"guardrail.toml": '[bundle]\nname="a"\nversion="1"\n[resources]\nunknown="maybe"\n'},
         "GR003", "guardrail.toml:5"),
        ({"guardrail.toml": '[bundle]\nname="a"\nversion="1"\n[audit]\nkeep="1d"\n'},
         "GR003", "guardrail.toml:5"),
        ({"guardrail.toml": '[bundle]\nname="a"\nversion="1"\n[audit]\njournal="/var/j"\n'
          'facts=["input.rows"]\n'}, "GR003", "guardrail.toml:6"),
        ({"guardrail.toml": '[bundle]\nname="a"\nversion="1"\n[quota]\nstore="redis://h"\n'},
         "GR004", "guardrail.toml:5"),
        ({"guardrail.toml": '[bundle]\nname="a"\nversion="1"\n[check]\nallow=["GR104"]\n'},
         "GR003", "guardrail.toml:5"),
        ({"entities.json": '[\n\t{\n\t\t"uid": {"type": "Team", "id": "a"},\n\t"attrs": {}}]'},
         "GR201", "entities.json"),
        ({"schema.cedarschema": None}, "GR010", "schema.cedarschema"),
        ({"second.cedarschema": "entity A;"}, "GR010", "schema.cedarschema"),
        ({"schema.cedarschema": "entity A {\n x: String; };"}, "GR011", "schema.cedarschema:2:11"),
        ({"schema.cedarschema": "entity A in [B];"}, "GR011", "schema.cedarschema:1:14"),
        ({"schema.cedarschema": "namespace guardrail { entity A; }"}, "GR011", "schema.cedarschema"),
        ({"schema.cedarschema": "type T = " + "Set<" * 5000}, "GR101", "schema.cedarschema:1"),
        ({"entities.json": "{}"}, "GR201", "entities.json:1:1"),
        ({"entities.json": "[1,\n,]"}, "GR002", "entities.json:2"),
        ({"entities.json": '[{"uid": 1, "uid": 2}]'}, "GR002", "entities.json"),
        ({"entities.json": "[" * 100_000}, "GR005", "entities.json"),
        ({"entities.json": '[{"uid": NaN}]'}, "GR002", "entities.json"),
        (
            {"entities.json": '[\n{"uid":{"type":"Team","id":"a"},"attrs":{"level":"x"},"parents":[]}]'},
            "GR201", "entities.json:2",
        ),
        ({"links.yaml": "{}"}, "GR003", "links.yaml:1"),
        ({"links.yml": "[]"}, "GR001", "links.yml"),
        ({"outputs/x.yaml": "{}"}, "GR300", "outputs/x.yaml"),
        ({"outputs/x.txt": "kind: text"}, "GR001", "outputs/x.txt"),
        ({"sub/more.cedar": ""}, "GR001", "sub/more.cedar"),
        ({"inputs/patients.yml": "{}"}, "GR001", "inputs/patients.yml"),
        ({"inputs/patients.yaml": "kind: [\n"}, "GR002", "inputs/patients.yaml"),
        ({"inputs/patients.yaml": "kind: tensor\nkind: tensor\n"}, "GR002", "inputs/patients.yaml:2"),
        ({"inputs/patients.yaml": "kind: table\non_bad_row: quarantine\n"}, "GR004",
         "inputs/patients.yaml:2"),
    ],
)  # fmt: skip
def test_fault_of_any_file_names_its_place(make_bundle, files, code, place):
    found = faults(make_bundle, **files)
    assert found[0][0] == code
    assert found[0][1].startswith(place)


def test_a_file_that_is_not_utf8_is_named(make_bundle):
    folder = make_bundle()
    (folder / "policies.cedar").write_bytes(b"// caf\xe9\n")
    with pytest.raises(ConfigurationError) as caught:
        Guard.from_dir(folder)
    assert str(caught.value.faults[0]).startswith("policies.cedar:1:7 GR005")


def test_a_link_out_of_the_bundle_is_refused(make_bundle, tmp_path):
    folder = make_bundle()
    (tmp_path / "outside.cedar").write_text(PERMIT + ";")
    (folder / "linked.cedar").symlink_to(tmp_path / "outside.cedar")
    with pytest.raises(ConfigurationError, match=r"linked\.cedar GR001"):
        Guard.from_dir(folder)


def test_a_missing_folder_is_a_configuration_error(tmp_path):
    with pytest.raises(ConfigurationError, match="GR001"):
        Guard.from_dir(tmp_path / "nowhere")


def test_an_entity_type_of_a_token_mapping_must_stand_in_the_schema(make_bundle, monkeypatch):
    monkeypatch.setenv("SECRET_OF_A_TEST", "x" * 32)
    config = """[bundle]
name = "a"
version = "1"
[identity.x]
type = "jwt"
issuer = "i"
audience = "a"
algorithms = ["HS256"]
secret_env = "SECRET_OF_A_TEST"
principal = { type = "User", id = "sub", in.Rolle = "roles" }
"""
    found = faults(make_bundle, **{"guardrail.toml": config})
    assert [(code, place) for code, place, _ in found] == [("GR003", "guardrail.toml:10:1")]
    right = config.replace("Rolle", "Role")
    assert Guard.from_dir(make_bundle(**{"guardrail.toml": right})).name == "a"


def test_every_wrong_entity_is_named(make_bundle):
    wrong = {"uid": {"type": "Team", "id": "a"}, "attrs": {}, "parents": []}
    good = {"uid": {"type": "Team", "id": "b"}, "attrs": {"level": 1}, "parents": []}
    found = faults(make_bundle, **{"entities.json": json.dumps([wrong, good, wrong], indent=1)})
    assert [code for code, _, _ in found] == ["GR201", "GR201"]


def test_revision_names_the_content_and_leaves_tests_out(make_bundle):
    folder = make_bundle()
    first = Guard.from_dir(folder).revision
    (folder / "tests").mkdir()
    (folder / "tests" / "a_test.yaml").write_text("tests: []\n")
    assert Guard.from_dir(folder).revision == first
    (folder / "policies.cedar").write_text((folder / "policies.cedar").read_text() + "// more\n")
    assert Guard.from_dir(folder).revision != first


def test_configuration_error_survives_pickling(make_bundle):
    with pytest.raises(ConfigurationError) as caught:
        Guard.from_dir(make_bundle("permit (principal, action, resource);"))
    copy = pickle.loads(pickle.dumps(caught.value))  # noqa: S301
    assert copy.faults == caught.value.faults
    assert str(copy) == str(caught.value)


@pytest.mark.parametrize(
    ("clause", "names"),
    [("context.artifact.signed", "context.artifact.signed"), ("context.time.weekday > 1", "")],
)
def test_a_fact_that_no_source_provides_is_named(make_bundle, clause, names):
    schema = """
    entity User; entity Model;
    action predict appliesTo { principal: [User], resource: [Model],
      context: { artifact: guardrail::ArtifactFacts, time: guardrail::TimeFacts } };
    """
    entities = '[{"uid":{"type":"Model","id":"m"},"attrs":{},"parents":[]}]'
    text = f"{PERMIT}\nwhen {{ {clause} }};"
    files = {"schema.cedarschema": schema, "entities.json": entities}
    if not names:
        assert Guard.from_dir(make_bundle(text, **files)).policies == ("g",)
        return
    found = faults(make_bundle, text, **files)
    assert found[0][:2] == ("GR110", "policies.cedar:2:16")
    assert names in found[0][2]


STOP = '@id("stop") forbid (principal, action, resource);'


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("stop.CEDAR", "policy"),
        ("stop.Cedar", "policy"),
        ("stop.ceder", "policy"),
        ("stop.cedr", "policy"),
        ("stop.cedar.txt", "policy"),
        ("stop.cedar~", "policy"),
        ("stop.cedar.orig", "policy"),
        ("#stop.cedar#", "policy"),
        ("stop.\N{FULLWIDTH LATIN SMALL LETTER C}edar", "policy"),
        ("stop.\N{CYRILLIC SMALL LETTER ES}edar", "policy"),
        ("stop.cedar ", "policy"),
        ("stop.cedar/x.txt", "Nothing reads"),
        ("README.ceder", "policy"),
        ("schema.cedarschema.bak", "policy"),
        (".stop.cedar", "hidden"),
        (".cedar", "hidden"),
        (".stop.CEDAR", "hidden"),
        (".stop.cedar.bak", "hidden"),
        (".stop.ceder", "hidden"),
        ("._stop.cedar", "hidden"),
        (".#stop.cedar", "hidden"),
        ("sub/.stop.cedar", "hidden"),
        ("tests/.stop.cedar", "hidden"),
        ("tests/stop.cedar", "policy"),
        ("__pycache__.cedar/x.cedar", "policy"),
        ("__pycache___more/x.cedar", "policy"),
        ("sub/stop.cedar", "policy"),
        ("inputs/stop.cedar", "policy"),
        ("tests/x_test.yml", "tests/NAME_test.yaml"),
        ("tests/x.yaml", "tests/NAME_test.yaml"),
        ("tests/X_TEST.YAML", "tests/NAME_test.yaml"),
        ("tests/sub/x_test.yaml", "tests/NAME_test.yaml"),
        ("tests/data.json", "tests/NAME_test.yaml"),
        ("Tests/x_test.yaml", "Nothing reads"),
        ("inputs/sub/x.yaml", "inputs/NAME.yaml"),
        ("inputs/x.YAML", "inputs/NAME.yaml"),
        ("outputs/sub/x.json", "outputs/NAME.yaml"),
        ("Inputs/x.yaml", "Nothing reads"),
        ("Links.yaml", "links.yaml"),
        ("link.yaml", "links.yaml"),
        ("links.json", "links.yaml"),
        ("sub/links.yaml", "links.yaml"),
        ("Guardrail.toml", "guardrail.toml"),
        ("guardrail.TOML", "guardrail.toml"),
        ("guardrails.toml", "guardrail.toml"),
        ("Entities.json", "entities.json"),
        ("entity.json", "entities.json"),
        ("keys.json", "Nothing reads"),
        ("notes.md", "Nothing reads"),
        ("__pycache__", "Nothing reads"),
        ("README/notes.md", "Nothing reads"),
        ("__pycache__/stop.cedar", "policy"),
        ("tests/__pycache__/a_test.yaml", "never run"),
        ("tests/license_test.yml", "never run"),
        ("tests/README_test.json", "never run"),
        ("inputs/readme.yml", "inputs/NAME.yaml"),
        ("LICENSE_links.yaml", "Nothing reads"),
        ("readme.toml", "Nothing reads"),
    ],
)
def test_a_file_that_nothing_reads_is_refused_and_named(make_bundle, name, says):
    found = faults(make_bundle, **{name: STOP})
    assert [(code, place) for code, place, _ in found] == [("GR001", name)]
    assert says in found[0][2]


@pytest.mark.parametrize(
    "name",
    [
        "README", "README.md", "readme.txt", "LICENSE", "LICENSE-MIT.txt", "tests/README.md",
        "inputs/README.md", "keys/LICENSE", ".schemas/tests.json", ".git/x.cedar", "..data/x.cedar",
        ".gitignore", ".editorconfig", ".DS_Store", ".stop.cedar.swp", ".stop.cedar.un~",
        "tests/a_test.yaml", "tests/.a_test.yaml.swp", "__pycache__/x.pyc",
        "keys/hospital.pem", ".links.yaml",
    ],
)  # fmt: skip
def test_a_file_that_is_known_or_hidden_is_none_of_these(make_bundle, name, tmp_path):
    settings = '[bundle]\nname = "small"\nversion = "1"\n[audit]\njournal = "/var/j"\n'
    settings += 'key_file = "{}"\n'
    named = tmp_path / "bundle" / "keys" / "hospital.pem"
    guard = Guard.from_dir(
        make_bundle(**{"guardrail.toml": settings.format(named), name: ""}), journal=None
    )
    assert guard.policies == ("grant",)


def test_a_link_to_nowhere_that_an_editor_leaves_is_none_of_these(make_bundle):
    folder = make_bundle()
    (folder / ".#stop.cedar").symlink_to("ann@host.4711:1796098350")
    assert Guard.from_dir(folder).policies == ("grant",)


def test_settings_that_do_not_parse_are_told_before_what_they_may_name(make_bundle):
    found = faults(make_bundle, **{"guardrail.toml": "[bundle\n", "keys/a.pem": ""})
    assert [code for code, _, _ in found] == ["GR002"]


def test_a_bundle_as_kubernetes_mounts_it_loads(make_bundle):
    """Every file is a link into a hidden folder, which is a link itself."""
    folder = make_bundle(**{"tests/a_test.yaml": "tests: []\n"})
    real = folder / "..2026_12_01"
    real.mkdir()
    for name in ("policies.cedar", "guardrail.toml", "inputs", "tests"):
        (folder / name).rename(real / name)
        (folder / name).symlink_to(f"..data/{name}")
    (folder / "..data").symlink_to("..2026_12_01")
    assert Guard.from_dir(folder).policies == ("grant",)
    (real / "tests" / "b_test.yml").write_text(STOP)
    with pytest.raises(ConfigurationError, match=r"tests/b_test\.yml GR001"):
        Guard.from_dir(folder)


@pytest.mark.parametrize("bundle", ["clinical_scoring", "support_replies"])
def test_the_bundles_of_the_project_have_no_file_that_nothing_reads(bundle):
    root = pathlib.Path(__file__).parents[3]
    assert read_folder(root / "policies" / bundle).files


LIVE = '@id("live") permit (principal, action, resource);'


@pytest.mark.parametrize("name", ["policies.cedar", "schema.cedarschema", "more.cedar"])
@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("// a remark\r{}", ":1:12"),
        ("\n\n// a remark\r\r\n{}", ":3:12"),
        ("{}\r ", ":1:"),
        ("// a\r\n// b\r{}", ":2:5"),
        ("// a remark\u2028{}", ":1:12"),
        ("// a remark\u2029{}", ":1:12"),
        ("// a remark\x85{}", ":1:12"),
        ("// a remark\x0b{}", ":1:12"),
        ("// a remark\x0c{}", ":1:12"),
        ("// a remark\x1c{}", ":1:12"),
    ],
)
def test_a_line_that_ends_for_some_readers_alone_is_refused(make_bundle, name, text, place):
    live = "entity Other;" if name.endswith("schema") else LIVE
    folder = make_bundle()
    before = (folder / name).read_text() if (folder / name).exists() else ""
    (folder / name).write_bytes((text.format(live) + "\n" + before).encode())
    with pytest.raises(ConfigurationError) as caught:
        Guard.from_dir(folder)
    found = [(fault.code, str(fault.place)) for fault in caught.value.faults]
    assert ("GR005", name + place) in [(code, at[: len(name + place)]) for code, at in found]


@pytest.mark.parametrize("name", ["links.yaml", "inputs/patients.yaml", "guardrail.toml"])
@pytest.mark.parametrize("end", ["\r", "\u2028", "\u2029", "\x85"])
def test_a_comment_that_ends_for_some_readers_alone_is_refused_in_data(make_bundle, name, end):
    folder = make_bundle()
    before = (folder / name).read_bytes() if (folder / name).exists() else b"[]\n"
    (folder / name).write_bytes(f"# a remark{end}# more\n".encode() + before)
    with pytest.raises(
        ConfigurationError, match="only some programs read as the end of a line"
    ) as caught:
        Guard.from_dir(folder)
    assert [fault.code for fault in caught.value.faults] == ["GR005"]


def test_lines_that_end_as_windows_has_them_load(make_bundle):
    folder = make_bundle()
    for name in ("policies.cedar", "schema.cedarschema", "inputs/patients.yaml", "guardrail.toml"):
        text = "# x\n" if name.endswith(("yaml", "toml")) else "// x\n"
        text += (folder / name).read_text()
        (folder / name).write_bytes(text.replace("\n", "\r\n").encode())
    assert Guard.from_dir(folder).policies == ("grant",)


def test_a_folder_that_cannot_be_listed_is_refused(make_bundle, monkeypatch):
    folder = make_bundle(**{"tests/a_test.yaml": "tests: []"})
    listed = os.scandir

    def scandir(path):
        if str(path).endswith("tests"):
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(ConfigurationError) as refused:
        read_folder(folder)
    (fault,) = refused.value.faults
    assert (fault.code, fault.place.file) == ("GR001", "tests")
    assert "can't be listed" in fault.message
