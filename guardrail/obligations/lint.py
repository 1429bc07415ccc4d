"""What is weak in the obligations of a bundle that loads.

Findings about where quotas are counted, about specs that demand nothing, and about fields that no
output can have. What a store
can't do is a fault, found when the annotation is read. Only `check` asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

from guardrail._documents import Document, read_json
from guardrail._ports import ObligationType
from guardrail.errors import Finding, Place
from guardrail.obligations.input.json_schema import lets_all_through
from guardrail.obligations.output.output import Demands, undescribed
from guardrail.obligations.quota.grammar import Demand

#: A longer window on a store that dies with the process is forgotten too often to count on.
_WINDOW_S: Final = 3600


def lint_specs(files: Mapping[str, bytes]) -> Iterator[Finding]:
    """Yield the JSON Schemas of a bundle that let everything through, by its files."""
    for name, raw in files.items():
        if name.startswith("inputs/") and name.endswith(".json"):
            document = read_json(name, raw)
            if lets_all_through(document):
                message = (
                    "The schema accepts everything, so @input with it checks nothing. State what "
                    "must hold, at least a `type`."
                )
                yield Finding("GR507", document.at(), message)


def lint_quotas(
    document: Document | None,
    demands: Sequence[tuple[str, Place, Demand]],
    default: Place,
    *,
    is_shared: bool,
) -> Iterator[Finding]:
    """Yield what is weak in the counting of quotas; nothing where a bundle has none.

    Arguments:
        document: the ``[quota]`` table; ``None`` where there is none.
        demands: each ``@quota`` with the id of its policy and its place.
        default: the place of what no table says.
        is_shared: whether several processes count together.
    """
    if is_shared or not demands:
        return
    place = default
    if document is not None:
        place = document.at("store")
    message = (
        "Quotas are counted in the memory of one process: with N workers, N times as much passes. "
        "Accept this where one process serves; otherwise divide the quotas by the workers."
    )
    yield Finding("GR520", place, message)
    for policy, stands, demand in demands:
        if any(limit.window_s > _WINDOW_S for limit in demand):
            message = (
                f"{policy}: a window over an hour is counted in memory, and begins anew whenever "
                "the process does. Shorten the window, or use it where processes live longer."
            )
            yield Finding("GR521", stands, message, policy)


def lint_outputs(
    actions: Iterable[Demands],
    types: Mapping[str, ObligationType],
    place_of: Callable[[str, str], Place],
) -> Iterator[Finding]:
    """Yield the fields that policies name and that no output has which meets its specs.

    Arguments:
        actions: what the policies of each action can demand.
        types: the obligations by name.
        place_of: returns where an annotation stands, by the ids of its policy and its name.
    """
    for demands in actions:
        for policy, name, fields, specs in undescribed(demands, types):
            named = " and ".join(f"outputs/{spec}.yaml" for spec in specs)
            message = (
                f"{policy}: @{name} names {', '.join(fields)}, which no output that meets {named} "
                "has. Correct the name, or the spec."
            )
            yield Finding("GR522", place_of(policy, name), message, policy)
