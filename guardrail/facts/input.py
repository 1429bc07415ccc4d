"""Facts about the guarded input: its size, its structure and its digest, as ``context.input``.

No fact holds a value of the input: only sizes, names of fields and columns, roles, kinds of
findings and a digest. Most facts are attributes of the view; the others read the input when a
policy needs them.
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

_ReadFact: TypeAlias = Callable[[View], FactValue]
#: A fact's name, and the attribute of the view that it is, or the function that computes it.
_FactReader: TypeAlias = tuple[str, str, _ReadFact | None]
#: Counts the tokens of a text.
CountTokens: TypeAlias = Callable[[str], int]
#: Returns the kinds of findings in some texts (``email``, ``iban``), never the texts.
FindKinds: TypeAlias = Callable[[Sequence[str]], frozenset[str]]

#: How many sets of names are cached with their readers; policies read one set per action.
_LIMIT_KNOWN: Final = 512

#: Integer types for swapping the byte order of elements, by element size.
_WORDS: Final = {2: "H", 4: "I", 8: "Q"}


def count_bytes(text: str) -> int:
    """Return the size of a text in UTF-8: the most tokens that it can have.

    Byte-level BPE (of GPT, Llama 3, Qwen) makes no more tokens than bytes, because each token
    stands for at least one byte. A tokenizer that first normalises the text, or adds marks of its
    own, can make more: then count with that tokenizer. Tokens that surround a text (of a chat
    template, of an image) do not belong to it.
    """
    # lone surrogates, which can occur only in nested data, count as three bytes
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


class InputFacts:
    """``context.input``: facts about the guarded input.

    Of a tensor: ``rows``, ``features``, ``bytes``, ``dtype``, ``digest``. Of a table: ``rows``,
    ``columns``, ``bytes``, ``nulls``, ``digest``. Of a record: ``fields`` (the set of its names),
    ``bytes``, ``digest``. Of a text: ``chars``, ``bytes``, ``tokens``, ``findings``, ``digest``. A
    list of messages has the facts of a text, over all its texts, and ``messages`` (how many),
    ``roles``, ``tools`` (the names of the called ones), ``tool_calls`` and ``images`` (how many).
    If an item of a list is not a message, or the call has no input, these facts are absent, and a
    policy that reads one errs.

    The number of *output* tokens is not a property of an input: the application passes it as a fact
    in ``context.app``.

    Arguments:
        tokens: counts the tokens of a text; by default an upper bound, see `count_bytes`.
        findings: finds the kinds of findings in texts; without it, there is no such fact.
    """

    __slots__ = ("_findings", "_readers", "_tokens")

    namespace = "input"
    #: The facts whose texts a caller can't choose.
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
        self._readers: dict[str, dict[frozenset[str], tuple[_FactReader, ...]]] = {
            kind: {} for kind in _FIELDS
        }

    def prepare(self, names: frozenset[str]) -> None:
        """Prepare what these facts need; called at load, with the facts that policies read."""
        prepare = getattr(self._findings, "prepare", None)
        if "findings" in names and prepare is not None:
            prepare()

    def blocks(self, names: frozenset[str]) -> bool:
        """Return whether a kind with its own code, such as a model, must read the texts."""
        return "findings" in names and bool(getattr(self._findings, "blocks", False))

    def compute(self, names: frozenset[str], context: FactContext) -> Mapping[str, FactValue]:
        """Return the named facts that this kind of input has."""
        view = context.view
        kind = view.kind
        if kind == "text":
            return self._of_texts([view.value], names, view)
        if kind == "list":
            return self._of_messages(names, view)
        known = self._readers[kind]
        readers = known.get(names)
        if readers is None:
            readers = self._readers_for(kind, names)
        found: dict[str, FactValue] = {}
        for name, attribute, read in readers:
            found[name] = getattr(view, attribute) if read is None else read(view)
        return found

    def why_absent(self, context: FactContext) -> tuple[str, str]:
        """Return where an input has an unexpected form, and the form that was expected there.

        Both are empty if the input has that form. Called when a call is denied because a fact is
        absent.
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
        """Return the named facts over all of some texts.

        ``decoded`` are further forms of the texts, which are searched but not counted.
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

    def _readers_for(self, kind: str, names: frozenset[str]) -> tuple[_FactReader, ...]:
        """Return the reader of each named fact that this kind of input has."""
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
    """Return the plain data of a view: its ``data``, or else the value."""
    return view.value if view.data is None else view.data


def _roles(messages: list[Message]) -> frozenset[str]:
    return frozenset([message.role for message in messages])


def _tools(messages: list[Message]) -> frozenset[str]:
    return frozenset([call.name for message in messages for call in message.tool_calls])


def digest_tensor(view: View) -> str:
    r"""Return the SHA-256 of a tensor: 64 hexadecimal digits.

    It covers the dtype and shape, as ``"float32 1000x30\n"``, and the bytes of the elements in C
    order and native byte order. So equal numbers have the same digest whatever their memory layout;
    another shape or type gives another digest. Elements in another layout are copied for it.
    """
    header = f"{view.dtype} {'x'.join(map(str, view.shape))}\n"
    digest = hashlib.sha256(header.encode("ascii"))
    buffer = view.buffer
    if buffer is not None and view.nbytes:
        if buffer.itemsize > 1 and is_swapped(buffer.format):
            digest.update(_in_native_order(buffer))
        else:
            digest.update(buffer if buffer.c_contiguous else buffer.tobytes())
    return digest.hexdigest()


def _in_native_order(buffer: memoryview) -> array[int]:
    """Return elements in native byte order."""
    words = array(_WORDS[buffer.itemsize], buffer.tobytes())
    words.byteswap()
    return words


def digest_plain(view: View) -> str:
    """Return the SHA-256 of a record or a list: 64 hexadecimal digits.

    It covers the JSON, in ASCII, with sorted keys and without spaces. So the order of keys does not
    matter, and a tuple counts as a list. A time or a decimal is written as its type and its text; a
    second JSON, with null in its place, distinguishes it from a list with the same content.
    """
    data = _plain(view)
    try:
        text = json.dumps(data, sort_keys=True, separators=(",", ":"))
    except TypeError:
        # a list can look like a written time, so the digest also covers where the times are
        text = json.dumps(data, sort_keys=True, separators=(",", ":"), default=_written_scalar)
        text += "\n" + json.dumps(data, sort_keys=True, separators=(",", ":"), default=_null_scalar)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _written_scalar(value: Any) -> list[str]:
    """Return a time or a decimal by its type and its text: it is neither text nor number."""
    return [type(value).__name__, str(value)]


def _null_scalar(value: Any) -> None:
    """Return nothing in place of a time or a decimal: null."""


def digest_text(view: View) -> str:
    """Return the SHA-256 of a text in UTF-8: 64 hexadecimal digits."""
    return hashlib.sha256(view.value.encode()).hexdigest()


def digest_of(view: View) -> str:
    """Return the digest of an input of any kind; empty if there is no input."""
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
_READ: Final[Mapping[str, Mapping[str, _ReadFact]]] = {
    "tensor": {"digest": digest_tensor},
    "table": {
        "columns": lambda view: frozenset(tables().column_names(view)),
        "nulls": lambda view: tables().null_count(view),
        "digest": lambda view: tables().digest_table(view),
    },
    "record": {"digest": digest_plain, "fields": lambda view: frozenset(_plain(view))},
    "none": {},
}
