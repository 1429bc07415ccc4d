"""Loads the plug-ins that a bundle names, and calls plug-ins while a bundle loads.

A bundle can name only what an installed package declares as an entry point of our groups. So
whoever installs packages decides which code a bundle can load, and a bundle can't run other code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial, wraps
from importlib.metadata import EntryPoint, entry_points
from pathlib import PurePath
from typing import Any, NamedTuple, ParamSpec, TypeVar

from guardrail._faults import faults_of
from guardrail._nearest import did_you_mean
from guardrail._ports import ObligationType
from guardrail._type_names import a_type, class_name
from guardrail.errors import ConfigurationError, Fault, Place

P = ParamSpec("P")
T = TypeVar("T")


def at_load(
    call: Callable[[], T], what: str, *, place: Place | None = None, code: str = "GR003"
) -> T:
    """Return what a plug-in returns while a bundle loads.

    Arguments:
        call: calls the plug-in, or reads an attribute of it.
        what: what is called, for the message: "`parse` of the obligation stop".
        place: where the bundle uses the plug-in; ``None`` if it does not name it.
        code: the code of the fault.

    Raises `ConfigurationError` for every exception of the plug-in, also for `SystemExit`. The
    message has the exception's class and place, never its text. `KeyboardInterrupt` passes.
    """
    problem = ""
    faults: tuple[Fault, ...] = ()
    try:
        return call()
    except ConfigurationError as error:
        if place is None:
            raise
        faults = faults_of(error, place, code=code)
    except BaseException as error:
        if type(error) is KeyboardInterrupt:
            raise
        problem = f"{what} raised {class_of(error)}{raised_at(error)}. Correct the plug-in."
    if faults:
        raise ConfigurationError(faults=faults)
    if place is None:
        raise ConfigurationError(problem)
    raise ConfigurationError.at(place, code, problem)


def without_exits(load: Callable[P, T]) -> Callable[P, T]:
    """Return a function that loads a bundle, without a way for plug-ins to end the process.

    A plug-in can raise `SystemExit` anywhere: the command line would end, with the status that the
    plug-in chooses. The function raises `ConfigurationError` for it, and for every other exception
    that is no `Exception`, except for `KeyboardInterrupt`.
    """

    @wraps(load)
    def loaded(*args: P.args, **kwargs: P.kwargs) -> T:
        problem = ""
        try:
            return load(*args, **kwargs)
        except Exception:
            raise
        except BaseException as error:
            if type(error) is KeyboardInterrupt:
                raise
            problem = f"raised {class_of(error)}{raised_at(error)}"
        raise ConfigurationError(f"While the bundle was loading, a plug-in {problem}. Correct it.")

    return loaded


def class_of(error: BaseException) -> str:
    """Return the name of an exception's class, or "an object" if the name may be data."""
    return class_name(type(error))


def raised_at(error: BaseException) -> str:
    """Return the file and line in which an exception was raised: " at badge.py:12"."""
    place, at = "", error.__traceback__
    while at is not None:
        place = f" at {PurePath(at.tb_frame.f_code.co_filename).name}:{at.tb_lineno}"
        at = at.tb_next
    return place


def check_object(
    plugin: object, what: str, *, texts: tuple[str, ...] = (), methods: tuple[str, ...] = ()
) -> None:
    """Raise `ConfigurationError` if an object that the application passes is not a plug-in.

    Arguments:
        plugin: the object.
        what: what it should be, for the message: "identity provider".
        texts: its attributes that must be texts.
        methods: its attributes that must be callable.
    """
    if issubclass(type(plugin), type):
        raise ConfigurationError(f"The {what} is a class. Pass an object of the class.")
    for names, is_fit in ((texts, _is_text), (methods, callable)):
        for name in names:
            found = at_load(partial(getattr, plugin, name, None), f"`{name}` of the {what}")
            if not is_fit(found):
                problem = f"The {what} is {a_type(plugin)}, whose `{name}` is {a_type(found)}"
                kind = "a text" if is_fit is _is_text else "a method"
                raise ConfigurationError(f"{problem}. Expected {kind}.")


def _is_text(value: object) -> bool:
    return type(value) is str


def texts_of(plugin: object, name: str, what: str) -> frozenset[str]:
    """Return an attribute that must be a set of texts; empty if the plug-in does not have it."""
    found = at_load(partial(getattr, plugin, name, ()), f"`{name}` of {what}")
    is_fit = isinstance(found, frozenset | set | tuple | list)
    if not is_fit or not all(map(_is_text, found)):
        message = f"`{name}` of {what} must be a set of texts, and is {a_type(found)}. Correct it."
        raise ConfigurationError(message)
    return frozenset(found)


