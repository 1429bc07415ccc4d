"""Journals that tests write, spoil and read."""

from __future__ import annotations

from pathlib import Path

from records import record

from guardrail._ports import SystemClock
from guardrail.audit.journal.framing import MAGIC, Frame, FramesEnd, walk
from guardrail.audit.journal.maintenance import Maintenance
from guardrail.audit.journal.writer import Journal


class IdleMaintenance(Maintenance):
    """A maintenance without a thread: a test runs its work."""

    def __init__(self, journal, **options):
        options.setdefault("compresses", False)
        super().__init__(journal, starts=False, **options)

    def work(self):
        self._housekeeping_at = None
        self._work_once()


def journal_in(folder: Path, *, maintenance=IdleMaintenance, clock=None, **options) -> Journal:
    options.setdefault("segment_bytes", 256 << 10)
    return Journal(
        folder, guard="hospital", clock=clock or SystemClock(), maintenance=maintenance, **options
    )


def call(journal: Journal, number: int, **changes) -> None:
    """Write an admitted call that ends: its intent and its outcome."""
    made = record(decision_id=f"{number:032x}", **changes)
    handle = journal.begin("hospital", "predict", "app.predict")
    wait = journal.admit(handle, made._replace(outcome="admitted"))
    if wait is not None:
        wait.work()
    wait = journal.end(handle, made)
    if wait is not None:
        wait.work()


def denial(journal: Journal, number: int, **changes) -> None:
    handle = journal.begin("hospital", "predict", "app.predict")
    denied = {"outcome": "denied", "code": "no_grant", "stage": "decide", **changes}
    journal.end(handle, record(decision_id=f"{number:032x}", **denied))


def written(folder: Path, calls: int, **options) -> Path:
    """Return the one closed segment of a journal of so many calls."""
    journal = journal_in(folder, segment_bytes=calls * 1200 + (256 << 10), **options)
    for number in range(calls):
        call(journal, number)
    journal.close()
    (segment,) = folder.glob("*.seg*")
    return segment


def ids(kept) -> list[int]:
    return [int(one.record.decision_id, 16) for one in kept]


def frames(data: bytes) -> list[Frame]:
    """Return the frames of a segment."""
    found = walk(data[len(MAGIC) :], base=len(MAGIC))
    return [item for item in found if not isinstance(item, FramesEnd)]


def spoil(path: Path, change) -> None:
    """Change a segment's bytes where they are."""
    with path.open("r+b") as file:
        data = bytearray(file.read())
        change(data)
        file.seek(0)
        file.write(data)


def end_of(data) -> int:
    return len(bytes(data).rstrip(b"\0"))


class KeptBy:
    """Makes the maintenance of a journal, and keeps a reference to it."""

    def __init__(self, kind=IdleMaintenance, **options):
        self._kind, self._options = kind, options
        self.maintenance: Maintenance

    def __call__(self, journal: Journal) -> Maintenance:
        self.maintenance = self._kind(journal, **self._options)
        return self.maintenance
