"""The view of a guarded input: read once at the start of a call, before facts and decision.

`take_view` selects by the exact type: tensors, tables, records, lists and text. `Bounds` is the
``[bounds]`` table of a bundle. An input is rejected if it can be read only once (an iterator), if
it could answer differently each time (a subclass of a plain type, an object whose attributes are
computed by code), or if it is over the bounds. The time does not depend on the size of a tensor:
sizes come from the buffer, and no element is read. Plain data is walked once, up to the limit of
nodes.

Cython compiles this file with ``view.pxd``; it also runs as plain Python.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final

from pydantic import Field

from guardrail._core import find_character, look, measure
from guardrail._core.terms import (
    HUGE_INTEGER,
    LIMIT_INTEGER_BITS,
    NOT_A_NAME,
    NOT_PLAIN,
    OK,
    SURROGATE,
    TOO_DEEP,
    TOO_MANY,
)
from guardrail._documents import Section
from guardrail._paths import path_of
from guardrail._ports import ObligationNotMet
from guardrail._scalars import advice as scalar_advice
from guardrail._scalars import is_scalar, read_scalar
from guardrail._type_names import class_name
from guardrail.facts.input_view.objects import (
    FieldReader,
    field_reader_of,
    flags_of,
    has_code,
    is_shadowed,
    mro_of,
    tables,
    unfold,
)
from guardrail.values import View

#: How many types of inputs are cached with the way to read them.
_LIMIT_KNOWN: Final = 512
#: A dict whose first value has one of these types is not a table. Compared by identity, because a
#: metaclass can override equality.
_PLAIN: Final = frozenset(map(id, (str, int, float, bool, type(None), dict, list, tuple)))
_UNSET: Final = "Give each field a value, or pass a dict of them."

#: The number of the machine's main memory in DLPack.
_CPU: Final = 1

#: ``Py_TPFLAGS_HEAPTYPE``: the type was made at run time, by a class statement for instance.
_HEAP_TYPE: Final = 1 << 9
#: Types made at run time whose interfaces are known to return the same elements.
_TENSORS: Final = frozenset(
    (
        ("array", "array"),
        ("numpy", "memmap"),
        ("torch", "Tensor"),
        ("torch.nn.parameter", "Parameter"),
        ("jaxlib._jax", "ArrayImpl"),
        ("jaxlib.xla_extension", "ArrayImpl"),
    )
)
_OWN_CODE: Final = "Its own code could show the model other values than were checked. "

#: How inputs of a type are read.
_TENSOR: Final = 0
_TEXT: Final = 1
_LIST: Final = 2
_OBJECT: Final = 3
_TABLE: Final = 4
_REJECTED: Final = 5


class Bounds(Section):
    """The ``[bounds]`` table: the limits that are checked before anything reads an input.

    Attributes:
        input_bytes: the most bytes of a tensor's elements, or of text and plain data as UTF-8.
        input_depth: the most axes of a tensor, or levels of nested containers in plain data; 1 to
            200.
        input_rows: the most rows of a table, or the greatest length of a tensor's first axis.
        input_nodes: the most keys and values of plain data, at all levels together.
        findings: the most findings and possible findings in one text, of inputs and of outputs.
    """

    expected: ClassVar[Mapping[str, str]] = {
        "input_bytes": "a number of bytes, such as 64000000",
        "input_depth": "a number of levels, such as 32",
        "input_rows": "a number of rows, such as 10000000",
        "input_nodes": "a number of keys and values, such as 100000",
        "findings": "a number of findings, such as 2000",
    }

    input_bytes: Annotated[int, Field(ge=1, lt=2**63)] = 64_000_000
    input_depth: Annotated[int, Field(ge=1, le=200)] = 32
    input_rows: Annotated[int, Field(ge=1, lt=2**63)] = 10_000_000
    input_nodes: Annotated[int, Field(ge=1, lt=2**63)] = 100_000
    findings: Annotated[int, Field(ge=1, lt=2**31)] = 2_000


class Viewer:
    """Makes the view of every input, within the bounds of one bundle.

    The bounds are copied, because reading an attribute of a pydantic model costs more than a
    comparison.

    Arguments:
        bounds: the bounds.
        keys: the keys that the bundle's specs name; a path shows only these.
    """

    __slots__ = (
        "_bounds", "_keys", "_known", "input_bytes", "input_depth", "input_nodes", "input_rows",
    )  # fmt: skip

    def __init__(self, bounds: Bounds, keys: frozenset[str] = frozenset()) -> None:
        self.input_bytes = bounds.input_bytes
        self.input_depth = bounds.input_depth
        self.input_rows = bounds.input_rows
        self.input_nodes = bounds.input_nodes
        self._bounds = bounds
        self._keys = keys
        self._known: dict[Any, tuple[int, Any, Any]] = {}

    def take(self, value: Any, name: str) -> View:
        """Return the view of one input: see `take_view`."""
        kind: Any = type(value)
        if kind is dict:
            return self._take_dict(value, name)
        known = self._known.get(kind)
        # Compared by identity: a metaclass can say that two types are equal.
        if known is None or known[2] is not kind:
            known = self._cache_route(kind)
        route = known[0]
        if route == _TENSOR:
            return self._take_tensor(value, name)
        if route == _TEXT:
            return self._take_text(value, name)
        if route == _LIST:
            return self._take_plain("list", value, name)
        if route == _OBJECT:
            return self._take_unfolded("record", value, name)
        if route == _TABLE:
            return self._read_table(value, name)
        raise _refusal(name, kind, known[1])

    def _cache_route(self, kind: Any) -> tuple[int, Any, Any]:
        """Return how objects of a type are read, and cache it with the type itself."""
        if len(self._known) >= _LIMIT_KNOWN:
            self._known = {}
        known = self._known[kind] = (*_route(kind), kind)
        return known

    def _reader_for(self, kind: Any) -> FieldReader | str | None:
        """Return how objects of a type are read as records: see `field_reader_of`."""
        known = self._known.get(kind)
        if known is None or known[2] is not kind:
            known = self._cache_route(kind)
        return known[1] if known[0] in (_OBJECT, _REJECTED) else None

    def _take_tensor(self, value: Any, name: str) -> View:
        try:
            view = look(value, name)
        except (TypeError, ValueError, BufferError):
            view = None
        if view is None:  # outside the handler: the exporter's error may hold a value
            view = _exchange(value, name)
        if view is None:
            raise _refusal(name, type(value), _advice(type(value)))
        if not view.dtype:
            advice = "Convert its elements to numbers."
            raise _refusal(name, type(value), advice)
        shape, nbytes = view.shape, view.nbytes
        rows = shape[0] if shape else 0
        if nbytes > self.input_bytes:
            raise _excess(name, f"{self.input_bytes} bytes")
        if rows > self.input_rows:
            raise _excess(name, f"{self.input_rows} rows")
        if len(shape) > self.input_depth:
            raise _excess(name, f"{self.input_depth} axes")
        return view

    def _take_text(self, value: Any, name: str) -> View:
        # in constant time, before any character is read: a character has at most four bytes
        nbytes = len(value) if value.isascii() else 4 * len(value)
        if nbytes > self.input_bytes:
            raise _excess(name, f"{self.input_bytes} bytes")
        if find_character(value, SURROGATE)[1] >= 0:
            raise _refusal(name, str, "A lone surrogate stands in it.", what="Unicode text")
        return View("text", name, value, None, (), "", nbytes)

    def _take_dict(self, value: Any, name: str) -> View:
        if self._holds_arrays(value, name):
            return self._read_table(value, name)
        return self._take_plain("record", value, name)

    def _holds_arrays(self, value: Any, name: str) -> bool:
        """Return whether a dict is a table: all of its values are exactly numpy arrays."""
        for item in value.values():
            if id(type(item)) in _PLAIN:
                return False
            break
        # Not imported for this check: without numpy there is no array.
        numpy = sys.modules.get("numpy")
        if numpy is None or not value:
            return False
        if len(value) > self.input_nodes:
            raise _excess(name, f"{self.input_nodes} keys and values")
        array = getattr(numpy, "ndarray", None)
        return all(type(item) is array for item in value.values())

    def _read_table(self, value: Any, name: str) -> View:
        view: View = tables().read_table(value, name, self._bounds, self._keys)
        return view

    def _take_plain(self, view_kind: Any, value: Any, name: str) -> View:
        """Measure a dict or a list in place; as a copy only if it has objects."""
        code, nbytes, _, steps, kind = measure(
            value, self.input_depth, self.input_bytes, self.input_nodes
        )
        if code == OK:
            return View(view_kind, name, value, None, (), "", nbytes)
        if code == NOT_PLAIN and (
            is_scalar(kind) or isinstance(self._reader_for(kind), FieldReader)
        ):
            return self._take_unfolded(view_kind, value, name)
        raise self._misfit(code, steps, kind, name)

    def _take_unfolded(self, view_kind: Any, value: Any, name: str) -> View:
        """Measure an object, or a container of objects, as dicts of their fields."""
        code, data = unfold(value, self._reader_for, self.input_depth, self.input_nodes)
        if code != OK:
            raise self._misfit(code, (), None, name)
        if (
            data is value and id(type(value)) not in _PLAIN
        ):  # the fields of the outermost object can't be read
            raise _refusal(name, type(value), _UNSET)
        code, nbytes, _, steps, kind = measure(
            data, self.input_depth, self.input_bytes, self.input_nodes
        )
        if code == NOT_PLAIN and is_scalar(kind):  # times and decimals are kept
            measurable = _with_texts(data)
            code, nbytes, _, steps, kind = measure(
                measurable, self.input_depth, self.input_bytes, self.input_nodes
            )
        if code != OK:
            raise self._misfit(code, steps, kind, name)
        return View(view_kind, name, value, nbytes=nbytes, data=data)

    def _misfit(
        self, code: int, steps: tuple[str | int, ...], kind: Any, name: str
    ) -> ObligationNotMet:
        """Return the error for a fault that `measure` found."""
        if code == NOT_PLAIN:
            reader = self._reader_for(kind)
            if isinstance(reader, FieldReader):  # it could not be converted
                reader = _UNSET
            advice = scalar_advice(kind) or _advice_within(kind) or reader or _advice(kind)
            path = path_of(name, steps, self._keys)
            return _refusal(path, kind, advice, what="plain Python data")
        if code == NOT_A_NAME:
            path = path_of(name, steps, self._keys)
            return _refusal(path, kind, "Name each field by text.", what="a key as text")
        if code == TOO_DEEP:
            return _excess(name, f"{self.input_depth} levels of containers")
        if code == TOO_MANY:
            return _excess(name, f"{self.input_nodes} keys and values")
        if code == HUGE_INTEGER:
            return _excess(name, f"{LIMIT_INTEGER_BITS} bits in an integer")
        return _excess(name, f"{self.input_bytes} bytes")


def take_view(value: Any, *, name: str, bounds: Bounds, keys: frozenset[str] = frozenset()) -> View:
    """Return the view of a guarded input.

    Arguments:
        value: a tensor (an object that exports a buffer of numbers: a numpy array, an
            ``array.array``, a ``memoryview``; or one in main memory that exports DLPack, such as
            torch's and jax's, if numpy is installed), a table (a data frame, or a dict whose values
            are all numpy arrays), a record (a dict with string keys and plain Python data, a
            dataclass, a pydantic model), a list or tuple of plain data, or text. Each may be empty.
        name: the parameter's name, with which paths in errors begin.
        bounds: the bounds of the bundle.
        keys: the keys that a path may show: see `Viewer`.

    Raises:
        ObligationNotMet: ``too_large`` if the input is over the bounds, or contains itself;
            ``input_rejected`` if it is none of these.
    """
    return Viewer(bounds, keys).take(value, name)


def _with_texts(data: Any) -> Any:
    """Return unfolded data with a text in place of each time and decimal, to be measured.

    Other values are kept, and `measure` then rejects them with their path.
    """
    root: list[Any] = [data]
    pending: list[tuple[Any, Any]] = [(root, 0)]
    while pending:
        into, key = pending.pop()
        item = into[key]
        kind = type(item)
        if kind is dict:
            copy: Any = item.copy()
            pending.extend([(copy, name) for name in copy])
        elif kind is list or kind is tuple:
            copy = list(item)
            pending.extend([(copy, index) for index in range(len(copy))])
        elif is_scalar(kind) and read_scalar(item) is not None:
            copy = str(item)
        else:
            continue
        into[key] = copy
    return root[0]


def _route(kind: Any) -> tuple[int, Any]:
    """Return how objects of a type are read, with the reader or why they can't be read."""
    if kind is str:
        return _TEXT, None
    if kind is list or kind is tuple:
        return _LIST, None
    objection = _objection(kind)
    if objection:
        return _REJECTED, objection
    reader = field_reader_of(kind)
    if reader is not None:
        return (_REJECTED if isinstance(reader, str) else _OBJECT), reader
    if tables().is_table(kind):
        return _TABLE, None
    objection = _code_of_its_own(kind)
    return (_REJECTED, objection) if objection else (_TENSOR, None)


