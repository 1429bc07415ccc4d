"""Facts about the guarded input: how much there is of it, and which it is.

Owns the place ``context.input`` for tensors and records. Refuses to put what came in
into a fact: sizes, names of fields and a digest only. Reads the view and, where a policy
asks for the digest, the bytes; everything else is known from the view already.

Compiled as it stands, with ``input.pxd`` beside it; the file is its own plain-Python twin.
"""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from guardrail._core import is_swapped
from guardrail.ports import Facing
from guardrail.values import FactValue, View

_Reader: TypeAlias = Callable[[View], FactValue]
#: A fact's name, the view's attribute that it is, or else what computes it.
_Ready: TypeAlias = tuple[str, str, _Reader | None]

#: Sets of names whose readers are remembered; there is one for each set that policies read.
_LIMIT_KNOWN: Final = 512

#: Whole numbers in which elements are put into the machine's byte order, by their size.
_WORDS: Final = {2: "H", 4: "I", 8: "Q"}


class InputFacts:
    """``context.input``: facts about the guarded input.

    Of a tensor: ``rows``, ``features``, ``bytes``, ``dtype``, ``digest``; of a record:
    ``fields`` (a frozen set of its names), ``bytes``, ``digest``. A call without an input
    has none of them.
    """

    __slots__ = ("_readers",)

    place = "input"
    facts = frozenset(("rows", "features", "bytes", "dtype", "digest", "fields"))

    def __init__(self) -> None:
        self._readers: dict[str, dict[frozenset[str], tuple[_Ready, ...]]] = {
            kind: {} for kind in _FIELDS
        }

    def compute(self, names: frozenset[str], facing: Facing) -> Mapping[str, FactValue]:
        """Return the facts named, as far as this kind of input has them."""
        view = facing.view
        known = self._readers[view.kind]
        readers = known.get(names)
        if readers is None:
            readers = self._ready(view.kind, names)
        found: dict[str, FactValue] = {}
        for name, attribute, read in readers:
            found[name] = getattr(view, attribute) if read is None else read(view)
        return found

    def _ready(self, kind: str, names: frozenset[str]) -> tuple[_Ready, ...]:
        """Return how to read each fact that this kind of input has, of those named."""
        known = self._readers[kind]
        if len(known) >= _LIMIT_KNOWN:
            known.clear()
        fields, computed = _FIELDS[kind], _READ[kind]
        readers = known[names] = tuple(
            [
                (name, fields.get(name, ""), computed.get(name))
                for name in sorted(names)
                if name in fields or name in computed
            ]
        )
        return readers


def digest_tensor(view: View) -> str:
    r"""Return the sha256 of a tensor: 64 hexadecimal digits.

    Over its dtype and shape as ``"float32 1000x30\n"`` and then its elements' bytes in C
    order and the machine's byte order; so the same numbers have the same digest however they
    lie, and other shapes or types another. Elements that lie otherwise are copied for it.
    """
    header = f"{view.dtype} {'x'.join(map(str, view.shape))}\n"
    digest = hashlib.sha256(header.encode("ascii"))
    buffer = view.buffer
    if buffer is not None and view.nbytes:
        if buffer.itemsize > 1 and is_swapped(buffer.format):
            digest.update(_turned(buffer))
        else:
            digest.update(buffer if buffer.c_contiguous else buffer.tobytes())
    return digest.hexdigest()


def _turned(buffer: memoryview) -> array[int]:
    """Return elements that lie in the other byte order in the machine's."""
    words = array(_WORDS[buffer.itemsize], buffer.tobytes())
    words.byteswap()
    return words


def digest_record(view: View) -> str:
    """Return the sha256 of a record: 64 hexadecimal digits.

    Over its JSON, in ASCII, with sorted keys and without spaces; so the order of keys
    does not count, and a tuple is a list.
    """
    text = json.dumps(dict(view.value), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()


#: Facts that are attributes of the view, by the kind of input.
_FIELDS: Final[Mapping[str, Mapping[str, str]]] = {
    "tensor": {"rows": "rows", "features": "features", "bytes": "nbytes", "dtype": "dtype"},
    "record": {"bytes": "nbytes"},
    "none": {},
}
#: Facts that are computed.
_READ: Final[Mapping[str, Mapping[str, _Reader]]] = {
    "tensor": {"digest": digest_tensor},
    "record": {"digest": digest_record, "fields": lambda view: frozenset(view.value)},
    "none": {},
}
