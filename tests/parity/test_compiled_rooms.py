"""The hot steps are compiled as they stand: each file is its own twin."""

import copy
import importlib.util
import os
import re
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES, SourceFileLoader
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import guardrail
from guardrail.obligations.quota import windows

ROOT = Path(guardrail.__file__).parents[1]
PURE = os.environ.get("GUARDRAIL_PURE", "") not in ("", "0")


def compiled():
    """Return the modules that have C declarations beside them; `setup.py` builds these."""
    declared = [path.with_suffix(".py") for path in (ROOT / "guardrail").rglob("*.pxd")]
    # what kernels share among themselves is declared beside a .pyx
    files = [path.relative_to(ROOT) for path in declared if path.exists()]
    return sorted(path.with_suffix("").as_posix() for path in files)


def source(name):
    """Return a module, run from its source beside the compiled one."""
    loader = SourceFileLoader(name.replace("/", "_") + "_twin", str(ROOT / f"{name}.py"))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    twin = importlib.util.module_from_spec(spec)
    sys.modules[loader.name] = twin  # dataclasses look their module up
    loader.exec_module(twin)
    return twin


@pytest.mark.parametrize("name", compiled())
def test_the_compiled_module_really_loaded(name):
    module = importlib.import_module(name.replace("/", "."))
    assert PURE or any(module.__file__.endswith(suffix) for suffix in EXTENSION_SUFFIXES)


@pytest.mark.parametrize("name", compiled())
def test_both_have_the_same_names(name):
    module, twin = importlib.import_module(name.replace("/", ".")), source(name)
    declared = (ROOT / name).with_suffix(".pxd").read_text()
    in_c = set()
    for line in re.findall(r"^ *cdef (?!readonly |public |class )(.*)$", declared, re.MULTILINE):
        in_c.update(re.findall(r"\w+", line.partition("(")[0]))
    for own, value in vars(twin).items():
        # what is imported may be a type of C to the compiled one, and no name
        if not own.startswith("_") and getattr(value, "__module__", "") == twin.__name__:
            if own in in_c:  # what C alone calls is no name
                continue
            parts = {part for part in vars(value) if not part.startswith("_")} - in_c
            assert parts <= set(dir(getattr(module, own)))


# The numbers of a window are doubles and 64-bit integers when compiled: any step must come to
# the same number, to the last bit.

WINDOWS = (windows, source("guardrail/obligations/quota/windows"))
STEPS = st.lists(
    st.tuples(
        st.sampled_from((0.0, 1e-9, 59.99999999999999, 60.0, 60.00000000000001, 119.99999999999999))
        | st.floats(0, 200),
        st.integers(0, 4) | st.just(10**12),
    ),
    max_size=30,
)


def run(module, strategy, steps, limit):
    window, now, seen = module.KINDS[strategy](60), 0.0, []
    for pause, amount in steps:
        now += pause
        seen.append(window.acquire(now, module.Hit(strategy, "a", limit, 60, amount)))
        seen.append(window.ends_at)
        again = copy.deepcopy(window)
        again.take(now, amount)
        seen.append(again.wait_s(now, limit, 1))
        seen.append(again.counts(now) if strategy == "sliding" else again.count(now))
        if strategy == "moving":
            seen.append((again.oldest(now), again._hits))
    return repr(seen)


@pytest.mark.parametrize("strategy", sorted(windows.KINDS))
@given(STEPS, st.integers(1, 8) | st.just(10**12))
def test_both_windows_count_alike_to_the_last_bit(strategy, steps, limit):
    one, other = (run(module, strategy, steps, limit) for module in WINDOWS)
    assert one == other


# All of it once more, from the sources: the unit tests run in a process of their own, in which
# only these imports are turned. A compiled module and a plain one do not mix.
RUN = """
import importlib.abc, importlib.util, sys
from importlib.machinery import SourceFileLoader
from pathlib import Path

class Source(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        file = Path(sys.argv[1], *name.split(".")).with_suffix(".py")
        declared = file.with_suffix(".pxd")
        if name.startswith("guardrail.") and file.exists() and declared.exists():
            return importlib.util.spec_from_loader(name, SourceFileLoader(name, str(file)))
        return None

sys.meta_path.insert(0, Source())
import guardrail.bundle.assembly
found = [m for m in sys.modules.values() if getattr(m, "__name__", "").startswith("guardrail.")]
plain = [m for m in found if Path(m.__file__).with_suffix(".pxd").exists()]
assert len(plain) > 10, plain
found = [m for m in found if "_core" not in m.__name__ and m.__name__ != "guardrail._cyutility"]
assert all(m.__file__.endswith(".py") for m in found), found
import pytest
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "-p", "no:xdist",
                      "-m", "not long and not night",
                      *sys.argv[2:]]))
"""


GUARDED = """
import sys
from pathlib import Path
import numpy as np
from sklearn.datasets import load_breast_cancer
from guardrail import Guard, Principal, Entity
guard = Guard.from_dir(sys.argv[1], journal=Path(sys.argv[2]))
guarded = guard.protect(action="predict", resource='Model::"tumour"', input="patients")(
    lambda patients: np.array([[0.5, 0.5]])
)
clara = Principal("User", "c", parents=[Entity("Role", "clinician")], attrs={"department": "o"})
with guard.acting_as(clara):
    guarded(load_breast_cancer().data[:1])
guard.close()
from guardrail.audit.journal_read.reader import read_calls
(kept,) = read_calls(Path(sys.argv[2]))
print(kept.record.outcome, kept.record.backend)
"""


@pytest.mark.parametrize("chosen", ["0", "1"])
def test_calls_are_guarded_and_kept_whichever_core_is_chosen(tmp_path, chosen):
    """Compiled rooms stay compiled where the plain core is chosen: one must fit the other."""
    result = subprocess.run(  # noqa: S603
        [sys.executable, "-c", GUARDED, str(ROOT / "policies/clinical_scoring"), str(tmp_path)],
        env={**os.environ, "GUARDRAIL_PURE": "1" if PURE else chosen},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    backend = "pure" if PURE or chosen == "1" else "compiled"
    assert result.stdout.split() == ["released", backend], result.stderr[-2000:]


@pytest.mark.skipif(PURE, reason="all is plain Python already")
@pytest.mark.long
@pytest.mark.parametrize("rooms", ["guard", "audit identity", "facts obligations", "policy"])
def test_the_unit_tests_pass_on_the_plain_sources(rooms):
    result = subprocess.run(  # noqa: S603
        [sys.executable, "-c", RUN, str(ROOT), *(f"tests/unit/{room}" for room in rooms.split())],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-1000:]
    assert " passed" in result.stdout
