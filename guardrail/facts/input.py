"""Facts about the guarded input: how much there is of it, and which it is.

Owns the place ``context.input``, for every kind of input. Refuses to put what came in into a
fact: sizes, names of fields, columns and roles, kinds of findings and a digest only. Reads the
view and, where a policy asks for one of those, what the view shows; the rest is known already.

Compiled as it stands, with ``input.pxd`` beside it; the file is its own plain-Python twin.
"""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from guardrail._core import is_swapped
from guardrail._messages import KEYS, Message, Misfit, read_messages
from guardrail._paths import path_of
from guardrail._ports import COUNTED, FactContext
from guardrail.facts.input_view.objects import tables
from guardrail.values import FactValue, View

_Reader: TypeAlias = Callable[[View], FactValue]
#: A fact's name, the view's attribute that it is, or else what computes it.
_Ready: TypeAlias = tuple[str, str, _Reader | None]
#: Counts a text's tokens.
CountTokens: TypeAlias = Callable[[str], int]
#: Returns the kinds of what some texts hold (``email``, ``iban``), never the texts.
FindKinds: TypeAlias = Callable[[Sequence[str]], frozenset[str]]

#: Sets of names whose readers are remembered; there is one for each set that policies read.
_LIMIT_KNOWN: Final = 512

#: Whole numbers in which elements are put into the machine's byte order, by their size.
_WORDS: Final = {2: "H", 4: "I", 8: "Q"}


def count_bytes(text: str) -> int:
    """Return the size of a text in UTF-8: the most tokens that it can have.

    Byte-level BPE (that of GPT, Llama 3, Qwen) makes no more tokens than bytes, for each token
    stands for one byte at least. A tokenizer that normalises first, or puts marks of its own
    before a text, can make more: count with that one. Tokens around a text (a template's for
    each message, an image's) are none of the text's.
    """
    # lone surrogates, which only nested data may hold, have three bytes
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


class InputFacts:
    """``context.input``: facts about the guarded input.

    Of a tensor: ``rows``, ``features``, ``bytes``, ``dtype``, ``digest``; of a table: ``rows``,
    ``columns``, ``bytes``, ``nulls``, ``digest``; of a record: ``fields`` (a frozen set of its
    names), ``bytes``, ``digest``; of a text: ``chars``, ``bytes``, ``tokens``, ``findings``,
    ``digest``; of a list of messages the same over all texts in it, and ``messages`` (how many),
    ``roles``, ``tools`` (the names of those that are called), ``tool_calls`` and ``images`` (how
    many). A list of which one item is no message has none of them, and neither has a call without
    an input: a policy that reads one does not hold.

    How many tokens may come *out* is no property of an input: the application passes it as a
    fact of its own, in ``context.app``.

    Arguments:
        tokens: counts the tokens of a text; by default from above, see `count_bytes`.
        findings: finds the kinds of what a text holds; without it there is no such fact.
    """

    __slots__ = ("_findings", "_readers", "_tokens")

    namespace = "input"
    #: Those whose texts are never a caller's.
    plain = frozenset(("dtype", "findings"))
    facts = frozenset(
        (
            "rows", "features", "bytes", "dtype", "digest", "fields", "columns", "nulls", "chars",
            "tokens", "findings", "messages", "roles", "tools", "tool_calls", "images",
        )
    )  # fmt: skip
    ranges = dict.fromkeys(
        (
            "rows",
            "features",
            "bytes",
            "nulls",
            "chars",
            "tokens",
            "messages",
            "max_output_tokens",
            "tool_calls",
            "images",
        ),
        COUNTED,
    )

    def __init__(
        self, *, tokens: CountTokens = count_bytes, findings: FindKinds | None = None
    ) -> None:
        self._tokens = tokens
        self._findings = findings
        self._readers: dict[str, dict[frozenset[str], tuple[_Ready, ...]]] = {
            kind: {} for kind in _FIELDS
        }

    def prepare(self, names: frozenset[str]) -> None:
        """Make ready what these facts need: called at load, for what policies read."""
        prepare = getattr(self._findings, "prepare", None)
        if "findings" in names and prepare is not None:
            prepare()

    def compute(self, names: frozenset[str], context: FactContext) -> Mapping[str, FactValue]:
        """Return the facts named, as far as this kind of input has them."""
        view = context.view
        kind = view.kind
        if kind == "text":
            return self._of_texts([view.value], names, view)
        if kind == "list":
            return self._of_messages(names, view)
        known = self._readers[kind]
        readers = known.get(names)
        if readers is None:
            readers = self._ready(kind, names)
        found: dict[str, FactValue] = {}
        for name, attribute, read in readers:
            found[name] = getattr(view, attribute) if read is None else read(view)
        return found

    def why_absent(self, context: FactContext) -> tuple[str, str]:
        """Return where an input is not what its facts are read of, and what was expected there.

        Two empty texts where nothing is. Asked when a call is denied for want of a fact.
        """
        view = context.view
        if view.kind != "list":
            return "", ""
        misfit = read_messages(_plain(view))
        if not isinstance(misfit, Misfit):
            return "", ""
        return (
            path_of(view.name, misfit.steps, KEYS),
            f"expected {misfit.expected}; got {misfit.arrived}",
        )

    def _of_messages(self, names: frozenset[str], view: View) -> dict[str, FactValue]:
        messages = read_messages(_plain(view))
        if isinstance(messages, Misfit):
            return {}
        texts = [text for message in messages for text in message.counted]
        decoded = [
            found.text for message in messages for found in message.texts if found.is_decoded
        ]
        facts = self._of_texts(texts, names, view, decoded)
        if "messages" in names:
            facts["messages"] = len(messages)
        if "roles" in names:
            facts["roles"] = _roles(messages)
        if "tools" in names:
            facts["tools"] = _tools(messages)
        if "tool_calls" in names:
            facts["tool_calls"] = sum([len(message.tool_calls) for message in messages])
        if "images" in names:
            facts["images"] = sum([len(message.images) for message in messages])
        return facts

    def _of_texts(
        self, texts: list[str], names: frozenset[str], view: View, decoded: list[str] | None = None
    ) -> dict[str, FactValue]:
        """Return what is named of the facts that texts have, all of them together.

        ``decoded`` are further forms of them, which are searched and not counted.
        """
        facts: dict[str, FactValue] = {}
        if "chars" in names:
            facts["chars"] = sum([len(text) for text in texts])
        if "bytes" in names:
            facts["bytes"] = sum([count_bytes(text) for text in texts])
        if "tokens" in names:
            facts["tokens"] = sum([self._tokens(text) for text in texts])
        find = self._findings
        if "findings" in names and find is not None:
            searched = texts if decoded is None else texts + decoded
            facts["findings"] = find(searched)
        if "digest" in names:
            facts["digest"] = digest_text(view) if view.kind == "text" else digest_plain(view)
        return facts

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


