"""A bundle, written and checked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from weak_bundles import ENTITIES, HEAD, PATIENTS, SCHEMA, SECRET, SOUND

from guardrail.bundle.assembly import load_bundle
from guardrail.bundle.lint import findings
from guardrail.errors import Finding
from guardrail.policy import read_folder


@pytest.fixture
def find(make_bundle: Callable[..., Path], clock) -> Callable[..., list[Finding]]:
    """Return a function that writes a bundle, loads it, and returns its findings of a code."""

    def find(code: str, policies: str = SOUND, **files: str) -> list[Finding]:
        written = {
            "guardrail.toml": HEAD,
            "schema.cedarschema": SCHEMA,
            "entities.json": ENTITIES,
            "inputs/patients.yaml": PATIENTS,
            **files,
        }
        folder = read_folder(make_bundle(policies, **written))
        bundle = load_bundle(folder, clock=clock, environ=dict([SECRET]))
        return [finding for finding in findings(bundle, folder) if finding.code == code]

    return find
