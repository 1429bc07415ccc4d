"""The obligation ``@input("NAME")``: the input must meet the spec ``inputs/NAME.yaml``.

If several conditions match, the input must meet all of their specs. A name without a spec is a load
error. Nothing is converted, so the model gets the object that was checked. The check runs after the
quotas and before the model: a call with bad input counts against the quota.

Cython compiles this file with ``input.pxd``; it also runs as plain Python.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from guardrail._hooks import Stage
from guardrail._nearest import did_you_mean
from guardrail._ports import ObligationContext, ObligationNotMet
from guardrail.errors import ConfigurationError
from guardrail.obligations.input.specs import Spec
from guardrail.values import Clause, Frozen, Path, View

_Check: TypeAlias = Callable[[View], None]

#: How many demands are cached with their checks; there is one for each set of matching conditions.
_LIMIT_KNOWN: Final = 512


class Input:
    """``@input("NAME")``. A demand is the frozen set of the specs' names.

    Arguments:
        specs: the bundle's input specs by name, from `read_specs`.
    """

    __slots__ = ("_checks", "_specs", "keys")

    name = "input"
    stage = Stage.INPUT
    on_admit = True
    on_release = False

    def __init__(self, specs: Mapping[str, Spec]) -> None:
        self._specs = Frozen(specs)
        #: The keys of an input that specs name; a path shows only these.
        self.keys: frozenset[str] = frozenset().union(*[spec.keys for spec in specs.values()])
        self._checks: dict[frozenset[str], tuple[_Check, ...]] = {}

    def parse(self, clause: Clause) -> frozenset[str]:
        """Return the name as a set; raise `ConfigurationError` (``GR301``) if it has no spec."""
        name = clause.argument
        if name in self._specs:
            return frozenset((name,))
        if not re.fullmatch(r"[A-Za-z0-9_.-]+", name):
            message = '@input names one spec, such as @input("patients") for inputs/patients.yaml.'
        else:
            there_are = ", ".join(sorted(self._specs)) or "none"
            hint = did_you_mean(name, self._specs, f"There are: {there_are}.")
            message = f"@input names a spec that the bundle lacks: inputs/{name}.yaml. {hint}"
        raise ConfigurationError.at(clause.place, "GR301", message)

    def reads(self, demand: frozenset[str]) -> tuple[Path, ...]:
        """Return nothing: a spec reads only the input."""
        del demand
        return ()

    def merge(self, one: frozenset[str], other: frozenset[str]) -> frozenset[str]:
        """Return the specs of both sides: all of them must be met."""
        return one | other

    def describe(self, demand: frozenset[str]) -> str | list[str]:
        """Return the spec's name, or a sorted list of several."""
        names = sorted(demand)
        return names[0] if len(names) == 1 else names

    def admit(self, demand: frozenset[str], context: ObligationContext) -> None:
        """Check the input against every spec; raise `ObligationNotMet` (``input_rejected``)."""
        view = context.view
        if view.kind == "none":
            raise ObligationNotMet(
                "expected an input, which a policy checks against a spec; got none."
                " Name the guarded parameter: protect(input=...), or enforce(input=...).",
                code="input_rejected",
            )
        checks = self._checks.get(demand)
        if checks is None:
            checks = self._checks_for(demand)
        for check in checks:
            check(view)

    def _checks_for(self, demand: frozenset[str]) -> tuple[_Check, ...]:
        """Return the checks of the demanded specs, in the order of their names."""
        if len(self._checks) >= _LIMIT_KNOWN:
            self._checks = {}
        checks = tuple([self._specs[name].check for name in sorted(demand)])
        self._checks[demand] = checks
        return checks

    def release(self, demand: frozenset[str], output: object, context: ObligationContext) -> object:
        """Return the output unchanged: this obligation is checked before the model runs."""
        del demand, context
        return output
