"""Shows untrusted text to people safely, so that it can't control a terminal or a page.

Control characters, and characters that change the direction of a line, are written as escapes. The
commands and the report of a journal use this.
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
    r"""Return ``text`` in quotation marks, so that its end shows, even if it is empty.

    >>> print(quoted('a "b" '))
    "a \"b\" "
    """
    return '"' + printable(text).replace('"', '\\"') + '"'
