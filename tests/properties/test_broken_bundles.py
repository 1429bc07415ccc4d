"""Whatever stands in a bundle's files: it loads, or is refused with a place. Nothing else."""

import json
from pathlib import Path

import pytest
from bundles import ENTITIES, GRANT, PATIENTS, SCHEMA
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guardrail import ConfigurationError, Guard

TOML = """[bundle]
name = "small"
version = "1.0.0"
[bounds]
input_bytes = 1000
[identity.x]
type = "jwt"
issuer = "i"
audience = "a"
algorithms = ["HS256"]
secret_env = "PATH"
principal = { type = "User", id = "sub", in.Role = "roles" }
[quota]
store = "memory"
"""
RICH = (
    GRANT
    + """
@id("x") @reason("r") @round("2") @quota("5/minute per principal")
forbid (principal in Role::"analyst", action == Action::"predict", resource is Model)
when { context.app has note && context.app.note.text like "a*" || [1, 2].contains(1) }
unless { if principal has level then principal.level + 1 > -2 else !true };
@id("t") permit (principal in ?principal, action, resource == ?resource);
"""
)
LINKS = """\
- {template: t, id: one, principal: 'Role::"clinician"', resource: 'Model::"tumour"'}
- template: t
  id: two  # a remark
  principal: 'Team::"heart"'
  resource: 'Model::"old"'
"""
FILES = {
    "guardrail.toml": TOML,
    "schema.cedarschema": SCHEMA,
    "policies.cedar": RICH,
    "entities.json": json.dumps(ENTITIES, indent=1),
    "inputs/patients.yaml": PATIENTS,
    "links.yaml": LINKS,
}
#: Pieces that break files in interesting ways, beside any character at all.
PIECES = st.one_of(
    st.sampled_from(
        ["(", ")", "{", "}", "[", "]", '"', "'", ";", ",", ":", "::", "@", "@id", "#", "//", "\\",
         "\n", "\t", "\0", "\ud7ff", "\u202e", "nan", ".nan", "null", "1e999", "-", "*", "&a", "*a",
         "!!python/object:os.system", "<<: *a", "---", "...", "if", "has a.b", "is User in", "in",
         "template", "?principal", "permit", "forbid", "when", '@id("grant")', "true", "2**63",
         "99999999999999999999", "0x", "=", "==", "||", "&&", "  ", "\ufeff", "é"]
    ),
    st.text(max_size=6),
)  # fmt: skip


def faults_of(folder):
    """Load; return what was found, of which there is something where it does not load."""
    try:
        Guard.from_dir(folder)
    except ConfigurationError as error:
        found = error.faults
    else:
        return ()
    assert found
    return found


def sound_bundle(tmp_path):
    """Write all files as they should be, over whatever the last example left."""
    folder = tmp_path / "bundle"
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


@st.composite
def broken(draw, text):
    """Cut, doubled, moved or spoilt: up to three changes to a text that was right."""
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, min(len(text), start + 40)))
        piece = draw(st.one_of(PIECES, st.just(text[start:end] * 2), st.just("")))
        text = text[:start] + piece + text[end:]
    return text


@pytest.mark.parametrize("file", FILES)
@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_spoilt_file_loads_or_is_refused_with_its_place(tmp_path, file, data):
    folder = sound_bundle(tmp_path)
    text = data.draw(broken(FILES[file]))
    Path(folder / file).write_text(text, encoding="utf-8", errors="surrogatepass")
    for fault in faults_of(folder):
        assert fault.code.startswith("GR")
        assert fault.place.file in FILES
        assert fault.message


@pytest.mark.parametrize("file", FILES)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(raw=st.binary(max_size=200))
def test_a_file_of_any_bytes_loads_or_is_refused(tmp_path, file, raw):
    folder = sound_bundle(tmp_path)
    (folder / file).write_bytes(raw)
    faults_of(folder)