def _objection(kind: Any) -> str:
    if issubclass(kind, Mapping):
        # A subclass could show the model other values than it showed this check.
        return "Pass dict(...) of it."
    if issubclass(kind, str):
        return "Pass str(...) of it."
    if issubclass(kind, list | tuple):
        return "Pass list(...) of it."
    if issubclass(kind, bytes | bytearray):
        return "Parse it into a record, decode it as text, or pass an array of numbers."
    if hasattr(kind, "__next__"):
        return "An object that can be read only once can't be checked: pass an array or a list."
    return ""


def _code_of_its_own(kind: Any) -> str:
    """Return why an exporter of numbers may show other numbers to the model; empty if it does not.

    A masked array has a buffer and a ``filled()``, a subclass can define ``__getitem__``, and a
    Python class can return different data from `__dlpack__` and ``__array__``. Types in compiled
    code, such as numpy's ``ndarray``, and known types have one set of elements.
    """
    if not flags_of(kind) & _HEAP_TYPE:
        return ""
    mro = mro_of(kind)
    module, name = getattr(kind, "__module__", ""), getattr(kind, "__qualname__", "")
    if (module, name) in _TENSORS and getattr(sys.modules.get(module), name, None) is kind:
        return ""
    ctypes = sys.modules.get("ctypes")
    if ctypes is not None and len(mro) == 4 and mro[1] is ctypes.Array and not has_code(kind):
        return ""
    if any(base.__name__ == "MaskedArray" for base in mro):
        return (
            f"{_OWN_CODE}Pass what .filled(...) returns, or a table, whose columns may have nulls."
        )
    numpy = sys.modules.get("numpy")
    if (numpy is not None and numpy.ndarray in mro) or hasattr(kind, "__dlpack__"):
        return f"{_OWN_CODE}Pass numpy.asarray(...) of it."
    return _advice(kind)


