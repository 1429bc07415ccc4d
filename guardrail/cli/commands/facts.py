"""``guardrail facts``: lists the facts that a bundle's policies read.

A call computes exactly these facts. The bundle is loaded as a service loads it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from guardrail.cli.commands.check import BundleArgument, read
from guardrail.cli.io.terminal import FormatOption, OutputFormat, say, say_json, stop_at
from guardrail.cli.registry import Command, HelpSection

if TYPE_CHECKING:
    from guardrail.policy.analysis.describe import ActionFacts

#: The namespaces of facts in `context`.
PLACES: Final = frozenset(
    ("input", "identity", "peer", "time", "artifact", "host", "peer_attestation", "row", "app")
)


def facts(directory: BundleArgument, *, format: FormatOption = OutputFormat.text) -> None:
    """List the facts that the policies of each action read.

    Shows each fact with its type and the policies that read it. A call computes
    no other facts. A fact that only policies in shadow read is computed after the
    decision, for the shadow alone.

    Exit codes:

      0  the bundle loads
      1  it does not
      2  there is no such folder

    Example:
      guardrail facts policies/clinical_scoring
    """
    from guardrail import ConfigurationError
    from guardrail.policy.analysis.describe import overview

    try:
        bundle, _ = read(directory)
    except ConfigurationError as error:
        raise stop_at(error, code=1) from None
    snapshot = bundle.shadow or bundle.snapshot  # with the facts that only shadow policies read
    shadow = {policy.id for policy in snapshot.policies if policy.is_shadow}
    actions = overview(snapshot, namespaces=PLACES)
    if format is OutputFormat.json:
        say_json(
            {
                "bundle": snapshot.name,
                "revision": snapshot.revision,
                "actions": [_as_json(action, shadow) for action in actions],
            }
        )
        return
    for action in actions:
        _print_action(action, shadow)


def _print_action(facts_read: ActionFacts, shadow: set[str]) -> None:
    names = ", ".join(fact.name for fact in facts_read.facts) or "nothing"
    idle = ", ".join(facts_read.not_computed)
    say(
        f"{_name(facts_read)} reads {names}" + (f"; not computed: {idle}" if idle else ""),
        color="green",
    )
    width = max((len(fact.name) for fact in facts_read.facts), default=0)
    kinds = max((len(fact.type) for fact in facts_read.facts), default=0)

    def marked(policy: str) -> str:
        return f"{policy} (in shadow)" if policy in shadow else policy

    for fact in facts_read.facts:
        say(
            f"  {fact.name:<{width}}  {fact.type:<{kinds}}  {', '.join(map(marked, fact.policies))}"
        )


def _name(facts_read: ActionFacts) -> str:
    """Return an action in the form for `protect`: its id, or its uid if it has a namespace."""
    return facts_read.action.id if facts_read.action.type == "Action" else str(facts_read.action)


def _as_json(facts_read: ActionFacts, shadow: set[str]) -> dict[str, Any]:
    return {
        "action": _name(facts_read),
        "reads": [
            {"fact": fact.name, "type": fact.type, "policies": list(fact.policies)}
            | (
                {"in_shadow": some}
                if (some := [*filter(shadow.__contains__, fact.policies)])
                else {}
            )
            for fact in facts_read.facts
        ],
        "not_computed": list(facts_read.not_computed),
    }


COMMAND: Final = Command("facts", facts, HelpSection.write)
