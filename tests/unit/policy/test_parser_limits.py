"""Input is limited before a parser reads it; exceeding a limit is an error with a place."""

import json

import pytest
from bundles import GRANT

from guardrail import ConfigurationError, Guard
from guardrail._documents import LIMIT_DEPTH, limit_of, read_json
from guardrail.policy.schema import entities
from guardrail.policy.source import folder, links
from guardrail.policy.source import parser as language
from guardrail.policy.source.lexer import LIMIT_CHARS, LIMIT_NESTING
from guardrail.policy.source.parser import Vocabulary, read_policies

HEAD = '@id("g") permit (principal, action, resource)\nwhen { '
FILES = [
    "guardrail.toml", "schema.cedarschema", "policies.cedar", "entities.json", "links.yaml",
    "inputs/patients.yaml",
]  # fmt: skip


def faults(path):
    with pytest.raises(ConfigurationError) as caught:
        Guard.from_dir(path)
    return [(fault.code, str(fault.place)) for fault in caught.value.faults]


def read(text):
    return read_policies([("p.cedar", text.encode())], Vocabulary({}))


def only_fault(text):
    (fault,) = read(text).faults
    return fault.code, str(fault.place)


@pytest.mark.parametrize("file", FILES)
def test_a_hundred_megabytes_are_refused_unread(make_bundle, file):
    path = make_bundle()
    with (path / file).open("wb") as stream:
        stream.truncate(100_000_000 if not file.endswith(".json") else limit_of(file) + 1)
    assert faults(path) == [("GR005", file)]


def test_a_file_right_at_its_limit_is_read(make_bundle):
    path = make_bundle()
    spec = path / "inputs" / "patients.yaml"
    room = limit_of("inputs/patients.yaml") - spec.stat().st_size
    with spec.open("a") as stream:
        stream.write("\n" + "#" * (room - 1))
    assert Guard.from_dir(path).policies == ("grant",)
    with spec.open("a") as stream:
        stream.write("#")
    assert faults(path) == [("GR005", "inputs/patients.yaml")]


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize(
    ("raw", "place"),
    [
        (b"\x7fELF\x02\x01\x01\x00\x00", ":1:8"),
        ("// ä\n".encode("utf-16"), ":1:1"),
        ("// ä\n".encode("utf-32"), ":1:1"),
        ("// ä\n".encode("utf-16-le"), ":1:2"),
        ("\n\n// ä\n".encode("latin-1"), ":3:4"),
        (b"\xef\xbb\xbf// x\n", ":1:1"),
        (b"\x89PNG\r\n\x1a\n", ":1:1"),
    ],
)
def test_what_is_no_utf8_text_is_refused_where_it_begins(make_bundle, file, raw, place):
    path = make_bundle()
    (path / file).write_bytes(raw)
    assert ("GR005", f"{file}{place}") in faults(path)


@pytest.mark.parametrize("bracket", "([{")
def test_text_nested_to_200_000_is_refused_at_the_first_bracket_too_many(bracket):
    code, place = only_fault(HEAD + bracket * 200_000)
    assert code == "GR101"
    assert place == f"p.cedar:2:{len('when { ') + LIMIT_NESTING}"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (HEAD + "(" * 30_000_000, "GR101"),
        (HEAD + "-" * 2_000_000, "GR102"),
        (HEAD + "[" + "1," * 600_000 + "1].contains(1) };", "GR005"),
        (HEAD + '"' + "a" * 2_000_000, "GR005"),
        (HEAD + "// " + "a" * 2_000_000, "GR005"),
        ("a " * 600_000, "GR005"),
        ("()" * 100_000, "GR102"),
        (";" * 1_000_000, "GR005"),
    ],
)
def test_a_policy_without_end_is_refused(text, code):
    found, place = only_fault(text)
    assert found == code
    assert place.startswith("p.cedar:")


