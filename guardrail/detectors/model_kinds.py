"""Kinds of findings that a model or other code of the application finds, instead of a pattern.

`DetectorKind` is the interface of such code. `ModelKind` runs it for the scanner and the redactor:
in batches, each within a time limit, and with every result checked. If a kind raises, takes too
long or returns anything but places in the texts, the call fails, and is denied.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Sequence
from time import monotonic
from typing import Any, Final, Protocol

from guardrail._plugin_faults import PluginFault
from guardrail.detectors.custom_kinds import check_name
from guardrail.detectors.kinds import TooManyFindings

#: How many calls of one kind can run at the same time, including those that have timed out.
LIMIT_RUNNING: Final = 8
#: The most seconds that a batch may take, and the most texts in one.
LIMIT_TIMEOUT_S: Final = 600.0
LIMIT_BATCH: Final = 4096
#: The most characters that a stream may hold back for one kind.
LIMIT_HELD: Final = 65_536


class DetectorKind(Protocol):
    """A kind of findings with its own code, such as a model that finds names or toxicity.

    Pass it to `Guard.from_dir` (``detectors=``), or name it in ``[detectors.NAME]`` with ``plugin =
    "ENTRY POINT"``. `guardrail.testing.contracts.DetectorKindContract` tests its contract.
    """

    @property
    def name(self) -> str:
        """The kind's name, as policies write it: ``context.input.findings.contains("NAME")``."""
        ...

    @property
    def timeout_s(self) -> float:
        """The most seconds that `find` may take for one batch; more than 0, at most 600."""
        ...

    @property
    def batch_size(self) -> int:
        """The most texts in one call of `find`: 1 to 4096."""
        ...

    @property
    def held_chars(self) -> int | None:
        """How much text decides a finding; ``None`` if only the whole text does.

        With a number, a finding and all text that it depends on have at most as many characters.
        Then the kind can be used on streams, which hold back that much text. With ``None`` a stream
        with ``@redact`` for this kind is rejected before the model runs.
        """
        ...

    def find(self, texts: Sequence[str], /) -> Sequence[Sequence[tuple[int, int]]]:
        """Return for each text the places of its findings: their start and end, in characters.

        Several threads may call it at once. Findings may overlap and come in any order. No text is
        empty.
        """
        ...


class DetectorFailed(PluginFault):
    """A kind failed or returned an invalid result.

    The message has the kind's name and the fault, and no text.
    """


