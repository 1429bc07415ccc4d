"""A reload replaces the whole bundle or nothing; running calls end with their bundle.

The child process is replaced by a script that reports what a trial would report, or ends as one
would. The real one runs in ``tests/end_to_end/test_reload_in_a_child.py``.
"""

import asyncio
import json
import logging
import shutil
import stat
import tracemalloc
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from bundles import GRANT, principal

from guardrail import ConfigurationError, Guard, NotAuthenticated, NotAuthorized, QuotaExceeded
from guardrail.audit import Metrics
from guardrail.bundle.assembly import load_bundle
from guardrail.extensions import ObligationBase
from guardrail.policy import read_folder

ROWS = np.ones((2, 3))
ON = {"action": "predict", "resource": 'Model::"tumour"'}
CLARA = principal()
NEVER = '@id("never") forbid (principal, action, resource);\n'
COARSE = '@id("coarse") @round("1") forbid (principal, action, resource);\n'
QUOTA = '@id("few") @quota("2/minute") forbid (principal, action, resource);\n'
TOML = '[bundle]\nname = "small"\nversion = "1.0.0"\n'


@pytest.fixture
def child(tmp_path):
    """Return a function that writes an interpreter: a shell script of these lines."""

    def make(script: str) -> str:
        path = tmp_path / "python"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return str(path)

    return make


@pytest.fixture
def says(child):
    """Return a function that makes an interpreter whose trial finds these faults."""

    def make(revision: str | Path, faults=(), code: int | None = None) -> str:
        if isinstance(revision, Path):
            revision = read_folder(revision).revision
        told = json.dumps({"revision": revision, "faults": list(faults)})
        return child(f"echo '{told}'\nexit {bool(faults) if code is None else code:d}")

    return make


@pytest.fixture
def scene(make_guard, says, tmp_path, recorder):
    """A guard, its folder, and how to change and reload it."""
    guard = make_guard()
    folder = tmp_path / "bundle"

    def write(**files):
        for name, text in files.items():
            (folder / {"policies": "policies.cedar", "toml": "guardrail.toml"}[name]).write_text(
                text
            )

    def change(**files):
        write(**files)
        return guard.reload(python=says(folder))

    predict = guard.protect(**ON, principal=CLARA)(lambda patients: 0.123)
    return SimpleNamespace(
        guard=guard, folder=folder, write=write, change=change, predict=predict, recorder=recorder
    )


def refused(scene, python, **options):
    """Reload, see it refused and the last good bundle serve on; return the error."""
    before = scene.guard.revision
    scene.write(policies=NEVER)
    with pytest.raises(ConfigurationError) as caught:
        scene.guard.reload(python=python, **options)
    assert scene.guard.revision == before
    assert scene.predict(ROWS) == 0.123
    assert scene.recorder.records[-1].revision == before
    return caught.value


# The child.


@pytest.mark.parametrize(
    ("script", "how"),
    [
        ("kill -SEGV $$", "ended by SIGSEGV"),
        ("kill -KILL $$", "ended by SIGKILL"),
        ("exit 0", "ended with exit code 0"),
        ("exit 1", "ended with exit code 1"),
        ("echo no JSON", "ended with exit code 0"),
        ("echo null", "ended with exit code 0"),
        ("echo '{}'", "ended with exit code 0"),
        ("echo '[]'; exit 3", "ended with exit code 3"),
        ("exec sleep 30", "took over 0.2 s"),
        ("exec >&-; exec sleep 30", "took over 0.2 s"),
    ],
)
def test_a_child_that_does_not_come_through_keeps_the_last_good(scene, child, script, how):
    (fault,) = refused(scene, child(script), timeout_s=0.2 if "sleep" in script else 30).faults
    assert fault.code == "GR020"
    assert how in fault.message


