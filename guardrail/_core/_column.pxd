# The C declarations of `_column.pyx`, which the other checks of columns import.

from cpython.buffer cimport Py_buffer
from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcpy


cdef enum:
    OK = 0
    NOT_FINITE = 1
    BELOW = 2
    ABOVE = 3
    NULL_ROW = 4
    NOT_LISTED = 5
    TOO_LONG = 6
    NOT_TEXT = 7
    MALFORMED = 8

    #: Rows that are screened before their verdict is read. A multiple of 64.
    TILE = 512


cdef extern from *:
    """
    #if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__)
    #define DISPATCHED_VOID __attribute__((target_clones("avx2", "default"))) void
    #else
    #define DISPATCHED_VOID void
    #endif
    """
    #: Compiled twice, for AVX2 and for any x86-64, and chosen as the module is loaded.
    ctypedef void dispatched "DISPATCHED_VOID"


cdef struct Verdict:
    int code
    Py_ssize_t index
    Py_ssize_t count


cdef struct Nulls:
    const uint8_t *bits  # Arrow's bitmap, or NULL
    Py_ssize_t offset    # the bit of the first row
    const uint8_t *mask  # a byte per row, or NULL


cdef class Held:
    cdef Py_buffer view
    cdef bint is_held


cdef class HeldNulls:
    cdef Nulls nulls
    cdef Held bits
    cdef Held mask


cdef Held hold(value, int flags)
cdef HeldNulls hold_nulls(Py_ssize_t length, validity, Py_ssize_t offset, mask)
cdef char kind_of(const Py_buffer *view) noexcept
cdef char hold_kind(const Py_buffer *view) except 0
cdef void unfold(
    const Nulls *nulls, Py_ssize_t start, Py_ssize_t width, uint8_t *absent
) noexcept nogil


cdef inline void add(Verdict *verdict, int code, Py_ssize_t row) noexcept nogil:
    if code != OK:
        if verdict.count == 0:
            verdict.code = code
            verdict.index = row
        verdict.count += 1


cdef inline tuple as_tuple(Verdict verdict):
    return verdict.code, verdict.index, verdict.count


cdef inline bint is_null(const Nulls *nulls, Py_ssize_t row) noexcept nogil:
    cdef Py_ssize_t place
    if nulls.bits != NULL:
        place = nulls.offset + row
        if not nulls.bits[place >> 3] >> (place & 7) & 1:
            return True
    return nulls.mask != NULL and nulls.mask[row] != 0


cdef inline bint is_full(const Nulls *nulls, Py_ssize_t length) noexcept nogil:
    """Whether no row is null."""
    cdef Py_ssize_t place, end
    cdef uint64_t word
    if nulls.mask != NULL:
        place = 0
        while place + 8 <= length:
            memcpy(&word, nulls.mask + place, 8)
            if word:
                return False
            place += 8
        while place < length:
            if nulls.mask[place] != 0:
                return False
            place += 1
    if nulls.bits == NULL:
        return True
    place, end = nulls.offset, nulls.offset + length
    while place < end and place & 7:
        if not nulls.bits[place >> 3] >> (place & 7) & 1:
            return False
        place += 1
    while place + 64 <= end:
        memcpy(&word, nulls.bits + (place >> 3), 8)
        if ~word:
            return False
        place += 64
    while place < end:
        if not nulls.bits[place >> 3] >> (place & 7) & 1:
            return False
        place += 1
    return True
