"""Builds the compiled core, and says which packages ship. All metadata stands in pyproject.toml.

``GUARDRAIL_PURE=1`` installs the plain-Python twins instead. Without it a failed
compilation fails the install: a slower guard must be a choice, never an accident.
``GUARDRAIL_SANITIZE=1`` builds for AddressSanitizer and UBSan: ``make sanitize``, nothing else.
"""

import os
import sys
from pathlib import Path

from setuptools import Extension, find_namespace_packages, setup

ROOT = Path(__file__).parent
#: Files in Cython's own syntax, each with its plain-Python twin beside it.
KERNELS = sorted(ROOT.glob("guardrail/_core/*.pyx"))
#: A product is rounded before anything is taken from it (`_rounding.pyx` needs that), and no
#: one asks which exceptions a float has raised: so loops with divisions become vectors.
FLAGS = ["-O3", "-ffp-contract=off", "-fno-trapping-math", "-fno-plt"]
#: Modules without loops over memory: as fast, and a third smaller. Nothing of C unwinds them.
SMALL = ["-Os", "-fno-asynchronous-unwind-tables", *FLAGS[1:]]
#: No debug information and no symbols: a crash is examined in a build of its own.
LINK = ["-s", "-Wl,-z,noseparate-code", "-Wl,--build-id=none"]
#: What Cython puts into every module otherwise, compiled once.
SHARED = "guardrail._cyutility"
#: Loops in C, which kernels include.
HEADERS = [str(path.relative_to(ROOT)) for path in sorted(ROOT.glob("guardrail/_core/*.h"))]
#: Files that are compiled as they stand: each that has C declarations beside it.
COMPILED = sorted(
    path.with_suffix(".py")
    for path in ROOT.glob("guardrail/**/*.pxd")
    if path.with_suffix(".py").exists()
)

#: Classes of C lie in memory as their declarations say, subclasses in other modules too: where
#: one declaration, or this file, is newer than what was made of any, all is made anew.
NEWEST = max(path.stat().st_mtime for path in [*ROOT.glob("guardrail/**/*.pxd"), ROOT / "setup.py"])
STALE = any(path.stat().st_mtime < NEWEST for path in ROOT.glob("build/cython/**/*.c"))

SANITIZERS = ["-fsanitize=address,undefined", "-fno-omit-frame-pointer", "-g"]
SANITIZE = os.environ.get("GUARDRAIL_SANITIZE", "") not in ("", "0")

IS_GCC = sys.platform.startswith("linux")


def compile_args(path: Path) -> list[str]:
    """Return the compiler's options for a module."""
    if SANITIZE:
        return ["-O1", *FLAGS[1:], *SANITIZERS]
    if not IS_GCC:
        return []
    return [*(FLAGS if path in KERNELS else SMALL), "-g0"]


def link_args() -> list[str]:
    """Return the linker's options."""
    return SANITIZERS if SANITIZE else LINK if IS_GCC else []


def make_extensions() -> list[Extension]:
    """Translate the kernels and the compiled modules to C, with all cores; none if pure."""
    if os.environ.get("GUARDRAIL_PURE", "") not in ("", "0"):
        return []
    from Cython.Build import cythonize

    found: list[Extension] = cythonize(
        [
            Extension(
                ".".join(path.with_suffix("").relative_to(ROOT).parts),
                [str(path.relative_to(ROOT))],
                include_dirs=["guardrail/_core"],
                depends=HEADERS if path in KERNELS else [],
                extra_compile_args=compile_args(path),
                extra_link_args=link_args(),
            )
            for path in KERNELS + COMPILED
        ]
        + [
            Extension(
                SHARED,
                ["guardrail/_cyutility.c"],
                extra_compile_args=compile_args(ROOT),
                extra_link_args=link_args(),
            )
        ],
        shared_utility_qualified_name=SHARED,
        build_dir="build/cython",
        force=STALE,
        nthreads=os.cpu_count() or 1,
        compiler_directives={
            "language_level": "3",
            "embedsignature": False,
            "binding": True,
            # the types of C stand in the .pxd: a compiled module takes what its source takes
            "annotation_typing": False,
            # only values are pickled and copied: each such module says so at its head
            "auto_pickle": False,
        },
    )
    return found


#: The command starts outside of `guardrail/`, where another distribution's files can't break it.
LAUNCHER = "guardrail_cedar"

# Cython's worker processes may import this file.
if __name__ == "__main__":
    setup(
        packages=[*find_namespace_packages(include=["guardrail", "guardrail.*"]), LAUNCHER],
        package_dir={LAUNCHER: "guardrail/cli/launcher"},
        ext_modules=make_extensions(),
        options={"build_ext": {"parallel": os.cpu_count() or 1}},
    )
