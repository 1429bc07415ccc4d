"""The grammar of ``@quota``, and the limits that its clauses define.

It runs only at load. An annotation that is not in the grammar, or uses a part of it that is not
implemented, is an error at the annotation's place: no part of a quota is ignored.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from guardrail._hooks import ArgumentChange
from guardrail.errors import ConfigurationError
from guardrail.obligations.quota.windows import KINDS, Strategy
from guardrail.values import Clause, Path

#: The largest amount; a greater one is a mistake.
LIMIT_AMOUNT: Final = 10**12
#: The longest window, in days.
LIMIT_DAYS: Final = 366

_CLAUSE: Final = re.compile(
    r"(?P<amount>[^ /]+)(?: (?P<unit>[^ /]+))?/(?P<window>[^ ]+)"
    r"(?: per (?P<keys>[^ ]+(?: and [^ ]+)*))?"
    r"(?P<reserving> reserving [^ ]+)?"
    r"(?: using (?P<strategy>[^ ]+))?"
)
_AMOUNT: Final = re.compile(r"([1-9][0-9]{0,12})([kM]?)")
_DAYS: Final = re.compile(r"([1-9][0-9]{0,2})d")
_PATH: Final = re.compile(r"(principal|resource|context)((?:\.[A-Za-z_][A-Za-z0-9_]*)+)")
_TIMES: Final = {"": 1, "k": 1_000, "M": 1_000_000}
_WINDOWS: Final = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}
#: The keys of a clause, and the unit of its window.
_COUNTED_BY: Final = re.compile(r' per ([^ ;"]+(?: and [^ ;"]+)*)')
_WINDOW: Final = re.compile(r"(?<=/)(?:minute|hour|day)\b")
#: Windows, each with a shorter one.
_SHORTER: Final = {"minute": "second", "hour": "minute", "day": "hour"}
#: The units: calls, or a size of their input.
UNITS: Final = ("calls", "rows", "bytes", "chars")
_LATER_UNITS: Final = frozenset(("input_tokens", "output_tokens", "tokens", "seconds"))
_PRINCIPAL: Final = Path("principal")


@dataclass(frozen=True, slots=True)
class Limit:
    """One clause of one policy's ``@quota``: at most ``amount`` units per window and key.

    ``text`` is the clause as written. ``keys`` are sorted; without keys there is one counter for
    all callers. ``prefix`` starts the key of each of its counters, and distinguishes this limit
    from all others of every bundle; it changes with the limit, but not with its spelling.
    """

    policy: str
    text: str
    amount: int
    unit: str
    window_s: int
    strategy: Strategy
    keys: tuple[Path, ...]
    prefix: str

    #: The name of its count in the record.
    label: str
    #: Whether it counts calls per principal, without another key, as most limits do.
    counts_principals: bool


#: The limits of a condition, the narrowest key first.
Demand: TypeAlias = tuple[Limit, ...]


def read_limits(clause: Clause, *, bundle: str) -> Demand:
    """Return the limits of one annotation, or raise `ConfigurationError` at its place.

    The code is GR109 for text that is not in the grammar, and GR004 for a part that is not
    implemented. ``bundle`` is the bundle's name, which starts the keys of the counters.
    """
    limits = [_limit(clause, text, bundle) for text in clause.argument.split("; ")]
    if len({limit.prefix for limit in limits}) != len(limits):
        raise _fault(clause, "the same limit appears twice; write each once")
    return narrowest_first(limits)


def _limit(clause: Clause, text: str, bundle: str) -> Limit:
    found = _CLAUSE.fullmatch(text)
    if found is None:
        raise _fault(
            clause,
            "expected AMOUNT [UNIT]/WINDOW [per KEY [and KEY]] [using fixed|moving|sliding], "
            "such as 200 rows/minute per principal, with single spaces, and `; ` between clauses",
        )
    amount = _amount(clause, found["amount"])
    unit = found["unit"] or "calls"
    if unit in _LATER_UNITS:
        raise _fault(clause, f"the unit `{unit}` is not built yet; count calls", code="GR004")
    if unit not in UNITS:
        raise _fault(clause, f"expected the unit {', '.join(UNITS)}, or none for calls")
    if found["reserving"]:
        raise _fault(clause, "`reserving` is not built yet; remove it", code="GR004")
    # A moving window keeps a number for each call in it: few where calls are limited. A limit of
    # rows, bytes or characters may have room for millions of calls; a sliding one estimates them.
    strategy = _strategy(clause, found["strategy"] or ("moving" if unit == "calls" else "sliding"))
    keys = _keys(clause, found["keys"] or "all")
    window_s = _window(clause, found["window"])
    units = () if unit == "calls" else (unit,)
    parts = (bundle, clause.policy, strategy, *units, *map(str, keys))
    return Limit(
        policy=clause.policy,
        text=text,
        amount=amount,
        unit=unit,
        window_s=window_s,
        strategy=strategy,
        keys=keys,
        # Parts are joined with slashes; each starts with its length.
        prefix=f"guardrail/{len(parts)}/{'/'.join(map(counted, parts))}/{amount}/{window_s}",
        label=f"quota/{clause.policy}/{unit}",
        counts_principals=keys == (_PRINCIPAL,) and unit == "calls",
    )


def narrowest_first(limits: Iterable[Limit]) -> Demand:
    """Sort limits, so that equal demands are equal values and the narrowest key comes first."""
    return tuple(
        sorted(
            limits,
            key=lambda limit: (
                -len(limit.keys),
                _PRINCIPAL not in limit.keys,
                limit.text,
                limit.policy,
            ),
        )
    )


def _amount(clause: Clause, text: str) -> int:
    found = _AMOUNT.fullmatch(text)
    if found:
        amount = int(found[1]) * _TIMES[found[2]]
        if amount <= LIMIT_AMOUNT:
            return amount
    elif _PATH.fullmatch(text):
        raise _fault(clause, "a path as AMOUNT is not built yet; write a number", code="GR004")
    raise _fault(clause, f"expected AMOUNT as 100, 10k or 20M, from 1 to {LIMIT_AMOUNT}")


def _window(clause: Clause, text: str) -> int:
    """Return the seconds of a window."""
    if text in _WINDOWS:
        return _WINDOWS[text]
    days = _DAYS.fullmatch(text)
    if days and int(days[1]) <= LIMIT_DAYS:
        return int(days[1]) * _WINDOWS["day"]
    if text == "ever":
        raise _fault(
            clause,
            "the window `ever` needs a store that outlives the process, and the memory store "
            "does not; choose a window that ends",
        )
    raise _fault(clause, f"expected WINDOW as second, minute, hour, day, or 1d to {LIMIT_DAYS}d")


def _strategy(clause: Clause, text: str) -> Strategy:
    for strategy in KINDS:
        if text == strategy:
            return strategy
    raise _fault(clause, "expected `using` fixed, moving or sliding")


def looser_arguments(argument: str) -> Iterator[ArgumentChange]:
    """Yield changes of an argument that limit less: one key fewer, or a shorter window."""
    for found in _COUNTED_BY.finditer(argument):
        keys = found[1].split(" and ")
        for number, key in enumerate(keys):
            rest = " and ".join([*keys[:number], *keys[number + 1 :]])
            text = f" per {rest}" if rest else ""
            yield ArgumentChange(f"not per {key}", found.start(), found.end(), text)
    for found in _WINDOW.finditer(argument):
        shorter = _SHORTER[found[0]]
        what = f"{found[0]} became {shorter}"
        yield ArgumentChange(what, found.start(), found.end(), shorter)


def _keys(clause: Clause, text: str) -> tuple[Path, ...]:
    if text == "all":
        return ()
    keys: set[Path] = set()
    names = text.split(" and ")
    for name in names:
        found = _PATH.fullmatch(name)
        if found:
            keys.add(Path(found[1], tuple(found[2][1:].split("."))))
        elif name in ("principal", "resource"):
            keys.add(Path(name))
        else:
            raise _fault(
                clause,
                "expected KEY as all (alone), principal, resource, or a path such as "
                "principal.department or context.app.tenant",
            )
    if len(keys) != len(names):
        raise _fault(clause, "a KEY appears twice; write each once")
    return tuple(sorted(keys, key=str))


def _fault(clause: Clause, message: str, *, code: str = "GR109") -> ConfigurationError:
    return ConfigurationError.at(clause.place, code, f"@quota: {message}.")


def counted(text: str) -> str:
    """Return ``text`` after its length, so that no result is a prefix of another one.

    For a subclass of `str`, such as a member of an enum, its text counts, not its ``str()``.
    """
    text = str.__str__(text)
    return f"{len(text)}:{text}"
