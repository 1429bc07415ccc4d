"""An anonymous scope has no identity inside, and restores the outer one."""

import asyncio

import pytest

from guardrail import NotAuthenticated, Principal
from guardrail.identity import ActingAs, current
from guardrail.identity.anonymous_scope import AnonymousScope
from guardrail.values import Identity


def alice():
    return ActingAs(Identity(Principal("User", "alice")))


def nobody():
    with pytest.raises(NotAuthenticated) as caught:
        current(0.0)
    return caught.value.code == "not_authenticated"


def test_nobody_acts_inside_anothers_scope_and_the_other_goes_on_after():
    with alice():
        with AnonymousScope():
            assert nobody()
            with alice():
                assert current(0.0).principal.id == "alice"
            assert nobody()
        assert current(0.0).principal.id == "alice"
    assert nobody()


def test_an_error_passes_through_and_the_scope_ends():
    with alice():
        with pytest.raises(KeyError), AnonymousScope():
            raise KeyError
        assert current(0.0).principal.id == "alice"


def test_it_is_entered_in_coroutines_too():
    async def run():
        with alice():
            async with AnonymousScope():
                await asyncio.create_task(asyncio.sleep(0))
                assert nobody()
            assert current(0.0).principal.id == "alice"

    asyncio.run(run())
