"""A guard and its journal: every call of every kind is kept, and none that could not be."""

from __future__ import annotations

import asyncio
import errno
import gc
import multiprocessing
import os
import resource
import shutil
import signal
import time
from contextlib import suppress

import numpy as np
import pytest
from bundles import GRANT, principal

from guardrail import (
    ConfigurationError,
    Guard,
    GuardrailError,
    GuardUnavailable,
    NotAuthorized,
    OutputBlocked,
    Principal,
)
from guardrail.audit.journal_read.reader import read_calls
from guardrail.audit.journal_read.verify import verify
from guardrail.testing import FrozenClock

ROWS = np.ones((2, 3))
POLICIES = """
@id("grant") permit (principal, action, resource);
@id("counted") @quota("1000/minute per principal")
forbid (principal, action == Action::"predict", resource);
@id("told") @audit("context.input.rows, principal.department, context.app.purpose as text")
forbid (principal, action == Action::"predict", resource);
@id("asked") forbid (principal, action == Action::"predict", resource)
when { context.input.rows > 50 && context.input.dtype == "float64" };
"""
AUDIT = """
[bundle]
name = "small"
version = "1.0.0"

[audit]
journal = "{journal}"
facts = ["input.dtype"]
digests = ["input", "output"]
"""


@pytest.fixture
def journal(tmp_path):
    return tmp_path / "journal"


@pytest.fixture
def guard(make_guard, journal):
    toml = AUDIT.format(journal=journal)
    return make_guard(POLICIES, **{"guardrail.toml": toml})


def kept(journal):
    return [one.record for one in read_calls(journal)]


def protected(guard, model, **options):
    options.setdefault("facts", {"purpose": "care"})
    options.setdefault("principal", principal())
    return guard.protect(action="predict", resource='Model::"tumour"', **options)(model)


def test_a_released_call_is_kept_with_all_that_was_asked_for(guard, journal, recorder):
    def predict(patients):
        (intent,) = kept(journal)  # it stands before the model runs
        assert intent.outcome == "admitted"
        return patients * 2

    protected(guard, predict)(ROWS)
    (record,) = kept(journal)
    assert record.outcome == "released"
    assert record.counts == (("quota/counted/calls", 1),)
    facts = dict(record.facts)
    assert facts["input.rows"] == 2
    assert facts["input.dtype"] == "float64"
    assert facts["app.purpose"] == "care"
    assert facts["principal.department"].startswith("k")
    assert record.principal.startswith("k")
    assert record.resource == "tumour"
    assert record.input_digest.startswith("k")
    assert record.output_digest.startswith("k")
    assert record.input_digest != record.output_digest
    assert (record.output_rows, record.output_bytes) == (2, 48)
    assert recorder.records[0].input_digest == record.input_digest


def test_equal_inputs_have_equal_digests_and_callers_equal_names(guard, journal):
    predict = protected(guard, lambda patients: patients, input="patients")
    predict(ROWS)
    predict(ROWS.copy())
    predict(ROWS + 1)
    one, same, other = kept(journal)
    assert one.input_digest == same.input_digest == one.output_digest
    assert other.input_digest != one.input_digest
    assert one.principal == other.principal


def test_a_denial_is_kept(guard, journal):
    predict = protected(guard, lambda patients: patients)
    with pytest.raises(NotAuthorized):
        predict(np.ones((60, 3)))
    (record,) = kept(journal)
    assert (record.outcome, record.code, record.policies) == ("denied", "prohibited", ("asked",))
    assert record.facts[0] == ("input.dtype", "float64")


def test_a_model_that_raises_is_kept(guard, journal):
    def predict(patients):
        raise KeyError("secret")

    with pytest.raises(KeyError):
        protected(guard, predict)(ROWS)
    (record,) = kept(journal)
    assert (record.outcome, record.error_type) == ("raised", "KeyError")


def test_a_blocked_output_is_kept(guard, journal):
    with pytest.raises(OutputBlocked):
        protected(guard, lambda patients: iter(()))(ROWS)
    assert [record.outcome for record in kept(journal)] == ["blocked"]


