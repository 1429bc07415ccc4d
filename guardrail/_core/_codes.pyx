"""Check columns of codes and of Python strings, compiled; `_codes_py` is the reference.

Invalid codes never cause a read outside of the dictionary. No code of an object runs: an object
whose type is not exactly `str` is not read.
"""

from cpython.buffer cimport PyBUF_RECORDS_RO, PyBUF_SIMPLE, PyBUF_WRITABLE
from cpython.object cimport PyObject
from cpython.unicode cimport PyUnicode_KIND, PyUnicode_DATA, PyUnicode_GET_LENGTH, PyUnicode_READ
from libc.math cimport isnan
from libc.stdint cimport (
    int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t,
)
from libc.string cimport memcpy

from guardrail._core._column cimport (
    MALFORMED, NOT_LISTED, NOT_TEXT, NULL_ROW, OK, TOO_LONG, Held, HeldNulls, Nulls, Verdict,
    add, as_tuple, hold, hold_kind, hold_nulls, is_null,
)
from guardrail._core._words cimport Choices, hold_flags, is_listed


cdef extern from "Python.h":
    bint PyUnicode_IS_ASCII(object text)
    bint PyUnicode_CheckExact(object text)
    bint PyFloat_CheckExact(object number)
    double PyFloat_AS_DOUBLE(object number)


ctypedef fused whole:
    int8_t
    int16_t
    int32_t
    int64_t
    uint8_t
    uint16_t
    uint32_t
    uint64_t


cdef Verdict judge_codes(
    const Py_buffer *view, Py_ssize_t length, whole *kind, const Nulls *nulls,
    const uint8_t *flags, Py_ssize_t count, bint nullable, bint minus_is_null,
) noexcept nogil:
    cdef Verdict verdict = Verdict(OK, 0, 0)
    cdef const char *origin = <const char *> view.buf
    cdef Py_ssize_t stride = view.strides[0] if view.strides != NULL else <Py_ssize_t> sizeof(whole)
    cdef Py_ssize_t row
    cdef whole value
    cdef int code
    for row in range(length):
        memcpy(&value, origin + row * stride, sizeof(whole))
        if is_null(nulls, row):
            code = OK if nullable else NULL_ROW
        elif <whole> -1 < 0 and value < 0:
            code = MALFORMED
            if minus_is_null and value == <whole> -1:
                code = OK if nullable else NULL_ROW
        elif <uint64_t> value >= <uint64_t> count:
            code = MALFORMED
        else:
            code = flags[value]
        add(&verdict, code, row)
    return verdict


def check_codes(codes, validity, Py_ssize_t offset, flags, bint nullable, bint minus_is_null):
    """Find the bad rows of a column of codes. The definition is `_codes_py.check_codes`."""
    cdef Held held = hold(codes, PyBUF_RECORDS_RO), entries
    cdef const Py_buffer *view = &held.view
    cdef char kind = hold_kind(view)
    cdef Py_ssize_t length = view.shape[0], count
    cdef HeldNulls absent
    cdef const Nulls *nulls
    cdef const uint8_t *flag
    cdef Verdict verdict
    if length and (kind == b"f" or kind == b"d"):
        raise TypeError("expected codes as integers")
    entries = hold(flags, PyBUF_SIMPLE)
    flag, count = <const uint8_t *> entries.view.buf, entries.view.len
    absent = hold_nulls(length, validity, offset, None)
    nulls = &absent.nulls
    with nogil:
        if length == 0:
            verdict = Verdict(OK, 0, 0)
        elif kind == b"b":
            verdict = judge_codes[int8_t](
                view, length, NULL, nulls, flag, count, nullable, minus_is_null
            )
        elif kind == b"h":
            verdict = judge_codes[int16_t](
                view, length, NULL, nulls, flag, count, nullable, minus_is_null
            )
        elif kind == b"i":
            verdict = judge_codes[int32_t](
                view, length, NULL, nulls, flag, count, nullable, minus_is_null
            )
        elif kind == b"q":
            verdict = judge_codes[int64_t](
                view, length, NULL, nulls, flag, count, nullable, minus_is_null
            )
        elif kind == b"B":
            verdict = judge_codes[uint8_t](
                view, length, NULL, nulls, flag, count, nullable, minus_is_null
            )
        elif kind == b"H":
            verdict = judge_codes[uint16_t](
                view, length, NULL, nulls, flag, count, nullable, minus_is_null
            )
        elif kind == b"I":
            verdict = judge_codes[uint32_t](
                view, length, NULL, nulls, flag, count, nullable, minus_is_null
            )
        else:
            verdict = judge_codes[uint64_t](
                view, length, NULL, nulls, flag, count, nullable, minus_is_null
            )
    return as_tuple(verdict)


