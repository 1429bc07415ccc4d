"""The view of an input, compiled; `_view_py` is the reference."""

from cpython.memoryview cimport PyMemoryView_FromObject, PyMemoryView_GET_BUFFER

from guardrail._core.terms import dtype_of


cdef class View:
    """A guarded input, with the sizes and types that are read once at the start of a call.

    See `_view_py.View`.
    """

    cdef readonly object kind
    cdef readonly object name
    cdef readonly object value
    cdef readonly object buffer
    cdef readonly tuple shape
    cdef readonly object dtype
    cdef readonly object nbytes
    cdef readonly object data

    __match_args__ = ("kind", "name", "value", "buffer", "shape", "dtype", "nbytes", "data")

    def __init__(
        self, kind, name="", value=None, buffer=None, tuple shape not None=(), dtype="", nbytes=0,
        data=None,
    ):
        self.kind = kind
        self.name = name
        self.value = value
        self.buffer = buffer
        self.shape = shape
        self.dtype = dtype
        self.nbytes = nbytes
        self.data = data

    @property
    def rows(self):
        """Length of the first axis; 1 for a zero-dimensional tensor and for a record."""
        return self.shape[0] if self.shape else 1

    @property
    def features(self):
        """Elements per row: the product of all axes but the first."""
        features = 1
        for length in self.shape[1:]:
            features *= length
        return features

    def __repr__(self):
        return f"View(kind={self.kind!r}, name={self.name!r}, shape={self.shape!r})"


#: The names of all types whose format is one letter, by letter and size; "" for none.
cdef tuple NAMES = tuple(
    [tuple([dtype_of(chr(letter), size) for size in range(9)]) for letter in range(128)]
)


cdef str name_of(const Py_buffer *buffer, view):
    """Return numpy's name of the element type, or ``""``: `terms.dtype_of`."""
    cdef const char *format = buffer.format  # never NULL: a memoryview says "B" by itself
    if buffer.suboffsets != NULL:
        return ""
    if 0 < format[0] < 128 and format[1] == 0 and 0 <= buffer.itemsize <= 8:
        return (<tuple> NAMES[<int> format[0]])[buffer.itemsize]
    return dtype_of(view.format, view.itemsize)


def look(value, name):
    """Return the view of a tensor. See `_view_py.look`."""
    cdef object held = PyMemoryView_FromObject(value)
    cdef Py_buffer *buffer = PyMemoryView_GET_BUFFER(held)
    cdef View view = View.__new__(View)
    cdef Py_ssize_t axis
    view.kind = "tensor"
    view.name = name
    view.value = value
    view.buffer = held
    view.shape = tuple([buffer.shape[axis] for axis in range(buffer.ndim)])
    view.dtype = name_of(buffer, held)
    view.nbytes = buffer.len
    return view
