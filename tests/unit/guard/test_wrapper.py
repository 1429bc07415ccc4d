"""The wrapper looks like the function that it wraps, and gives no way around the guard."""

from __future__ import annotations

import abc
import asyncio
import builtins
import copy
import functools
import inspect
import pickle
import sys
import threading
import types
import typing

import numpy as np
import pytest
from bundles import GRANT, principal

from guardrail import ConfigurationError, InputRejected, NotAuthenticated, NotAuthorized, Resource

ROWS = np.ones((2, 3))
ON = {"action": "predict", "resource": 'Model::"tumour"'}


class Scores:
    """A type that only this module knows."""


@pytest.fixture
def guard(make_guard):
    return make_guard(
        GRANT
        + '@id("in") @input("patients") forbid (principal, action == Action::"predict", resource);'
    )


@pytest.fixture
def acting(guard):
    with guard.acting_as(principal()):
        yield


def everything(a, b=2, /, c=3, *rest, d, e=5, **more) -> dict:
    """The docstring."""
    return {"a": a, "b": b, "c": c, "rest": rest, "d": d, "e": e, "more": more}


async def coroutine(rows: Scores, *, top: int = 3) -> Scores:
    """A coroutine."""
    return rows


def generator(rows: Scores) -> typing.Iterator[int]:
    yield 1


async def async_generator(rows: Scores) -> typing.AsyncIterator[int]:
    yield 1


@pytest.mark.parametrize("function", [everything, coroutine, generator, async_generator])
def test_signature_name_docs_and_hints_are_the_functions_own(guard, function):
    wrapper = guard.protect(**ON, input=None)(function)
    assert inspect.signature(wrapper) == inspect.signature(function)
    for name in ("__name__", "__qualname__", "__module__", "__doc__", "__annotations__"):
        assert getattr(wrapper, name) == getattr(function, name)
    assert typing.get_type_hints(wrapper) == typing.get_type_hints(function)
    assert inspect.iscoroutinefunction(wrapper) is inspect.iscoroutinefunction(function)
    assert asyncio.iscoroutinefunction(wrapper) is asyncio.iscoroutinefunction(function)
    assert inspect.isgeneratorfunction(wrapper) is inspect.isgeneratorfunction(function)
    assert inspect.isasyncgenfunction(wrapper) is inspect.isasyncgenfunction(function)
    assert not hasattr(wrapper, "__wrapped__")
    assert inspect.unwrap(wrapper) is wrapper


def test_every_kind_of_parameter_arrives_as_it_was_passed(guard, acting):
    wrapper = guard.protect(**ON, input="d")(everything)
    calls = [
        ((1,), {"d": ROWS}),
        ((1, 9, 8, 7, 6), {"d": ROWS, "e": 0, "f": 1, "b": 4}),
        ((1,), {"c": 0, "d": ROWS, "a": 3}),
    ]
    for positional, named in calls:
        assert wrapper(*positional, **named) == everything(*positional, **named)


@pytest.mark.parametrize(
    ("positional", "named"),
    [((), {}), ((1,), {}), ((1, 2, 3), {"c": 1, "d": 1}), ((), {"a": 1, "d": 1})],
)
def test_a_wrong_call_raises_type_error_before_any_guard_work(guard, recorder, positional, named):
    wrapper = guard.protect(**ON, input=None)(everything)
    with pytest.raises(TypeError):
        wrapper(*positional, **named)
    assert recorder.records == []


def test_mutable_defaults_are_shared_as_python_does(guard, acting):
    @guard.protect(**ON, input="rows")
    def append(rows, to=[]):  # noqa: B006
        to.append(1)
        return to

    assert append(ROWS) is append(ROWS)
    assert append(ROWS) == [1, 1, 1]


def test_parameters_may_have_any_name(guard, acting):
    @guard.protect(**ON, input="call")
    def predict(call, function, begin, target, BaseException=None):
        return (function, begin, target, BaseException)

    assert predict(ROWS, 1, 2, 3, 4) == (1, 2, 3, 4)


def test_the_model_gets_the_very_object_that_was_checked(guard, acting):
    seen = []
    guard.protect(**ON)(seen.append)(ROWS)
    assert seen[0] is ROWS


class Model:
    def __init__(self):
        self.calls = []

    def predict(self, patients):
        self.calls.append(patients)
        return "method"

    async def apredict(self, patients):
        return "coroutine"

    def __call__(self, patients):
        return "called"


