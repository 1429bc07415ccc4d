"""Reloads as a service sees them: the trial in a real child process, under load, watched."""

import logging
import os
import re
import shutil
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from bundles import GRANT, principal

from guardrail import ConfigurationError, Guard, NotAuthorized
from guardrail.bundle.assembly import load_bundle

ROOT = Path(__file__).parents[2]
ROWS = np.ones((2, 3))
ON = {"action": "predict", "resource": 'Model::"tumour"'}
CLARA = principal()
NEVER = '@id("never") forbid (principal, action, resource);\n'
COARSE = '@id("coarse") @round("1") forbid (principal, action, resource);\n'
TEST = """\
given:
  action: predict
  resource: Model::"tumour"
  principals:
    clara: {uid: 'User::"clara"', in: ['Role::"clinician"'], attrs: {department: care}}
tests:
  - name: clara may predict
    as: clara
    expect: allow
"""
FLIPS, THREADS = 1000, 8


@pytest.fixture
def folder(make_bundle):
    return make_bundle(GRANT, **{"tests/small_test.yaml": TEST})


@pytest.fixture
def guard(folder, clock, recorder):
    return Guard.from_dir(folder, clock=clock, sinks=(recorder,))


def test_a_bundle_that_passes_its_tests_serves(guard, folder):
    (folder / "policies.cedar").write_text(GRANT + COARSE)
    assert guard.reload().changed
    assert guard.policies == ("grant", "coarse")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PYTHONINSPECT", "1"),
        ("PYTHONIOENCODING", "utf-16"),
        ("PYTHONWARNINGS", "error"),
        ("PYTHONVERBOSE", "1"),
        ("PYTHONUTF8", "nonsense"),
        ("PYTHONOPTIMIZE", "2"),
        ("PYTHONSTARTUP", "/nothing/here"),
        ("PYTHONPATH", "/nothing/here"),
    ],
)
def test_settings_of_python_in_the_environment_do_not_refuse_a_reload(
    guard, folder, monkeypatch, name, value
):
    monkeypatch.setenv(name, value)
    (folder / "policies.cedar").write_text(GRANT + COARSE)
    assert guard.reload().changed


