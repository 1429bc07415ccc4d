"""Measures how much of guardrail's code the unit tests run: ``make coverage``.

The tests run on the plain-Python build, in a copy of the checkout: coverage.py can't see inside
compiled modules. What is measured, and the least figure, is in pyproject.toml.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from tests.pure_checkout import copy_checkout, environment


def main() -> int:
    """Run the unit tests; return 0 if all pass and the figure is not below the least one."""
    with tempfile.TemporaryDirectory(prefix="guardrail-coverage-") as name:
        checkout = Path(name, "checkout")
        copy_checkout(checkout)
        command = [
            sys.executable, "-m", "pytest", "-m", "not long and not night and not scale",
            "-n", "2", "--dist", "loadfile", "--cov=guardrail", "--cov-report=term:skip-covered",
            *(sys.argv[1:] or ["tests/unit"]),
        ]  # fmt: skip
        environ = environment(checkout)
        return subprocess.run(command, cwd=checkout, env=environ, check=False).returncode  # noqa: S603


if __name__ == "__main__":
    sys.exit(main())