class AsyncCallable:
    async def __call__(self, patients):
        return "awaited"


def test_methods_bound_methods_and_statics(guard, acting):
    class Guarded(Model):
        predict = guard.protect(**ON)(Model.predict)
        apredict = guard.protect(**ON)(Model.apredict)

        @guard.protect(**ON)
        @staticmethod
        def static(patients):
            return "static"

        @guard.protect(**ON)
        @classmethod
        def klass(cls, patients):
            return cls.__name__

        @staticmethod
        @guard.protect(**ON)
        def inner_static(patients):
            return "static"

    model = Guarded()
    assert model.predict(ROWS) == "method"
    assert model.calls[0] is ROWS
    assert asyncio.run(model.apredict(ROWS)) == "coroutine"
    assert inspect.iscoroutinefunction(model.apredict)
    assert Guarded.static(ROWS) == model.static(ROWS) == "static"
    assert Guarded.klass(ROWS) == "Guarded"
    assert Guarded.inner_static(ROWS) == "static"
    assert guard.protect(**ON)(model.predict)(ROWS) == "method"


def test_objects_with_call_partials_and_wrapped_functions(guard, acting):
    assert guard.protect(**ON)(Model())(ROWS) == "called"
    protected = guard.protect(**ON)(AsyncCallable())
    assert inspect.iscoroutinefunction(protected)
    assert asyncio.run(protected(ROWS)) == "awaited"

    def two(patients, scale):
        return scale

    assert guard.protect(**ON, input="patients")(functools.partial(two, scale=3))(ROWS) == 3
    partial = guard.protect(**ON, input="rows")(functools.partial(coroutine, top=1))
    assert asyncio.run(partial(ROWS)) is ROWS

    @functools.wraps(two)
    def decorated(*args, **kwargs):
        return two(*args, **kwargs) + 1

    wrapper = guard.protect(**ON, input="patients")(decorated)
    assert wrapper(ROWS, scale=1) == 2
    assert str(inspect.signature(wrapper)) == "(patients, scale)"
    assert not hasattr(wrapper, "__wrapped__")


def test_the_output_of_an_async_callable_is_filtered(make_guard):
    guard = make_guard(GRANT + '@id("r") @round("1") forbid (principal, action, resource);')

    class Scorer:
        async def __call__(self, patients):
            return 0.125

    with guard.acting_as(principal()):
        assert asyncio.run(guard.protect(**ON)(Scorer())(ROWS)) == 0.1


def test_a_protected_call_method_of_a_class(guard, acting):
    class Scorer:
        @guard.protect(**ON)
        async def __call__(self, patients):
            return "awaited"

    assert asyncio.run(Scorer()(ROWS)) == "awaited"


def test_a_protected_coroutine_function_is_pickled_and_copied_by_name(guard, monkeypatch):
    wrapper = guard.protect(**ON, input="rows")(coroutine)
    monkeypatch.setitem(globals(), "coroutine", wrapper)
    monkeypatch.setitem(sys.modules, __name__, types.SimpleNamespace(coroutine=wrapper))
    assert pickle.loads(pickle.dumps(wrapper)) is wrapper  # noqa: S301
    assert copy.copy(wrapper) is wrapper


def test_an_abstract_method_stays_abstract(guard):
    class Base(abc.ABC):
        @guard.protect(**ON)
        @abc.abstractmethod
        def predict(self, patients): ...

    with pytest.raises(TypeError):
        Base()


@pytest.mark.parametrize("thing", [Model, 3, "x", None, dict])
def test_what_cannot_be_wrapped_is_refused_at_decoration(guard, thing):
    with pytest.raises(ConfigurationError):
        guard.protect(**ON)(thing)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"action": "prdict"}, "does not declare"),
        ({"resource": "tumour"}, "uid"),
        ({"resource": 'Model::"a", action, resource);'}, "uid"),
        ({"input": "patient"}, "no parameter"),
    ],
)
def test_a_wrong_option_is_refused_at_decoration(guard, options, says):
    with pytest.raises(ConfigurationError, match=says):
        guard.protect(**{**ON, **options})(lambda patients: 1)


def test_several_parameters_need_a_name_for_the_guarded_one(guard, acting):
    def two(patients, other):
        return 1

    with pytest.raises(ConfigurationError, match="several parameters"):
        guard.protect(**ON)(two)
    assert guard.protect(**ON, input="other")(two)(None, ROWS) == 1


