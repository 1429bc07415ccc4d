"""JSON documents: faults with places, or what every JSON parser reads, and no key twice."""

import json

from tests.fuzz.harness import check_error, instrumented, main

with instrumented():
    from guardrail._documents import item_places, read_json
    from guardrail.errors import ConfigurationError

FILE = "entities.json"


def test_one_input(data: bytes) -> None:
    try:
        document = read_json(FILE, data)
    except ConfigurationError as error:
        check_error(error, {FILE: data})
        return
    pairs: list[tuple[int, int]] = []

    def count(found: list[tuple[str, object]]) -> dict[str, object]:
        pairs.append((len(found), len(dict(found))))
        return dict(found)

    assert repr(document.data) == repr(json.loads(data, object_pairs_hook=count))
    assert all(written == kept for written, kept in pairs), "a key stands twice"
    if isinstance(document.data, list) and document.data:
        assert len(item_places(FILE, data)) == len(document.data)


if __name__ == "__main__":
    main(test_one_input)
