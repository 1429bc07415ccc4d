"""The journal: what a record costs, what a guarded call costs with it, and how fast it is read.

Run with ``python -m benchmarks.audit``. Each part has its baseline in the same run:

*Appending.* A record of about 500 bytes, encoded, chained and copied into the journal, against
``json.dumps`` and ``os.write`` of the same record, which is what one would write by hand. And the
same append while another thread computes: a journal that gave the interpreter away at each record
would wait a switch interval for it every time.

*A guarded call*, signed in, with everything on, with the journal and without it, and against the
stack composed by hand (`benchmarks.guarded_call`), on the calling thread's time.

*Spans*: one built later by a thread against one made during the call, on the CPU time of the
process (`benchmarks.spans`).

*Durable appends*: 32 threads that each wait until the disk has their record, against one thread
that does nothing but write a record and have the disk take it.

*Reading*: `verify`, which parses every entry, against plain SHA-256 of the same bytes and
``json.loads`` of every entry; and the report of a million records, for which only the time is
shown.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import ExitStack, closing
from itertools import cycle
from pathlib import Path
from statistics import median
from time import perf_counter, thread_time

from benchmarks.guarded_call import HAND, PATIENT, Composed, own_guard, predict, signed_in, token
from benchmarks.harness import Case, Row, measure, read_options, report
from benchmarks.spans import RECORD
from benchmarks.spans import cases as span_cases
from guardrail._ports import SystemClock
from guardrail.audit import Journal
from guardrail.audit.journal.framing import MAGIC, Frame, walk
from guardrail.audit.journal.maintenance import Maintenance
from guardrail.audit.journal.segment_progress import read_segment, segments
from guardrail.audit.journal_read.reader import read_calls
from guardrail.audit.journal_read.verify import verify
from guardrail.audit.report.aggregates import Aggregates
from guardrail.audit.report.report import to_html
from guardrail.values import Record

WRITTEN = "encode and os.write"
PARSED = "read, SHA-256, json.loads"
RECORDS = [
    RECORD._replace(
        decision_id=f"{number:032x}", principal=f"k1:{number % 50:032x}", resource="tumour",
        counts=(("quota/fair-use/calls", 1),), started_at=1.8e9 + number / 1000,
    )
    for number in range(10_000)
]  # fmt: skip
THREADS, EACH = 32, 150
MILLION = 1_000_000


def quiet(journal: Journal) -> Maintenance:
    """Return a keeper that does not compress: what a benchmark times is not that."""
    return Maintenance(journal, compresses=False)


def journal_in(folder: Path, **options: object) -> Journal:
    """Return a journal with large segments."""
    return Journal(
        folder,
        guard="bench",
        clock=SystemClock(),
        segment_bytes=64 << 20,
        maintenance=quiet,
        **options,  # type: ignore[arg-type]
    )


def appending(journal: Journal) -> Callable[[], object]:
    """Return what appends one more record, whole."""
    records, end = cycle(RECORDS), journal.end
    return lambda: end(None, next(records))


def writing(path: Path) -> Callable[[], object]:
    """Return what encodes and writes one more record by hand."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    records, fields = cycle(RECORDS), Record._fields
    size = len(json.dumps(dict(zip(fields, RECORDS[0], strict=True))))
    assert 400 < size < 1000, size

    def write() -> None:
        record = next(records)
        os.write(handle, json.dumps(dict(zip(fields, record, strict=True))).encode() + b"\n")

    return write


def append_rows(folder: Path, rounds: int) -> list[Row]:
    """Return the rows of appends on an idle machine."""
    with closing(journal_in(folder / "a")) as journal:
        return measure(
            [
                Case(WRITTEN, writing(folder / "by-hand")),
                Case("append, 500 bytes", appending(journal), WRITTEN, goal=1 / 2.5),
            ],
            rounds=rounds,
        )


def convoy_rows(folder: Path, rounds: int) -> list[Row]:
    """Return appends beside a thread that computes, against the same without it."""
    journal = journal_in(folder / "convoy")
    append = appending(journal)
    write = writing(folder / "convoy-by-hand")
    calls = 5000
    alone: list[float] = []
    ratios: dict[str, list[float]] = {"append": [], "write": []}
    beside: dict[str, list[float]] = {"append": [], "write": []}
    for _ in range(rounds):
        for name, call in (("append", append), ("write", write)):
            count = calls if name == "append" else 200  # each waits for a switch of threads
            idle = _time(call, count)
            stop = threading.Event()
            thread = threading.Thread(target=_compute, args=(stop,))
            thread.start()
            busy = _time(call, count)
            stop.set()
            thread.join()
            beside[name].append(busy)
            ratios[name].append(busy / idle)
            if name == "append":
                alone.append(idle)
    journal.close()
    ratio = median(ratios["append"])
    goal = 2.5
    return [
        Row("append, alone", median(alone) * 1e6, "us/call", "", None, None, True),
        Row(
            "append, another thread computing", median(beside["append"]) * 1e6, "us/call",
            "append, alone", ratio, goal, ratio <= goal,
        ),
        Row(
            f"{WRITTEN}, another thread computing", median(beside["write"]) * 1e6, "us/call",
            f"{WRITTEN}, alone", median(ratios["write"]), None, True,
        ),
    ]  # fmt: skip


def _time(call: Callable[[], object], count: int) -> float:
    start = perf_counter()
    for _ in range(count):
        call()
    return (perf_counter() - start) / count


def _compute(stop: threading.Event) -> None:
    number = 1
    while not stop.is_set():
        for _ in range(1000):
            number = number * 31 % 1_000_003


