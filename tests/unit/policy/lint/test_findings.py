"""Each finding is reported at its place, and not for the corrected bundle."""

from __future__ import annotations

from pathlib import Path

import pytest
from weak_bundles import SECRET, SOUND, WEAK

from guardrail._ports import SystemClock
from guardrail.bundle.assembly import load_bundle
from guardrail.bundle.lint import accepted, findings
from guardrail.errors import FINDINGS, ConfigurationError, Finding, Place
from guardrail.policy import read_folder

ROOT = Path(__file__).parents[4]


def test_every_code_has_a_weak_bundle():
    assert set(WEAK) == FINDINGS


@pytest.mark.parametrize("code", WEAK)
def test_weakness_is_found_once_at_its_place(find, code):
    weak = WEAK[code]
    (found,) = find(code, weak.policies, **weak.files)
    assert str(found.place) == weak.place
    assert found.message.endswith(".")
    assert "None" not in found.message


@pytest.mark.parametrize("code", [code for code, weak in WEAK.items() if weak.sound is not None])
def test_the_same_bundle_without_it_has_no_such_finding(find, code):
    weak = WEAK[code]
    assert find(code, weak.sound, **weak.sound_files) == []


def test_a_sound_bundle_has_only_what_this_version_cannot_mend(find):
    for code in FINDINGS:
        assert bool(find(code, SOUND)) == (code in ("GR520", "GR540")), code


def test_findings_come_in_the_order_of_files_and_lines(make_bundle):
    folder = read_folder(make_bundle('@id("g") permit (principal, action, resource);'))
    bundle = load_bundle(folder, clock=SystemClock())
    places = [(found.place.file, found.place.line) for found in findings(bundle, folder)]
    assert places == sorted(places)
    assert len(places) > 2


def test_files_of_another_bundle_are_refused(make_bundle):
    folder = read_folder(make_bundle())
    bundle = load_bundle(folder, clock=SystemClock())
    (folder.path / "policies.cedar").write_text('@id("h") permit (principal, action, resource);')
    with pytest.raises(ConfigurationError, match="not the files"):
        findings(bundle, read_folder(folder.path))


def test_an_error_can_never_be_a_finding():
    with pytest.raises(ValueError, match="is not the code of a finding"):
        Finding("GR108", Place("x"), "Wrong.")


@pytest.mark.parametrize("code", ["GR108", "GR400", "GR999", "", "gr508"])
def test_what_is_no_finding_cannot_be_accepted(make_bundle, code):
    text = f'[bundle]\nname = "a"\nversion = "1"\n[check]\nallow = ["GR508", "{code}"]\n'
    with pytest.raises(ConfigurationError) as caught:
        load_bundle(make_bundle(**{"guardrail.toml": text}), clock=SystemClock())
    (fault,) = caught.value.faults
    assert (fault.code, str(fault.place)) == ("GR003", "guardrail.toml:5:1")


def test_codes_of_findings_can_be_accepted(make_bundle):
    codes = ", ".join(f'"{code}"' for code in FINDINGS)
    text = f'[bundle]\nname = "a"\nversion = "1"\n[check]\nallow = [{codes}]\n'
    assert accepted(read_folder(make_bundle(**{"guardrail.toml": text}))) == FINDINGS
    assert accepted(read_folder(make_bundle())) == frozenset()


@pytest.mark.parametrize(
    "path", ["policies/clinical_scoring", "benchmarks/bundle", "guardrail/cli/template/policies"]
)
def test_a_shipped_bundle_accepts_exactly_what_is_found(path):
    folder = read_folder(ROOT / path)
    environ = {"GUARDRAIL_BENCH_SECRET": SECRET[1]}
    bundle = load_bundle(folder, clock=SystemClock(), environ=environ)
    assert {found.code for found in findings(bundle, folder)} == accepted(folder)
