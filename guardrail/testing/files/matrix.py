"""Reads the matrix of a test: callers by actions by resources, with the expectation of each cell.

A row is one word for all cells, a list with a word for each resource, or one of these for each
action. A row that is shorter or longer than the list of resources is an error, since a missing
cell would not be tested.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, get_args

from guardrail._documents import Document, Key
from guardrail.errors import ConfigurationError
from guardrail.testing.files.format import DECIDED, Expected, PolicyTestSection, Verdict

_VERDICTS: Final = frozenset(get_args(Verdict))
_TABLE: Final = ("matrix", "table")


@dataclass(frozen=True, slots=True)
class Cell:
    """One caller, action and resource, and the expected decision.

    Attributes:
        who: the row's name.
        action, resource: empty if the test or the `given` section names them.
        expected: a decision, or a code.
        path: the path of the word in the test.
    """

    who: str
    action: str
    resource: str
    expected: Expected
    path: tuple[Key, ...]

    @property
    def row(self) -> tuple[Key, ...]:
        """The path of the row in the test."""
        return (*_TABLE, self.who)

    def name(self, test: str) -> str:
        """Return the name of the cell as a test."""
        return f"{test}: {' '.join(filter(None, (self.who, self.action, self.resource)))}"


def cells_of(section: PolicyTestSection, document: Document) -> Iterator[Cell]:
    """Yield the cells of a test's matrix, row by row.

    Raises:
        ConfigurationError: with the place, for a row with too few or too many words, for a word
            that is neither a decision nor a code of one, and if the test has keys that belong to
            one request.
    """
    matrix = section.matrix
    if matrix is None:
        return
    for key in ("as", "principal", "input", "output", "stream"):
        if key in document.data:
            message = f"A test with a matrix makes many requests and takes no `{key}`. Remove it."
            raise ConfigurationError.at(document.at(key), "GR003", message)
    actions, resources = matrix.actions or [""], matrix.resources or [""]
    for who, row in matrix.table.items():
        below = document.below(*_TABLE, who)
        if isinstance(row, dict):
            _check_names(row, actions, below)
        for action, (index, resource) in itertools.product(actions, enumerate(resources)):
            path: tuple[Key, ...] = (action,) if isinstance(row, dict) else ()
            word = row[action] if path else row
            if isinstance(word, list):
                if len(word) != len(resources):
                    message = (
                        f"The row has {len(word)} words. Write {len(resources)}, one for each "
                        "resource."
                    )
                    raise ConfigurationError.at(below.at(*path), "GR003", message)
                path, word = (*path, index), word[index]
            yield Cell(who, action, resource, _expected(word, below, path), (*_TABLE, who, *path))


def _check_names(row: dict[str, Any], actions: list[str], below: Document) -> None:
    if set(row) != set(actions):
        named = ", ".join(filter(None, actions)) or "none"
        message = f"Expected each action of the matrix once. The actions are: {named}."
        raise ConfigurationError.at(below.at(), "GR003", message)


def _expected(word: Any, below: Document, path: tuple[Key, ...]) -> Expected:
    if not isinstance(word, str):
        pass
    elif word in _VERDICTS:
        return Expected.model_validate({"decision": word})
    elif word in DECIDED:
        return Expected.model_validate({"code": word})
    message = f"Expected allow, deny, or one of these codes: {', '.join(DECIDED[1:])}."
    raise ConfigurationError.at(below.at(*path), "GR003", message)
