"""The wrapper that `Guard.protect` puts around a function, generated once at decoration.

The wrapper has exactly the signature of the function, so that a call with wrong arguments raises
`TypeError` before any work of the guard, and the interpreter binds the arguments of other calls
(0.1 µs; ``Signature.bind`` costs 2.5). Name, docs, annotations and globals are the function's, so
that type hints resolve. ``__wrapped__`` is not set, because it would bypass the guard. A function
that can't be wrapped is an error at decoration. The wrapper of a coroutine function or a generator
function is a plain function that `inspect` reports as the original kind.
"""

from __future__ import annotations

import builtins
import functools
import inspect
from collections.abc import Callable
from contextlib import suppress
from types import FunctionType, MethodType
from typing import Any, Final, NamedTuple, ParamSpec, Protocol, TypeVar, overload

from guardrail._ports import Target
from guardrail.errors import ConfigurationError
from guardrail.runtime.call import Call
from guardrail.runtime.drivers import (
    finish_admission,
    run_async_generator,
    run_coroutine,
    run_generator,
    wait_for_record,
)
from guardrail.runtime.flow import advance, enter, interrupt, leave, release
from guardrail.values import Auto

_PREFIX: Final = "_guardrail_"
_TARGET: Final = f"{_PREFIX}target"
_FUNCTION: Final = f"{_PREFIX}function"

P = ParamSpec("P")
R = TypeVar("R")

_VALUE_BODY: Final = """
        {p}call = {p}Call({p}target, {input}, {arguments})
        {p}wait = {p}advance({p}call)
        if {p}wait is not None:
            {p}finish_admission({p}call, {p}wait)
        {p}enter({p}call)
        try:
            {p}output = {p}function({forward})
        except {p}BaseException as {p}error:
            {p}leave({p}call)
            {p}interrupt({p}call, {p}error)
            raise
        {p}leave({p}call)
        try:
            {p}output = {p}release({p}call, {p}output)
            if {p}call.waiting is not None:
                {p}wait_for_record({p}call)
        except {p}BaseException as {p}error:
            {p}output = None
            {p}interrupt({p}call, {p}error)
            raise
        return {p}output
"""
_DEFERRED_BODY: Final = """
        return {p}run({p}target, {input}, {arguments}, lambda: {p}function({forward}))
"""


class ProtectDecorator(Protocol):
    """The decorator that `Guard.protect` returns: it keeps the signature and the types."""

    @overload
    def __call__(self, function: staticmethod[P, R]) -> staticmethod[P, R]: ...
    @overload
    def __call__(self, function: classmethod[Any, P, R]) -> classmethod[Any, P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R]) -> Callable[P, R]: ...


def guarded_parameter(function: Callable[..., Any], wanted: str | Auto | None) -> str:
    """Return the name of the guarded parameter; ``""`` for none.

    Raises `ConfigurationError` if the function has several parameters, or none of this name.
    """
    names = [
        name
        for index, name in enumerate(_signature(function).parameters)
        if not (index == 0 and name in ("self", "cls"))
    ]
    if wanted is None or (isinstance(wanted, Auto) and not names):
        return ""
    if isinstance(wanted, Auto):
        if len(names) > 1:
            raise ConfigurationError(
                f"{_name(function)} has several parameters, and input= names none. Name the "
                f"guarded one, of {', '.join(names)}; or pass input=None."
            )
        return names[0]
    if wanted not in names:
        raise ConfigurationError(
            f"{_name(function)} has no parameter of the name in input=. Name one of its "
            f"parameters: {', '.join(names) or 'it has none'}."
        )
    return wanted


def check_takes_arguments(
    name: str, value: Callable[..., Any], function: Callable[..., Any]
) -> None:
    """Raise `ConfigurationError` if a callable can't take the arguments of the function.

    The wrapper passes every argument in its place, and those of keyword-only parameters by name.
    A function with ``*args`` or ``**kwargs`` is not checked: what it passes differs by call.
    """
    positional: list[None] = []
    named: dict[str, None] = {}
    for each, parameter in _signature(function).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            return
        if parameter.kind is parameter.KEYWORD_ONLY:
            named[each] = None
        else:
            positional.append(None)
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):  # a C function without a signature
        return
    try:
        signature.bind(*positional, **named)
    except TypeError:
        names = ", ".join(_signature(function).parameters)
        arguments = f"them: {names}" if names else "none"
        raise ConfigurationError(
            f"{name}= is called with the arguments of {_name(function)}, and can't take "
            f"{arguments}. Give it the same parameters."
        ) from None


