"""Policy test files: cases, or faults with places; one broken test hides no other."""

import atexit
import shutil
import tempfile
from pathlib import Path

from tests.fuzz.harness import check_faults, instrumented, main

with instrumented():
    from guardrail.testing.files.cases import InvalidTest, read_suite

FOLDER = Path(tempfile.mkdtemp(prefix="guardrail-fuzz-"))
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)
FILE = "tests/fuzz_test.yaml"
(FOLDER / FILE).parent.mkdir()


def test_one_input(data: bytes) -> None:
    (FOLDER / FILE).write_bytes(data)
    for case in read_suite(FOLDER).cases:
        assert case.place.file == FILE
        if isinstance(case, InvalidTest):
            assert case.faults
            check_faults(case.faults, {FILE: data})


if __name__ == "__main__":
    main(test_one_input)
