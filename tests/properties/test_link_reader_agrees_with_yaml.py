"""The plain form of ``links.yaml`` is YAML: what is read without a YAML parser, it reads alike."""

from contextlib import suppress

from hypothesis import example, given
from hypothesis import strategies as st

from guardrail._documents import read_yaml
from guardrail.errors import ConfigurationError
from guardrail.policy.schema.schema import read_uid
from guardrail.policy.source.links import FILE, _NotPlainError, _plain_entries
from guardrail.policy.source.templates import _UID, _Uids

KEYS = st.sampled_from([*["template", "id", "principal", "resource"] * 6, "other", "'id'"])
CHARACTERS = st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("\t\n\x85")
WORDS = st.sampled_from(
    ["a", "a-b", "true", "Null", "no", "y", "x.1", "_", "a/b", "a:b", "a b", "-", "~", "1e3", "#",
     "a#b", "a #b", "*a", "&a", "!a", "{a}", "[a]", "a,b", "? a", "---", "<<", "e5", "0o7", "x:"]
)  # fmt: skip
VALUES = st.one_of(
    WORDS,
    st.just("share-1"),
    st.text(CHARACTERS, max_size=6).map(lambda text: f"'{text}'"),
    st.text(CHARACTERS, max_size=6).map(lambda text: f'"{text}"'),
    st.just("'Team::\"a\"'"),
    st.just("'it''s'"),
)
GAPS = st.sampled_from([*" " * 12, "  ", "", "\t"])  # mostly plain, now and then not
SPACES = st.sampled_from([*["", " "] * 20, "  ", "\t", "\n", "\n  "])
REMARKS = st.one_of(
    st.sampled_from([*[""] * 6, " ", "\t", " # x", "# x", " #'\"{}"]),
    st.text(CHARACTERS, max_size=4).map(lambda text: f" #{text}"),
)


@st.composite
def pairs(draw):
    return f"{draw(KEYS)}:{draw(GAPS)}{draw(VALUES)}"


@st.composite
def in_braces(draw):
    inner = (f"{draw(SPACES)},{draw(SPACES)}").join(draw(st.lists(pairs(), max_size=3)))
    last = draw(st.sampled_from(["", ",", " ,"]))
    return f"-{draw(GAPS)}{{{draw(SPACES)}{inner}{last}{draw(SPACES)}}}{draw(REMARKS)}"


@st.composite
def in_block(draw):
    lines = draw(st.lists(st.tuples(pairs(), REMARKS), min_size=1, max_size=3))
    indent = draw(st.sampled_from(["  ", "  ", " ", "   "]))
    between = draw(st.sampled_from(["\n", "\n", "\n\n", "\n# x\n", "\n  # x\n"]))
    return "- " + f"{between}{indent}".join(f"{pair}{remark}" for pair, remark in lines)


LINES = st.one_of(in_braces(), in_block(), REMARKS, st.text(CHARACTERS, max_size=8))
FILES = st.lists(LINES, max_size=4).map("\n".join)


@given(FILES)
@example("- {id: a,principal: b}")
@example("- {id: 'a'#b\n}")
@example("- id: a\n- {id: b}\n  principal: c")
@example("- id: a\n\n  # x\n  principal: 'b'\n")
def test_what_is_read_plainly_yaml_reads_alike(text):
    try:
        plain = list(_plain_entries(text))
    except _NotPlainError:
        return
    document = read_yaml(FILE, text.encode())
    assert [entry for entry, _ in plain] == (document.data or [])
    assert [place for _, place in plain] == [
        document.at(number) for number in range(len(document.data or []))
    ]


@given(st.text(CHARACTERS, max_size=12), st.sampled_from(["Team", "a::b", "A_1::B2", "in", "true"]))
def test_a_uid_read_without_a_parser_is_the_one_cedar_reads(eid, name):
    text = f'{name}::"{eid}"'
    if _UID.fullmatch(text) is None:
        return
    expected = None
    with suppress(ConfigurationError):
        expected = read_uid(text)
    found = _Uids().read(text)
    assert (found is None) == (expected is None)
    if found is not None:
        assert (str(found.type), found.id) == (expected.type, expected.id)
