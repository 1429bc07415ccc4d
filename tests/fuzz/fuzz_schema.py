"""Schemas: a fault with its place, or a schema that answers."""

from tests.fuzz.harness import check_error, instrumented, main

with instrumented():
    from guardrail.errors import ConfigurationError
    from guardrail.policy.schema.schema import read_schema
    from guardrail.values import Path

FILE = "schema.cedarschema"


def test_one_input(data: bytes) -> None:
    try:
        schema = read_schema(FILE, data)
    except ConfigurationError as error:
        check_error(error, {FILE: data})
        return
    for action in list(schema.actions)[:2]:
        schema.types([(action, Path("context", ("app", "purpose")))])
        assert not schema.fits("No such", action, "type")


if __name__ == "__main__":
    main(test_one_input)
