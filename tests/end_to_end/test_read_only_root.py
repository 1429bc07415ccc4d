"""Containers often have a root that is mounted read-only; here it is one, in a namespace."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUNDLE = """\
from pathlib import Path
from guardrail import ConfigurationError, Entity, Guard, Principal
guard = Guard.from_dir("policies/clinical_scoring", journal=None)
print(guard.decide(principal=Entity("User", "nobody"), action="predict",
                   resource='Model::"tumour"').code)
try:
    Guard.from_dir("policies/clinical_scoring", journal=Path("/var/lib/guardrail/journal"))
except ConfigurationError as error:
    print(error)
"""


@pytest.fixture
def read_only():
    """Return a function that runs Python with the whole file system read-only."""
    if os.geteuid() != 0:
        pytest.skip("mounting a root read-only needs root: sudo make test")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        mount = 'mount --bind / / && mount -o remount,ro,bind / && exec "$@"'
        command = ["unshare", "--mount", "sh", "-c", mount, "sh", sys.executable, *arguments]
        return subprocess.run(  # noqa: S603
            command, capture_output=True, text=True, cwd=ROOT, check=False
        )

    return run


def test_doctor_is_well_where_nothing_can_be_written(read_only):
    done = read_only("-m", "guardrail", "doctor", "--format", "json")
    checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert checks["self-test"]["ok"], checks["self-test"]


def test_a_bundle_loads_and_a_journal_says_what_is_wrong(read_only):
    done = read_only("-c", BUNDLE)
    code, complaint = done.stdout.splitlines()
    assert code == "unknown_entity", done.stderr
    assert "is on a file system that is mounted read-only" in complaint
    assert "Correct [audit] journal, or mount a folder there" in complaint
