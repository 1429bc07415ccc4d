"""A property runs with a sample of its examples in one test, and with all in a `long` one."""

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.conftest import SAMPLE

MANY = settings(
    max_examples=3 * SAMPLE,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture
def calls(request):
    found = []
    yield found
    is_long = request.node.get_closest_marker("long") is not None
    assert len(found) == (3 * SAMPLE if is_long else SAMPLE)


@MANY
@given(number=st.integers())
def test_a_function_gets_its_number(calls, number):
    calls.append(number)


class TestMethods:
    @MANY
    @given(number=st.integers())
    def test_a_method_gets_its_number(self, calls, number):
        calls.append(number)