def _exchange(value: Any, name: str) -> View | None:
    """Return the view of a tensor without a buffer that exports DLPack, else ``None``.

    Nothing is copied: a tensor that is not in main memory is rejected.
    """
    if not hasattr(type(value), "__dlpack__"):
        return None
    try:
        import numpy

        # Checked first: another device would have to synchronize.
        if value.__dlpack_device__()[0] != _CPU:
            return None
        if is_shadowed(value) or (hasattr(value, "is_neg") and value.is_neg()):
            return None  # the memory differs from the values: torch negates them lazily
        view = look(numpy.from_dlpack(value), name)
    except (
        ImportError, TypeError, ValueError, BufferError, RuntimeError, AttributeError, LookupError,
    ):  # fmt: skip
        return None
    return View("tensor", name, value, view.buffer, view.shape, view.dtype, view.nbytes)


def _advice(kind: Any) -> str:
    advice = scalar_advice(kind)
    if advice:
        return advice
    if callable(getattr(kind, "collect", None)):
        return "Pass what its .collect() returns: a lazy frame holds no data yet."
    for method in ("to_numpy", "numpy"):
        if callable(getattr(kind, method, None)):
            return f"Pass what its .{method}() returns."
    if callable(getattr(kind, "item", None)):
        return "Pass what its .item() returns."
    return "Pass an array of numbers, text, or dicts and lists of plain Python data."


def _advice_within(kind: Any) -> str:
    """Return advice for an array or a table inside plain data; empty for other types."""
    if callable(getattr(kind, "to_dicts", None)):
        return "Pass what its .to_dicts() returns, or the table by itself."
    if tables().is_table(kind):
        return "Pass the table by itself."
    for method in ("tolist", "to_list"):
        if callable(getattr(kind, method, None)):
            return f"Pass what its .{method}() returns, or a dict whose values are all arrays."
    return ""


def _refusal(
    path: str, kind: Any, advice: str, *, what: str = "a tensor, a table, a record, a list or text"
) -> ObligationNotMet:
    message = f"{path}: expected {what}; got {class_name(kind)}. {advice}"
    return ObligationNotMet(message, code="input_rejected", path=path)


def _excess(name: str, limit: str) -> ObligationNotMet:
    message = f"{name}: expected no more than {limit}; got more. Send less per call."
    return ObligationNotMet(message, code="too_large", path=name)
