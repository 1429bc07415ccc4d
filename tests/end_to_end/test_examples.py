import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_service_answers_by_role_and_refuses_a_missing_value():
    done = subprocess.run(
        [sys.executable, "examples/clinical_scoring.py"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    clinician, analyst, refused = done.stdout.splitlines()
    assert clinician.startswith("clinician  200 {'scores': [[")
    assert analyst.startswith("analyst    200 {'scores': [[")
    assert "nan" in analyst
    assert refused.startswith("clinician  422 {'code': 'input_rejected', 'path': 'patients[1, 4]'")


def test_a_reply_streams_as_each_may_see_it():
    done = subprocess.run(
        [sys.executable, "examples/support_replies.py"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    customer, lead, refused = done.stdout.splitlines()
    assert customer.endswith("write to [email], please.")
    assert lead.endswith("write to parcels@desk.example, please.")
    assert refused == "customer  prohibited by no-instructions-to-the-assistant"


def test_a_guard_follows_its_single_sign_on():
    done = subprocess.run(
        [sys.executable, "examples/03_oidc.py"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert [line.split()[-1] for line in done.stdout.splitlines()] == [
        "0.87",
        "no_grant",
        "0.87",
        "revoked",
        "0.87",
    ]
