"""The current identity: in which task it is in force, and until when."""

import asyncio
import contextvars
import threading

import pytest

from guardrail.errors import ConfigurationError, NotAuthenticated
from guardrail.identity import ActingAs, current
from guardrail.values import Identity, Principal

NOW = 1_800_000_000.0


def acting(name, *, expires_at=None):
    return ActingAs(Identity(Principal("User", name), expires_at=expires_at))


def who():
    return current(NOW).principal.id


def refused(code="not_authenticated", now=NOW):
    with pytest.raises(NotAuthenticated) as caught:
        current(now)
    assert caught.value.code == code
    return True


def test_nobody_is_denied():
    assert refused()


def test_the_scope_yields_its_principal_and_holds_until_its_end():
    with acting("alice") as principal:
        assert principal.id == who() == "alice"
    assert refused()


def test_an_exception_ends_the_scope_and_passes_through():
    with pytest.raises(KeyError), acting("alice"):
        raise KeyError
    assert refused()


def test_nested_scopes_restore_the_outer_one():
    with acting("alice"):
        with acting("bob"):
            assert who() == "bob"
        assert who() == "alice"


@pytest.mark.parametrize("now", [NOW, NOW + 1, float("nan"), float("inf")])
def test_an_expired_identity_is_denied_at_the_very_second(now):
    with acting("alice", expires_at=NOW):
        assert refused("token_expired", now)
        assert current(NOW - 0.001).principal.id == "alice"


def test_an_expired_inner_identity_does_not_fall_back_to_the_outer():
    with acting("alice"), acting("bob", expires_at=NOW):
        assert refused("token_expired")


def test_a_scope_is_used_once():
    scope = acting("alice")
    with scope, pytest.raises(ConfigurationError, match="entered only once"):
        scope.__enter__()
    with pytest.raises(ConfigurationError, match="entered only once"):
        scope.__enter__()
    assert refused()


def test_a_thread_starts_with_no_identity():
    answers = []
    with acting("alice"):
        thread = threading.Thread(target=lambda: answers.append(refused()))
        thread.start()
        thread.join()
    assert answers == [True]


def test_a_task_within_the_scope_acts_as_its_principal():
    async def child():
        return who()

    async def main():
        with acting("alice"):
            return await asyncio.create_task(child())

    assert asyncio.run(main()) == "alice"


def test_a_task_that_outlives_its_scope_is_denied():
    async def main():
        left = asyncio.Event()

        async def child():
            before = who()
            await left.wait()
            return before, refused()

        with acting("carol"):
            with acting("alice"):
                task = asyncio.create_task(child())
                await asyncio.sleep(0)
            left.set()
            return await task  # carol's scope is open, and is no business of alice's task

    assert asyncio.run(main()) == ("alice", True)


def test_a_thread_with_a_copied_context_is_denied_after_the_scope():
    with acting("alice"):
        context = contextvars.copy_context()
        assert context.run(who) == "alice"
    assert context.run(refused)


def test_tasks_do_not_see_each_other():
    async def child(name):
        with acting(name):
            await asyncio.sleep(0)
            return who()

    async def main():
        with acting("root"):
            found = await asyncio.gather(*(child(f"user{n}") for n in range(5)))
            return found, who()

    assert asyncio.run(main()) == ([f"user{n}" for n in range(5)], "root")


def test_a_scope_ended_in_another_context_is_over_everywhere():
    scope = acting("alice")
    entered = contextvars.copy_context()
    entered.run(scope.__enter__)
    assert entered.run(who) == "alice"
    contextvars.Context().run(scope.__exit__, None, None, None)
    assert entered.run(refused)


def test_a_scope_ended_in_a_copy_of_its_context_is_over_everywhere():
    scope = acting("alice")
    scope.__enter__()
    contextvars.copy_context().run(scope.__exit__, None, None, None)
    assert refused()


def test_a_generator_closed_in_another_context_leaves_no_identity():
    def acting_generator():
        with acting("alice"):
            yield who()

    generator = acting_generator()
    entered = contextvars.copy_context()
    assert entered.run(next, generator) == "alice"
    generator.close()
    assert entered.run(refused)


def test_scopes_that_end_out_of_order_never_uncover_another_identity():
    with acting("carol"):
        first, second = acting("alice"), acting("bob")
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert who() == "bob"  # not carol, while bob's scope is open
        second.__exit__(None, None, None)
        assert refused()


def test_neither_scope_nor_error_shows_who_acts():
    scope = acting("clara-4711", expires_at=NOW)
    with scope, pytest.raises(NotAuthenticated) as caught:
        current(NOW)
    assert "clara" not in repr(scope) + str(caught.value) + repr(caught.value)
