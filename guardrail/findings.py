"""All findings of ``guardrail check``: what is weak in a bundle that loads, from every room.

Owns their gathering, and which of them the bundle's author accepts. Refuses to load anything:
it starts from a loaded bundle and the files that it was loaded from. Stands beside the guard;
no call passes here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from guardrail.audit.weaknesses import audit_weaknesses
from guardrail.bundle import Bundle
from guardrail.documents import Document, limit_of, read_toml
from guardrail.errors import FINDINGS, ConfigurationError, Fault, Finding, Place
from guardrail.identity.weaknesses import evidence_weaknesses, identity_weaknesses
from guardrail.obligations.weaknesses import quota_weaknesses
from guardrail.policy import CheckSettings, Folder
from guardrail.policy.lint import lint
from guardrail.policy.overview import WHOLE_SCHEMA, whole_schema

_SETTINGS = "guardrail.toml"
_ALLOW: Final = "x_allow"
_ACCEPTED: Final = re.compile(r"(GR[0-9]{3}): +(\S.*)")
_HOW: Final = (
    "@x_allow accepts findings about this policy, each with a reason: "
    '@x_allow("GR508: nightly jobs have no quota"). Several are separated by `; `. Errors cannot '
    "be accepted."
)


def findings(bundle: Bundle, folder: Folder) -> tuple[Finding, ...]:
    """Return what is weak in a bundle, by file and line, accepted findings among the rest.

    Arguments:
        bundle: the bundle, loaded.
        folder: the files that it was loaded from; `ConfigurationError` where it is others.
    """
    if bundle.snapshot.revision != folder.revision:
        raise ConfigurationError("These are not the files that the bundle was loaded from.")
    found = dict.fromkeys(_gather(bundle, folder))
    return tuple(sorted(found, key=_order))


def accepted(folder: Folder) -> frozenset[str]:
    """Return the codes that ``[check] allow`` of a bundle that loads accepts."""
    check = _table(read_toml(_SETTINGS, folder.files[_SETTINGS]), "check")
    settings = CheckSettings() if check is None else check.parse(CheckSettings)
    return frozenset(settings.allow)


class Acceptance:
    """Which findings of a bundle its author accepts, and why.

    A code of ``[check] allow`` holds for the whole bundle; one of ``@x_allow("GR508: reason")``
    for the policy that has the annotation.

    Arguments:
        bundle: the bundle, loaded.
        folder: its files.

    Raises:
        ConfigurationError: for an ``@x_allow`` that names no finding, or gives no reason.
    """

    def __init__(self, bundle: Bundle, folder: Folder) -> None:
        self._codes = accepted(folder)
        self._reasons: dict[tuple[str, str], str] = {}
        shadow = bundle.shadow.policies if bundle.shadow is not None else ()
        faults: list[Fault] = []
        for policy in (*bundle.snapshot.policies, *shadow):
            argument = policy.node.annotations.get(_ALLOW)
            if argument is None:
                continue
            for part in argument.split("; "):
                found = _ACCEPTED.fullmatch(part)
                if found is None or found[1] not in FINDINGS:
                    place = policy.chunk.annotation(_ALLOW)
                    faults.append(Fault("GR109", place, _HOW))
                    continue
                for name in (policy.id, policy.text_id):
                    self._reasons[name, found[1]] = found[2]
        if faults:
            raise ConfigurationError(faults=tuple(dict.fromkeys(faults)))

    def accepts(self, finding: Finding) -> bool:
        """Tell whether a finding is accepted."""
        return finding.code in self._codes or self.reason(finding) != ""

    def reason(self, finding: Finding) -> str:
        """Return why a finding about one policy is accepted there; empty where it is not."""
        return self._reasons.get((finding.policy, finding.code), "")


def _gather(bundle: Bundle, folder: Folder) -> Iterator[Finding]:
    settings = read_toml(_SETTINGS, folder.files[_SETTINGS])
    default = settings.at("bundle")
    yield from lint(bundle.snapshot, folder, settings)
    yield from _stale_schema(folder)
    if bundle.shadow is not None:  # what is weak in a policy that only looks on, were it enforced
        policies = [policy for policy in bundle.shadow.policies if policy.is_shadow]
        ids = {policy.id for policy in policies} | {policy.text_id for policy in policies}
        weak = lint(bundle.shadow, folder, settings)
        yield from (finding for finding in weak if finding.policy in ids)
    yield from identity_weaknesses(_table(settings, "identity"))
    yield from evidence_weaknesses(_table(settings, "evidence"))
    quotas = [
        (policy.text_id, policy.chunk.annotation(name), demand)
        for policy in bundle.snapshot.policies
        for name, demand in policy.demands
        if name == "quota"
    ]
    yield from quota_weaknesses(_table(settings, "quota"), quotas, default)
    yield from audit_weaknesses(_table(settings, "audit"), default)


def _stale_schema(folder: Folder) -> Iterator[Finding]:
    """Yield the finding of a schema, written for other tools, that is not the bundle's any more."""
    file = folder.path / WHOLE_SCHEMA
    try:
        if not file.is_file():
            return
        with file.open("rb") as stream:
            raw = stream.read(limit_of(WHOLE_SCHEMA) + 1)
    except OSError:
        raw = b""
    if raw != whole_schema(folder).encode():
        message = (
            "This is not the schema of the bundle as it is, so that Cedar's own tools complain of "
            "what is right. Write it again: guardrail schema DIR --write."
        )
        yield Finding("GR550", Place(WHOLE_SCHEMA), message)


def _table(settings: Document, name: str) -> Document | None:
    return settings.below(name) if name in settings.data else None


def _order(finding: Finding) -> tuple[str, int, int, str]:
    place: Place = finding.place
    return place.file, place.line, place.column, finding.code
