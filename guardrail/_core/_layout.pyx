"""Write records as JSON by a fixed layout, compiled; `_layout_py` is the reference.

A record is written for every call, and twice if the model runs. Writing field by field into one
block of memory costs a third of joining and encoding parts (`benchmarks.audit`).
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.float cimport PyFloat_AS_DOUBLE, PyFloat_Check
from cpython.mem cimport PyMem_Calloc, PyMem_Free, PyMem_Realloc
from cpython.object cimport PyObject
from cpython.tuple cimport PyTuple_Check, PyTuple_CheckExact, PyTuple_GET_ITEM, PyTuple_GET_SIZE
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy

from guardrail._core._layout_py import kind_of, to_json

cdef extern from "Python.h":
    bint PyUnicode_CheckExact(object text)
    bint PyUnicode_IS_ASCII(object text)
    Py_ssize_t PyUnicode_GET_LENGTH(object text)
    const unsigned char* PyUnicode_1BYTE_DATA(object text)
    bint PyLong_CheckExact(object number)
    double PyLong_AsDouble(object number) except? -1.0
    long long PyLong_AsLongLongAndOverflow(object number, int* overflow) except? -1

cdef enum:
    TEXT, SHORT, INTEGER, SECONDS, FLAG, PAIRS, JSON
    #: Bytes for which no memory is asked.
    USUAL = 1024
    #: Digits of a number of 64 bits, with its sign.
    DIGITS = 20

cdef dict NUMBERS = {
    "text": TEXT, "short": SHORT, "integer": INTEGER, "seconds": SECONDS, "flag": FLAG,
    "pairs": PAIRS, "json": JSON,
}
cdef double LIMIT_NS = 9.2e18


cdef struct Out:
    char* data
    Py_ssize_t size
    Py_ssize_t room
    char* own


cdef class Layout:
    """The fields of a record that are written to JSON. See `_layout_py.Layout`."""

    def __cinit__(self, tuple fields not None, Py_ssize_t limit=200):
        cdef Py_ssize_t at, index
        self._limit = limit
        self._fields = <Field*>PyMem_Calloc(max(1, len(fields)), sizeof(Field))
        if self._fields is NULL:
            raise MemoryError
        for index, (key, at, kind) in enumerate(fields):
            name, count = kind_of(kind)
            written = f",{to_json(key)}:".encode()
            if len(written) > KEY - 1:
                raise ValueError("the key is too long")
            self._fields[index].kind = NUMBERS[name]
            self._fields[index].at = at
            self._fields[index].count = count
            self._fields[index].size = len(written)
            memcpy(self._fields[index].key, PyBytes_AS_STRING(written), len(written) + 1)
        self._count = len(fields)

    def __dealloc__(self):
        PyMem_Free(self._fields)

    cpdef bytes write(self, record, tuple more):
        """Return a record as JSON. See `_layout_py.Layout`."""
        cdef char usual[USUAL]
        cdef Out out
        if not PyTuple_Check(record) or more is None:
            raise TypeError("expected a record")
        out.data = usual
        out.own = NULL
        out.size = 0
        out.room = USUAL
        try:
            write_fields(&out, self, record, more)
            return PyBytes_FromStringAndSize(out.data, out.size)
        finally:
            if out.own is not NULL:
                PyMem_Free(out.own)


cdef int write_fields(Out* out, Layout layout, record, tuple more) except -1:
    cdef Py_ssize_t index, at, count
    cdef Field* field
    cdef PyObject* source
    cdef double total
    put_byte(out, c"{")
    for index in range(layout._count):
        field = &layout._fields[index]
        at = field.at
        source = <PyObject*>record
        if at < 0:
            at = -at - 1
            source = <PyObject*>more
        if at + field.count > PyTuple_GET_SIZE(<object>source):
            raise IndexError("the record has no such field")
        if field.kind == TEXT:
            put_text(out, field, PyTuple_GET_ITEM(<object>source, at), -1)
        elif field.kind == SHORT:
            put_text(out, field, PyTuple_GET_ITEM(<object>source, at), layout._limit)
        elif field.kind == INTEGER:
            put_key(out, field)
            put_integer(out, PyTuple_GET_ITEM(<object>source, at))
        elif field.kind == SECONDS:
            total = seconds_of(PyTuple_GET_ITEM(<object>source, at))
            for count in range(1, field.count):
                total += seconds_of(PyTuple_GET_ITEM(<object>source, at + count))
            put_key(out, field)
            put_seconds(out, total)
        elif field.kind == FLAG:
            put_flag(out, field, PyTuple_GET_ITEM(<object>source, at))
        elif field.kind == PAIRS:
            put_pairs(out, field, PyTuple_GET_ITEM(<object>source, at))
        else:
            put_json(out, field, PyTuple_GET_ITEM(<object>source, at))
    return put_byte(out, c"}")


cdef class Run:
    """A range of a record's fields. See `_layout_py.Run`."""

    def __cinit__(self, record, Py_ssize_t start, Py_ssize_t stop):
        if not PyTuple_Check(record) or start < 0:
            raise TypeError("expected a record, and a place in it")
        self._start = start
        self.values = tuple(record[start:stop])

    cpdef bint is_in(self, record) except -1:
        """Return whether a record holds the same objects at the same positions."""
        cdef Py_ssize_t index
        cdef Py_ssize_t count = PyTuple_GET_SIZE(self.values)
        if not PyTuple_Check(record):
            raise TypeError("expected a record")
        if count and self._start + count > PyTuple_GET_SIZE(record):
            return False
        for index in range(count):
            if (
                PyTuple_GET_ITEM(record, self._start + index)
                is not PyTuple_GET_ITEM(self.values, index)
            ):
                return False
        return True