class ModelKind:
    """A `DetectorKind` with its limits, for the scanner and the redactor. Threads may share it.

    Each batch runs on its own thread, without the caller's identity: the caller waits for it at
    most for ``timeout_s``. At most `LIMIT_RUNNING` such threads run at once; waiting for a free one
    is part of that time.

    Arguments:
        kind: the kind.
        timeout_s: overrides the kind's own.
        batch_size: overrides the kind's own.

    Raises `ValueError` for a kind without the attributes of a `DetectorKind`, or with invalid ones.
    """

    __slots__ = ("_find", "_free", "_process", "batch_size", "held_chars", "name", "timeout_s")

    def __init__(
        self, kind: DetectorKind, *, timeout_s: float | None = None, batch_size: int | None = None
    ) -> None:
        for attribute in ("name", "timeout_s", "batch_size", "held_chars", "find"):
            if not hasattr(kind, attribute):
                raise ValueError(f"the detector kind has no `{attribute}`")
        self.name = kind.name
        if type(self.name) is not str:
            raise ValueError("`name` of the detector kind must be a text")
        check_name(self.name)
        self.timeout_s = kind.timeout_s if timeout_s is None else timeout_s
        self.batch_size = kind.batch_size if batch_size is None else batch_size
        self.held_chars = kind.held_chars
        if (
            type(self.timeout_s) not in (int, float)
            or not math.isfinite(self.timeout_s)
            or not 0 < self.timeout_s <= LIMIT_TIMEOUT_S
        ):
            raise ValueError(
                f"`timeout_s` must be a number above 0 and at most {LIMIT_TIMEOUT_S:g}"
            )
        if type(self.batch_size) is not int or not 1 <= self.batch_size <= LIMIT_BATCH:
            raise ValueError(f"`batch_size` must be a whole number from 1 to {LIMIT_BATCH}")
        held = self.held_chars
        if held is not None and (type(held) is not int or not 1 <= held <= LIMIT_HELD):
            raise ValueError(f"`held_chars` must be None or a whole number from 1 to {LIMIT_HELD}")
        if not callable(kind.find):
            raise ValueError("`find` of the detector kind must be a method")  # noqa: TRY004 (the one error)
        self._find = kind.find
        self._free = threading.BoundedSemaphore(LIMIT_RUNNING)
        self._process = os.getpid()

    def find(self, texts: Sequence[str], limit: int) -> list[list[tuple[int, int]]]:
        """Return the findings of each text: sorted, and joined where they overlap.

        Arguments:
            texts: the texts; an empty one has no findings.
            limit: how many findings one text may have.

        Raises `DetectorFailed` if the kind raises, takes too long or returns an invalid result, and
        `TooManyFindings`.
        """
        numbered = [(number, text) for number, text in enumerate(texts) if text]
        found: list[list[tuple[int, int]]] = [[] for _ in texts]
        for first in range(0, len(numbered), self.batch_size):
            batch = numbered[first : first + self.batch_size]
            answers = self._checked(self._run([text for _, text in batch]), len(batch))
            for (number, text), spans in zip(batch, answers, strict=True):
                found[number] = self._joined(spans, len(text), limit)
        return found

    def _run(self, batch: list[str]) -> Any:
        """Return the result of the kind for a batch, within its time."""
        # after a fork: the threads of the parent are not in this process
        if self._process != os.getpid():
            self._free = threading.BoundedSemaphore(LIMIT_RUNNING)
            self._process = os.getpid()
        free = self._free
        until = monotonic() + self.timeout_s
        work = _Work(self._find, batch, free)
        if not free.acquire(timeout=self.timeout_s):
            raise self._failed(f"has {LIMIT_RUNNING} calls that have not returned")
        thread = threading.Thread(target=work.run, name=f"detector {self.name}", daemon=True)
        try:
            thread.start()
        except BaseException:
            free.release()
            raise
        if not work.done.wait(max(0.0, until - monotonic())):
            raise self._failed(f"took over {self.timeout_s:g} s for one batch")
        if work.fault:
            raise self._failed(f"raised {work.fault}")
        return work.answer

    def _checked(self, answer: Any, size: int) -> list[Any]:
        """Return a result with one entry for each text."""
        if not isinstance(answer, Sequence) or isinstance(answer, str | bytes):
            raise self._failed("returned no sequence")
        if len(answer) != size:
            raise self._failed("returned another number of answers than it got texts")
        return list(answer)

    def _joined(self, spans: Any, size: int, limit: int) -> list[tuple[int, int]]:
        """Return the findings of one text, sorted and joined."""
        if not isinstance(spans, Sequence) or isinstance(spans, str | bytes):
            raise self._failed("returned no sequence of findings for a text")
        if len(spans) > limit:
            raise TooManyFindings(limit)
        places: list[tuple[int, int]] = []
        for span in spans:
            if not isinstance(span, Sequence) or len(span) != 2:
                raise self._failed("returned a finding that is not a start and an end")
            start, end = span
            if type(start) is not int or type(end) is not int:
                raise self._failed("returned a place that is not a whole number")
            if not 0 <= start < end <= size:
                raise self._failed("returned a finding outside of its text")
            places.append((start, end))
        joined: list[tuple[int, int]] = []
        for start, end in sorted(places):
            if joined and start < joined[-1][1]:
                joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
            else:
                joined.append((start, end))
        return joined

    def _failed(self, what: str) -> DetectorFailed:
        return DetectorFailed(f"the detector kind {self.name} {what}")


class _Work:
    """One batch that a kind processes on its own thread."""

    __slots__ = ("_batch", "_find", "_free", "answer", "done", "fault")

    def __init__(self, find: Any, batch: list[str], free: threading.BoundedSemaphore) -> None:
        self._find = find
        self._batch = batch
        self._free = free
        self.answer: Any = None
        self.fault = ""
        self.done = threading.Event()

    def run(self) -> None:
        """Call the kind; store its result, or the type of its exception."""
        try:
            self.answer = self._find(self._batch)
        except BaseException as error:  # noqa: BLE001 (the caller's thread raises in its place)
            self.fault = type(error).__name__
        finally:
            self._batch = []
            self._free.release()
            self.done.set()


__all__ = ["DetectorFailed", "DetectorKind", "ModelKind"]
