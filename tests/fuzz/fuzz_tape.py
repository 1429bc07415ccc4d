"""Tapes: kernel and twin write the same bytes, which are read as the frames that were written."""

import hashlib
import os
from typing import Any

from tests.fuzz.harness import Draw, instrumented, main

with instrumented():
    from guardrail._core import _tape, _tape_py
    from guardrail.audit.journal.framing import MAGIC, Frame, FramesEnd, walk


MAKERS = (_tape.Tape, _tape_py.Tape)


def appended(tape: Any, kind: int, body: bytes) -> bool:
    try:
        tape.append(kind, body)
    except ValueError:
        return False
    return True


def test_one_input(data: bytes) -> None:
    draw = Draw(data)
    size = draw.choice((20, 300, 5000, 20_000))
    handles = os.memfd_create("one"), os.memfd_create("other")
    tapes = [kind(handle, size, MAGIC) for kind, handle in zip(MAKERS, handles, strict=True)]
    written = []
    while draw:
        form = draw.whole(0, 15)
        if form == 0:
            assert tapes[0].head() == tapes[1].head()
            continue
        kind = draw.whole(1, 127)
        body = draw.raw(draw.whole(0, 60)) * draw.choice((1, 1, 1, 30, 200))
        took = [appended(tape, kind, body) for tape in tapes]
        assert took[0] == took[1]
        if took[0]:
            written.append((kind, body))
    own, twin = (os.pread(handle, size, 0) for handle in handles)
    assert own == twin
    assert len(own) == tapes[0].end
    assert (tapes[0].end, tapes[0].sequence) == (tapes[1].end, tapes[1].sequence)
    start = draw.whole(0, len(own))
    stop, check = draw.whole(start, len(own)), draw.whole(0, 2**32 - 1)
    one, other = (kernel.crc_of(own, start, stop, check) for kernel in (_tape, _tape_py))
    assert one == other
    assert tapes[0].head() == tapes[1].head() == hashlib.sha256(own).hexdigest()
    *frames, stop = walk(own[len(MAGIC) :], base=len(MAGIC))
    assert isinstance(stop, FramesEnd)
    assert not stop.fault
    found = [(part.kind, part.body) for part in frames if isinstance(part, Frame)]
    assert found == written
    for tape in tapes:
        tape.release()
        assert not appended(tape, 1, b"")
    for handle in handles:
        os.close(handle)


if __name__ == "__main__":
    main(test_one_input, max_len=1024)