def test_a_policy_at_the_limit_of_its_length_is_read():
    text = HEAD + "// \n true };"
    filling = "x" * (LIMIT_CHARS - len(text))
    whole = text.replace("// ", f"// {filling}")
    assert len(read(whole).policies) == 1
    assert only_fault(whole.replace("// ", "// x")) == ("GR005", "p.cedar:1:1")


def test_remarks_and_space_without_end_are_nobodys_policy():
    text = "//" + "x" * 2_000_000 + "\n" * 2_000_000 + GRANT
    assert [policy.id for policy in read(text).policies] == ["grant"]


def test_more_policies_than_the_limit_are_refused(monkeypatch):
    text = "".join(f'@id("p{n}") permit (principal, action, resource);\n' for n in range(4))
    monkeypatch.setattr(language, "LIMIT_POLICIES", 4)
    assert len(read(text).policies) == 4
    monkeypatch.setattr(language, "LIMIT_POLICIES", 3)
    assert only_fault(text) == ("GR005", "p.cedar:4:1")


def test_the_limit_of_policies_is_that_of_all_files_together(monkeypatch):
    files = [
        (f"{name}.cedar", f'@id("{name}") permit (principal, action, resource);'.encode())
        for name in "abc"
    ]
    monkeypatch.setattr(language, "LIMIT_POLICIES", 2)
    assert [str(fault.place) for fault in read_policies(files, Vocabulary({})).faults] == [
        "c.cedar:1:1"
    ]


def test_faults_are_told_up_to_a_number(make_bundle):
    found = faults(make_bundle("permit (principal, action, resource);\n" * 1_000))
    assert len(found) == language.LIMIT_FAULTS
    assert found[-1] == ("GR103", f"policies.cedar:{language.LIMIT_FAULTS}:1")


def test_a_complaint_of_cedars_is_cut_short():
    (fault,) = read(HEAD + "a" * 100_000 + " };").faults
    assert fault.code == "GR100"
    assert len(fault.message) < 400


def team(name, **rest):
    return {"uid": {"type": "Team", "id": name}, "attrs": {"level": 1}, "parents": [], **rest}


def test_more_entities_than_the_limit_are_refused(make_bundle, monkeypatch):
    path = make_bundle()
    monkeypatch.setattr(entities, "LIMIT_ENTITIES", 4)
    assert Guard.from_dir(path).policies == ("grant",)
    monkeypatch.setattr(entities, "LIMIT_ENTITIES", 3)
    assert faults(path) == [("GR005", "entities.json:1:1")]


def test_more_links_than_the_limit_are_refused(make_bundle, monkeypatch):
    text = '@id("t") permit (principal in ?principal, action, resource);'
    link = "- {template: t, id: x-%d, principal: 'Team::\"heart\"'}\n"
    path = make_bundle(text, **{"links.yaml": "".join(link % number for number in range(3))})
    monkeypatch.setattr(links, "LIMIT_LINKS", 3)
    assert len(Guard.from_dir(path).policies) == 3
    monkeypatch.setattr(links, "LIMIT_LINKS", 2)
    assert ("GR005", "links.yaml:3:3") in faults(path)


def test_a_folder_that_holds_too_much_is_refused(make_bundle, monkeypatch):
    path = make_bundle()
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    monkeypatch.setattr(folder, "LIMIT_TOTAL_BYTES", size)
    assert Guard.from_dir(path).policies == ("grant",)
    monkeypatch.setattr(folder, "LIMIT_TOTAL_BYTES", size - 1)
    assert faults(path) == [("GR001", str(path))]


def test_a_folder_of_very_many_files_is_refused(make_bundle, monkeypatch):
    path = make_bundle()
    monkeypatch.setattr(folder, "LIMIT_FILES", 6)  # five files, and the folder of one of them
    assert Guard.from_dir(path).policies == ("grant",)
    monkeypatch.setattr(folder, "LIMIT_FILES", 5)
    assert faults(path) == [("GR001", str(path))]


