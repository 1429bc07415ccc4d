"""Uids: refused without a word of the text, or an entity whose own text names it again.

The entity itself has a twin, and both are the same value.
"""

from tests.fuzz.harness import instrumented, main

with instrumented():
    from guardrail._core import _entity, _entity_py
    from guardrail.errors import ConfigurationError
    from guardrail.policy import read_uid


def test_one_input(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    one, other = _entity.Entity(text, text[::-1]), _entity_py.Entity(text, text[::-1])
    assert (str(one), repr(one), hash(one)) == (str(other), repr(other), hash(other))
    try:
        entity = read_uid(text)
    except ConfigurationError as error:
        assert error.args == ('Expected a uid such as Model::"tumour".',)
        return
    assert entity.type
    if str(entity).isprintable():  # else Cedar's text escapes what ours shows
        assert read_uid(str(entity)) == entity


if __name__ == "__main__":
    main(test_one_input, max_len=512)