cdef inline int make_room(Out* out, Py_ssize_t size) except -1:
    cdef Py_ssize_t room
    cdef char* own
    if out.room - out.size >= size:
        return 0
    room = 2 * (out.size + size)
    own = <char*>PyMem_Realloc(out.own, room)
    if own is NULL:
        raise MemoryError
    if out.own is NULL:
        memcpy(own, out.data, out.size)
    out.own = own
    out.data = own
    out.room = room
    return 0


cdef inline int put(Out* out, const char* data, Py_ssize_t size) except -1:
    make_room(out, size)
    memcpy(out.data + out.size, data, size)
    out.size += size
    return 0


cdef inline int put_byte(Out* out, char byte) except -1:
    make_room(out, 1)
    out.data[out.size] = byte
    out.size += 1
    return 0


cdef inline int put_key(Out* out, Field* field) except -1:
    """Write a field's key, and a comma before it unless it is the first."""
    cdef Py_ssize_t comma = out.size > 1
    make_room(out, KEY)
    memcpy(out.data + out.size, field.key + 1 - comma, KEY)  # of one size, so without a call
    out.size += field.size - 1 + comma
    return 0


cdef inline bint is_plain(const unsigned char* data, Py_ssize_t size) noexcept nogil:
    """Return whether this ASCII needs no escapes in JSON. Without a branch, to be vectorised."""
    cdef Py_ssize_t at
    cdef unsigned char others = 0
    for at in range(size):
        others |= (data[at] < 0x20) | (data[at] == 0x7F) | (data[at] == c'"') | (data[at] == c"\\")
    return others == 0


cdef int put_text(Out* out, Field* field, PyObject* found, Py_ssize_t limit) except -1:
    """Write a text, after its key if it has one. An empty text with a key is left out."""
    cdef Py_ssize_t size
    cdef char* quoted
    text = <object>found
    if not PyUnicode_CheckExact(text):
        if not isinstance(text, str):
            raise TypeError("expected str")
        text = str.__str__(text)
    size = PyUnicode_GET_LENGTH(text)
    if limit >= 0 and size > limit:
        text = text[:limit]
        size = limit
    if field is not NULL:
        if size == 0:
            return 0
        put_key(out, field)
    if PyUnicode_IS_ASCII(text) and is_plain(PyUnicode_1BYTE_DATA(text), size):
        make_room(out, size + 2)
        quoted = out.data + out.size
        quoted[0] = c'"'
        memcpy(quoted + 1, PyUnicode_1BYTE_DATA(text), size)
        quoted[size + 1] = c'"'
        out.size += size + 2
        return 0
    raw = to_json(text).encode()
    return put(out, PyBytes_AS_STRING(raw), PyBytes_GET_SIZE(raw))