def test_nested_calls_name_their_parent(guard, journal):
    inner = protected(guard, lambda patients: patients)
    protected(guard, lambda patients: inner(patients) * 1)(ROWS)
    records = {record.parent_decision_id: record for record in kept(journal)}
    assert records[records[""].decision_id].outcome == "released"


def test_generators_that_end_and_that_are_dropped_are_kept(guard, journal):
    def predict(patients):
        yield 1
        yield 2

    stream = protected(guard, predict)
    assert list(stream(ROWS)) == [1, 2]
    begun = stream(ROWS)
    next(begun)
    del begun
    never = stream(ROWS)
    del never
    gc.collect()
    assert [record.outcome for record in kept(journal)] == ["released", "abandoned", "abandoned"]


def test_coroutines_that_end_and_that_are_cancelled_are_kept(guard, journal):
    async def predict(patients):
        await asyncio.sleep(0 if patients.sum() == 6 else 60)

    waiting = protected(guard, predict)

    async def main():
        await asyncio.gather(waiting(ROWS), waiting(ROWS))
        task = asyncio.ensure_future(waiting(ROWS * 2))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert [record.outcome for record in kept(journal)] == ["released", "released", "cancelled"]


def test_enforce_blocks_are_kept(guard, journal):
    with guard.enforce(
        action="predict", resource='Model::"tumour"', input=ROWS, principal=principal(),
        facts={"purpose": "care"},
    ) as call:  # fmt: skip
        call.release(1)
    assert [record.outcome for record in kept(journal)] == ["released"]


def test_a_close_ends_the_file_and_a_later_call_begins_another(guard, journal):
    predict = protected(guard, lambda patients: patients)
    predict(ROWS)
    guard.close()
    predict(ROWS)
    guard.close()
    result = verify(journal)
    assert (result.segments, result.flaws, result.notes) == (2, [], [])


# What cannot be kept does not happen.


def no_room(*args):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_denies_before_the_quota_is_touched(guard, journal, monkeypatch, recorder):
    monkeypatch.setattr(os, "posix_fallocate", no_room)
    ran = []
    predict = protected(guard, ran.append)
    with pytest.raises(GuardUnavailable) as caught:
        predict(ROWS)
    assert caught.value.code == "audit_unavailable"
    assert ran == []
    assert [record.counts for record in recorder.records] == [()]


def test_a_folder_that_is_a_file_is_refused_at_load(make_guard, tmp_path):
    (tmp_path / "var").write_text("")
    with pytest.raises(ConfigurationError, match="is not a folder"):
        make_guard(GRANT, options={"journal": tmp_path / "var" / "journal"})


def test_a_folder_that_becomes_a_file_denies(make_guard, tmp_path):
    guard = make_guard(GRANT, options={"journal": tmp_path / "var" / "journal"})
    (tmp_path / "var").write_text("")
    with pytest.raises(GuardUnavailable):
        protected(guard, lambda patients: patients)(ROWS)


def test_a_read_only_folder_denies_and_recovers(make_guard, journal, monkeypatch):
    """A root's right to write anywhere is taken away by a file system that is read-only."""
    guard = make_guard(GRANT, options={"journal": journal})
    predict = protected(guard, lambda patients: patients)
    real = os.open

    def read_only(path, flags, *args, **options):
        if flags & os.O_CREAT and str(path).startswith(str(journal)):
            raise OSError(errno.EROFS, "Read-only file system")
        return real(path, flags, *args, **options)

    monkeypatch.setattr(os, "open", read_only)
    with pytest.raises(GuardUnavailable):
        predict(ROWS)
    monkeypatch.setattr(os, "open", real)
    guard._clock.advance(1)
    predict(ROWS)
    assert [record.outcome for record in kept(journal)] == ["released"]