def test_what_is_hidden_counts_for_nothing(make_bundle):
    path = make_bundle()
    (path / ".git").mkdir()
    (path / ".git" / "huge.cedar").write_text("(" * 1_000)
    assert Guard.from_dir(path).policies == ("grant",)


def test_a_link_to_no_file_is_refused(make_bundle):
    path = make_bundle()
    (path / "more.cedar").symlink_to(path / "nowhere.cedar")
    assert faults(path) == [("GR001", "more.cedar")]


def move_inputs(path, target):
    """Put the folder of inputs elsewhere, and a link to it in its place."""
    (path / "inputs").rename(target)
    (path / "inputs").symlink_to(target, target_is_directory=True)


def test_a_link_to_a_folder_of_the_bundle_is_followed(make_bundle):
    """As Kubernetes mounts them: ``inputs`` is a link into a hidden folder beside it."""
    path = make_bundle('@id("i") @input("patients") forbid (principal, action, resource);' + GRANT)
    (path / "..data").mkdir()
    move_inputs(path, path / "..data" / "inputs")
    assert Guard.from_dir(path).policies == ("i", "grant")


def test_a_link_to_a_folder_outside_is_refused(make_bundle, tmp_path):
    path = make_bundle()
    move_inputs(path, tmp_path / "outside")
    assert faults(path) == [("GR001", "inputs")]


def test_a_link_to_a_folder_around_it_is_refused(make_bundle):
    path = make_bundle()
    (path / "inputs" / "again").symlink_to(path, target_is_directory=True)
    assert faults(path) == [("GR001", "inputs/again")]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('{"a":' * LIMIT_DEPTH + "1" + "}" * LIMIT_DEPTH, ""),
        ('{"a":' * (LIMIT_DEPTH + 1) + "1" + "}" * (LIMIT_DEPTH + 1), f"1:{5 * LIMIT_DEPTH + 1}"),
        ("[" * 200_000, f"1:{LIMIT_DEPTH + 1}"),
        ("[" * 200_000 + "]" * 200_000, f"1:{LIMIT_DEPTH + 1}"),
        ('["[[[[[["' + ", [" * LIMIT_DEPTH, f"1:{9 + 3 * LIMIT_DEPTH}"),
    ],
)
def test_json_nested_too_deep_is_refused_at_the_bracket(text, place):
    if not place:
        assert read_json("x.json", text.encode()).data
        return
    with pytest.raises(ConfigurationError) as caught:
        read_json("x.json", text.encode())
    (fault,) = caught.value.faults
    if fault.code == "GR005":
        assert str(fault.place) == f"x.json:{place}"
    else:
        assert text.startswith('["')  # cut off before its end, which is found first
        assert fault.code == "GR002"


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1, "a": 1}',
        '{"a": 1, "\\u0061": 2}',
        '[{"b": {"a" :1, "c": 0, "a"\n:2}}]',
        '{"a": 1, "a": ":"}',
        '{":": 1, ":": 2}',
        '{"a": "\\":", "a": 1}',
        '{"": 1, "": 2}',
    ],
)
def test_a_key_that_stands_twice_is_found_however_it_is_written(text):
    with pytest.raises(ConfigurationError, match="twice"):
        read_json("x.json", text.encode())


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ('{"a": ":", "b": "\\":"}', {"a": ":", "b": '":'}),
        ('{":": ":", "": {"": ": "}}', {":": ":", "": {"": ": "}}),
        ('["a", ":b"]', ["a", ":b"]),
        ("1", 1),
    ],
)
def test_a_colon_in_a_text_is_no_key(text, data):
    assert read_json("x.json", text.encode()).data == data


@pytest.mark.parametrize("key", ["tag", "attributes", "Parents", ""])
def test_a_key_that_cedar_would_ignore_is_refused(make_bundle, key):
    good = [team("a"), team("b")]
    text = json.dumps([*good, team("c", **{key: {}})], indent=1)
    line = text[: text.index('"c"')].count("\n") - 2
    assert faults(make_bundle(**{"entities.json": text})) == [("GR201", f"entities.json:{line}:2")]
