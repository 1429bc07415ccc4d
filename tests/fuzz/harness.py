"""What all fuzz targets share: the way to run one, its bound in time, and what errors may say.

A target is a file ``fuzz_NAME.py`` beside this one. It imports what it fuzzes inside
``with instrumented():``, defines ``test_one_input(data: bytes)``, which raises where our code
breaks a promise, and ends with ``if __name__ == "__main__": main(test_one_input)``. Nothing
else names it: `targets` finds it, ``corpus/NAME/`` holds its seeds and regressions.

Run as a program, a target replays the files that it is given, without atheris. Where
``GUARDRAIL_FUZZ`` is set it is libFuzzer's program instead: ``source`` runs the sources of the
modules that are compiled otherwise, instrumented like all others of ours; ``compiled`` runs
them as they ship. Kernels of the core are always the compiled ones.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.util
import os
import re
import struct
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import PathFinder, SourceFileLoader
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
Target = Callable[[bytes], None]

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[1]
CORPUS = FOLDER / "corpus"
MODE = os.environ.get("GUARDRAIL_FUZZ", "")
#: Where the machine is slower by design: instrumented, or under a sanitizer.
PATIENCE = float(os.environ.get("GUARDRAIL_FUZZ_PATIENCE", "1"))
#: Seconds of processor time for one input, of up to `LIMIT_BYTES`.
LIMIT_S = 1.0 * PATIENCE
LIMIT_BYTES = 64 * 1024
#: Stands in inputs as a value, and so must stand in no message.
CANARY = "canary-4711"

_CODE = re.compile("GR[0-9]{3}")


class TooSlow(AssertionError):
    """An input took more time than any of its size may."""


def targets() -> list[str]:
    """Return the names of all targets."""
    return sorted(path.stem.removeprefix("fuzz_") for path in FOLDER.glob("fuzz_*.py"))


def target(name: str) -> Target:
    """Return what a target does with one input, within its bound in time."""
    return bounded(importlib.import_module(f"tests.fuzz.fuzz_{name}").test_one_input)


def corpus(name: str) -> list[Path]:
    """Return the seeds and the regressions of a target."""
    return sorted(path for path in (CORPUS / name).glob("*") if path.is_file())


def bounded(test_one_input: Target) -> Target:
    """Return the same target, which raises `TooSlow` too."""

    def within_time(data: bytes) -> None:
        start = time.process_time()
        test_one_input(data)
        spent = time.process_time() - start
        if spent > LIMIT_S and len(data) <= LIMIT_BYTES:
            raise TooSlow(f"{len(data)} bytes took {spent:.1f} s of processor time")

    return within_time


def main(test_one_input: Target, *, max_len: int = 4096) -> None:
    """Run a target as a program: see the module.

    Arguments:
        test_one_input: what is done with one input.
        max_len: the longest input that libFuzzer makes, in bytes.
    """
    if not MODE:
        for name in sys.argv[1:]:
            bounded(test_one_input)(Path(name).read_bytes())
        return
    import atheris

    test_one_input(b"")  # what is imported on first use counts for no input
    atheris.Setup([sys.argv[0], f"-max_len={max_len}", *sys.argv[1:]], bounded(test_one_input))
    atheris.Fuzz()


@contextmanager
def instrumented() -> Iterator[None]:
    """Instrument what is imported of ours, where libFuzzer runs; for the rest of the process."""
    if MODE:
        import atheris

        if MODE == "source":
            sys.meta_path.insert(sys.meta_path.index(PathFinder), _Sources())
        atheris.instrument_imports(include=["guardrail"]).__enter__()
    yield


class _Sources(importlib.abc.MetaPathFinder):
    """Finds the source of a module that stands compiled beside it. All or none: they don't mix."""

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> Any:
        file = ROOT.joinpath(*fullname.split(".")).with_suffix(".py")
        is_declared = file.exists() and file.with_suffix(".pxd").exists()
        if fullname.startswith("guardrail.") and is_declared:
            return importlib.util.spec_from_loader(fullname, SourceFileLoader(fullname, str(file)))
        return None


def check_faults(faults: Iterable[Any], files: dict[str, bytes]) -> None:
    """Check what is promised of faults: a code, a sentence, and a place within one of the files."""
    for fault in faults:
        assert _CODE.fullmatch(fault.code), fault.code
        assert fault.message
        assert fault.place.file in files, fault.place
        text = files[fault.place.file].decode("utf-8", "replace")
        lines = text.splitlines()
        assert 0 <= fault.place.line <= len(lines) + 1, fault.place
        longest = max(len(text), len(files[fault.place.file]))
        assert 0 <= fault.place.column <= longest + 1, fault.place
        str(fault).encode()  # it is printed, and logged


def check_error(error: Any, files: dict[str, bytes]) -> None:
    """Check a `ConfigurationError`: it has faults, and says nothing beside them."""
    assert error.faults, "no faults"
    assert str(error) == "\n".join(map(str, error.faults))
    check_faults(error.faults, files)


def check_silent(error: BaseException, *values: str) -> None:
    """Check that an error, and whatever it was raised from, holds none of the values."""
    seen: BaseException | None = error
    while seen is not None:
        texts = (str(seen), repr(seen), repr(seen.args), repr(vars(seen)))
        for value in (CANARY, *values):
            assert not any(value in text for text in texts), f"a {type(seen).__name__} says it"
        seen.__str__().encode()
        seen = seen.__cause__ or seen.__context__


def outcome(call: Callable[..., T], *arguments: Any) -> T | type[BaseException]:
    """Return what a kernel returns, or the type of what it raises: twins agree in both."""
    try:
        return call(*arguments)
    except (TypeError, ValueError, BufferError, OverflowError) as error:
        return type(error)


class Draw:
    """Values read off the fuzzer's bytes, from the front; zeros where they end."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def __bool__(self) -> bool:
        return self._at < len(self._data)

    def raw(self, count: int) -> bytes:
        """Return so many bytes, or as many as there are left."""
        found = self._data[self._at : self._at + count]
        self._at += len(found)
        return found

    def rest(self) -> bytes:
        """Return all bytes that are left."""
        return self.raw(len(self._data))

    def whole(self, least: int, most: int) -> int:
        """Return an integer of a range, both ends included."""
        count = ((most - least).bit_length() + 7) // 8
        return least + int.from_bytes(self.raw(count), "little") % (most - least + 1)

    def flag(self) -> bool:
        """Return yes or no."""
        return bool(self.whole(0, 1))

    def choice(self, options: Sequence[T]) -> T:
        """Return one of several."""
        return options[self.whole(0, len(options) - 1)]

    def real(self) -> float:
        """Return any double: NaN, infinities and the smallest ones too."""
        (number,) = struct.unpack("<d", self.raw(8).ljust(8, b"\0"))
        return float(number)

    def text(self, most: int = 32) -> str:
        """Return a text; lone surrogates may stand in it."""
        return self.raw(self.whole(0, most)).decode("utf-8", "surrogateescape")