def call_rows(folder: Path, rounds: int) -> list[Row]:
    """Return a guarded call with a journal and without, and the stack composed by hand."""
    composed, bearer = Composed(), token()
    made = []
    with ExitStack() as stack:
        for journal in (None, folder / "calls"):
            guard = stack.enter_context(closing(own_guard(journal=journal)))
            decided = guard.protect(action="predict", resource='Model::"tumour"', input="patients")(
                predict
            )
            made.append((signed_in(guard, decided), guard.flush))
        without, with_journal = made
        plain = "guardrail, no journal"
        flush = composed.provider.force_flush
        return measure(
            [
                Case(HAND, lambda: composed.call(bearer, PATIENT), drain=flush),
                Case(plain, without[0], HAND, drain=without[1]),
                Case("guardrail, journal", with_journal[0], plain, goal=1.6, drain=with_journal[1]),
                Case("the same, against by hand", with_journal[0], HAND, 1 / 20, with_journal[1]),
            ],
            rounds=rounds,
            clock=thread_time,
        )


def durable_rows(folder: Path, rounds: int) -> list[Row]:
    """Return 32 threads that wait for the disk, against a bare write and sync each."""
    journal = journal_in(folder / "durable", durability="each")
    journal.end(None, RECORDS[0])
    handle = os.open(folder / "bare", os.O_WRONLY | os.O_CREAT)
    os.posix_fallocate(handle, 0, 64 << 20)
    bare: list[float] = []
    grouped: list[float] = []
    for _ in range(max(3, rounds // 3)):
        start = perf_counter()
        for number in range(300):
            os.pwrite(handle, b"x" * 550, number * 550)
            os.fdatasync(handle)
        bare.append(300 / (perf_counter() - start))
        grouped.append(_grouped(journal))
    journal.close()
    ratio = median(mine / theirs for mine, theirs in zip(grouped, bare, strict=True))
    inverse = 1 / ratio
    return [
        Row("a bare write and fdatasync", 1e6 / median(bare), "us/record", "", None, None, True),
        Row(
            f"durable append, {THREADS} threads", 1e6 / median(grouped), "us/record",
            "a bare write and fdatasync", inverse, 1 / 0.8, inverse <= 1 / 0.8,
        ),
    ]  # fmt: skip


def _grouped(journal: Journal) -> float:
    """Return how many records a second many threads have on the disk, each waiting for its own."""

    def work() -> None:
        for number in range(EACH):
            record = RECORDS[number]
            handle = journal.begin("bench", "predict", "predict")
            wait = journal.admit(handle, record._replace(outcome="admitted"))
            if wait is not None:
                wait.work()
            journal.end(handle, record._replace(outcome="raised"))

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    start = perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return THREADS * EACH / (perf_counter() - start)


def read_by_hand(path: Path) -> None:
    """Hash a segment, and parse its entries, without a check."""
    data = read_segment(path)
    hashlib.sha256(data).digest()
    for item in walk(memoryview(data)[len(MAGIC) :], base=len(MAGIC)):
        if isinstance(item, Frame):
            json.loads(item.body)


def read_rows(folder: Path, rounds: int) -> list[Row]:
    """Return `verify` against SHA-256 and ``json.loads``, and the report of a million records."""
    journal = journal_in(folder / "million")
    for number in range(MILLION):
        journal.end(None, RECORDS[number % len(RECORDS)])
    journal.close()
    files = segments(folder / "million")
    verified: list[float] = []
    hashed: list[float] = []
    size = 0
    for _ in range(max(3, rounds // 7)):
        start = perf_counter()
        for path in files:
            read_by_hand(path)
        hashed.append(perf_counter() - start)
        start = perf_counter()
        result = verify(folder / "million")
        verified.append(perf_counter() - start)
        assert result.is_whole, result.flaws
        assert result.entries >= MILLION
        size = result.size
    start = perf_counter()
    totals = Aggregates()
    for kept in read_calls(folder / "million"):
        totals.add(kept.record)
    page = to_html(totals, journal="million", made_at=0.0)
    took = perf_counter() - start
    assert totals.calls == MILLION
    assert "</html>" in page
    ratio = median(mine / theirs for mine, theirs in zip(verified, hashed, strict=True))
    return [
        Row(PARSED, median(hashed) / size * 1e12, "us/MB", "", None, None, True),
        Row(
            "verify", median(verified) / size * 1e12, "us/MB", PARSED, ratio, 1 / 0.4,
            ratio <= 1 / 0.4,
        ),
        Row("report of 1,000,000 records", took / MILLION * 1e6, "us/record", "", None, None, True),
    ]  # fmt: skip


def span_rows(rounds: int) -> list[Row]:
    """Return a deferred span against an inline one, on the CPU time of the process."""
    from time import process_time

    rows = span_cases("CPU in all", goal=1 / 4, counts_drain=True)
    return measure(rows[:2], rounds=rounds, slice_s=0.02, clock=process_time)


def run() -> int:
    """Measure everything, print it, and return the exit code."""
    logging.getLogger("opentelemetry").setLevel(logging.ERROR)  # a full queue drops, by design
    title = str(__doc__).splitlines()[0]
    options = read_options(title)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = append_rows(folder, options.rounds)
        rows += convoy_rows(folder, options.rounds)
        rows += call_rows(folder, options.rounds)
        rows += span_rows(options.rounds)
        rows += durable_rows(folder, options.rounds)
        rows += read_rows(folder, options.rounds)
    return report(rows, title, options)


if __name__ == "__main__":
    sys.exit(run())