def test_a_function_without_input_does_not_meet_an_input_condition(guard, acting):
    with pytest.raises(InputRejected):
        guard.protect(**ON)(lambda: 1)()


def test_an_internal_prefix_is_refused(guard):
    namespace = {}
    exec("def f(_guardrail_call): ...", namespace)  # noqa: S102
    with pytest.raises(ConfigurationError):
        guard.protect(**ON)(namespace["f"])


def test_resource_principal_and_facts_from_the_arguments(make_guard, recorder):
    guard = make_guard(
        '@id("g") permit (principal in Role::"auditor", action == Action::"predict", resource) '
        'when { context.app has purpose && context.app.purpose == "care" };'
    )

    @guard.protect(
        action="predict",
        resource=lambda model, patients, *, role, why: Resource("Model", model),
        principal=lambda model, patients, *, role, why: principal(role),
        facts=lambda model, patients, *, role, why: {"purpose": why},
        input="patients",
    )
    def predict(model, patients, *, role, why="care"):
        return model

    assert predict("tumour", ROWS, role="auditor") == "tumour"
    for changed in ({"role": "analyst"}, {"role": "auditor", "why": "sale"}):
        with pytest.raises(NotAuthorized):
            predict("tumour", ROWS, **changed)
    with pytest.raises(NotAuthorized) as caught:
        predict("none", ROWS, role="auditor")
    assert caught.value.code == "unknown_entity"
    assert len(recorder.records) == 4


def test_one_shot_wrapper_attributes_are_copied(guard):
    def predict(patients): ...

    predict.tag = "x"
    assert guard.protect(**ON)(predict).tag == "x"


# The wrapper of a coroutine or generator function is a function.


@pytest.mark.parametrize("function", [coroutine, generator, async_generator])
def test_every_wrapper_is_a_function(guard, function):
    wrapper = guard.protect(**ON, input="rows")(function)
    assert type(wrapper) is types.FunctionType
    assert inspect.isfunction(wrapper)
    assert inspect.isroutine(wrapper)
    kinds = inspect.CO_COROUTINE | inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR
    assert wrapper.__code__.co_flags & kinds == function.__code__.co_flags & kinds
    assert wrapper.__code__.co_varnames[:1] == ("rows",)
    method = types.MethodType(wrapper, object())
    assert inspect.iscoroutinefunction(method) is inspect.iscoroutinefunction(function)
    assert inspect.isgeneratorfunction(
        functools.partial(wrapper, 1)
    ) is inspect.isgeneratorfunction(function)


# Decorated twice: a notebook's cell that is run again.


def again(protect, function, times=3):
    for _ in range(times):
        function = protect(function)
    return function


@pytest.fixture
def counting(make_guard):
    return make_guard(
        GRANT
        + '@id("q") @quota("3 calls/hour per principal") forbid (principal, action, resource);'
    )


def runs(made):
    if inspect.iscoroutine(made):
        asyncio.run(_result(made))
    elif inspect.isgenerator(made):
        list(made)
    elif inspect.isasyncgen(made):
        asyncio.run(_items(made))


async def _result(made):
    await made


async def _items(made):
    async for _ in made:
        pass


class Twice:
    def method(self, rows):
        return self

    def __call__(self, rows):
        return self


@pytest.mark.parametrize(
    "make",
    [
        lambda protect: again(protect, lambda rows: rows),
        lambda protect: again(protect, coroutine),
        lambda protect: again(protect, generator),
        lambda protect: again(protect, async_generator),
        lambda protect: protect(functools.partial(protect(coroutine), top=1)),
        lambda protect: again(protect, staticmethod(generator)).__func__,
        lambda protect: protect(type("A", (Twice,), {"method": protect(Twice.method)})().method),
        lambda protect: protect(type("A", (Twice,), {"__call__": protect(Twice.__call__)})()),
    ],
)
def test_the_same_guard_and_action_hold_once(counting, recorder, make):
    function = make(counting.protect(**ON, input="rows"))
    with counting.acting_as(principal()):
        for _ in range(3):
            runs(function(ROWS))
    assert [record.outcome for record in recorder.records] == ["released"] * 3


def test_the_newest_options_hold(make_guard):
    guard = make_guard()
    old = guard.protect(**ON, principal=principal(name="old"))(lambda rows: 1)
    new = guard.protect(action="predict", resource='Model::"none"', principal=principal())(old)
    with pytest.raises(NotAuthorized) as caught:
        new(ROWS)
    assert caught.value.code == "unknown_entity"
    assert old(ROWS) == 1


