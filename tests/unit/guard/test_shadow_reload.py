"""A second bundle is reloaded beside the first; its faults do not affect the first.

The child process is replaced by a script that reports a successful trial for each folder.
"""

import json
import logging
import shutil
import stat
from types import SimpleNamespace

import numpy as np
import pytest
from bundles import GRANT, principal

from guardrail import ConfigurationError, Guard
from guardrail.bundle.watch import Watcher
from guardrail.policy import read_folder

ROWS = np.ones((2, 3))
ON = {"action": "predict", "resource": 'Model::"tumour"'}
COARSE = '@id("coarse") @round("1") forbid (principal, action, resource);\n'
NEVER = '@id("never") forbid (principal, action, resource);\n'
ASIDE = NEVER.replace("@id", '@mode("shadow") @id')


@pytest.fixture
def scene(make_bundle, clock, recorder, tmp_path):
    """A guard of two folders, the same at first, and how to change and reload them."""
    first, second = make_bundle(GRANT), tmp_path / "next"
    shutil.copytree(first, second)
    guard = Guard.from_dir(first, shadow=second, clock=clock, sinks=(recorder,))
    predict = guard.protect(**ON, principal=principal())(lambda patients: 0.125)

    def write(first_policies=None, second_policies=None):
        for folder, policies in ((first, first_policies), (second, second_policies)):
            if policies is not None:
                (folder / "policies.cedar").write_text(policies)

    def python():
        said = [
            json.dumps({"revision": read_folder(folder).revision, "faults": []})
            for folder in (first, second)
        ]
        path = tmp_path / "python"
        path.write_text(
            f"#!/bin/sh\ncase $4 in *next) echo '{said[1]}';; *) echo '{said[0]}'; esac"
        )
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return str(path)

    def change(**policies):
        write(**policies)
        return guard.reload(python=python())

    def call():
        """Return what comes of a call, and in what the shadow differs."""
        came = predict(ROWS)
        return came, [name for name, _ in recorder.records[-1].counts]

    return SimpleNamespace(
        guard=guard,
        first=first,
        second=second,
        write=write,
        python=python,
        change=change,
        call=call,
    )


def test_where_nothing_changed_nothing_is_swapped(scene):
    before = scene.guard._serving.runtime
    told = scene.change()
    assert (told.changed, told.shadow.changed) == (False, False)
    assert scene.guard._serving.runtime is before


def test_a_second_bundle_that_changed_looks_on_from_now_on(scene):
    assert scene.call() == (0.125, [])
    told = scene.change(second_policies=GRANT + NEVER)
    assert (told.changed, told.shadow.changed) == (False, True)
    assert told.shadow.revision != told.revision
    assert scene.call() == (0.125, ["shadow/denies/prohibited/never"])
    assert scene.guard.revision == told.revision


def test_a_first_bundle_that_changed_keeps_its_second(scene):
    scene.change(second_policies=GRANT + NEVER)
    told = scene.change(first_policies=GRANT + COARSE)
    assert (told.changed, told.shadow.changed) == (True, False)
    assert scene.call() == (0.1, ["shadow/denies/prohibited/never"])


def test_both_can_change_at_once(scene):
    told = scene.change(first_policies=GRANT + COARSE, second_policies=GRANT)
    assert (told.changed, told.shadow.changed) == (True, False)
    assert scene.call() == (0.1, ["shadow/obligations/round/coarse"])
    told = scene.change(first_policies=GRANT, second_policies=GRANT + COARSE)
    assert (told.changed, told.shadow.changed) == (True, True)
    assert scene.call() == (0.125, ["shadow/obligations/round/coarse"])


def test_what_is_wrong_with_the_second_keeps_the_first_from_nothing(scene, caplog):
    caplog.set_level(logging.INFO, "guardrail")
    with pytest.raises(ConfigurationError) as caught:
        scene.change(first_policies=GRANT + COARSE, second_policies="permit (")
    assert {fault.place.file for fault in caught.value.faults} == {
        str(scene.second / "policies.cedar")
    }
    assert scene.call() == (0.1, ["shadow/obligations/round/coarse"])  # of the last good one
    done, refusal = caplog.records
    assert done.getMessage().startswith("Reloaded ")
    assert refusal.getMessage().startswith("The shadow: Not reloaded, ")
    assert scene.change(second_policies=GRANT + COARSE).shadow.changed
    assert scene.call() == (0.1, [])


def test_what_is_wrong_with_the_first_keeps_both_as_they_are(scene):
    with pytest.raises(ConfigurationError) as caught:
        scene.change(first_policies="permit (", second_policies=GRANT + NEVER)
    assert {fault.place.file for fault in caught.value.faults} == {"policies.cedar"}
    assert scene.call() == (0.125, [])


def test_a_first_bundle_that_gets_a_shadow_of_its_own_is_refused(scene):
    with pytest.raises(ConfigurationError) as caught:
        scene.change(first_policies=GRANT + ASIDE)
    assert [fault.code for fault in caught.value.faults] == ["GR115"]
    assert scene.call() == (0.125, [])


def test_policies_come_out_of_the_shadow_by_a_reload(make_guard, tmp_path, recorder):
    guard = make_guard(GRANT + ASIDE)
    predict = guard.protect(**ON, principal=principal())(lambda patients: 0.125)
    predict(ROWS)
    folder = tmp_path / "bundle"
    (folder / "policies.cedar").write_text(GRANT + COARSE)
    told = json.dumps({"revision": read_folder(folder).revision, "faults": []})
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\necho '{told}'")
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    assert guard.reload(python=str(python)).shadow is None
    assert predict(ROWS) == 0.1
    assert [dict(record.counts) for record in recorder.records] == [
        {"shadow/denies/prohibited/never": 1},
        {},
    ]


def test_a_watch_sees_both_folders(scene):
    reloads = []
    watcher = Watcher(scene.guard._require_origin().paths, lambda: reloads.append(1))
    for _ in range(3):
        watcher.check()
    assert len(reloads) == 1  # the first look finds something new, and settles
    for folder in (scene.first, scene.second):
        (folder / "policies.cedar").write_text(GRANT + f"// {folder.name}\n")
        watcher.check()
        watcher.check()
    assert len(reloads) == 3