def wrap(function: Any, make_target: Callable[[Callable[..., Any], bool], Target]) -> Any:
    """Return the protected function.

    Arguments:
        function: a function, method, coroutine function, generator function, async
            generator function, `functools.partial`, an object with ``__call__``, or a
            ``staticmethod`` or ``classmethod`` around one.
        make_target: makes the flow's target from the function and whether it streams.
    """
    if isinstance(function, staticmethod | classmethod):
        return type(function)(wrap(function.__func__, make_target))
    if inspect.isclass(function) or not callable(function):
        raise ConfigurationError(
            f"protect wraps functions and callables, and {_name(function)} is neither. Protect "
            "the method that predicts."
        )
    target = make_target(function, _driver(_plain(function)).streams)
    return _generate(_without(function, target), target)


def _without(function: Any, target: Target) -> Any:
    """Return a function without the layer that the same guard has put around it for this action.

    When a notebook cell is run again or a module is reloaded, the new layer replaces the old one.
    Otherwise each call would be decided, counted and recorded twice. Other layers stay.
    """
    if isinstance(function, functools.partial):
        bare = _without(function.func, target)
        if bare is function.func:
            return function
        return functools.partial(bare, *function.args, **function.keywords)
    if inspect.ismethod(function):
        bare = _without(function.__func__, target)
        return function if bare is function.__func__ else MethodType(bare, function.__self__)
    if not inspect.isfunction(function):
        call: Any = getattr(type(function), "__call__", None)  # noqa: B004
        bare = _without(call, target) if inspect.isfunction(call) else call
        return function if bare is call else MethodType(bare, function)
    layer = _layer(function)
    if layer is None:
        return function
    inner, below = layer
    bare = _without(below, target)
    if inner.serving is target.serving and inner.action == target.action:
        return bare
    return function if bare is below else _generate(bare, inner)


def _layer(function: FunctionType) -> tuple[Target, Any] | None:
    """Return the target of a wrapper of ours and the function below it."""
    names = function.__code__.co_freevars
    if _TARGET not in names or function.__closure__ is None:
        return None
    cells = dict(zip(names, function.__closure__, strict=True))
    target = cells[_TARGET].cell_contents
    return (target, cells[_FUNCTION].cell_contents) if isinstance(target, Target) else None


def _plain(function: Any) -> Any:
    """Return the function that will run, below partials, bound methods and ``__call__``."""
    while True:
        if isinstance(function, functools.partial):
            function = function.func
        elif inspect.ismethod(function):
            function = function.__func__
        elif inspect.isfunction(function):
            return function
        elif inspect.isfunction(getattr(type(function), "__call__", None)):  # noqa: B004
            return type(function).__call__
        else:
            return function


class _Driver(NamedTuple):
    """How a function runs that returns a coroutine or a generator.

    Attributes:
        run: the driver; ``None`` for any other function.
        flag: the code flag by which `inspect` and frameworks recognize the kind of function.
        streams: whether its items leave one by one.
    """

    run: Any
    flag: int
    streams: bool


def _driver(plain: Any) -> _Driver:
    """Return the driver for what a function returns."""
    if inspect.isasyncgenfunction(plain):
        return _Driver(run_async_generator, inspect.CO_ASYNC_GENERATOR, streams=True)
    if inspect.iscoroutinefunction(plain):
        return _Driver(run_coroutine, inspect.CO_COROUTINE, streams=False)
    if inspect.isgeneratorfunction(plain):
        return _Driver(run_generator, inspect.CO_GENERATOR, streams=True)
    return _Driver(None, 0, streams=False)


def _signature(function: Any) -> inspect.Signature:
    with suppress(TypeError, ValueError):
        return inspect.signature(function)
    raise ConfigurationError(
        f"Python can't read the signature of {_name(function)}. Wrap it in a function of your "
        "own, or use guard.enforce."
    )