def test_what_else_a_trial_prints_is_no_part_of_its_answer(guard, folder, tmp_path, monkeypatch):
    """A library that prints when it is imported, and when the process ends."""
    (tmp_path / "sitecustomize.py").write_text(
        "import atexit\nprint('hello')\natexit.register(print, 'bye')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    (folder / "policies.cedar").write_text(GRANT + COARSE)
    assert guard.reload().changed


def test_a_bundle_whose_own_tests_fail_is_refused(guard, folder):
    before = guard.revision
    (folder / "policies.cedar").write_text(GRANT + NEVER)
    with pytest.raises(ConfigurationError) as caught:
        guard.reload()
    (fault,) = caught.value.faults
    assert (fault.place.file, fault.place.line > 0) == ("tests/small_test.yaml", True)
    assert "clara may predict" in fault.message
    assert guard.revision == before


def test_a_policy_in_shadow_fails_no_test_of_the_bundle(guard, folder, recorder):
    (folder / "policies.cedar").write_text(GRANT + NEVER.replace("@id", '@mode("shadow") @id'))
    assert guard.reload().changed
    assert guard.protect(**ON, principal=CLARA)(lambda patients: 1)(ROWS) == 1
    assert recorder.records[-1].counts == (("shadow/denies/prohibited/never", 1),)


def test_a_second_bundle_is_put_to_its_own_tests(folder, clock, recorder, tmp_path):
    second = tmp_path / "next"
    shutil.copytree(folder, second)
    guard = Guard.from_dir(folder, shadow=second, clock=clock, sinks=(recorder,))
    (second / "policies.cedar").write_text(GRANT + COARSE)
    assert guard.reload().shadow.changed
    (folder / "policies.cedar").write_text(GRANT + COARSE)
    (second / "policies.cedar").write_text(GRANT + NEVER)
    with pytest.raises(ConfigurationError) as caught:
        guard.reload()
    assert {fault.place.file for fault in caught.value.faults} == {
        str(second / "tests/small_test.yaml")
    }
    assert guard.protect(**ON, principal=CLARA)(lambda patients: 0.125)(ROWS) == 0.1
    assert recorder.records[-1].counts == ()  # of the last good one


def test_a_bundle_that_does_not_load_is_refused_with_its_places(guard, folder):
    (folder / "policies.cedar").write_text(f"{GRANT}permit (principal, action")
    with pytest.raises(ConfigurationError) as caught:
        guard.reload()
    assert {(fault.code, fault.place.file) for fault in caught.value.faults} == {
        ("GR100", "policies.cedar")
    }


def test_a_guard_with_parts_of_its_own_reloads(make_bundle, clock, recorder):
    class Stamp:
        name, on_admit, on_release = "stamp", False, True

        def parse(self, clause):
            return clause.argument

        def reads(self, demand):
            return ()

        def merge(self, one, other):
            return max(one, other)

        def describe(self, demand):
            return {"colour": demand}

        def admit(self, demand, context):
            return None

        def release(self, demand, output, context):
            return f"{output} {demand}"

    class Peer:
        namespace, facts = "app", frozenset()

        def compute(self, names, context):
            return dict(context.app)

    stamped = '@id("s") @stamp("{}") forbid (principal, action, resource);'
    # The child can't know how the application's own obligation describes itself.
    test = TEST.replace("expect: allow", "expect: {obligations: {stamp: {colour: red}}}")
    folder = make_bundle(GRANT + stamped.format("red"), **{"tests/small_test.yaml": test})
    guard = Guard.from_dir(folder, clock=clock, sinks=(recorder,), obligations=[Stamp()])
    predict = guard.protect(**ON, principal=CLARA)(lambda patients: "score")
    assert predict(ROWS) == "score red"
    (folder / "policies.cedar").write_text(GRANT + stamped.format("blue"))
    assert guard.reload().changed
    assert predict(ROWS) == "score blue"


@pytest.fixture
def swift_threads():
    """Let threads take turns often, so that calls and swaps come between each other."""
    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    yield
    sys.setswitchinterval(interval_s)


@pytest.mark.parametrize(
    "flips",
    [pytest.param(FLIPS // 10, id="some"), pytest.param(FLIPS, id="more", marks=pytest.mark.long)],
)
def test_no_call_after_a_swap_is_decided_by_the_old_bundle(
    guard, folder, clock, recorder, swift_threads, flips
):
    """Up to 1,000 swaps between what allows and what denies, under eight threads that call.

    A call between whose start and end no swap began was served by exactly one bundle. After
    each swap the next one waits for such a call.
    """
    one = load_bundle(folder, clock=clock)
    (folder / "policies.cedar").write_text(GRANT + NEVER)
    other = load_bundle(folder, clock=clock, storage=one.storage)
    revisions = (one.snapshot.revision, other.snapshot.revision)
    begun, done, seen = [0], [0], [0]  # swaps that began, that returned, that a call was after
    over, ready, sighted = threading.Event(), threading.Barrier(THREADS), threading.Semaphore(0)
    predict = guard.protect(**ON, principal=CLARA)(lambda patients: "score")

    def work(_):
        calls = 0
        ready.wait()
        while not over.is_set():
            after = done[0]
            try:
                answer = predict(ROWS)
            except NotAuthorized as denied:
                answer = denied.policies
            asked = guard.decide(principal=CLARA, **ON)
            before = begun[0]
            calls += 1
            assert answer in ("score", ("never",))
            assert asked.allowed == (asked.revision == revisions[0])
            if after == before:
                assert asked.revision == revisions[after % 2]
                assert answer == ("score", ("never",))[after % 2]
                seen[0] = after
                sighted.release()
        return calls

    guard._swap(one)
    with ThreadPoolExecutor(THREADS) as pool:
        running = [pool.submit(work, number) for number in range(THREADS)]
        for flip in range(1, flips + 1):
            begun[0] = flip
            guard._swap((one, other)[flip % 2])
            done[0] = flip
            while seen[0] != flip and not any(each.done() for each in running):
                sighted.acquire(timeout=10)
        over.set()
        calls = sum(each.result() for each in running)
    assert len(recorder.records) == calls
    for record in recorder.records:
        assert record.outcome == ("released", "denied")[revisions.index(record.revision)]


def test_calls_go_on_while_the_folder_is_reloaded(guard, folder, recorder):
    predict = guard.protect(**ON, principal=CLARA)(lambda patients: 0.123)
    over = threading.Event()

    def work(_):
        seen = set()
        while not over.is_set():
            seen.add(predict(ROWS))
        return seen

    revisions = [guard.revision]
    with ThreadPoolExecutor(2) as pool:
        running = [pool.submit(work, number) for number in range(2)]
        try:
            for policies in (GRANT + COARSE, f"{GRANT}// once more\n"):
                (folder / "policies.cedar").write_text(policies)
                revisions.append(guard.reload().revision)
        finally:
            over.set()
        seen = set().union(*(each.result() for each in running))
    assert seen <= {0.123, 0.1}
    assert {record.outcome for record in recorder.records} == {"released"}
    assert {record.revision for record in recorder.records} <= set(revisions)


class Heard(logging.Handler):
    """Tells when a line of the log has come."""

    def __init__(self) -> None:
        super().__init__()
        self.levels: list[str] = []
        self.came = threading.Semaphore(0)

    def emit(self, record: logging.LogRecord) -> None:
        self.levels.append(record.levelname)
        self.came.release()


@pytest.fixture
def heard():
    handler, log = Heard(), logging.getLogger("guardrail")
    level = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    yield handler
    log.removeHandler(handler)
    log.setLevel(level)


def replace(path, text):
    """Put a file in its place in one step, as a deployment does."""
    new = path.with_name(".new")
    new.write_text(text)
    os.replace(new, path)  # noqa: PTH105


def test_a_watched_folder_is_reloaded_and_a_broken_one_is_told_of_once(guard, folder, heard):
    before = guard.revision
    with guard.watch(interval_s=0.02):
        replace(folder / "policies.cedar", "permit (")
        assert heard.came.acquire(timeout=60)
        assert (heard.levels, guard.revision) == (["ERROR"], before)
        replace(folder / "policies.cedar", GRANT + COARSE)
        assert heard.came.acquire(timeout=60)
    assert heard.levels == ["ERROR", "INFO"]
    assert guard.policies == ("grant", "coarse")


def test_the_documentation_runs(tmp_path, monkeypatch):
    text = (ROOT / "docs" / "reloading.md").read_text("utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    shutil.copytree(ROOT / "policies", tmp_path / "policies")
    monkeypatch.chdir(tmp_path)
    scope: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "docs/reloading.md", "exec"), scope)  # noqa: S102
    assert len(blocks) == 2
    assert "guardrail-watch" not in {thread.name for thread in threading.enumerate()}