cdef int put_integer(Out* out, PyObject* found) except -1:
    cdef int overflow = 0
    cdef long long number
    if not PyLong_CheckExact(<object>found):
        raise TypeError("expected int")
    number = PyLong_AsLongLongAndOverflow(<object>found, &overflow)
    if overflow:
        raw = str(<object>found).encode()
        return put(out, PyBytes_AS_STRING(raw), PyBytes_GET_SIZE(raw))
    return put_digits(out, number)


cdef int put_digits(Out* out, int64_t number) except -1:
    cdef char digits[DIGITS]
    cdef Py_ssize_t at = DIGITS
    cdef uint64_t rest = <uint64_t>number
    cdef uint64_t pair
    if number < 0:
        rest = 0 - rest
    while rest >= 10:  # two at a time: half of the divisions
        pair = rest % 100
        rest //= 100
        at -= 2
        digits[at] = c"0" + <char>(pair // 10)
        digits[at + 1] = c"0" + <char>(pair % 10)
    if rest or at == DIGITS:
        at -= 1
        digits[at] = c"0" + <char>rest
    if number < 0:
        at -= 1
        digits[at] = c"-"
    return put(out, &digits[at], DIGITS - at)


cdef inline double seconds_of(PyObject* found) except? -1.0:
    if PyFloat_Check(<object>found):
        return PyFloat_AS_DOUBLE(<object>found)
    if not PyLong_CheckExact(<object>found):
        raise TypeError("expected float")
    return PyLong_AsDouble(<object>found)


cdef inline int put_seconds(Out* out, double total) except -1:
    cdef double nanoseconds = total * 1e9
    if not (-LIMIT_NS < nanoseconds < LIMIT_NS):
        raise ValueError("expected a time within 64 bits of nanoseconds")
    return put_digits(out, <int64_t>nanoseconds)


cdef int put_flag(Out* out, Field* field, PyObject* found) except -1:
    flag = <object>found
    if flag is None:
        return 0
    if flag is not True and flag is not False:
        raise TypeError("expected bool")
    put_key(out, field)
    return put(out, b"true", 4) if flag is True else put(out, b"false", 5)


cdef int put_json(Out* out, Field* field, PyObject* found) except -1:
    raw = <object>found
    if type(raw) is not bytes:
        raise TypeError("expected bytes")
    if PyBytes_GET_SIZE(raw) == 0:
        return 0
    put_key(out, field)
    return put(out, PyBytes_AS_STRING(raw), PyBytes_GET_SIZE(raw))


cdef int put_pairs(Out* out, Field* field, PyObject* found) except -1:
    cdef Py_ssize_t index
    pairs = <object>found
    if not PyTuple_CheckExact(pairs):
        raise TypeError("expected tuple")
    if PyTuple_GET_SIZE(pairs) == 0:
        return 0
    put_key(out, field)
    for index in range(PyTuple_GET_SIZE(pairs)):
        pair = <object>PyTuple_GET_ITEM(pairs, index)
        if not PyTuple_CheckExact(pair):
            raise TypeError("expected tuple")
        if PyTuple_GET_SIZE(pair) != 2:
            raise TypeError("expected pairs")
        put_byte(out, c"," if index else c"{")
        put_text(out, NULL, PyTuple_GET_ITEM(pair, 0), -1)
        put_byte(out, c":")
        put_integer(out, PyTuple_GET_ITEM(pair, 1))
    return put_byte(out, c"}")