def test_a_child_that_never_stops_talking_is_ended_at_the_limit(scene, child):
    peaks = []
    tracemalloc.start()
    try:
        for script in ("exit 3", "exec yes"):
            tracemalloc.reset_peak()
            (fault,) = refused(scene, child(script), timeout_s=60).faults
            peaks.append(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()
    assert (fault.code, "wrote over 4 MiB" in fault.message) == ("GR020", True)
    assert peaks[1] < peaks[0] + 32 * 2**20


def test_a_child_gets_no_setting_of_pythons_but_the_paths(scene, child, tmp_path, monkeypatch):
    for name in ("PYTHONINSPECT", "PYTHONIOENCODING", "PYTHONWARNINGS", "PYTHONVERBOSE"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("PYTHONHOME", "/somewhere")
    monkeypatch.setenv("SECRET_OF_THE_BUNDLE", "kept")
    refused(scene, child(f"env > {tmp_path}/environment"))
    found = dict(line.split("=", 1) for line in (tmp_path / "environment").read_text().splitlines())
    assert {name for name in found if name.startswith("PYTHON")} == {"PYTHONHOME", "PYTHONPATH"}
    assert found["SECRET_OF_THE_BUNDLE"] == "kept"


def test_a_child_that_does_not_start_keeps_the_last_good(scene, tmp_path):
    (fault,) = refused(scene, str(tmp_path / "nothing here")).faults
    assert (fault.code, fault.place.file) == ("GR020", str(scene.folder))
    assert "could not be started" in fault.message


def test_faults_that_the_child_finds_are_raised_with_their_places(scene, says):
    found = {"code": "GR602", "file": "tests/a_test.yaml", "line": 7, "column": 3, "message": "No."}
    scene.write(policies=NEVER)
    (fault,) = refused(scene, says(scene.folder, [found])).faults
    assert str(fault) == "tests/a_test.yaml:7:3 GR602 No."


@pytest.mark.parametrize("found", [[{"code": "GR1"}], [None], {"code": "GR1"}, 5])
def test_a_child_whose_faults_make_no_sense_keeps_the_last_good(scene, child, found):
    scene.write(policies=NEVER)
    told = json.dumps({"revision": read_folder(scene.folder).revision, "faults": found})
    (fault,) = refused(scene, child(f"echo '{told}'\nexit 1")).faults
    assert fault.code == "GR020"


def test_a_child_that_says_one_thing_and_exits_with_another_keeps_the_last_good(scene, says):
    scene.write(policies=NEVER)
    (fault,) = refused(scene, says(scene.folder, code=1)).faults
    assert fault.code == "GR020"


def test_a_folder_that_changes_meanwhile_is_refused(scene, says):
    (fault,) = refused(scene, says("0" * 64)).faults
    assert fault.code == "GR021"


def test_a_folder_that_changed_once_meanwhile_is_read_again(scene, child, tmp_path):
    scene.write(policies=GRANT + COARSE)
    good = json.dumps({"revision": read_folder(scene.folder).revision, "faults": []})
    scene.write(policies=NEVER)
    (tmp_path / "good.cedar").write_text(GRANT + COARSE)
    swap = f"mv {tmp_path}/good.cedar {scene.folder}/policies.cedar 2>/dev/null"
    assert scene.guard.reload(python=child(f"{swap}\necho '{good}'")).changed
    assert scene.guard.policies == ("grant", "coarse")


def test_own_parts_go_to_the_child_by_name(make_bundle, child, tmp_path, clock, recorder):
    class Site:
        namespace, facts = "site", frozenset({"floor", "city"})

        def compute(self, names, context):
            return {}

    folder = make_bundle()
    guard = Guard.from_dir(folder, clock=clock, sinks=(recorder,), facts=[Site()])
    (folder / "policies.cedar").write_text(NEVER)
    with pytest.raises(ConfigurationError):
        guard.reload(python=child(f'echo "$*" > {tmp_path}/asked'))
    asked = (tmp_path / "asked").read_text().split()
    assert asked == [
        "-P", "-m", "guardrail.testing.run.reload_child", str(folder), "--fact=site:city,floor",
    ]  # fmt: skip


# What the parent itself finds.


def test_nothing_changed_starts_no_child(scene):
    told = scene.guard.reload(python="/nothing/here")
    assert (told.changed, told.revision) == (False, told.previous)


def test_a_new_bundle_serves_after_the_reload(scene):
    before = scene.guard.revision
    told = scene.change(policies=GRANT + COARSE, toml=TOML.replace("1.0.0", "2.0.0"))
    guard = scene.guard
    assert (told.changed, told.previous, told.revision) == (True, before, guard.revision)
    assert told.revision != before
    assert (guard.version, guard.policies) == ("2.0.0", ("grant", "coarse"))
    assert scene.predict(ROWS) == 0.1
    assert scene.recorder.records[-1].revision == told.revision
    decision = guard.decide(principal=CLARA, **ON)
    assert (decision.revision, decision.obligations[0].name) == (told.revision, "round")


def test_a_prohibition_that_comes_with_a_reload_denies(scene):
    scene.change(policies=GRANT + NEVER)
    with pytest.raises(NotAuthorized) as caught:
        scene.predict(ROWS)
    assert caught.value.policies == ("never",)


def test_an_action_that_a_reload_takes_away_is_denied(scene):
    schema = (scene.folder / "schema.cedarschema").read_text()
    (scene.folder / "schema.cedarschema").write_text(schema.replace("predict, explain", "explain"))
    scene.change()
    with pytest.raises(NotAuthorized) as caught:
        scene.predict(ROWS)
    assert caught.value.code == "undeclared_action"


def test_bounds_come_with_the_reload(scene):
    scene.change(toml=f"{TOML}[bounds]\ninput_bytes = 8\n")
    with pytest.raises(Exception) as caught:  # noqa: PT011
        scene.predict(ROWS)
    assert caught.value.code == "too_large"


def test_a_broken_bundle_keeps_the_last_good_even_where_the_child_saw_nothing(scene, says):
    scene.write(policies="permit (")
    with pytest.raises(ConfigurationError) as caught:
        scene.guard.reload(python=says(scene.folder))
    assert {fault.place.file for fault in caught.value.faults} == {"policies.cedar"}
    assert scene.predict(ROWS) == 0.123


def test_a_quota_table_that_is_wrong_is_refused_though_the_store_is_open(scene, says):
    scene.write(toml=f'{TOML}[quota]\nstore = "redis://elsewhere"\n')
    with pytest.raises(ConfigurationError) as caught:
        scene.guard.reload(python=says(scene.folder))
    assert [fault.code for fault in caught.value.faults] == ["GR004"]


def test_a_folder_that_is_gone_keeps_the_last_good(scene):
    shutil.rmtree(scene.folder)
    with pytest.raises(ConfigurationError) as caught:
        scene.guard.reload()
    assert [fault.code for fault in caught.value.faults] == ["GR001"]
    assert scene.predict(ROWS) == 0.123


def test_a_file_that_can_not_be_read_keeps_the_last_good(scene, monkeypatch):
    def forbidden(self):
        raise PermissionError(13, "Permission denied", "/secret/path")

    monkeypatch.setattr(Path, "read_bytes", forbidden)
    monkeypatch.setattr(Path, "open", lambda self, *args, **kwargs: forbidden(self))
    with pytest.raises(ConfigurationError) as caught:
        scene.guard.reload()
    assert "/secret/path" not in str(caught.value)
    assert scene.predict(ROWS) == 0.123


def test_foreign_code_that_raises_at_load_keeps_the_last_good(
    make_bundle, says, clock, recorder, caplog
):
    class Stamp(ObligationBase):
        name, on_admit = "stamp", True

        def parse(self, clause):
            return {"red": 1}[clause.argument]

        def merge(self, one, other):
            return max(one, other)

        def describe(self, demand):
            return demand

        def admit(self, demand, context):
            return None

    marked = '@id("s") @stamp("{}") forbid (principal, action, resource);'
    folder = make_bundle(GRANT + marked.format("red"))
    guard = Guard.from_dir(folder, clock=clock, sinks=(recorder,), obligations=[Stamp()])
    before = guard.revision
    (folder / "policies.cedar").write_text(GRANT + marked.format("secret"))
    with pytest.raises(ConfigurationError) as caught:
        guard.reload(python=says(folder))
    assert "KeyError" in str(caught.value)
    assert guard.revision == before
    assert "KeyError" in caplog.text
    assert "secret" not in caplog.text


def test_a_guard_without_a_folder_can_not_reload(make_bundle, clock, recorder):
    guard = Guard(load_bundle(make_bundle(), clock=clock), clock=clock, sinks=(recorder,))
    with pytest.raises(ConfigurationError, match="from_dir"):
        guard.reload()
    with pytest.raises(ConfigurationError, match="from_dir"):
        guard.watch()


def test_the_folder_is_found_again_from_another_working_directory(
    make_bundle, says, clock, recorder, monkeypatch, tmp_path
):
    folder = make_bundle()
    monkeypatch.chdir(folder.parent)
    guard = Guard.from_dir(folder.name, clock=clock, sinks=(recorder,))
    monkeypatch.chdir("/")
    (folder / "policies.cedar").write_text(GRANT + COARSE)
    assert guard.reload(python=says(folder)).changed


# What the log tells.


def test_the_log_tells_of_a_reload_and_of_a_refusal_and_of_nothing_else(scene, says, caplog):
    caplog.set_level(logging.INFO, "guardrail")
    before = scene.guard.revision
    scene.guard.reload(python="/nothing/here")
    assert caplog.records == []
    told = scene.change(policies=GRANT + COARSE)
    (done,) = caplog.records
    assert done.levelname == "INFO"
    assert before in done.getMessage()
    assert told.revision in done.getMessage()
    caplog.clear()
    scene.write(policies="permit (")
    with pytest.raises(ConfigurationError):
        scene.guard.reload(python=says(scene.folder))
    (refusal,) = caplog.records
    assert refusal.levelname == "ERROR"
    assert told.revision in refusal.getMessage()
    assert "policies.cedar:1" in refusal.getMessage()


def test_reloads_are_counted_by_their_outcome(scene, says):
    metrics = pytest.importorskip("opentelemetry.sdk.metrics")
    reader = pytest.importorskip("opentelemetry.sdk.metrics.export").InMemoryMetricReader()
    provider = metrics.MeterProvider([reader])
    scene.guard._metrics = Metrics("small", meter_provider=provider)
    scene.guard.reload(python="/nothing/here")
    scene.change(policies=GRANT + COARSE)
    scene.write(policies="permit (")
    with pytest.raises(ConfigurationError):
        scene.guard.reload(python=says(scene.folder))
    scene.change(policies=GRANT)
    ((points,),) = [
        [
            {
                point.attributes["guardrail.reload.outcome"]: point.value
                for point in data.data_points
            }
            for data in (metric.data for metric in scope.metrics)
            if any("guardrail.reload.outcome" in point.attributes for point in data.data_points)
        ]
        for resource in reader.get_metrics_data().resource_metrics
        for scope in resource.scope_metrics
    ]
    assert points == {"ok": 2, "failed": 1}
    provider.shutdown()


# What lives through a reload, and what does not.


def test_quotas_keep_their_counters(scene):
    scene.change(policies=GRANT + QUOTA)
    scene.predict(ROWS)
    scene.change(policies=f"// another revision\n{GRANT}{QUOTA}")
    scene.predict(ROWS)
    with pytest.raises(QuotaExceeded):
        scene.predict(ROWS)


def test_a_scope_that_is_open_stays_open(scene):
    predict = scene.guard.protect(**ON)(lambda patients: 0.123)
    with scene.guard.acting_as(CLARA):
        scene.change(policies=GRANT + COARSE)
        assert predict(ROWS) == 0.1


IDENTITY = """[identity.here]
type = "jwt"
issuer = "https://issuer.example"
audience = "scoring"
algorithms = ["HS256"]
secret_env = "{}"
principal = {{ type = "User", id = "sub", in.Role = "roles", attrs = {{ department = "dept" }} }}
"""


def test_a_token_that_held_is_verified_anew_under_another_key(scene, monkeypatch, clock):
    jwt = pytest.importorskip("jwt")
    monkeypatch.setenv("ONE_SECRET", "one secret of more than thirty-two bytes")
    monkeypatch.setenv("OTHER_SECRET", "another secret of more than thirty-two bytes")
    scene.change(toml=TOML + IDENTITY.format("ONE_SECRET"))
    claims = {"iss": "https://issuer.example", "aud": "scoring", "sub": "clara", "dept": "care"}
    claims |= {"roles": ["clinician"], "exp": int(clock.now()) + 60}
    token = jwt.encode(claims, "one secret of more than thirty-two bytes", algorithm="HS256")
    with scene.guard.acting_as(token=token):
        scene.predict(ROWS)
    scene.change(toml=TOML + IDENTITY.format("OTHER_SECRET"))
    with pytest.raises(NotAuthenticated) as caught:
        scene.guard.acting_as(token=token)
    assert caught.value.code == "bad_signature"


# Calls in flight.


def test_a_call_ends_on_the_bundle_that_it_began_with(scene):
    before = scene.guard.revision

    @scene.guard.protect(**ON, principal=CLARA)
    def predict(patients):
        scene.change(policies=GRANT + COARSE)
        return 0.123

    assert predict(ROWS) == 0.123
    assert scene.recorder.records[-1].revision == before
    assert scene.predict(ROWS) == 0.1


def test_a_block_ends_on_the_bundle_that_it_began_with(scene):
    before = scene.guard.revision
    with scene.guard.enforce(**ON, input=ROWS, principal=CLARA) as call:
        scene.change(policies=GRANT + COARSE)
        assert call.release(0.123) == 0.123
    assert scene.recorder.records[-1].revision == before


def test_a_block_made_before_and_entered_after_is_of_the_new_bundle(scene):
    block = scene.guard.enforce(**ON, input=ROWS, principal=CLARA)
    told = scene.change(policies=GRANT + COARSE)
    with block as call:
        assert call.release(0.123) == 0.1
    assert scene.recorder.records[-1].revision == told.revision


def test_a_generator_ends_on_the_bundle_that_it_began_with(scene):
    before = scene.guard.revision

    @scene.guard.protect(**ON, principal=CLARA)
    def predict(patients):
        yield 1
        yield 2

    stream = predict(ROWS)
    assert next(stream) == 1
    scene.change(policies=NEVER)
    assert list(stream) == [2]
    assert scene.recorder.records[-1].revision == before
    with pytest.raises(NotAuthorized):
        predict(ROWS)


def test_a_coroutine_ends_on_the_bundle_under_which_it_was_made(scene):
    before = scene.guard.revision

    @scene.guard.protect(**ON, principal=CLARA)
    async def predict(patients):
        return 0.123

    made = predict(ROWS)
    scene.change(policies=GRANT + COARSE)
    assert asyncio.run(made) == 0.123
    assert scene.recorder.records[-1].revision == before
    assert asyncio.run(predict(ROWS)) == 0.1
