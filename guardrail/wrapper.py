"""The wrapper that `Guard.protect` puts around a function, generated once at decoration.

Owns signatures: the wrapper has exactly the function's own, so that a wrong call raises
`TypeError` before any guard work, and a right one binds at the interpreter's speed (0.1 µs
where ``Signature.bind`` costs 2.5). Name, docs, annotations and globals are the function's,
so that type hints resolve; ``__wrapped__`` is not set: it would be a way round the guard.
Refuses at decoration what it can't wrap.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from contextlib import suppress
from types import CodeType, FunctionType, MethodType
from typing import Any, Final, ParamSpec, Protocol, TypeVar, overload

from guardrail.call import Call
from guardrail.drivers import (
    let_out,
    run_async_generator,
    run_coroutine,
    run_generator,
    sit_out,
)
from guardrail.errors import ConfigurationError
from guardrail.flow import advance, enter, interrupt, leave, release
from guardrail.ports import Target
from guardrail.values import Auto

_PREFIX: Final = "_guardrail_"

P = ParamSpec("P")
R = TypeVar("R")

_VALUE_BODY: Final = """
        {p}call = {p}Call({p}target, {input}, {arguments})
        {p}wait = {p}advance({p}call)
        if {p}wait is not None:
            {p}sit_out({p}call, {p}wait)
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
                {p}let_out({p}call)
        except {p}BaseException:
            {p}output = None
            raise
        return {p}output
"""
_DEFERRED_BODY: Final = """
        return {p}run({p}target, {input}, {arguments}, lambda: {p}function({forward}))
"""


class Protect(Protocol):
    """The decorator that `Guard.protect` returns: it keeps the signature and the types."""

    @overload
    def __call__(self, function: staticmethod[P, R]) -> staticmethod[P, R]: ...
    @overload
    def __call__(self, function: classmethod[Any, P, R]) -> classmethod[Any, P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R]) -> Callable[P, R]: ...


class Deferred:
    """A protected coroutine or generator function: decides at the call, runs later.

    A plain function could not be told from a synchronous one by frameworks, and an
    ``async def`` would decide only when awaited, perhaps under another identity. So this
    is a callable with all attributes of a function, which `inspect` takes for one by its
    documented duck typing (as it does for functions compiled by Cython).
    """

    def __init__(self, start: FunctionType, code: CodeType) -> None:
        self._start = start
        self.__code__ = code
        self.__globals__ = start.__globals__
        self.__defaults__ = start.__defaults__
        self.__kwdefaults__ = start.__kwdefaults__
        self.__annotations__ = start.__annotations__
        self.__name__ = start.__name__
        self.__qualname__ = start.__qualname__
        self.__module__ = start.__module__
        self.__doc__ = start.__doc__
        signature = inspect.signature(start)
        if inspect.signature(self) != signature:  # a partial's, a bound method's
            self.__signature__ = signature
        self.__dict__.update(
            (name, value) for name, value in vars(start).items() if name not in self.__dict__
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Decide, and return the coroutine or generator."""
        return self._start(*args, **kwargs)

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        return self if instance is None else MethodType(self, instance)

    def __repr__(self) -> str:
        return f"<protected function {self.__qualname__}>"

    def __reduce__(self) -> str:
        return self.__qualname__  # found by its name again, as functions are


def guarded_parameter(function: Callable[..., Any], wanted: str | Auto | None) -> str:
    """Return the name of the guarded parameter, ``""`` for none; refuse what is unclear."""
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
                f"{_name(function)} has several parameters: name the guarded one with "
                f"input=..., one of {', '.join(names)}; or say input=None."
            )
        return names[0]
    if wanted not in names:
        raise ConfigurationError(
            f"{_name(function)} has no parameter of the name that input= gives; it has "
            f"{', '.join(names) or 'none'}."
        )
    return wanted


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
            f"protect works on functions and callables, not on {_name(function)}. "
            "Protect the method that predicts."
        )
    plain = _plain(function)
    run, streams = _driver(plain)
    target = make_target(function, streams)
    start = _generate(function, plain, target, run)
    code = getattr(plain, "__code__", None)
    if run is None or not isinstance(code, CodeType):
        return start
    return Deferred(start, code)


def _plain(function: Any) -> Any:
    """Return the function that will run, below partials, bound methods and ``__call__``."""
    while True:
        if isinstance(function, functools.partial):
            function = function.func
        elif inspect.ismethod(function):
            function = function.__func__
        elif inspect.isfunction(function) or isinstance(function, Deferred):
            return function
        elif inspect.isfunction(getattr(type(function), "__call__", None)):  # noqa: B004
            return type(function).__call__
        else:
            return function


def _driver(plain: Any) -> tuple[Any, bool]:
    """Return the driver for what a function returns, and whether its items stream."""
    if inspect.isasyncgenfunction(plain):
        return run_async_generator, True
    if inspect.iscoroutinefunction(plain):
        return run_coroutine, False
    if inspect.isgeneratorfunction(plain):
        return run_generator, True
    return None, False


def _signature(function: Any) -> inspect.Signature:
    with suppress(TypeError, ValueError):
        return inspect.signature(function)
    raise ConfigurationError(
        f"{_name(function)} has no signature that Python knows. Wrap it in a def of your own, "
        "or use guard.enforce."
    )


def _generate(function: Any, plain: Any, target: Target, run: Any) -> FunctionType:
    signature = _signature(function)
    names = {
        "Call": Call, "advance": advance, "sit_out": sit_out, "enter": enter, "leave": leave,
        "release": release, "let_out": let_out, "interrupt": interrupt, "run": run,
        "function": function, "target": target, "BaseException": BaseException,
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
    made: FunctionType = scope["make"](*names.values())
    home = inspect.unwrap(plain)
    name = getattr(function, "__name__", getattr(plain, "__name__", "protected"))
    qualname = getattr(function, "__qualname__", getattr(plain, "__qualname__", name))
    wrapper = FunctionType(
        made.__code__.replace(co_name=name, co_qualname=qualname),
        getattr(home, "__globals__", {}),
        name,
        _defaults(signature),
        made.__closure__,
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
    """Return the parameter list as source; defaults are put on the function itself later."""
    parts: list[str] = []
    kinds = [parameter.kind for parameter in signature.parameters.values()]
    star = False
    for index, (name, parameter) in enumerate(signature.parameters.items()):
        if name.startswith(_PREFIX):
            raise ConfigurationError(f"A parameter may not begin with {_PREFIX}. Rename it.")
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
    """Return the arguments of the call of the function itself, as source."""
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
    """Return the arguments as a pair (positional, named), for callables that ask for them."""
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
    found = tuple(
        parameter.default
        for parameter in signature.parameters.values()
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        and parameter.default is not parameter.empty
    )
    return found or None


def _name(function: Any) -> str:
    return str(getattr(function, "__qualname__", type(function).__qualname__))
