"""docs/shadow.md: its policy loads into the shipped bundle as a shadow, with the shown output."""

import re
import shutil
from datetime import UTC, datetime
from pathlib import Path

import numpy

from guardrail import Entity, Guard, Principal
from guardrail.testing import FrozenClock, Recorder

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "shadow.md").read_text("utf-8")
ANA = Principal(
    "User", "ana", parents=[Entity("Role", "analyst")], attrs={"department": "research"}
)


def test_the_policy_of_the_page_looks_on_and_changes_nothing(tmp_path):
    (policy,) = re.findall(r"```cedar\n(.*?)```", TEXT, re.DOTALL)
    folder = shutil.copytree(ROOT / "policies" / "clinical_scoring", tmp_path / "clinical")
    (folder / "night.cedar").write_text(policy)
    recorder = Recorder()
    noon = FrozenClock(datetime(2026, 11, 23, 12, tzinfo=UTC))
    guard = Guard.from_dir(folder, clock=noon, sinks=(recorder,), journal=None)

    @guard.protect(action="predict", resource='Model::"tumour"', principal=ANA)
    def predict(patients):
        return numpy.array([[0.25, 0.75]] * len(patients))

    assert predict(numpy.zeros((1, 30)))[0][1] == 0.75
    (record,) = recorder.records
    assert (record.outcome, record.code) == ("released", "allow")
    assert ("shadow/denies/prohibited/at-night-only", 1) in record.counts
