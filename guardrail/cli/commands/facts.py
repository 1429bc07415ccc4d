"""``guardrail facts``: which facts a bundle's policies read, and so which calls pay for.

Owns how that is told. Refuses to load another way than a service does: what is printed is what
a call computes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from guardrail.cli.commands.check import BundleArgument, read
from guardrail.cli.io.terminal import Format, FormatOption, say, say_json, stop_at

if TYPE_CHECKING:
    from guardrail.policy.analysis.describe import ActionFacts

#: The places of context that the language has.
PLACES: Final = frozenset(
    ("input", "identity", "peer", "time", "artifact", "host", "peer_attestation", "row", "app")
)


def facts(directory: BundleArgument, *, format: FormatOption = Format.text) -> None:
    """Say which facts each action's policies read, of which types, and which policies do.

    What no policy reads is not computed. What only a policy in shadow reads is computed when
    the call has been decided, for the shadow alone.

    Exit code 0: the bundle loads. 1: it does not. 2: there is no such folder.

    Example: guardrail facts policies/clinical_scoring
    """
    from guardrail import ConfigurationError
    from guardrail.policy.analysis.describe import overview

    try:
        bundle, _ = read(directory)
    except ConfigurationError as error:
        raise stop_at(error, code=1) from None
    snapshot = bundle.shadow or bundle.snapshot  # what only policies in shadow read, too
    shadow = {policy.id for policy in snapshot.policies if policy.is_shadow}
    told = overview(snapshot, places=PLACES)
    if format is Format.json:
        say_json(
            {
                "bundle": snapshot.name,
                "revision": snapshot.revision,
                "actions": [_as_json(action, shadow) for action in told],
            }
        )
        return
    for action in told:
        _tell(action, shadow)


def _tell(told: ActionFacts, shadow: set[str]) -> None:
    names = ", ".join(fact.name for fact in told.facts) or "nothing"
    idle = ", ".join(told.not_computed)
    say(f"{_name(told)} reads {names}" + (f"; not computed: {idle}" if idle else ""), color="green")
    width = max((len(fact.name) for fact in told.facts), default=0)
    kinds = max((len(fact.type) for fact in told.facts), default=0)

    def marked(policy: str) -> str:
        return f"{policy} (in shadow)" if policy in shadow else policy

    for fact in told.facts:
        say(
            f"  {fact.name:<{width}}  {fact.type:<{kinds}}  {', '.join(map(marked, fact.policies))}"
        )


def _name(told: ActionFacts) -> str:
    """Return an action as `protect` takes it: its id, or its whole uid in a namespace."""
    return told.action.id if told.action.type == "Action" else str(told.action)


def _as_json(told: ActionFacts, shadow: set[str]) -> dict[str, Any]:
    return {
        "action": _name(told),
        "reads": [
            {"fact": fact.name, "type": fact.type, "policies": list(fact.policies)}
            | (
                {"in_shadow": some}
                if (some := [*filter(shadow.__contains__, fact.policies)])
                else {}
            )
            for fact in told.facts
        ],
        "not_computed": list(told.not_computed),
    }
