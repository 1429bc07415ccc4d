"""The view: the one look that is taken at a guarded input, before anything reads it.

Owns `Bounds`, the ``[bounds]`` table of a bundle, and `take_view`. Refuses what cannot be
looked at twice (iterators), what has no shape of its own (lists, text, data frames) and
whatever is over the bounds. It stands at the very beginning of the flow, so it costs the
same for a small tensor and a large one: sizes come from the buffer, and no element is
read. A record is walked once, for no more nodes than the bounds allow.

Compiled as it stands, with ``view.pxd`` beside it; the file is its own plain-Python twin.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final, NoReturn, TypeAlias

from pydantic import Field

from guardrail._core import look
from guardrail.documents import Section
from guardrail.ports import Unmet
from guardrail.values import View

#: What a record may hold at its leaves. Exactly these: a subclass may answer differently
#: each time that it is asked.
_LEAVES: Final = frozenset((str, int, float, bool, type(None)))
#: Types of input of which it is remembered whether they can be tensors.
_LIMIT_KNOWN: Final = 512
#: JSON itself reads no longer integers: Python stops converting at 4,300 digits.
_LIMIT_INTEGER_BITS: Final = 14_000

#: One step of the walk over a record: a container, its depth, and the way to it.
_Step: TypeAlias = tuple[Any, int, "_Way"]
_Way: TypeAlias = tuple["_Way | None", str | int]


class Bounds(Section):
    """The ``[bounds]`` table: the most that is accepted before anything is read.

    Attributes:
        input_bytes: bytes of a tensor's elements, or of a record as UTF-8.
        input_depth: axes of a tensor; containers within containers of a record, 1 to 200.
        input_rows: length of a tensor's first axis.
        input_nodes: keys and values of a record, all levels together.
    """

    input_bytes: Annotated[int, Field(ge=1, lt=2**63)] = 64_000_000
    input_depth: Annotated[int, Field(ge=1, le=200)] = 32
    input_rows: Annotated[int, Field(ge=1, lt=2**63)] = 10_000_000
    input_nodes: Annotated[int, Field(ge=1, lt=2**63)] = 100_000


class Viewer:
    """Takes the view of every input, within the bounds of one bundle.

    The bounds are copied: each look at a model of pydantic's costs more than the comparison.
    """

    __slots__ = ("_objections", "input_bytes", "input_depth", "input_nodes", "input_rows")

    def __init__(self, bounds: Bounds) -> None:
        self.input_bytes = bounds.input_bytes
        self.input_depth = bounds.input_depth
        self.input_rows = bounds.input_rows
        self.input_nodes = bounds.input_nodes
        self._objections: dict[Any, str] = {}

    def take(self, value: Any, name: str) -> View:
        """Return the view of one input: see `take_view`."""
        kind: Any = type(value)
        if kind is dict:
            return View("record", name, value, nbytes=_measure_record(value, name, self))
        objection = self._objections.get(kind)
        if objection is None:
            objection = self._object(kind)
        if objection:
            _refuse(name, value, objection)
        try:
            view = look(value, name)
        except (TypeError, ValueError, BufferError):
            view = None
        if view is None:  # outside the handler: the exporter's error may hold a value
            _refuse(name, value, _advice(value))
        if not view.dtype:
            _refuse(name, value, "Convert its elements to numbers.")
        shape, nbytes = view.shape, view.nbytes
        rows = shape[0] if shape else 0
        if nbytes > self.input_bytes:
            _stop(name, f"{self.input_bytes} bytes")
        if rows > self.input_rows:
            _stop(name, f"{self.input_rows} rows")
        if len(shape) > self.input_depth:
            _stop(name, f"{self.input_depth} axes")
        return view

    def _object(self, kind: Any) -> str:
        """Return what to do instead where no object of a type can be a tensor, else ``""``."""
        if len(self._objections) >= _LIMIT_KNOWN:
            self._objections = {}
        objection = self._objections[kind] = _objection(kind)
        return objection


def take_view(value: Any, *, name: str, bounds: Bounds) -> View:
    """Return the view of a guarded input.

    Arguments:
        value: a tensor (an object that exports a buffer of numbers: a numpy array, an
            ``array.array``, a ``memoryview``) or a record (a dict with string keys and plain
            Python data). An empty one of either kind is fine.
        name: the parameter's name, with which paths in errors begin.
        bounds: the bounds of the bundle.

    Raises:
        Unmet: ``too_large`` where the input is over the bounds (as is whatever contains
            itself); ``input_rejected`` where it is neither a tensor nor a record.
    """
    return Viewer(bounds).take(value, name)


def _objection(kind: Any) -> str:
    if issubclass(kind, Mapping):
        # One with code of its own could show the model other values than it showed us.
        return "Pass dict(...) of it."
    if issubclass(kind, str | bytes | bytearray):
        return "Parse it into a record, or pass an array of numbers."
    if hasattr(kind, "__next__"):
        return "What can be read only once cannot be checked: pass an array."
    return ""


def _measure_record(record: Mapping[Any, Any], name: str, bounds: Viewer) -> int:
    """Walk a record and return its size in bytes, estimated from above.

    Without recursion and without a memory of what was seen: whatever contains itself is
    over the depth, and whatever is shared is counted each time.
    """
    nodes = 0
    nbytes = 2
    steps: list[_Step] = [(record, 1, (None, name))]
    while steps:
        container, depth, way = steps.pop()
        if depth > bounds.input_depth:
            _stop(name, f"{bounds.input_depth} levels of containers")
        if nbytes > bounds.input_bytes:  # and after each item: no record is read to its end
            _stop(name, f"{bounds.input_bytes} bytes")
        is_mapping = isinstance(container, Mapping)
        items: Iterable[tuple[Any, Any]] = container.items() if is_mapping else enumerate(container)
        for key, item in items:
            nodes += 1
            if nodes > bounds.input_nodes:
                _stop(name, f"{bounds.input_nodes} keys and values")
            if is_mapping:
                if type(key) is not str or not _is_text(key):
                    _refuse(_path(way), key, "Name each field by text.", what="a key as text")
                nbytes += _text_bytes(key)
            kind = type(item)
            if kind in _LEAVES:
                nbytes += _leaf_bytes(item, kind, name)
            elif kind is dict or kind is list or kind is tuple:
                nbytes += 4
                steps.append((item, depth + 1, (way, key)))
            else:
                _refuse(_path((way, key)), item, _advice(item), what="plain Python data")
            if nbytes > bounds.input_bytes:
                _stop(name, f"{bounds.input_bytes} bytes")
    return nbytes


def _leaf_bytes(item: Any, kind: type, name: str) -> int:
    if kind is str:
        return _text_bytes(item)
    if kind is int:
        bits = item.bit_length()
        if bits > _LIMIT_INTEGER_BITS:
            _stop(name, f"{_LIMIT_INTEGER_BITS} bits in an integer")
        return int(bits) // 3 + 4  # a digit holds more than three bits
    return 26  # the longest repr of a float, with its separators


def _text_bytes(text: str) -> int:
    # both in constant time: four bytes is the most that a character takes
    return (len(text) if text.isascii() else 4 * len(text)) + 4


def _is_text(text: str) -> bool:
    """Whether the text is free of lone surrogates, which no UTF-8 can hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _path(way: _Way) -> str:
    """Return the path of a value: fields by name, where that name is no text of its own."""
    steps: list[str | int] = []
    above: _Way | None = way
    while above is not None:
        above, step = above
        steps.append(step)
    name, *below = reversed(steps)
    path = str(name)
    for step in below:
        if isinstance(step, int):
            path += f"[{step}]"
        else:
            # a key that is no plain name may be data, and data stays out of messages
            plain = step.isascii() and step.isidentifier() and len(step) <= 64
            path += f".{step}" if plain else "[...]"
    return path


def _advice(value: Any) -> str:
    for method in ("to_numpy", "numpy"):
        if callable(getattr(type(value), method, None)):
            return f"Pass what its .{method}() returns."
    if isinstance(value, list | tuple):
        return "Pass numpy.asarray(...) of it, with a dtype of numbers."
    if callable(getattr(type(value), "item", None)):
        return "Pass what its .item() returns."
    return "Pass an array of numbers, or a mapping of plain Python data."


def _refuse(path: str, value: Any, advice: str, *, what: str = "a tensor or a record") -> NoReturn:
    message = f"{path}: expected {what}; got {type(value).__name__}. {advice}"
    raise Unmet(message, code="input_rejected", path=path)


def _stop(name: str, limit: str) -> NoReturn:
    message = f"{name}: expected no more than {limit}; got more. Send less per call."
    raise Unmet(message, code="too_large", path=name)
