"""Builds the compiled core, and says which packages ship. All metadata stands in pyproject.toml.

``GUARDRAIL_PURE=1`` installs the plain-Python twins instead. Without it a failed
compilation fails the install: a slower guard must be a choice, never an accident.
``GUARDRAIL_SANITIZE=1`` builds for AddressSanitizer and UBSan: ``make sanitize``, nothing else.
"""

import os
from pathlib import Path

from setuptools import Extension, find_namespace_packages, setup

ROOT = Path(__file__).parent
#: Files in Cython's own syntax, each with its plain-Python twin beside it.
KERNELS = sorted(ROOT.glob("guardrail/_core/*.pyx"))
#: A product is rounded before anything is taken from it (`_rounding.pyx` needs that), and no
#: one asks which exceptions a float has raised: so loops with divisions become vectors.
FLAGS = ["-O3", "-ffp-contract=off", "-fno-trapping-math", "-fno-plt"]
#: Loops in C, which kernels include.
HEADERS = [str(path.relative_to(ROOT)) for path in sorted(ROOT.glob("guardrail/_core/*.h"))]
#: Files that are compiled as they stand: each that has C declarations beside it.
COMPILED = sorted(
    path.with_suffix(".py")
    for path in ROOT.glob("guardrail/**/*.pxd")
    if path.with_suffix(".py").exists()
)

#: Classes of C lie in memory as their declarations say, subclasses in other modules too: where
#: one declaration is newer than what was made of any, all is made anew.
NEWEST = max(path.stat().st_mtime for path in ROOT.glob("guardrail/**/*.pxd"))
STALE = any(path.stat().st_mtime < NEWEST for path in ROOT.glob("build/cython/**/*.c"))

SANITIZERS = ["-fsanitize=address,undefined", "-fno-omit-frame-pointer", "-g"]
SANITIZE = os.environ.get("GUARDRAIL_SANITIZE", "") not in ("", "0")

COMPILE_ARGS = ["-O1", *FLAGS[1:], *SANITIZERS] if SANITIZE else FLAGS if os.name == "posix" else []

extensions = []
if os.environ.get("GUARDRAIL_PURE", "") in ("", "0"):
    from Cython.Build import cythonize

    extensions = cythonize(
        [
            Extension(
                ".".join(path.with_suffix("").relative_to(ROOT).parts),
                [str(path.relative_to(ROOT))],
                include_dirs=["guardrail/_core"],
                depends=HEADERS if path in KERNELS else [],
                extra_compile_args=COMPILE_ARGS,
                extra_link_args=SANITIZERS if SANITIZE else [],
            )
            for path in KERNELS + COMPILED
        ],
        build_dir="build/cython",
        force=STALE,
        compiler_directives={
            "language_level": "3",
            "embedsignature": False,
            "binding": True,
            # the types of C stand in the .pxd: a compiled module takes what its source takes
            "annotation_typing": False,
        },
    )

#: The command starts outside of `guardrail/`, where another distribution's files can't break it.
LAUNCHER = "guardrail_cedar"

setup(
    packages=[*find_namespace_packages(include=["guardrail", "guardrail.*"]), LAUNCHER],
    package_dir={LAUNCHER: "guardrail/cli/launcher"},
    ext_modules=extensions,
    options={"build_ext": {"parallel": os.cpu_count() or 1}},
)
