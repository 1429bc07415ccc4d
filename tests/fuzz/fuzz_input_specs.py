"""Input specs: faults with places, or specs that judge any input and say nothing of its values."""

import numpy as np

from tests.fuzz.harness import CANARY, check_error, check_silent, instrumented, main

with instrumented():
    from guardrail._documents import read_yaml
    from guardrail._ports import ObligationNotMet
    from guardrail.errors import ConfigurationError
    from guardrail.facts import Bounds, take_view
    from guardrail.obligations.input.specs import read_specs

FILE = "inputs/patients.yaml"
INPUTS = (
    np.array([[0.5, 1e9, -1.0]], "f4"),
    np.array([[1, 2, np.nan]] * 400),
    np.zeros((2, 0, 3), "i8"),
    {},
    {"age": CANARY, "name": CANARY, CANARY: 1},
    {"age": 10**15, "name": "x" * 50, "ok": None, "weight": 0.1},
)


def test_one_input(data: bytes) -> None:
    if CANARY.encode() in data:  # then it is no value of an input's
        return
    try:
        (spec,) = read_specs({"patients": read_yaml(FILE, data)}).values()
    except ConfigurationError as error:
        check_error(error, {FILE: data})
        return
    for value in INPUTS:
        try:
            spec.check(take_view(value, name="patients", bounds=Bounds()))
        except ObligationNotMet as error:
            assert error.code == "input_rejected"
            assert error.path.startswith("patients")
            check_silent(error, str(10**15))


if __name__ == "__main__":
    main(test_one_input)
