"""Detectors: what is found lies within the text; what was cut once has nothing left to cut."""

from tests.fuzz.harness import Draw, instrumented, main

with instrumented():
    from guardrail.detectors import Redactor, Scanner
    from tests.fuzz.detections import STYLES, kinds_of, text_of

KEY = b"0123456789abcdef" * 2


def test_one_input(data: bytes) -> None:
    draw = Draw(data)
    kinds, style = kinds_of(draw), draw.choice(STYLES)
    text = text_of(draw)
    findings = Scanner(kinds).find(text)
    for finding in findings:
        assert finding.kind in kinds
        assert 0 <= finding.start < finding.end <= len(text)
    redactor = Redactor(kinds, style, KEY)
    redacted, count = redactor.redact(text)
    assert (count > 0) == bool(findings)
    assert count or redacted == text
    again, _ = redactor.redact(redacted)
    assert again == redacted, "cut twice, it is another text"


if __name__ == "__main__":
    main(test_one_input, max_len=2048)