def test_a_limit_of_the_kernels_denies_and_calls_go_on_when_it_is_lifted(make_guard, journal):
    """No file may grow beyond a limit: as on a full disk, but for the error's number."""
    toml = f'[bundle]\nname="small"\nversion="1"\n[audit]\njournal="{journal}"\n'
    guard = make_guard(GRANT, **{"guardrail.toml": toml + "segment_bytes = 262144\n"})
    predict = protected(guard, lambda patients: patients)
    child = os.fork()
    if not child:
        ran = 0
        try:
            predict(ROWS)
            hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
            resource.setrlimit(resource.RLIMIT_FSIZE, (262_143, hard))
            with pytest.raises(GuardUnavailable) as caught:  # noqa: PT012
                while True:
                    predict(ROWS)
                    ran += 1
            assert caught.value.code == "audit_unavailable"
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
            guard._clock.advance(1)
            predict(ROWS)
            guard.close()
        except BaseException:
            os._exit(1)
        os._exit(0 if ran > 50 else 2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    outcomes = [record.outcome for record in kept(journal)]
    assert outcomes.count("denied") == 1
    assert set(outcomes) == {"released", "denied"}
    assert verify(journal).flaws == []


@pytest.mark.parametrize("kind", ["function", "coroutine", "generator"])
def test_each_waits_for_the_disk_and_what_it_refuses_does_not_leave(
    make_guard, journal, monkeypatch, kind, caplog
):
    toml = f'[bundle]\nname="small"\nversion="1"\n[audit]\njournal="{journal}"\ndurability="each"\n'
    guard = make_guard(GRANT, **{"guardrail.toml": toml})
    real = os.fdatasync
    synced = []

    def fdatasync(handle):
        synced.append(handle)
        if os.environ.get("GUARDRAIL_TEST_EIO"):
            raise OSError(errno.EIO, "Input/output error")
        real(handle)

    monkeypatch.setattr(os, "fdatasync", fdatasync)

    def function(patients):
        ran.append(len(synced))
        if patients.sum() > 6:
            monkeypatch.setenv("GUARDRAIL_TEST_EIO", "1")
        return 1

    async def coroutine(patients):
        return function(patients)

    def generator(patients):
        yield function(patients)

    ran = []
    plain = {"function": function, "coroutine": coroutine, "generator": generator}[kind]
    guarded = protected(guard, plain)

    def run(rows):
        result = guarded(rows)
        if kind == "coroutine":
            return asyncio.run(_await(result))
        return list(result) if kind == "generator" else result

    run(ROWS)
    assert ran == [2]  # the segment's own, and the intent's
    assert len(synced) == 3
    with pytest.raises(GuardUnavailable) as caught:
        run(ROWS * 2)
    assert caught.value.code == "audit_unavailable"
    with pytest.raises(GuardUnavailable) as caught:
        run(ROWS)
    assert caught.value.code == "audit_unavailable"
    assert len(ran) == 2  # the model did not run without an intent on the disk
    monkeypatch.delenv("GUARDRAIL_TEST_EIO")
    guard._clock.advance(1)
    run(ROWS)


async def _await(awaitable):
    return await awaitable


# Other processes.


def _work(guard, count):
    predict = protected(guard, lambda patients: patients)
    for _ in range(count):
        predict(ROWS)


@pytest.mark.parametrize("module", [None, 5])
def test_an_output_whose_class_has_no_module_leaves(make_guard, journal, module):
    guard = make_guard(GRANT, options={"journal": journal})
    output = type("Odd", (), {"__module__": module})()
    assert protected(guard, lambda patients: output)(ROWS) is output
    (record,) = kept(journal)
    assert (record.output_rows, record.output_bytes) == (0, 0)


def test_workers_that_were_forked_keep_a_chain_each(make_guard, journal):
    guard = make_guard(GRANT, options={"journal": journal})
    _work(guard, 3)
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_work, args=(guard, 20)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 4
    _work(guard, 3)
    guard.close()
    assert [record.outcome for record in kept(journal)] == ["released"] * 86
    assert verify(journal).flaws == []


def test_a_busy_journal_is_verified_without_a_false_alarm(make_guard, journal):
    """Another process writes, and begins segments, while this one reads them."""
    toml = f'[bundle]\nname="small"\nversion="1"\n[audit]\njournal="{journal}"\n'
    guard = make_guard(GRANT, **{"guardrail.toml": toml + "segment_bytes = 262144\n"})
    _work(guard, 1)
    child = os.fork()
    if not child:
        try:
            while True:
                _work(guard, 1000)
        finally:
            os._exit(9)
    try:
        grown, deadline = set(), time.monotonic() + 60
        while len(grown) < 5 and time.monotonic() < deadline:
            result = verify(journal)
            assert result.flaws == []
            grown.add(result.segments)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert len(grown) == 5  # it was busy


def test_a_reload_with_another_journal_goes_on_there(make_bundle, tmp_path):
    def toml(name):
        return f'[bundle]\nname="small"\nversion="1"\n[audit]\njournal="{tmp_path}/{name}"\n'

    folder = make_bundle(GRANT, **{"guardrail.toml": toml("one")})
    guard = Guard.from_dir(folder)
    predict = protected(guard, lambda patients: patients)
    predict(ROWS)
    (folder / "guardrail.toml").write_text(toml("other"))
    guard.reload()
    predict(ROWS)
    guard.close()
    for name in ("one", "other"):
        assert [record.outcome for record in kept(tmp_path / name)] == ["released"]
        assert verify(tmp_path / name).flaws == []


def test_no_journal_is_made_where_a_test_wants_none(make_guard, journal):
    toml = AUDIT.format(journal=journal)
    guard = make_guard(POLICIES, options={"journal": None}, **{"guardrail.toml": toml})
    protected(guard, lambda patients: patients)(ROWS)
    assert not journal.exists()


def test_the_clock_of_the_test_is_the_journals(guard, journal, clock: FrozenClock):
    clock.advance(5)
    protected(guard, lambda patients: patients)(ROWS)
    assert kept(journal)[0].started_at == pytest.approx(1_700_000_005.0)


# What comes from outside.


@pytest.mark.parametrize("text", ["\ud800", "a\udfffb", "\x00", "\x1b[2J", "\u202e", "", " "])
def test_a_callers_text_of_any_kind_is_kept_readably(make_guard, journal, text):
    toml = AUDIT.format(journal=journal).replace(
        '"input.dtype"', '"principal.department as text", "input.rows"'
    )
    guard = make_guard(POLICIES, **{"guardrail.toml": toml + 'principal = "id"\n'})
    caller = Principal("User", f"u{text}", attrs={"department": text, "team": [text, {"a": text}]})
    predict = protected(guard, lambda patients: patients, principal=caller, facts={"purpose": text})
    with suppress(GuardrailError):  # whatever Cedar makes of it, it is kept
        predict(ROWS)
    guard.close()
    assert len(kept(journal)) == 1
    assert verify(journal).flaws == []


def _unlink(path):
    path.unlink()


def _cut(path):
    os.truncate(path, 0)


def _cut_and_grow(path):
    size = path.stat().st_size
    os.truncate(path, 0)
    os.truncate(path, size)


def _replace(path):
    shutil.copy(path, path.with_name("copy"))
    path.with_name("copy").replace(path)


def _remove_folder(path):
    shutil.rmtree(path.parent)


def _move_folder(path):
    path.parent.rename(path.parent.with_name("moved"))


@pytest.mark.parametrize("durability", ["write", "group", "each"])
@pytest.mark.parametrize(
    "damage", [_unlink, _cut, _cut_and_grow, _replace, _remove_folder, _move_folder]
)
def test_a_file_that_is_damaged_while_it_is_written_denies(
    make_guard, journal, damage, durability, caplog
):
    toml = f'[bundle]\nname="small"\nversion="1"\n[audit]\njournal="{journal}"\n'
    guard = make_guard(GRANT, **{"guardrail.toml": f'{toml}durability = "{durability}"\n'})
    ran = []
    predict = protected(guard, ran.append)
    predict(ROWS)
    (path,) = journal.glob("*.live")
    damage(path)
    codes = []
    for _ in range(300):
        try:
            predict(ROWS)
            codes.append("")
        except GuardUnavailable as error:
            codes.append(error.code)
    assert codes[100:] == ["audit_unavailable"] * 200
    assert len(ran) <= 101
    guard.close()
    predict(ROWS)  # in another file, which tells of the first
    guard.close()
    assert verify(journal).flaws
