"""Rounds of workers that are killed in the midst of their calls, and what their journal says then.

Run as a program, for its processes fork: ``python tests/crashes.py FOLDER ROUNDS SEED``. Each round
has one of the three durabilities, and two workers of three threads each. One is killed, in every
other round at a step of compressing a segment; the other is killed, too, or ends by ``os._exit``. A
worker notes in a file of its own, by one system call each, that a model runs and that a call has
returned. Prints one JSON object.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import threading
import time
from pathlib import Path

import numpy as np

from guardrail import Guard, GuardrailError, GuardUnavailable, Principal
from guardrail.audit.journal import maintenance
from guardrail.audit.journal_read.reader import read_calls
from guardrail.audit.journal_read.verify import verify

BUNDLE = {
    "guardrail.toml": '[bundle]\nname = "crash"\nversion = "1"\n[audit]\njournal = "elsewhere"\n'
    'segment_bytes = 262_144\ndurability = "write"\n',
    "schema.cedarschema": "entity User; entity Model;\n"
    "action predict appliesTo { principal: [User], resource: [Model],"
    " context: { input: guardrail::TensorInput } };\n",
    "policies.cedar": '@id("grant") permit (principal, action, resource);\n'
    '@id("small") forbid (principal, action, resource) when { context.input.rows > 5 };\n',
    "entities.json": '[{"uid": {"type": "Model", "id": "m"}, "attrs": {}, "parents": []}]',
}
THREADS = 3
DURABILITIES = ("write", "group", "each")
#: Seconds in which a worker must have come to a step of a compression.
PATIENCE_S = 10.0


class Flaky:
    """A sink that raises now and then, as an exporter may."""

    frames = False

    def __init__(self, seed):
        self._random = random.Random(seed)

    def begin(self, guard, action, function):
        return None

    def enter(self, handle):
        """Do nothing."""

    def leave(self, handle, token):
        """Do nothing."""

    def end(self, handle, record):
        if self._random.random() < 0.02:
            raise RuntimeError("an exporter failed")


def _die(*_args, **_options):
    os.kill(os.getpid(), signal.SIGKILL)


def _die_halfway(source, target, *_):
    target.write(source.read(1000))
    target.fileobj.flush()
    _die()


#: Steps of a compression: in the midst of the copy, before it has its name, after that.
STEPS = (
    (maintenance.shutil, "copyfileobj", _die_halfway),
    (maintenance.shutil, "copystat", _die),
    (maintenance.Path, "unlink", _die),
)


def work(bundle, journal, notes, seed, exits, step=None):
    if step is not None:
        setattr(*STEPS[step])
        maintenance._POLL_S = 0.01
    handle = os.open(notes, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    seeds = random.Random(seed)
    guard = Guard.from_dir(bundle, journal=journal, sinks=(Flaky(seed),))
    seen = threading.local()

    @guard.protect(
        action="predict", resource='Model::"m"', input="rows", principal=Principal("User", "u")
    )
    def predict(rows):
        from guardrail.runtime.call import RUNNING

        seen.id = RUNNING.get()
        os.write(handle, f"R {seen.id}\n".encode())
        if rows[0, 0] == 3:
            raise KeyError("model")
        if rows[0, 0] == 4:
            inner(rows)
        return rows

    inner = guard.protect(
        action="predict", resource='Model::"m"', input="rows", principal=Principal("User", "u")
    )(lambda rows: rows)

    def loop(number):
        mine = random.Random(number)
        while True:
            rows = np.full((mine.choice((1, 2, 9)), 3), float(mine.randrange(6)))
            seen.id = ""
            try:
                predict(rows)
            except GuardUnavailable:
                continue  # the exporter failed: nothing was acknowledged
            except GuardrailError as denial:
                seen.id = denial.decision_id
            except KeyError:
                pass
            os.write(handle, f"A {seen.id}\n".encode())

    for _ in range(THREADS):
        threading.Thread(target=loop, args=(seeds.random(),), daemon=True).start()
    if exits:
        time.sleep(0.02 + seeds.random() * 0.05)
        os._exit(1)
    time.sleep(60)


def one_round(bundle, journal, notes, seeds, step):
    """Run two workers until they are dead; say whether one died at the step of a compression."""
    workers = []
    for index in range(2):
        seed, exits = seeds.random(), index == 1 and seeds.random() < 0.5
        child = os.fork()
        if not child:
            try:
                name = f"{len(list(notes.iterdir()))}-{os.getpid()}"
                work(bundle, journal, notes / name, seed, exits, step if index == 0 else None)
            finally:
                os._exit(9)
        workers.append(child)
    time.sleep(0.08 + seeds.random() * 0.1)
    is_dead = False
    if step is not None:
        deadline = time.monotonic() + PATIENCE_S
        while not is_dead and time.monotonic() < deadline:
            is_dead = os.waitpid(workers[0], os.WNOHANG)[0] != 0
            time.sleep(0.005)
    for child in workers[1:] if is_dead else workers:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return is_dead


def _bundle(folder, durability):
    folder.mkdir(parents=True)
    for name, text in BUNDLE.items():
        (folder / name).write_text(text.replace('"write"', f'"{durability}"'))
    return folder


def main(folder, rounds, seed):
    seeds = random.Random(seed)
    journal, notes = folder / "journal", folder / "notes"
    notes.mkdir(parents=True)
    bundles = {one: _bundle(folder / f"bundle-{one}", one) for one in DURABILITIES}
    bundle = bundles["write"]
    Guard.from_dir(bundle, journal=None).decide(
        principal=Principal("User", "u"), action="predict", resource='Model::"m"',
        facts={"input": {"rows": 1}},
    )  # fmt: skip
    compressing = 0
    for number in range(rounds):
        step = number // 2 % len(STEPS) if number % 2 else None
        durability = DURABILITIES[number % len(DURABILITIES)]
        compressing += one_round(bundles[durability], journal, notes, seeds, step)
    last = Guard.from_dir(bundle, journal=journal)  # its maintenance recovers the others' segments
    predict = last.protect(
        action="predict", resource='Model::"m"', principal=Principal("User", "u")
    )(lambda rows: rows)
    predict(np.ones((1, 3)))
    deadline = time.monotonic() + 60
    while (
        len(list(journal.glob("*.live"))) > 1 or list(journal.glob("*.seg"))
    ) and time.monotonic() < deadline:
        time.sleep(0.05)
    last.close()
    ran, acknowledged = set(), set()
    for path in notes.iterdir():
        text = path.read_text()
        # A kill may cut a write at the end of a page: what is no whole line was not noted.
        for line in text[: text.rfind("\n") + 1].splitlines():
            (ran if line.startswith("R") else acknowledged).add(line[2:])
    calls = list(read_calls(journal))
    kept = {one.record.decision_id: one.record.outcome for one in calls}
    result = verify(journal)
    sys.stdout.write(
        json.dumps(
            {
                "rounds": rounds,
                "acknowledged": len(acknowledged),
                "ran": len(ran),
                "kept": len(kept),
                "doubled": len(calls) - len(kept),
                "compressing": compressing,
                "duplicate_files": len(list(journal.glob("*.seg"))) - 1,
                "lost": sorted(
                    one for one in acknowledged if kept.get(one, "admitted") == "admitted"
                ),
                "without_intent": sorted(ran - set(kept)),
                "flaws": [str(flaw) for flaw in result.flaws],
                "died": sum("its process died" in note for note in result.notes),
                "outcomes": sorted(set(kept.values())),
            }
        )
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
