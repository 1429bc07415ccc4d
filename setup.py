"""Builds the compiled core. All metadata stands in pyproject.toml.

``GUARDRAIL_PURE=1`` installs the plain-Python twins instead. Without it a failed
compilation fails the install: a slower guard must be a choice, never an accident.
"""

import os

from setuptools import Extension, setup

#: Files in Cython's own syntax, each with its plain-Python twin beside it.
KERNELS = [
    "guardrail/_core/_entity.pyx",
    "guardrail/_core/_rounding.pyx",
    "guardrail/_core/_tensor.pyx",
    "guardrail/_core/_view.pyx",
]
#: Files that are compiled as they stand: the file is its own twin.
COMPILED = [
    "guardrail/flow.py",
    "guardrail/ports.py",
    "guardrail/policy/recent.py",
    "guardrail/facts/identity.py",
    "guardrail/facts/input.py",
    "guardrail/facts/view.py",
    "guardrail/obligations/counters.py",
    "guardrail/obligations/input.py",
    "guardrail/obligations/quota.py",
    "guardrail/obligations/rounding.py",
    "guardrail/obligations/tensor_spec.py",
    "guardrail/obligations/windows.py",
]

extensions = []
if os.environ.get("GUARDRAIL_PURE", "") in ("", "0"):
    from Cython.Build import cythonize

    extensions = cythonize(
        [
            Extension(
                path.rpartition(".")[0].replace("/", "."),
                [path],
                extra_compile_args=["-O3"] if os.name == "posix" else [],
            )
            for path in KERNELS + COMPILED
            if os.path.exists(path)
        ],
        build_dir="build/cython",
        compiler_directives={
            "language_level": "3",
            "embedsignature": False,
            "binding": True,
            # the types of C stand in the .pxd: a compiled module takes what its source takes
            "annotation_typing": False,
        },
    )

setup(ext_modules=extensions)
