"""The `[audit]` table: what loads, what is wrong, what is not built, and the sink it names."""

import pytest

from guardrail.audit import DeferredSpans, Spans, open_sink, read_audit
from guardrail.documents import read_toml
from guardrail.errors import ConfigurationError


def audit(text):
    return read_audit(read_toml("guardrail.toml", text).below("audit"))


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        (b'[audit]\nspans = "inlined"', "GR003", 2),
        (b"[audit]\nspans = true", "GR003", 2),
        (b"[audit]\nspan = 1", "GR003", 2),
        (b"audit = 3", "GR003", 1),
        (b'[audit]\njournal = "var"', "GR004", 2),
        (b'[audit]\n\ndurability = "each"', "GR004", 3),
        (b'[audit]\nspans = ["deferred"]', "GR003", 2),
    ],
)
def test_what_is_wrong_or_not_built_is_a_fault(text, code, line):
    with pytest.raises(ConfigurationError) as caught:
        audit(text)
    (fault,) = caught.value.faults
    assert (fault.code, fault.place.line) == (code, line)
    assert code == "GR003" or "not built yet" in fault.message


def test_every_fault_is_reported():
    with pytest.raises(ConfigurationError) as caught:
        audit(b'[audit]\njournal = "var"\ndurability = "each"\nspans = "deferred"')
    assert [fault.place.line for fault in caught.value.faults] == [2, 3]


def test_inline_spans_are_the_default():
    assert read_audit(None) == audit(b"[audit]") == audit(b'[audit]\nspans = "inline"')
    assert read_audit(None).spans == "inline"


@pytest.mark.parametrize(("spans", "kind"), [("inline", Spans), ("deferred", DeferredSpans)])
def test_the_settings_name_the_sink(spans, kind):
    assert type(open_sink(audit(f'[audit]\nspans = "{spans}"'.encode()))) is kind