def _generate(function: Any, target: Target) -> FunctionType:
    """Return the wrapper: a function whose body runs the steps of a call.

    The wrapper of a coroutine or generator function decides at the call, and returns the coroutine
    or generator. It is a plain function with the code flag of the original kind: `inspect` and
    frameworks read the flag, and the interpreter does not (since 3.11 an instruction makes the
    coroutine). An ``async def`` would decide only when awaited, perhaps under another identity.
    """
    plain = _plain(function)
    run, flag, _ = _driver(plain)
    signature = _signature(function)
    names = {
        "Call": Call, "advance": advance, "finish_admission": finish_admission, "enter": enter,
        "leave": leave, "release": release, "wait_for_record": wait_for_record,
        "interrupt": interrupt, "run": run, "function": function, "target": target,
        "BaseException": BaseException,
    }  # fmt: skip
    body = _VALUE_BODY if run is None else _DEFERRED_BODY
    source = (
        f"def make({', '.join(_PREFIX + name for name in names)}):\n"
        f"    def wrapper({_parameters(signature)}):"
        + body.format(
            p=_PREFIX,
            input=target.input_name or "None",
            arguments=_arguments(signature) if target.asks_arguments else "None",
            forward=_forward(signature),
        )
        + "    return wrapper\n"
    )
    scope: dict[str, Any] = {}
    label = f"<guardrail: {target.function}>"
    exec(compile(source, label, "exec"), scope)  # noqa: S102 - names are Python's own identifiers
    inner: FunctionType = scope["make"](*names.values())
    home = inspect.unwrap(plain)
    name = getattr(function, "__name__", getattr(plain, "__name__", "protected"))
    qualname = getattr(function, "__qualname__", getattr(plain, "__qualname__", name))
    wrapper = FunctionType(
        inner.__code__.replace(
            co_name=name, co_qualname=qualname, co_flags=inner.__code__.co_flags | flag
        ),
        # A C function has no globals; code that it calls may need the builtins of its caller.
        getattr(home, "__globals__", None) or {"__builtins__": builtins},
        name,
        _defaults(signature),
        inner.__closure__,
    )
    wrapper.__kwdefaults__ = {
        name: parameter.default
        for name, parameter in signature.parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY and parameter.default is not parameter.empty
    } or None
    wrapper.__qualname__ = qualname
    wrapper.__module__ = getattr(function, "__module__", None) or plain.__module__
    wrapper.__doc__ = getattr(function, "__doc__", None)
    wrapper.__annotations__ = dict(getattr(plain, "__annotations__", {}))
    own = vars(function) if inspect.isfunction(function) else {}
    wrapper.__dict__.update((key, value) for key, value in own.items() if key != "__wrapped__")
    return wrapper


def _parameters(signature: inspect.Signature) -> str:
    """Return the parameter list as source; the defaults are set on the function later."""
    parts: list[str] = []
    kinds = [parameter.kind for parameter in signature.parameters.values()]
    star = False
    for index, (name, parameter) in enumerate(signature.parameters.items()):
        if name.startswith(_PREFIX):
            raise ConfigurationError(
                f"A parameter has a name that starts with {_PREFIX}, which is reserved. Rename it."
            )
        default = "" if parameter.default is parameter.empty else "=None"
        if parameter.kind is parameter.VAR_POSITIONAL:
            parts.append(f"*{name}")
            star = True
        elif parameter.kind is parameter.VAR_KEYWORD:
            parts.append(f"**{name}")
        else:
            if parameter.kind is parameter.KEYWORD_ONLY and not star:
                parts.append("*")
                star = True
            parts.append(name + default)
            is_last = index + 1 == len(kinds) or kinds[index + 1] is not parameter.POSITIONAL_ONLY
            if parameter.kind is parameter.POSITIONAL_ONLY and is_last:
                parts.append("/")
    return ", ".join(parts)


def _forward(signature: inspect.Signature) -> str:
    """Return the arguments with which the wrapper calls the function, as source."""
    parts = []
    for name, parameter in signature.parameters.items():
        if parameter.kind is parameter.VAR_POSITIONAL:
            parts.append(f"*{name}")
        elif parameter.kind is parameter.VAR_KEYWORD:
            parts.append(f"**{name}")
        elif parameter.kind is parameter.KEYWORD_ONLY:
            parts.append(f"{name}={name}")
        else:
            parts.append(name)
    return ", ".join(parts)


def _arguments(signature: inspect.Signature) -> str:
    """Return the arguments as a pair (positional, named), for callables that take them."""
    positional, named = [], []
    for name, parameter in signature.parameters.items():
        if parameter.kind is parameter.VAR_POSITIONAL:
            positional.append(f"*{name}")
        elif parameter.kind is parameter.VAR_KEYWORD:
            named.append(f"**{name}")
        elif parameter.kind is parameter.KEYWORD_ONLY:
            named.append(f"{name!r}: {name}")
        else:
            positional.append(name)
    return f"(({''.join(f'{part}, ' for part in positional)}), {{{', '.join(named)}}})"


def _defaults(signature: inspect.Signature) -> tuple[Any, ...] | None:
    defaults = tuple(
        parameter.default
        for parameter in signature.parameters.values()
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        and parameter.default is not parameter.empty
    )
    return defaults or None


def _name(function: Any) -> str:
    return str(getattr(function, "__qualname__", type(function).__qualname__))
