"""A `Principal` with values of wrong types is rejected when it is made, naming the value."""

import pytest

from guardrail import ConfigurationError, Entity, Principal


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"type": "User", "id": 7}, "id"),
        ({"type": None, "id": "a"}, "type"),
        ({"type": "User", "id": "a", "attrs": ["x"]}, "attrs"),
        ({"type": "User", "id": "a", "parents": Entity("Role", "doctor")}, "parents"),
    ],
)
def test_a_wrong_type_is_named(given, name):
    with pytest.raises(ConfigurationError, match=f"A principal's `{name}` must be"):
        Principal(**given)