def check_obligation(kind: ObligationType) -> None:
    """Raise `ConfigurationError` if an obligation of the application lacks a part."""
    methods = ("parse", "reads", "merge", "describe", "admit", "release")
    check_object(kind, "obligation", texts=("name",), methods=methods)
    what = f"the obligation {kind.name}"
    stage: object = at_load(partial(getattr, kind, "stage", 0), f"`stage` of {what}")
    if not isinstance(stage, int):
        message = f"`stage` of {what} must be an int, and is {a_type(stage)}. Correct it."
        raise ConfigurationError(message)
    for name in ("subsumes", "keys"):
        texts_of(kind, name, what)
    if at_load(partial(getattr, kind, "outputs", None), f"`outputs` of {what}") is not None:
        texts_of(kind, "outputs", what)


class ObligationTimes(NamedTuple):
    """When an obligation is met: before the model, on the model's output, or both."""

    on_admit: bool
    on_release: bool


def obligation_times(kind: ObligationType) -> ObligationTimes:
    """Return when an obligation is met; read once, when the bundle loads.

    Raises `ConfigurationError` if a flag is not a bool, or neither is true: then the obligation
    would never be met, and its conditions would not hold.
    """
    what = f"the obligation {kind.name}"
    flags = []
    for name in ("on_admit", "on_release"):
        flag = at_load(partial(getattr, kind, name), f"`{name}` of {what}")
        if flag is not True and flag is not False:
            message = f"`{name}` of {what} must be a bool, and is {a_type(flag)}. Correct it."
            raise ConfigurationError(message)
        flags.append(flag)
    if not any(flags):
        message = (
            f"Neither `on_admit` nor `on_release` of {what} is true, so it would never be met. "
            "Set one of them."
        )
        raise ConfigurationError(message)
    return ObligationTimes(*flags)


def load_plugin(
    group: str,
    name: str,
    *,
    place: Place,
    key: str,
    texts: tuple[str, ...] = (),
    methods: tuple[str, ...] = (),
    find: Callable[[str], Iterable[EntryPoint]] | None = None,
) -> Any:
    """Return the object that an entry point names.

    Arguments:
        group: the group of entry points, such as ``guardrail.providers``.
        name: the name of the entry point.
        place: where the bundle names it, for errors.
        key: the key that names it, for errors, such as ``extensions.providers``.
        texts: the attributes of the object that must be texts.
        methods: its attributes that must be callable.
        find: returns the entry points of a group; those of the installed packages by default.

    Raises `ConfigurationError` (``GR003``) where no package or several packages have the entry
    point, where it does not import, and where its object lacks an attribute or is a class.
    """
    known = list(find(group) if find is not None else entry_points(group=group))
    # One package that is found twice on the path counts once.
    fitting = list({each.value: each for each in known if each.name == name}.values())
    problem, cause, plugin = "", None, None
    if not fitting:
        names = sorted({each.name for each in known})
        there = f"There are: {', '.join(names)}." if names else "No package has any."
        hint = did_you_mean(name, names, f"{there} Install the package, or correct the name.")
        problem = (
            f"names a plug-in that is not an entry point `{group}` of any installed package. {hint}"
        )
    elif len(fitting) > 1:
        problem = (
            f"names a plug-in that is an entry point `{group}` of two packages. Remove one package."
        )
    else:
        try:
            plugin = fitting[0].load()
        except BaseException as error:  # a module can raise anything when it is imported
            if type(error) is KeyboardInterrupt:
                raise
            cause = error
            problem = (
                f"names a plug-in that does not import ({class_of(error)}). Repair the "
                "package, or install what it needs."
            )
    if not problem:
        what = f"An attribute of the plug-in that `{key}` names"
        problem = at_load(lambda: _unfit(plugin, texts, methods), what, place=place)
    if problem:
        raise ConfigurationError.at(place, "GR003", f"`{key}` {problem}") from cause
    return plugin


def _unfit(plugin: object, texts: tuple[str, ...], methods: tuple[str, ...]) -> str:
    """Return why an object is not a plug-in; empty if it is one."""
    if isinstance(plugin, type):
        return "names a class. Let the entry point name an object of the class."
    missing = [
        *(part for part in texts if not isinstance(getattr(plugin, part, None), str)),
        *(part for part in methods if not callable(getattr(plugin, part, None))),
    ]
    return (
        f"names an object that is not a plug-in: it lacks `{missing[0]}`. Add it."
        if missing
        else ""
    )
