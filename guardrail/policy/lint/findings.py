"""Collects the findings about a bundle's policies, schema, entities and texts.

They are sorted by file and line. The input is a snapshot, so the bundle has loaded.
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
    """Return what is weak in a bundle that loads.

    Arguments:
        snapshot: the bundle, loaded.
        folder: the files that it was loaded from.
        settings: its ``guardrail.toml``.
    """
    return tuple(_find(snapshot, folder, settings))


def _find(snapshot: Snapshot, folder: Folder, settings: Document) -> Iterator[Finding]:
    from guardrail.policy.lint.redundant import (
        RedundancyLint,
    )  # takes policies apart, by `lint.sites`

    policies, schema, store = snapshot.policies, snapshot.schema, snapshot.store
    allow_unknown = settings.data.get("resources", {}).get("unknown") == "allow"
    scopes = scopes_of(schema)
    # What the validator rules out can still err before it comes to that: not of no effect.
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
            "Calls may name resources that the bundle does not have: a misspelt one is in no "
            "group, so that what forbids by group does not see it. Remove `unknown`."
        )
        yield Finding("GR511", settings.at("resources", "unknown"), message)


def _without_file(finding: Finding) -> Finding:
    """Return a finding that says that the file is missing, not that it lacks an entry."""
    message = finding.message.replace(
        f"{_ENTITIES} has no ", f"{_ENTITIES} is missing, and with it "
    )
    return replace(finding, message=message)


def _can_err(policy: Policy) -> bool:
    """Tell whether a policy has an effect where it can't match, by an error.

    A number can overflow, and a fact be missing that the schema demands: what errs denies. A
    grant that misses a fact does not grant, as it never does.
    """
    misses = policy.kind != "grant" and "context" in access_of(policy).roots
    return misses or arithmetic.overflows(policy)


def _written(policies: Sequence[Policy]) -> Iterable[Policy]:
    """Return one policy per text: the links of a template share theirs."""
    return {policy.text_id: policy for policy in policies}.values()