cdef Held hold_objects(values):
    cdef Held held = hold(values, PyBUF_RECORDS_RO)
    cdef const char *format = held.view.format
    if format == NULL or format[0] != b"O" or format[1] != 0:
        raise TypeError("expected a buffer of objects")
    if held.view.ndim != 1:
        raise ValueError("expected a buffer of one axis")
    return held


cdef inline object object_at(const Py_buffer *view, Py_ssize_t row):
    cdef const char *at = <const char *> view.buf
    cdef PyObject *item
    at += row * (view.strides[0] if view.strides != NULL else <Py_ssize_t> sizeof(item))
    memcpy(&item, at, sizeof(item))
    return None if item == NULL else <object> item  # numpy reads an empty place as None


cdef inline bint is_missing(item, na):
    if item is None or item is na:
        return True
    return na is not None and PyFloat_CheckExact(item) and isnan(PyFloat_AS_DOUBLE(item))


cdef inline bint is_unicode(item):
    """Return whether a string is free of lone surrogates."""
    cdef Py_ssize_t i
    if PyUnicode_IS_ASCII(item) or PyUnicode_KIND(item) == 1:
        return True
    for i in range(PyUnicode_GET_LENGTH(item)):
        if 0xD800 <= PyUnicode_READ(PyUnicode_KIND(item), PyUnicode_DATA(item), i) <= 0xDFFF:
            return False
    return True


cdef int judge_object(
    item, na, bint nullable, Py_ssize_t max_chars, Choices choices
) except -1:
    cdef bint is_known
    if is_missing(item, na):
        return OK if nullable else NULL_ROW
    if not PyUnicode_CheckExact(item):
        return NOT_TEXT
    if choices is not None:
        if PyUnicode_IS_ASCII(item):  # its characters are its UTF-8
            is_known = is_listed(
                choices.slots, choices.last, <const uint8_t *> PyUnicode_DATA(item),
                PyUnicode_GET_LENGTH(item),
            )
        else:
            is_known = item in choices.texts
        if not is_known:
            return NOT_LISTED
    elif not is_unicode(item):
        return NOT_TEXT
    return TOO_LONG if 0 <= max_chars < PyUnicode_GET_LENGTH(item) else OK


def check_objects(values, na, bint nullable, Py_ssize_t max_chars, Choices choices, flags):
    """Find the bad rows of a column of strings. The definition is `_codes_py.check_objects`."""
    cdef Held held = hold_objects(values), held_flags = None
    cdef Verdict verdict = Verdict(OK, 0, 0)
    cdef uint8_t *entries
    cdef Py_ssize_t row
    cdef int code
    if flags is not None:
        held_flags = hold(flags, PyBUF_SIMPLE | PyBUF_WRITABLE)
    entries = hold_flags(held_flags, held.view.shape[0])
    for row in range(held.view.shape[0]):
        code = judge_object(object_at(&held.view, row), na, nullable, max_chars, choices)
        if entries != NULL:
            entries[row] = code
        add(&verdict, code, row)
    return as_tuple(verdict)


def measure_objects(values, na):
    """Return the size of a column of strings. The definition is `_codes_py.measure_objects`."""
    cdef Held held = hold_objects(values)
    cdef int64_t nbytes = 0
    cdef Py_ssize_t row
    for row in range(held.view.shape[0]):
        item = object_at(&held.view, row)
        if is_missing(item, na):
            continue
        if not PyUnicode_CheckExact(item):
            return NOT_TEXT, row, 0
        nbytes += PyUnicode_GET_LENGTH(item) * (1 if PyUnicode_IS_ASCII(item) else 4)
    return OK, 0, nbytes
