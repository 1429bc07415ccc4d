"""The forms of what stands in ``[identity.NAME]`` tables, shared by all kinds of providers.

Owns them, and nothing else: no table, no complaint of its own.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import StringConstraints

#: A text that says something, and no book.
Text: TypeAlias = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
#: The name of a Cedar entity type.
TypeName: TypeAlias = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*(::[A-Za-z_][A-Za-z0-9_]*)*$")
]
#: The name of a variable of the environment.
Variable: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