def _plain(view: View) -> Any:
    """Return what is read of plain data: the value, or what stands in its place."""
    return view.value if view.data is None else view.data


def _roles(messages: list[Message]) -> frozenset[str]:
    return frozenset([message.role for message in messages])


def _tools(messages: list[Message]) -> frozenset[str]:
    return frozenset([call.name for message in messages for call in message.tool_calls])


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


def digest_plain(view: View) -> str:
    """Return the sha256 of a record or a list: 64 hexadecimal digits.

    Over its JSON, in ASCII, with sorted keys and without spaces; so the order of keys
    does not count, and a tuple is a list. A time or a decimal is its type and its text; a second
    JSON, with null in its place, tells it from a list of these.
    """
    data = _plain(view)
    try:
        text = json.dumps(data, sort_keys=True, separators=(",", ":"))
    except TypeError:
        # a list may spell what a time is spelt as: where they stand is a part of the digest
        text = json.dumps(data, sort_keys=True, separators=(",", ":"), default=_spelt)
        text += "\n" + json.dumps(data, sort_keys=True, separators=(",", ":"), default=_unspelt)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _spelt(value: Any) -> list[str]:
    """Return a time or a decimal by its type and its text: it is neither text nor number."""
    return [type(value).__name__, str(value)]


def _unspelt(value: Any) -> None:
    """Return nothing in place of a time or a decimal: null."""


def digest_text(view: View) -> str:
    """Return the sha256 of a text in UTF-8: 64 hexadecimal digits."""
    return hashlib.sha256(view.value.encode()).hexdigest()


def digest_of(view: View) -> str:
    """Return the digest of any kind of input; empty where there is none of it."""
    if view.kind == "text":
        return digest_text(view)
    if view.kind == "list":
        return digest_plain(view)
    read = _READ[view.kind].get("digest")
    return str(read(view)) if read is not None else ""


#: Facts that are attributes of the view, by the kind of input.
_FIELDS: Final[Mapping[str, Mapping[str, str]]] = {
    "tensor": {"rows": "rows", "features": "features", "bytes": "nbytes", "dtype": "dtype"},
    "table": {"rows": "rows", "bytes": "nbytes"},
    "record": {"bytes": "nbytes"},
    "none": {},
}
#: Facts that are computed.
_READ: Final[Mapping[str, Mapping[str, _Reader]]] = {
    "tensor": {"digest": digest_tensor},
    "table": {
        "columns": lambda view: frozenset(tables().column_names(view)),
        "nulls": lambda view: tables().null_count(view),
        "digest": lambda view: tables().digest_table(view),
    },
    "record": {"digest": digest_plain, "fields": lambda view: frozenset(_plain(view))},
    "none": {},
}
