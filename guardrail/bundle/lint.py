"""Collects all findings of ``guardrail check``: weaknesses of a bundle that loads.

It starts from a loaded bundle and its files, asks every package for findings, and knows which of
them the bundle's author accepts. No call runs this.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from typing import Any, Final

from guardrail._documents import Document, limit_of, read_toml, read_yaml
from guardrail.audit.lint import lint_audit
from guardrail.bundle.assembly import Bundle
from guardrail.errors import FINDINGS, ConfigurationError, Fault, Finding, Place
from guardrail.identity.lint import lint_evidence, lint_identity
from guardrail.obligations.lint import (
    lint_outputs,
    lint_quotas,
    lint_specs,
)
from guardrail.policy import CheckSettings, Folder, read_uid
from guardrail.policy.analysis.describe import WHOLE_SCHEMA, whole_schema
from guardrail.policy.lint import lint
from guardrail.policy.lint.named_entities import NamedEntity, named_entities
from guardrail.values import Entity

_SETTINGS: Final = "guardrail.toml"
#: The tags that a policy test may have: see `guardrail.testing.files.yaml_values`.
TAGS: Final = ("!duration", "!entity", "!ip", "!missing")
#: The start of a uid: only such texts are parsed by Cedar.
_UID: Final = re.compile(r'\s*[A-Za-z_][\w:]*::"')
_ALLOW: Final = "x_allow"
_ACCEPTED: Final = re.compile(r"(GR[0-9]{3}): +(\S.*)")
_HOW: Final = (
    "@x_allow accepts findings about this policy, each with a reason: "
    '@x_allow("GR508: nightly jobs have no quota"). Several are separated by `; `. Errors cannot '
    "be accepted."
)


def findings(bundle: Bundle, folder: Folder) -> tuple[Finding, ...]:
    """Return all findings about a bundle, accepted ones too, sorted by file and line.

    Arguments:
        bundle: the loaded bundle.
        folder: the files from which it was loaded.

    Raises:
        ConfigurationError: if the bundle was loaded from other files.
    """
    if bundle.snapshot.revision != folder.revision:
        raise ConfigurationError(
            "These are not the files that the bundle was loaded from. Load it again."
        )
    found = dict.fromkeys(_gather(bundle, folder))
    return tuple(sorted(found, key=_order))


def accepted(folder: Folder) -> frozenset[str]:
    """Return the codes in ``[check] allow`` of a bundle that loads."""
    check = _table(read_toml(_SETTINGS, folder.files[_SETTINGS]), "check")
    settings = CheckSettings() if check is None else check.parse(CheckSettings)
    return frozenset(settings.allow)


class Acceptance:
    """The findings that the author of a bundle accepts, with the reasons.

    A code in ``[check] allow`` is accepted for the whole bundle, a code in
    ``@x_allow("GR508: reason")`` for the policy with this annotation.

    Arguments:
        bundle: the loaded bundle.
        folder: its files.

    Raises:
        ConfigurationError: for an ``@x_allow`` without a code of a finding, or without a reason.
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
        """Return the reason in a policy's ``@x_allow``; empty if that lacks the finding."""
        return self._reasons.get((finding.policy, finding.code), "")


def _gather(bundle: Bundle, folder: Folder) -> Iterator[Finding]:
    settings = read_toml(_SETTINGS, folder.files[_SETTINGS])
    default = settings.at("bundle")
    yield from lint(bundle.snapshot, folder, settings)
    yield from _stale_schema(folder)
    if bundle.shadow is not None:  # findings about shadow policies, as if they were enforced
        policies = [policy for policy in bundle.shadow.policies if policy.is_shadow]
        ids = {policy.id for policy in policies} | {policy.text_id for policy in policies}
        weak = lint(bundle.shadow, folder, settings)
        yield from (finding for finding in weak if finding.policy in ids)
    yield from lint_identity(_table(settings, "identity"), bundle.own_kinds)
    yield from lint_evidence(_table(settings, "evidence"))
    written = (*bundle.snapshot.policies, *(bundle.shadow.policies if bundle.shadow else ()))
    named = chain(named_entities(written, folder), _named_in_tests(folder))
    for entity, place, policy in named:
        if not bundle.providers.can_make(entity):
            yield _unknown_id(entity, place, policy)
    quotas = [
        (policy.text_id, policy.chunk.annotation(name), demand)
        for policy in bundle.snapshot.policies
        for name, demand in policy.demands
        if name == "quota"
    ]
    yield from lint_quotas(
        _table(settings, "quota"), quotas, default, is_shared=bundle.storage.store.is_shared
    )
    yield from _lint_outputs(bundle)
    yield from lint_specs(folder.files)
    yield from lint_audit(_table(settings, "audit"), default)


def _stale_schema(folder: Folder) -> Iterator[Finding]:
    """Yield the finding about a written whole schema that is out of date."""
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
            "This schema is out of date: Cedar's own tools report errors in policies that are "
            "correct. Write it again: guardrail schema DIR --write."
        )
        yield Finding("GR550", Place(WHOLE_SCHEMA), message)


def _lint_outputs(bundle: Bundle) -> Iterator[Finding]:
    snapshot = bundle.snapshot
    by_id = {policy.id: policy for policy in snapshot.policies}
    texts = {
        policy.text_id: policy for policy in snapshot.policies
    }  # links share the text of their template
    actions = [
        [(by_id[policy].text_id, name, demand)
         for policy, name, demand in snapshot.demands_on(action)]
        for action in snapshot.schema.actions
    ]  # fmt: skip
    yield from lint_outputs(
        actions,
        snapshot.obligations,
        lambda policy, name: texts[policy].chunk.annotation(name),
    )


def _unknown_id(entity: Entity, place: Place, policy: str) -> Finding:
    """Return the finding about an id that no identity provider can create."""
    subject = f"{policy}: no" if policy else "No"
    message = (
        f"{subject} identity provider creates {entity}: ids of this type begin with another "
        "prefix. Write the provider's `id_prefix` and a `#` before the id, or correct the prefix."
    )
    return Finding("GR536", place, message, policy)


def _named_in_tests(folder: Folder) -> Iterator[NamedEntity]:
    """Yield the entities in policy tests. ``guardrail test`` reports unreadable files."""
    for file in sorted((folder.path / "tests").glob("*_test.yaml")):
        name = f"tests/{file.name}"
        try:
            if file.stat().st_size > limit_of(name):
                continue
            document = read_yaml(name, file.read_bytes(), tags=dict.fromkeys(TAGS, str))
        except (ConfigurationError, OSError):
            continue
        found: dict[Entity, Place] = {}
        for text, path in _texts(document.data, ()):
            try:
                found.setdefault(read_uid(text), document.at(*path))
            except ConfigurationError:
                continue
        yield from (NamedEntity(entity, place) for entity, place in found.items())


def _texts(data: Any, path: tuple[str | int, ...]) -> Iterator[tuple[str, tuple[str | int, ...]]]:
    """Yield the texts in a test that can be uids, each with its path; keys of mappings, too."""
    if isinstance(data, str):
        if _UID.match(data):
            yield data, path
    elif isinstance(data, dict):
        for key, value in data.items():
            yield from _texts(key, (*path, key))
            yield from _texts(value, (*path, key))
    elif isinstance(data, list):
        for index, value in enumerate(data):
            yield from _texts(value, (*path, index))


def _table(settings: Document, name: str) -> Document | None:
    return settings.below(name) if name in settings.data else None


def _order(finding: Finding) -> tuple[str, int, int, str]:
    place: Place = finding.place
    return place.file, place.line, place.column, finding.code
