"""The command line as users run it: a real process, a real bundle, exit codes and places."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith("GITHUB")},
    "PYTHONPATH": str(ROOT),
    "PYTHONWARNINGS": "error",
    "NO_COLOR": "1",
    "COLUMNS": "200",
}


def execute(*arguments, cwd, stdin=b""):
    return subprocess.run(  # noqa: S603  # our own arguments
        [sys.executable, *arguments],
        cwd=cwd,
        env=ENVIRONMENT,
        input=stdin,
        capture_output=True,
        timeout=60,
        check=False,
    )


class Hello:
    """A folder made by `guardrail init hello`, its bundle ready to be broken."""

    def __init__(self, parent: Path) -> None:
        self.parent = parent
        self.folder = parent / "hello"
        self.policies = self.folder / "policies" / "policies.cedar"

    def guardrail(self, *arguments, stdin=b""):
        done = execute("-m", "guardrail", *arguments, cwd=self.folder, stdin=stdin)
        assert b"Traceback" not in done.stderr, done.stderr.decode()
        return done

    def append(self, policy: str) -> int:
        """Append a policy; return the line on which it begins."""
        text = self.policies.read_text()
        self.policies.write_text(f"{text}\n{policy}\n")
        return text.count("\n") + 2


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    parent = tmp_path_factory.mktemp("init")
    done = execute("-m", "guardrail", "init", "hello", cwd=parent)
    assert done.returncode == 0, done.stderr.decode()
    return parent / "hello"


@pytest.fixture
def hello(made, tmp_path):
    shutil.copytree(made, tmp_path / "hello")
    return Hello(tmp_path)


# init, and the app that it writes


def test_app_runs_as_it_was_written(hello):
    done = execute("app.py", cwd=hello.folder)
    assert (done.returncode, done.stderr) == (0, b"")
    title, _, agent, guest, rejected, stranger = done.stdout.decode().splitlines()
    assert re.fullmatch(r"hello 0\.1\.0, revision [0-9a-f]{12}", title)
    assert re.fullmatch(r"an agent +allowed +\{'price': 300\.9\d+\}", agent)
    assert re.fullmatch(r"a guest .+ allowed +\{'price': 301\.0\}", guest)
    assert re.fullmatch(r"an area .+ denied +input_rejected at house\.area_m2", rejected)
    assert re.fullmatch(r"a stranger.+ denied +no_grant", stranger)


def test_app_runs_from_any_folder(hello):
    assert execute("hello/app.py", cwd=hello.parent).returncode == 0


def test_init_a_second_time_loses_nothing(hello):
    (hello.folder / "app.py").write_text("mine")
    done = execute("-m", "guardrail", "init", "hello", cwd=hello.parent)
    assert done.returncode == 2
    assert (hello.folder / "app.py").read_text() == "mine"


def test_retired_model_is_denied_as_the_readme_says(hello):
    entities = hello.folder / "policies" / "entities.json"
    entities.write_text(entities.read_text().replace("valuation", "retired"))
    lines = execute("app.py", cwd=hello.folder).stdout.decode().splitlines()[2:]
    assert len(lines) == 4
    assert all("denied" in line for line in lines)


# check


CONDITION = 'forbid (principal, action == Action::"predict", resource)'

BROKEN = {
    "an unknown annotation": ('@id("x")\n@round("2")\n@topk("1")\n' + CONDITION + ";", 2),
    "a duplicate id": ('@id("fair-use")\n' + CONDITION + ";", 0),
    "no id": (CONDITION + ";", 0),
    "a type error": ('@id("x")\n' + CONDITION + "\nwhen { principal.purpose < 3 };", None),
    "a misspelt role": ('@id("x")\npermit (principal in Role::"guset", action, resource);', None),
    "an obligation on a permit": (
        '@id("x")\n@round("2")\npermit (principal, action, resource);',
        1,
    ),
    "an unknown input spec": ('@id("x")\n@input("hose")\n' + CONDITION + ";", 1),
    "a quota of nothing": ('@id("x")\n@quota("0/minute")\n' + CONDITION + ";", 1),
    "what is not built yet": ('@id("x")\n@noise("laplace 1")\n' + CONDITION + ";", 1),
    "a syntax error": ('@id("x")\nforbid (principal, action resource);', 1),
    "5,000 nested brackets": (
        '@id("x")\n' + CONDITION + "\nwhen { " + "(" * 5000 + "true" + ")" * 5000 + " };",
        None,
    ),
    "a chain of 5,000 terms": (
        '@id("x")\n' + CONDITION + "\nwhen { " + " || ".join(["true"] * 5000) + " };",
        None,
    ),
}


def test_bundle_as_written_has_no_findings(hello):
    done = hello.guardrail("check", "policies")
    assert (done.returncode, done.stderr) == (0, b"")
    line = r"hello 0\.1\.0: 6 policies, revision [0-9a-f]{12}: no findings \(2 accepted\)\n"
    assert re.fullmatch(line, done.stdout.decode())


#: One of each way to be found: by the reader, by Cedar's validator, and before it is parsed. The
#: others are found in processes of their own in `make test-long`.
QUICK = {"an unknown annotation", "a type error", "5,000 nested brackets"}


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=[pytest.mark.long] * (case not in QUICK)) for case in BROKEN]
)
def test_broken_policy_is_found_at_its_line(hello, case):
    policy, offset = BROKEN[case]
    line = hello.append(policy)
    lines = range(line, line + policy.count("\n") + 1) if offset is None else [line + offset]
    done = hello.guardrail("check", "policies")
    assert done.returncode == 1, done.stderr.decode()
    places = re.findall(r"^policies\.cedar:(\d+):\d+ GR\d{3} \S", done.stdout.decode(), re.M)
    assert places, done.stdout.decode()
    assert {int(place) for place in places} <= set(lines), done.stdout.decode()


@pytest.mark.parametrize(
    ("file", "before", "after", "place"),
    [
        ("schema.cedarschema", None, None, r"schema\.cedarschema"),
        ("guardrail.toml", "version =", "verison =", r"guardrail\.toml:\d+"),
        ("inputs/house.yaml", "min: 5", "min: nan", r"inputs/house\.yaml:5"),
        *(
            pytest.param(*each, marks=pytest.mark.long)
            for each in [
                ("guardrail.toml", None, None, r"guardrail\.toml"),
                (
                    "schema.cedarschema",
                    "purpose: String",
                    "purpose: Strng",
                    r"schema\.cedarschema:\d+",
                ),
                ("guardrail.toml", "[bundle]", "[bundle", r"guardrail\.toml:2"),
                (
                    "guardrail.toml",
                    "[bundle]",
                    '[quota]\nstore = "redis://localhost"\n[bundle]',
                    r"guardrail\.toml:3:1",
                ),
                ("entities.json", '"attrs"', '"atrs"', r"entities\.json"),
                ("entities.json", "[\n", "", r"entities\.json:\d+:\d+"),
                (
                    "inputs/house.yaml",
                    "type: float, min: 5",
                    "type: flaot, min: 5",
                    r"inputs/house\.yaml:5",
                ),
                ("inputs/house.yaml", "kind: record", "kind: table", r"inputs/house\.yaml:3"),
            ]
        ),
    ],
)
def test_broken_file_is_found_at_its_place(hello, file, before, after, place):
    path = hello.folder / "policies" / file
    if before is None:
        path.unlink()
    else:
        text = path.read_text()
        assert before in text
        path.write_text(text.replace(before, after, 1))
    done = hello.guardrail("check", "policies")
    assert done.returncode == 1, done.stderr.decode()
    assert re.search(rf"^{place}\S* GR\d{{3}} \S", done.stdout.decode(), re.M), done.stdout.decode()


def test_findings_are_told_as_json(hello):
    line = hello.append(BROKEN["an unknown annotation"][0])
    done = hello.guardrail("check", "policies", "--format", "json")
    assert (done.returncode, done.stderr) == (1, b"")
    output = json.loads(done.stdout)
    assert (output["bundle"], output["revision"]) == (None, None)
    (finding,) = output["findings"]
    assert (finding["file"], finding["line"], finding["column"]) == ("policies.cedar", line + 2, 1)
    assert finding["code"].startswith("GR")
    assert "@top_k" in finding["message"]


def test_accepted_findings_are_told_as_json(hello):
    done = hello.guardrail("check", "policies", "--format", "json")
    assert done.returncode == 0
    output = json.loads(done.stdout)
    assert output["bundle"] == "hello"
    assert re.fullmatch(r"[0-9a-f]{64}", output["revision"])
    assert {finding["code"] for finding in output["findings"]} == {"GR520", "GR540"}
    assert all(finding["accepted"] for finding in output["findings"])


def test_a_weakness_is_found_at_its_line(hello):
    line = hello.append('@id("x")\npermit (principal, action, resource)\nwhen { false };')
    done = hello.guardrail("check", "policies")
    assert done.returncode == 1
    assert re.search(rf"^policies\.cedar:{line}:1 GR501 x can never match", done.stdout.decode())


def test_several_findings_are_told_at_once(hello):
    hello.append(BROKEN["an unknown annotation"][0])
    hello.append(BROKEN["a duplicate id"][0])
    assert len(hello.guardrail("check", "policies").stdout.splitlines()) == 2


def test_folder_that_is_not_there_is_a_wrong_call(hello):
    assert hello.guardrail("check", "polices").returncode == 2


# decide


PRICES = ("--action", "predict", "--resource", 'Model::"prices"')
GUEST = b"""\
principal: {uid: 'User::"gus"', in: ['Role::"guest"']}
action: predict
resource: Model::"prices"
"""


def test_no_grant_is_a_decision_and_exits_0(hello):
    done = hello.guardrail("decide", "policies", "--principal", 'User::"sam"', *PRICES)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode().startswith("deny no_grant")


def test_prohibition_tells_its_policy_and_reason(hello):
    entities = hello.folder / "policies" / "entities.json"
    entities.write_text(entities.read_text().replace("valuation", "retired"))
    done = hello.guardrail("decide", "policies", "--request", "-", stdin=GUEST)
    expected = "deny prohibited by no-retired-models: This model is retired.\n"
    assert (done.returncode, done.stdout.decode()) == (0, expected)


def test_grant_tells_its_obligations(hello):
    done = hello.guardrail("decide", "policies", "--request", "-", stdin=GUEST)
    line = done.stdout.decode()
    assert done.returncode == 0, done.stderr.decode()
    assert line.startswith("allow by guests-may-ask, if: ")
    assert {"round 0", "input house"} <= set(line.strip().partition(": ")[2].split(", "))


def test_options_file_and_standard_input_decide_the_same(hello):
    (hello.folder / "request.yaml").write_bytes(GUEST)
    as_json = {
        "principal": {"uid": 'User::"gus"', "in": ['Role::"guest"']},
        "action": "predict",
        "resource": 'Model::"prices"',
    }
    (hello.folder / "request.json").write_text(json.dumps(as_json))
    options = ("--principal", 'User::"gus"', "--in", 'Role::"guest"', *PRICES)
    asked = [options, ("--request", "request.yaml"), ("--request", "request.json")]
    output = []
    for arguments in asked:
        done = hello.guardrail("decide", "policies", *arguments, "--format", "json")
        assert done.returncode == 0, done.stderr.decode()
        output.append(json.loads(done.stdout))
        assert output[-1].pop("decision_id")
    assert output[0] == output[1] == output[2]
    assert output[0]["decision"] == "allow"
    assert output[0]["policies"] == ["guests-may-ask"]
    assert output[0]["obligations"]["round"] == 0
    assert output[0]["errors"] == []


@pytest.mark.parametrize(
    ("request_", "place"),
    [
        (GUEST + b"why: because\n", "<stdin>:4:1 GR003"),
        (GUEST.replace(b"User::", b"User:"), "<stdin>:1:13 GR"),
        (GUEST.replace(b"Role::", b"Role:"), "<stdin>:1:"),
        (b"principal: [\n", "<stdin>:"),
        (b"\xff\xfe", "<stdin>:1:1 GR005"),
    ],
)
def test_request_that_is_none_exits_2_at_its_place(hello, request_, place):
    done = hello.guardrail("decide", "policies", "--request", "-", stdin=request_)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.decode().startswith(place), done.stderr.decode()


def test_request_file_that_is_not_there_exits_2(hello):
    done = hello.guardrail("decide", "policies", "--request", "request.yaml")
    assert done.returncode == 2
    assert b"request.yaml cannot be read" in done.stderr


def test_bundle_that_does_not_load_exits_1_and_tells_why(hello):
    hello.append(BROKEN["an unknown annotation"][0])
    done = hello.guardrail("decide", "policies", "--request", "-", stdin=GUEST)
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"policies.cedar:" in done.stderr


def test_caller_that_entities_lack_is_denied(hello):
    done = hello.guardrail("decide", "policies", "--as", 'User::"nobody"', *PRICES)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.decode().startswith("deny unknown_entity")


# doctor


def test_doctor_tells_the_core_and_decides(hello):
    done = hello.guardrail("doctor", "--format", "json")
    output = json.loads(done.stdout)
    checks = {check["name"]: check for check in output["checks"]}
    assert checks["self-test"]["ok"], checks["self-test"]
    assert checks["core: kernels"]["value"] in ("compiled", "pure")
    assert checks["cedarpy"]["ok"]
    # A source tree may stand there without its compiled flow; that, and only that, is off.
    off = {name for name, check in checks.items() if not check["ok"]}
    assert off <= {"core: flow", "core: kernels"}
    assert output["ok"] == (not off)
    assert done.returncode == (1 if off else 0)
