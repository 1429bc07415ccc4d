# ruff: noqa: RUF001 (look-alikes are what this is about)
"""The scan stops only where something may be; compiled and plain it finds the same."""

import itertools
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import guardrail
from guardrail.detectors import KINDS, LIMIT_FINDINGS, Scanner, formats
from guardrail.detectors.scan.folding import PAD, Folding
from guardrail.detectors.scan.scan_state import ScanSetup, ScanState
from guardrail.detectors.scan.scanner_core import ScannerCore

ROOT = Path(guardrail.__file__).parents[1]
FOLDING = Folding()
#: One character at least of each class that a rule tells apart, in three alphabets.
ALPHABETS = ("1a@.:-", "1 +()4", "eyJ.x_")
FORMS = (
    "ada@example.org", "4111111111111111", "123-45-6789", "::1", "fe80::1", "00-11-22-33-44-55",
    "0011.2233.4455", "+49 30 1234567", "(555) 234-5678", "AKIAIOSFODNN7EXAMPLE", "SK" + "0" * 32,
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.a", "-----BEGIN PRIVATE KEY-----", "<!--", "-->",
    "DE89370400440532013000", "12345678Z", "123456789:" + "A" * 35, "ghp_" + "a1B2" * 9,
)  # fmt: skip


def core(kinds, triggers):
    wanted = frozenset(kinds)
    return ScannerCore(
        ScanSetup(
            wanted,
            triggers,
            formats.entries(wanted),
            formats.tails(),
            formats.ibans() if "iban" in wanted else {},
            limit=LIMIT_FINDINGS,
        )
    )


def found_by(scanner, text):
    state = ScanState(scanner.setup, FOLDING.fold(text), True, False)
    scanner.scan(state, PAD, state.size)
    return state.found


#: Stops at every byte: digits as digits, all else as any mark there is.
EVERYWHERE = bytes(
    formats.DIGIT if chr(code) in "0123456789" else formats.OTHER | formats.KEY
    for code in range(256)
)
SETS = [(kind,) for kind in formats.MARKS] + [tuple(formats.MARKS)]
PAIRS = {
    kinds: (core(kinds, formats.triggers(frozenset(kinds))), core(kinds, EVERYWHERE))
    for kinds in SETS
}


@pytest.mark.parametrize("alphabet", ALPHABETS)
def test_no_stop_is_missed_in_any_short_text(alphabet):
    quick, full = PAIRS[tuple(formats.MARKS)]
    for size in range(1, 7):
        for chars in itertools.product(alphabet, repeat=size):
            text = "".join(chars)
            assert found_by(quick, text) == found_by(full, text)


@settings(max_examples=500, deadline=None)
@given(
    st.lists(st.sampled_from(FORMS) | st.text("19aZ@.:-_ +()<=", max_size=4), max_size=6),
    st.sampled_from(SETS),
)
def test_no_stop_is_missed_in_a_longer_text(pieces, kinds):
    quick, full = PAIRS[kinds]
    text = "".join(pieces)
    found = found_by(full, text)
    # alone, a rule for another kind that shares a mark may only be asked by the full scan
    if {tuple(KINDS)[kind] for kind, _, _ in found} <= set(kinds):
        assert found_by(quick, text) == found


# The scan from its sources, in a process of its own: compiled modules and plain ones do not mix.
RUN = """
import importlib.abc, importlib.util, json, sys, types
from importlib.machinery import SourceFileLoader
from pathlib import Path

class Source(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        file = Path(sys.argv[1], *name.split(".")).with_suffix(".py")
        if name.startswith("guardrail.") and file.with_suffix(".pxd").exists():
            return importlib.util.spec_from_loader(name, SourceFileLoader(name, str(file)))
        return None

sys.meta_path.insert(0, Source())
package = types.ModuleType("guardrail")  # without the rest of it, which is not asked here
package.__path__ = [sys.argv[1] + "/guardrail"]
sys.modules["guardrail"] = package
from guardrail.detectors import GROUPS, Redactor, Scanner, StreamRedactor
from guardrail.detectors.scan import scanner_core
assert scanner_core.__file__.endswith(".py"), scanner_core.__file__
scanner, redactor = Scanner(GROUPS), Redactor(GROUPS)
out = []
for text in json.load(sys.stdin):
    stream = StreamRedactor(redactor)
    parts = "".join([stream.feed(text[at:at + 3]) for at in range(0, len(text), 3)])
    out.append([scanner.find(text), redactor.redact(text), parts + stream.close()])
print(json.dumps(out))
"""


def test_compiled_and_plain_find_the_same():
    from guardrail.detectors import GROUPS, Redactor
    from tests.unit.detectors import generate

    rnd = generate.rnd_of("twins")
    texts = []
    for kind, make in generate.MAKERS.items():
        for _ in range(25):
            value = make(rnd)
            texts.append(generate.sentence(rnd, value)[0])
            texts.append(generate.spoil(rnd, kind, value) + rnd.choice("-. @:1a") + make(rnd))
            texts.append(texts[-2].replace("1", "１").replace("a", "а"))
    texts += [
        "".join(rnd.choice("1a@.:- +()4eyJx_<!-\u200b\u0301") for _ in range(60))
        for _ in range(200)
    ]
    run = subprocess.run(  # noqa: S603
        [sys.executable, "-c", RUN, str(ROOT)],
        input=json.dumps(texts),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    scanner, redactor = Scanner(GROUPS), Redactor(GROUPS)
    for text, (found, cut, parts) in zip(texts, json.loads(run.stdout), strict=True):
        assert [list(one) for one in scanner.find(text)] == found
        assert list(redactor.redact(text)) == cut
        assert parts == cut[0]
