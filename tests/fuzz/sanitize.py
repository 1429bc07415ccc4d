"""Runs the compiled modules under AddressSanitizer and UBSan: ``make sanitize``.

Builds a copy of the tree below ``build/sanitize/``, so that no instrumented module ever stands
in the package. First it shows that both sanitizers see: a throwaway extension reads one byte
past its memory, another one overflows, and each must end its process. Then come the tests
that reach the kernels, with Python's own allocator off, which would hide what is read past
a small object. Exit code 1 for a finding, or for a failed test.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from tests.fuzz.harness import ROOT

COPY: Final = ROOT / "build" / "sanitize"
#: What the tests below need of the tree.
PARTS: Final = (
    "setup.py", "pyproject.toml", "README.md", "LICENSE", "guardrail", "tests", "policies",
    "benchmarks", "examples",
)  # fmt: skip
TESTS: Final = (
    "tests/parity",
    "tests/properties/test_*_kernels_agree.py",
    "tests/unit/obligations",
    "tests/unit/facts",
    "tests/fuzz/test_corpora.py",
)
#: A test that measures time: sanitizers take their own.
LEFT_OUT: Final = ("-k", "not bounded_time")
COMPILER: Final = (sysconfig.get_config_var("CC") or "cc").split()[0]

#: Python never frees all, so leaks are not looked for. The rest is as strict as it gets.
ASAN_OPTIONS: Final = "detect_leaks=0:halt_on_error=1:detect_stack_use_after_return=1"
UBSAN_OPTIONS: Final = "halt_on_error=1:print_stacktrace=1"

_SELF_CHECK: Final = """
#include <Python.h>
#include <limits.h>
static PyObject *past(PyObject *self, PyObject *size) {
    Py_ssize_t count = PyLong_AsSsize_t(size);
    volatile char *memory = PyMem_Malloc(count);
    char found = memory[count];
    PyMem_Free((void *) memory);
    return PyLong_FromLong(found);
}
static PyObject *over(PyObject *self, PyObject *number) {
    volatile int value = (int) PyLong_AsLong(number);
    value = value + INT_MAX;
    return PyLong_FromLong(value);
}
static PyMethodDef methods[] = {
    {"past", past, METH_O, 0}, {"over", over, METH_O, 0}, {0, 0, 0, 0},
};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "selfcheck", 0, -1, methods};
PyMODINIT_FUNC PyInit_selfcheck(void) { return PyModule_Create(&module); }
"""


def main() -> int:
    """Copy, build, show that the sanitizers see, and run the tests."""
    copy_tree()
    environ = {**os.environ, "GUARDRAIL_SANITIZE": "1"}
    build = [sys.executable, "setup.py", "--quiet", "build_ext", "--inplace", "--parallel", "2"]
    subprocess.run(build, cwd=COPY, env=environ, check=True)  # noqa: S603
    environ |= sanitized()
    complaint = self_check(environ) or unseen(environ)
    if complaint:
        print(f"The sanitizers do not see: {complaint}", file=sys.stderr)
        return 1
    tests = [str(path.relative_to(COPY)) for name in TESTS for path in sorted(COPY.glob(name))]
    plain = ["-p", "no:cacheprovider", "-p", "no:xdist", "-m", "not long and not night", *LEFT_OUT]
    command = [sys.executable, "-m", "pytest", "-q", *plain, *tests]
    return subprocess.run(command, cwd=COPY, env=environ, check=False).returncode  # noqa: S603


def copy_tree() -> None:
    """Bring the copy up to date: files by their time, and without whatever is gone."""
    for part in PARTS:
        wanted = set()
        for source in _files(ROOT / part):
            copy = COPY / source.relative_to(ROOT)
            wanted.add(copy)
            if not copy.exists() or copy.stat().st_mtime_ns != source.stat().st_mtime_ns:
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, copy)
        for copy in _files(COPY / part):
            if copy not in wanted:
                copy.unlink()


def _files(path: Path) -> Iterator[Path]:
    """Yield the files of a part that belong to the sources."""
    for file in [path] if path.is_file() else path.rglob("*"):
        is_made = file.suffix in (".so", ".pyc") or "__pycache__" in file.parts
        if file.is_file() and not is_made:
            yield file


def sanitized() -> Mapping[str, str]:
    """Return the environment in which a plain Python runs sanitized modules."""
    where = [COMPILER, "-print-file-name=libasan.so"]
    library = subprocess.run(where, capture_output=True, text=True, check=True)  # noqa: S603
    return {
        "LD_PRELOAD": str(Path(library.stdout.strip()).resolve()),
        "ASAN_OPTIONS": ASAN_OPTIONS,
        "UBSAN_OPTIONS": UBSAN_OPTIONS,
        "PYTHONMALLOC": "malloc",
        "PYTHONPATH": str(COPY),
        "GUARDRAIL_FUZZ_PATIENCE": "20",
    }


def self_check(environ: Mapping[str, str]) -> str:
    """Return what the sanitizers missed; empty where they catch both mistakes, and no others."""
    folder = COPY / "selfcheck"
    folder.mkdir(exist_ok=True)
    (folder / "selfcheck.c").write_text(_SELF_CHECK)
    built = folder / f"selfcheck{sysconfig.get_config_var('EXT_SUFFIX')}"
    options = ["-shared", "-fPIC", "-O1", "-g", "-fsanitize=address,undefined"]
    include = f"-I{sysconfig.get_path('include')}"
    command = [COMPILER, *options, include, "selfcheck.c", "-o", built.name]
    subprocess.run(command, cwd=folder, check=True)  # noqa: S603
    for call, expected in (
        ("past(24)", "heap-buffer-overflow"),
        ("over(1)", "signed integer overflow"),
        ("over(0)", ""),
    ):
        run = subprocess.run(  # noqa: S603
            [sys.executable, "-c", f"import selfcheck; selfcheck.{call}"],
            cwd=folder,
            env={**environ, "PYTHONPATH": str(folder)},
            capture_output=True,
            text=True,
            check=False,
        )
        if (run.returncode != 0) != bool(expected) or expected not in run.stderr:
            return f"{call} ended with {run.returncode}: {run.stderr[-2000:]}"
    return ""


def unseen(environ: Mapping[str, str]) -> str:
    """Return which module would run unseen: not ours of the copy, or not instrumented."""
    shown = "import guardrail._core._tensor as kernel; print(kernel.__file__)"
    run = subprocess.run(  # noqa: S603
        [sys.executable, "-c", shown],
        cwd=COPY,
        env=environ,
        capture_output=True,
        text=True,
        check=True,
    )
    if not Path(run.stdout.strip()).is_relative_to(COPY):
        return f"{run.stdout.strip()} is not of the copy"
    plain = [
        path for path in COPY.rglob("guardrail/**/*.so") if b"__asan_" not in path.read_bytes()
    ]
    return f"{plain[0]} is not instrumented" if plain else ""


if __name__ == "__main__":
    sys.exit(main())
