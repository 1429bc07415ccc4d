"""Principals in policy tests whom no identity provider of the bundle makes.

A test that asks for somebody who can never call proves nothing about who can: for `check`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from guardrail.documents import read_yaml
from guardrail.errors import ConfigurationError, Finding
from guardrail.findings import unmade
from guardrail.identity import Providers
from guardrail.policy import read_uid
from guardrail.testing.notation import TAGS
from guardrail.values import Entity


def unmade_in_tests(providers: Providers, folder: Path) -> Iterator[Finding]:
    """Yield a finding for each such principal, at the place in ``tests/`` that names it.

    A file that does not read is left to ``guardrail test``, which says why.

    Arguments:
        providers: the bundle's.
        folder: the bundle's.
    """
    if not providers.makers:
        return
    for file in sorted((folder / "tests").glob("*_test.yaml")):
        try:
            document = read_yaml(f"tests/{file.name}", file.read_bytes(), tags=TAGS)
        except (ConfigurationError, OSError):
            continue
        seen: set[Entity] = set()
        for entity, path in _entities(document.data, (), tuple(providers.makers)):
            if entity not in seen and not providers.can_make(entity):
                seen.add(entity)
                yield unmade(entity, document.at(*path))


def _entities(
    data: Any, path: tuple[str | int, ...], types: tuple[str, ...]
) -> Iterator[tuple[Entity, tuple[str | int, ...]]]:
    """Yield the entities of some types that a test names, as a uid or by ``!entity``."""
    if isinstance(data, Entity):
        yield data, path
    elif isinstance(data, str):
        if data.startswith(tuple([f"{kind}::" for kind in types])):
            try:
                yield read_uid(data), path
            except ConfigurationError:
                return
    elif isinstance(data, dict):
        for key, value in data.items():
            below = (*path, key)
            yield from _entities(key, below, types)
            yield from _entities(value, below, types)
    elif isinstance(data, list):
        for index, value in enumerate(data):
            yield from _entities(value, (*path, index), types)
