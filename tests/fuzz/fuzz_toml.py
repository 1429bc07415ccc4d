"""TOML documents: faults with places, or what `tomllib` reads."""

import tomllib

from tests.fuzz.harness import check_error, instrumented, main

with instrumented():
    from guardrail._documents import read_toml
    from guardrail.errors import ConfigurationError

FILE = "guardrail.toml"


def test_one_input(data: bytes) -> None:
    try:
        document = read_toml(FILE, data)
    except ConfigurationError as error:
        check_error(error, {FILE: data})
        return
    assert repr(document.data) == repr(tomllib.loads(data.decode()))
    for place in document.places.values():
        assert place.file == FILE
    for key in document.data:
        document.below(key).at()


if __name__ == "__main__":
    main(test_one_input)
