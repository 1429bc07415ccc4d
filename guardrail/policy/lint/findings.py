"""Collects the findings about the policies, schema, entities and texts of a loaded bundle.

`guardrail.bundle.lint` sorts them and adds those of the other packages.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from guardrail._documents import Document, decode
from guardrail._hooks import ranges_of
from guardrail.errors import Finding
from guardrail.policy.analysis.vocabulary import impossible, scopes_of
from guardrail.policy.engine.read_sets import access_of
from guardrail.policy.engine.snapshot import Snapshot
from guardrail.policy.lint import arithmetic, confusables, contradictions, placement
from guardrail.policy.lint.contradictions import Ranges
from guardrail.policy.lint.missing_coverage import CoverageLint
from guardrail.policy.lint.unreachable import ReachabilityLint
from guardrail.policy.source.folder import Folder
from guardrail.policy.source.lexer import Source
from guardrail.policy.source.parser import Policy

_SCHEMA = "schema.cedarschema"
_ENTITIES = "entities.json"


def lint(snapshot: Snapshot, folder: Folder, settings: Document) -> tuple[Finding, ...]:
    """Return the findings about a bundle that loads.

    Arguments:
        snapshot: the loaded bundle.
        folder: the files from which it was loaded.
        settings: its ``guardrail.toml``.
    """
    return tuple(_find(snapshot, folder, settings))


def _find(snapshot: Snapshot, folder: Folder, settings: Document) -> Iterator[Finding]:
    # Imported here, because it imports the analysis of clauses.
    from guardrail.policy.lint.redundant import RedundancyLint

    policies, schema, store = snapshot.policies, snapshot.schema, snapshot.store
    allow_unknown = settings.data.get("resources", {}).get("unknown") == "allow"
    scopes = scopes_of(schema)
    # A policy that never matches can still have an effect: it can err before.
    never = [each for each in impossible(policies, schema) if not _can_err(each)]
    ranges: Ranges = {
        (source.namespace, name): ends
        for plan in snapshot.plans.values()
        for source, _ in plan.wants
        for name, ends in ranges_of(source).items()
    }
    reach = ReachabilityLint(scopes, schema, store, allow_unknown=allow_unknown)
    dead = tuple(
        _without_file(finding) if _ENTITIES not in folder.files else finding
        for finding in reach.find(policies, never)
    )
    yield from dead
    for policy in _written(policies):
        yield from arithmetic.find(policy)
        yield from placement.find(policy)
        yield from contradictions.find(policy, ranges)
    yield from confusables.find(folder.files, policies, store)
    unreached = {finding.policy for finding in dead if finding.code == "GR501"}
    live = [policy for policy in policies if policy.id not in unreached]
    source = Source(_SCHEMA, decode(_SCHEMA, folder.files[_SCHEMA]))
    cover = CoverageLint(live, scopes, schema, source, store)
    yield from cover.find(settings.at("bundle"))
    yield from RedundancyLint(snapshot, live, cover).find()
    if allow_unknown:
        message = (
            "Calls may name resources that the bundle does not have. A misspelt resource is in no "
            "group, so policies that forbid by group do not match it. Remove `unknown`."
        )
        yield Finding("GR511", settings.at("resources", "unknown"), message)


def _without_file(finding: Finding) -> Finding:
    """Return a finding whose message says that the whole file is missing."""
    message = finding.message.replace(
        f"{_ENTITIES} has no ", f"{_ENTITIES} is missing, and with it "
    )
    return replace(finding, message=message)


def _can_err(policy: Policy) -> bool:
    """Tell whether a policy that never matches can err, and so deny a call.

    A number can overflow, and a fact that the schema requires can be missing. A grant that errs
    because of a missing fact has no effect, so it does not count.
    """
    misses = policy.kind != "grant" and "context" in access_of(policy).roots
    return misses or arithmetic.overflows(policy)


def _written(policies: Sequence[Policy]) -> Iterable[Policy]:
    """Return one policy per text: the links of a template share its text."""
    return {policy.text_id: policy for policy in policies}.values()
