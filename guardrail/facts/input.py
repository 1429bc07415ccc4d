"""Facts about the guarded input: how much there is of it, and which it is.

Owns the place ``context.input`` for tensors and records. Refuses to put what came in
into a fact: sizes, names of fields and a digest only. Reads the view and, where a policy
asks for the digest, the bytes; everything else is known from the view already.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from operator import attrgetter
from typing import Final, TypeAlias

from guardrail.ports import Facing
from guardrail.values import FactValue, View

_Reader: TypeAlias = Callable[[View], FactValue]


class InputFacts:
    """``context.input``: facts about the guarded input.

    Of a tensor: ``rows``, ``features``, ``bytes``, ``dtype``, ``digest``; of a record:
    ``fields`` (a frozen set of its names), ``bytes``, ``digest``. A call without an input
    has none of them.
    """

    __slots__ = ()

    place = "input"
    facts = frozenset(("rows", "features", "bytes", "dtype", "digest", "fields"))

    def compute(self, names: frozenset[str], facing: Facing) -> Mapping[str, FactValue]:
        """Return the facts named, as far as this kind of input has them."""
        view = facing.view
        found: dict[str, FactValue] = {}
        for name, read in _readers(view.kind, names):
            found[name] = read(view)
        return found


@lru_cache(maxsize=512)
def _readers(kind: str, names: frozenset[str]) -> tuple[tuple[str, _Reader], ...]:
    """Return how to read each fact that this kind of input has, of those named."""
    readers = _READ[kind]
    return tuple((name, readers[name]) for name in sorted(names) if name in readers)


def digest_tensor(view: View) -> str:
    r"""Return the sha256 of a tensor: 64 hexadecimal digits.

    Over its dtype and shape as ``"float32 1000x30\n"`` and then its elements' bytes in C
    order; so the same numbers have the same digest at any strides, and other shapes or
    types another. Elements that do not lie in C order are copied for it.
    """
    header = f"{view.dtype} {'x'.join(map(str, view.shape))}\n"
    digest = hashlib.sha256(header.encode("ascii"))
    if view.buffer is not None and view.nbytes:
        flat = view.buffer.c_contiguous
        digest.update(view.buffer if flat else view.buffer.tobytes())
    return digest.hexdigest()


def digest_record(view: View) -> str:
    """Return the sha256 of a record: 64 hexadecimal digits.

    Over its JSON, in ASCII, with sorted keys and without spaces; so the order of keys
    does not count, and a tuple is a list.
    """
    text = json.dumps(dict(view.value), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()


_READ: Final[Mapping[str, Mapping[str, _Reader]]] = {
    "tensor": {
        "rows": attrgetter("rows"),
        "features": attrgetter("features"),
        "bytes": attrgetter("nbytes"),
        "dtype": attrgetter("dtype"),
        "digest": digest_tensor,
    },
    "record": {
        "fields": lambda view: frozenset(view.value),
        "bytes": attrgetter("nbytes"),
        "digest": digest_record,
    },
    "none": {},
}
