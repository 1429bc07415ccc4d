"""``docs/evidence.md`` is true: its tables load, its policies decide, its Python runs."""

import contextlib
import io
import re
from dataclasses import replace
from pathlib import Path

import pytest

from guardrail import NotAuthorized, Principal
from guardrail._documents import read_toml
from guardrail.identity import ActingAs
from guardrail.identity.attestation.formats import FORMATS
from guardrail.identity.attestation.settings import EvidenceSettings, read_evidence
from guardrail.values import Evidence, Identity

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/evidence.md").read_text(encoding="utf-8")
SOURCE = (ROOT / "guardrail/identity/attestation/formats.py").read_text(encoding="utf-8")
NOW = 1_700_000_000.0  # that of the frozen clock


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def rows(heading):
    """Return the rows of the table below a header row that begins so, as lists of cells."""
    below = TEXT[TEXT.index(heading) :].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in below]


@pytest.mark.parametrize("block", blocks("toml"))
def test_each_table_loads(block):
    document = read_toml("guardrail.toml", block.encode()).below("evidence")
    tables = read_evidence(document, formats=[kind.name for kind in FORMATS])
    assert len(tables) == block.count("[evidence.") == 2


def test_the_keys_are_those_that_there_are():
    output = {name for row in rows("| key |") for name in re.findall(r"`(\w+)`", row[0])}
    models = (EvidenceSettings, *EvidenceSettings.__subclasses__())
    assert output == {name for model in models for name in model.model_fields}


def test_the_defaults_are_those_that_there_are():
    table = EvidenceSettings(about="peer", format="x")
    output = {row[0]: row[1] for row in rows("| key |")}
    assert output["`max_age_s`"] == f"{table.max_age_s:g}"
    assert output["`leeway_s`"] == f"{table.leeway_s:g}"
    assert table.needs_nonce


def test_each_claim_that_is_told_is_read():
    for row in rows("| format and platform"):
        for name in re.findall(r"`([\w.-]+)`", " ".join(row[1:])):
            last = name.split(".")[-1]
            assert f'"{last}"' in SOURCE or last in ("iat",), name


@pytest.fixture
def call(make_guard):
    """Return a function that calls the model of the policies in the text."""
    policies = '@id("g") permit (principal, action, resource);\n' + "".join(blocks("cedar"))
    (schema,) = blocks("cedarschema")
    entities = '[{"uid":{"type":"Model","id":"m"},"attrs":{},"parents":[]}]'
    guard = make_guard(policies, **{"schema.cedarschema": schema, "entities.json": entities})
    score = guard.protect(action="predict", resource='Model::"m"')(lambda: "scored")

    def ask(evidence):
        with ActingAs(Identity(Principal("User", "clara"), evidence=evidence)):
            try:
                return score()
            except NotAuthorized as denied:
                return denied.policies

    return ask


def test_the_policies_deny_where_a_machine_is_not_attested(call):
    (image,) = re.findall(r'measurement == "(\w+)"', TEXT)
    held = Evidence("intel_tdx", image, False, issued_at=NOW - 1, expires_at=NOW + 1)
    assert call(held) == ("only-on-attested-hosts",)
    for other in (None, replace(held, debug=True), replace(held, measurement="ab" * 32)):
        assert "only-our-enclave" in call(other)


def test_the_python_prints_what_it_says():
    namespace = {"__name__": "text"}
    for block in blocks("python"):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(block, "<text>", "exec"), namespace)  # noqa: S102
        promised = re.findall(r"# -> (.*)$", block, re.MULTILINE)
        assert printed.getvalue().splitlines() == promised
