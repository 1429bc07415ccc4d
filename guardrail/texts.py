"""How a text that somebody else chose is shown to people: it steers no terminal and no page.

Owns the one form in which control characters, and what turns the direction of a line, are written:
as escapes. Pure; used by the commands and by the report of a journal.
"""

from __future__ import annotations


def printable(text: str) -> str:
    r"""Return ``text`` on one line, its control characters as escapes.

    >>> print(printable("red\x1b[31m"))
    red\x1b[31m
    """
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def quoted(text: str) -> str:
    r"""Return ``text`` in quotation marks: an empty one is seen, and where it ends.

    >>> print(quoted('a "b" '))
    "a \"b\" "
    """
    return '"' + printable(text).replace('"', '\\"') + '"'
