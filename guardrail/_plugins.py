"""Loads the plug-ins that a bundle names: entry points of installed packages.

A bundle can name only what an installed package declares as an entry point of our groups. So
whoever installs packages decides which code a bundle can load, and a bundle can't run other code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from guardrail._nearest import did_you_mean
from guardrail.errors import ConfigurationError, Place


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
        except Exception as error:  # noqa: BLE001 (a module can raise anything when it is imported)
            cause = error
            problem = (
                f"names a plug-in that does not import ({type(error).__name__}). Repair the "
                "package, or install what it needs."
            )
    if not problem:
        problem = _unfit(plugin, texts, methods)
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
