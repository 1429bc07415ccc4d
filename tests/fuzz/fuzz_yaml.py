"""YAML documents: faults with places, or plain data whose every value has a place."""

from tests.fuzz.harness import check_error, instrumented, main

with instrumented():
    from guardrail._documents import LIMIT_DEPTH, read_yaml
    from guardrail.errors import ConfigurationError

FILE = "inputs/patients.yaml"


def test_one_input(data: bytes) -> None:
    try:
        document = read_yaml(FILE, data)
    except ConfigurationError as error:
        check_error(error, {FILE: data})
        return
    assert all(len(path) <= LIMIT_DEPTH + 1 for path in document.places)
    level = [document.data]
    for _ in range(LIMIT_DEPTH + 1):
        level = [
            inner
            for item in level
            if isinstance(item, dict | list)
            for inner in (item.values() if isinstance(item, dict) else item)
        ][:10_000]
    assert not level, "deeper than the limit"


if __name__ == "__main__":
    main(test_one_input)
