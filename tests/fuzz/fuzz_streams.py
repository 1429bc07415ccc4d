"""Streams: wherever a text is split, what leaves piece by piece is what leaves of the whole."""

from tests.fuzz.harness import Draw, instrumented, main

with instrumented():
    from guardrail.detectors import Redactor, StreamRedactor
    from tests.fuzz.detections import STYLES, kinds_of, text_of

KEY = b"0123456789abcdef" * 2


def pieces_of(draw: Draw, text: str) -> list[str]:
    """Return a text in pieces: of one length, or of any."""
    step = draw.whole(0, 8)
    if step:
        return [text[at : at + step] for at in range(0, len(text), step)]
    cuts = sorted({draw.whole(0, 65_535) % (len(text) + 1) for _ in range(draw.whole(0, 12))})
    return [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]


def test_one_input(data: bytes) -> None:
    # the pieces first: the text takes all bytes that are left
    draw = Draw(data)
    cuts = Draw(draw.raw(26))
    redactor = Redactor(kinds_of(draw), draw.choice(STYLES), KEY)
    text = text_of(draw)[:8192]
    stream = StreamRedactor(redactor)
    left = [stream.feed(piece) for piece in pieces_of(cuts, text)]
    left.append(stream.close())
    assert "".join(left) == redactor.redact(text)[0]


if __name__ == "__main__":
    main(test_one_input, max_len=1024)
