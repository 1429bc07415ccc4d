"""Entities: faults with places, or entities that have all their parts."""

from tests.bundles import SCHEMA
from tests.fuzz.harness import check_faults, instrumented, main

with instrumented():
    from guardrail.policy.schema.entities import read_entities
    from guardrail.policy.schema.schema import read_schema

FILE = "entities.json"
READ = read_schema("schema.cedarschema", SCHEMA.encode())


def test_one_input(data: bytes) -> None:
    store, faults = read_entities({FILE: data}, READ)
    check_faults(faults, {FILE: data})
    assert (store is None) == bool(faults)
    if store is not None:
        for entity in store:
            assert store.knows(entity)
            assert entity not in store.ancestors(entity)
            assert store.ancestors(entity) == store.closure(store.ancestors(entity))


if __name__ == "__main__":
    main(test_one_input)