def test_another_action_and_another_guard_hold_both(make_guard, recorder):
    guard, other = make_guard(), make_guard()
    options = {"resource": 'Model::"tumour"', "input": "rows", "principal": principal()}

    def actions(function):
        recorder.records.clear()
        assert function(ROWS) == 1
        return [record.action for record in recorder.records]

    predict, explain = (guard.protect(action=name, **options) for name in ("predict", "explain"))
    both = explain(predict(lambda rows: 1))
    assert actions(both) == ["predict", "explain"]
    for _ in range(2):
        both = explain(predict(both))
    assert actions(both) == ["predict", "explain"]
    assert actions(other.protect(action="explain", **options)(both)) == [
        "predict", "explain", "explain",
    ]  # fmt: skip


def test_a_decorator_between_two_layers_stays(make_guard, recorder):
    guard = make_guard()
    protect = guard.protect(**ON, input="rows", principal=principal())
    inner = protect(lambda rows: len(recorder.records))

    @functools.wraps(inner)
    def twice(rows):
        inner(rows)
        return inner(rows)

    protect(twice)(ROWS)
    assert len(recorder.records) == 3


# Identity belongs to the call.


def test_a_generator_made_under_one_identity_keeps_it(make_guard, recorder):
    guard = make_guard('@id("a") permit (principal in Role::"auditor", action, resource);')

    @guard.protect(**ON)
    def stream(patients):
        yield 1
        yield 2

    with guard.acting_as(principal("auditor")):
        items = stream(ROWS)
    with guard.acting_as(principal("analyst")):
        assert list(items) == [1, 2]
        with pytest.raises(NotAuthorized):
            stream(ROWS)


def test_a_coroutine_made_under_one_identity_keeps_it(make_guard):
    guard = make_guard('@id("a") permit (principal in Role::"auditor", action, resource);')

    @guard.protect(**ON)
    async def predict(patients):
        return 1

    async def main():
        with guard.acting_as(principal("auditor")):
            allowed = predict(ROWS)
        with guard.acting_as(principal("analyst")):
            denied = predict(ROWS)
            assert await allowed == 1
        with guard.acting_as(principal("auditor")), pytest.raises(NotAuthorized):
            await denied

    asyncio.run(main())


def test_no_identity_leaks_between_tasks_and_threads(make_guard, recorder):
    guard = make_guard()
    predict = guard.protect(**ON)(lambda patients: 1)
    outcomes = []

    async def call_after(event):
        await event.wait()
        try:
            outcomes.append(predict(ROWS))
        except NotAuthenticated:
            outcomes.append("denied")

    async def main():
        event = asyncio.Event()
        with guard.acting_as(principal()):
            outlives = asyncio.ensure_future(call_after(event))
            thread = threading.Thread(target=lambda: asyncio.run(_now(call_after)))
            thread.start()
            thread.join()
        event.set()
        await outlives

    async def _now(call):
        event = asyncio.Event()
        event.set()
        await call(event)

    asyncio.run(main())
    assert outcomes == ["denied", "denied"]


def test_an_expired_token_denies_at_the_next_call(make_guard, clock):
    from guardrail.identity import ActingAs
    from guardrail.values import Identity

    guard = make_guard()
    predict = guard.protect(**ON)(lambda patients: 1)
    with ActingAs(Identity(principal(), expires_at=clock.now() + 10)):
        assert predict(ROWS) == 1
        clock.advance(10)
        with pytest.raises(NotAuthenticated) as caught:
            predict(ROWS)
    assert caught.value.code == "token_expired"


def test_no_context_variable_stays_set_between_items(make_guard, recorder):
    guard = make_guard()
    inner = guard.protect(**ON)(lambda patients: 1)

    @guard.protect(**ON)
    def stream(patients):
        inner(patients)
        yield 1
        inner(patients)
        yield 2

    with guard.acting_as(principal()):
        items = stream(ROWS)
        next(items)
        inner(ROWS)
        next(items)
        items.close()
    inside, outside, again, whole = recorder.records
    assert inside.parent_decision_id == again.parent_decision_id == whole.decision_id
    assert outside.parent_decision_id == ""


def test_a_function_of_c_has_builtins_around_it(make_guard):
    """What a guarded call imports on its way looks for them: a journal's first file does."""
    kept = []
    append = make_guard(GRANT).protect(action="predict", resource='Model::"tumour"')(kept.append)
    assert append.__globals__["__builtins__"] is builtins
