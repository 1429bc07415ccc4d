# pyright: standard, reportUnnecessaryTypeIgnoreComment=true
"""What `protect` keeps of a function's type, for mypy and pyright. Checked, never run.

A wrong call is marked with `type: ignore`; where a checker sees nothing wrong, the comment is
itself an error.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, assert_type

from guardrail import Decision, Entity, Guard, Principal, Resource


class Scores:
    """What a model returns."""


def samples(guard: Guard, principal: Principal) -> None:
    protect = guard.protect(action="predict", resource='Model::"tumour"', input="patients")

    @protect
    def function(patients: list[float], /, scale: int = 1, *, top: str) -> Scores:
        return Scores()

    assert_type(function([1.0], top="x"), Scores)
    assert_type(function([1.0], scale=2, top="x"), Scores)
    function([1.0])  # type: ignore[call-arg]
    function([1.0], top=1)  # type: ignore[arg-type]
    function(["x"], top="x")  # type: ignore[list-item]
    function(patients=[1.0], top="x")  # type: ignore[call-arg]
    function([1.0], 1, "x")  # type: ignore[call-arg]
    function([1.0], top="x", more=1)  # type: ignore[call-arg]
    function([1.0], top="x").missing()  # type: ignore[attr-defined]

    @protect
    def many(patients: int, *more: str, **options: float) -> None: ...

    many(1, "a", "b", c=1.0)
    many(1, 2)  # type: ignore[arg-type]
    many(1, c="x")  # type: ignore[arg-type]

    @protect
    async def coroutine(patients: list[float], *, top: int = 1) -> Scores:
        return Scores()

    @protect
    def generator(patients: list[float]) -> Iterator[Scores]:
        yield Scores()

    assert_type(generator([1.0]), Iterator[Scores])
    generator()  # type: ignore[call-arg]

    @protect
    async def async_generator(patients: list[float]) -> AsyncIterator[Scores]:
        yield Scores()

    assert_type(async_generator([1.0]), AsyncIterator[Scores])
    async_generator(1)  # type: ignore[arg-type]

    async def awaiting() -> None:
        assert_type(await coroutine([1.0], top=2), Scores)
        await coroutine([1.0], top="x")  # type: ignore[arg-type]
        (await coroutine([1.0])).missing()  # type: ignore[attr-defined]
        async for item in async_generator([1.0]):
            assert_type(item, Scores)
        async with guard.enforce(action="predict", resource="x") as call:
            call.release(1)

    _: Callable[[], Coroutine[Any, Any, None]] = awaiting
    assert_type(guard.decide(principal=principal, action="a", resource="b"), Decision)
    with guard.acting_as(principal) as acting:
        assert_type(acting, Principal)
    guard.acting_as("clara")  # type: ignore[arg-type]
    guard.protect("predict", 'Model::"tumour"')  # type: ignore[call-arg]
    guard.protect(action="predict")  # type: ignore[call-arg]
    guard.protect(action="predict", resource=lambda patients: "x")  # type: ignore[arg-type, return-value]
    guard.protect(action="predict", resource=lambda patients: Resource("Model", "x"))
    guard.protect(action="predict", resource=Entity("Model", "x"), principal=principal)
    guard.protect(action="predict", resource="x", principal="clara")  # type: ignore[arg-type]
    Principal("User", "clara", (Entity("Role", "x"),))  # type: ignore[call-arg]


def methods(guard: Guard) -> None:
    protect = guard.protect(action="predict", resource='Model::"tumour"', input="patients")

    class Model:
        @protect
        def method(self, patients: list[float], *, top: int = 1) -> Scores:
            return Scores()

        @protect
        async def amethod(self, patients: list[float]) -> Scores:
            return Scores()

        @protect
        def stream(self, patients: list[float]) -> Iterator[Scores]:
            yield Scores()

        @protect
        @staticmethod
        def static(patients: list[float], top: int) -> Scores:
            return Scores()

        @staticmethod
        @protect
        def inner_static(patients: list[float]) -> Scores:
            return Scores()

        @protect
        @classmethod
        def klass(cls, patients: list[float], *, top: int = 1) -> Scores:
            return Scores()

        @classmethod
        @protect
        def inner_klass(cls, patients: list[float]) -> Scores:
            return Scores()

        def __call__(self, patients: list[float], scale: float = 1.0) -> Scores:
            return Scores()

    model = Model()
    assert_type(model.method([1.0], top=2), Scores)
    model.method("x")  # type: ignore[arg-type]
    model.method([1.0], top="x")  # type: ignore[arg-type]
    model.method()  # type: ignore[call-arg]

    async def awaiting() -> None:
        assert_type(await model.amethod([1.0]), Scores)
        await model.amethod(1)  # type: ignore[arg-type]

    _: Callable[[], Coroutine[Any, Any, None]] = awaiting
    assert_type(model.stream([1.0]), Iterator[Scores])
    assert_type(model.static([1.0], 1), Scores)
    assert_type(Model.static([1.0], top=1), Scores)
    model.static([1.0])  # type: ignore[call-arg]
    assert_type(Model.inner_static([1.0]), Scores)
    assert_type(Model.klass([1.0], top=1), Scores)
    assert_type(model.klass([1.0]), Scores)
    Model.klass([1.0], top="x")  # type: ignore[arg-type]
    assert_type(Model.inner_klass([1.0]), Scores)
    called = protect(model)
    assert_type(called([1.0], 2.0), Scores)
    called([1.0], "x")  # type: ignore[arg-type]
    bound = protect(model.method)
    assert_type(bound([1.0]), Scores)
    bound(1)  # type: ignore[arg-type]
