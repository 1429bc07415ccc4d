"""Lint the obligations of a bundle that loads, for `guardrail check`.

The findings are about the place where quotas are counted, about specs that require nothing, and
about fields that no output can have. A strategy that a store does not support is an error, which is
found when the annotation is parsed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

from guardrail._documents import Document, read_json
from guardrail._ports import ObligationType
from guardrail.errors import Finding, Place
from guardrail.obligations.input.json_schema import lets_all_through
from guardrail.obligations.output.output import Demands, undeclared_fields
from guardrail.obligations.quota.grammar import Demand

#: A longer window is unreliable in memory, because its count is lost when the process ends.
_WINDOW_S: Final = 3600


def lint_specs(files: Mapping[str, bytes]) -> Iterator[Finding]:
    """Yield a finding for each JSON Schema in a bundle's files that accepts everything."""
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
    """Yield the findings about the counting of quotas; none if a bundle has no quotas.

    Arguments:
        document: the ``[quota]`` table; ``None`` if there is none.
        demands: each ``@quota``, with the id of its policy and its place.
        default: the place of a finding if there is no table.
        is_shared: whether several processes share the counters.
    """
    if is_shared or not demands:
        return
    place = default
    if document is not None:
        place = document.at("store")
    message = (
        "Quotas are counted in the memory of one process: with N workers, N times as much passes. "
        "Accept this if one process serves; otherwise divide the quotas by the workers."
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
    """Yield a finding for fields that policies name, and no output that meets its specs has.

    Arguments:
        actions: the demands that the policies of each action can make.
        types: the obligations by name.
        place_of: returns the place of an annotation, by the id of its policy and its name.
    """
    for demands in actions:
        for policy, name, fields, specs in undeclared_fields(demands, types):
            named = " and ".join(f"outputs/{spec}.yaml" for spec in specs)
            message = (
                f"{policy}: @{name} names {', '.join(fields)}, which no output that meets {named} "
                "has. Correct the name, or the spec."
            )
            yield Finding("GR522", place_of(policy, name), message, policy)
