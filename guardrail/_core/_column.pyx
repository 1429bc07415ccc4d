# cython: cdivision=True
# cdivision: every divisor below is a constant.
"""Check the numbers and the nulls of a table's columns, compiled; `_column_py` is the reference.

Each column's buffers are read in one pass. The ``.pxd`` has what `_words.pyx` and `_codes.pyx`
share with this module. Offsets, codes and views come with the data, which may never have been
validated; invalid ones never cause a read outside of a buffer.

As in `_tensor.pyx` there are two loops: a vectorised screening that may report a good column as
doubtful, but never a bad one as good; and an exact loop that decides the doubtful ones, finds the
first bad row and counts all bad rows. The bounds of a column are converted once to the type of
its elements, rounded inwards, and both loops compare in that type, exactly. Measured by
``benchmarks/validation/tables.py``.
"""

import sys

from cpython.buffer cimport PyBUF_RECORDS_RO, PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.float cimport DBL_MAX, FLT_MAX
from libc.math cimport INFINITY, ceil, floor, isfinite, isnan, ldexp
from libc.stdint cimport (
    INT64_MAX, INT64_MIN, int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t,
    uintptr_t,
)
from libc.string cimport memcpy, strchr


cdef extern from "math.h" nogil:
    float nextafterf(float start, float towards)


ctypedef fused number:
    float
    double
    int8_t
    int16_t
    int32_t
    int64_t
    uint8_t
    uint16_t
    uint32_t
    uint64_t

cdef enum:
    #: From this many rows on, the GIL is released; see `_tensor.pyx`.
    GIL_FREE_FROM = 16384

cdef char NATIVE = b"<" if sys.byteorder == "little" else b">"

#: For each byte of a bitmap, eight bytes that are 1 where its bit is not set.
cdef uint8_t ABSENT[256][8]
cdef int _byte, _bit
for _byte in range(256):
    for _bit in range(8):
        ABSENT[_byte][_bit] = (_byte >> _bit & 1) ^ 1


cdef struct Demand:
    double low
    double high
    bint finite
    bint nullable
    bint nan_is_null


cdef class Held:
    """A buffer that is held for as long as it is read."""

    def __dealloc__(self):
        if self.is_held:
            PyBuffer_Release(&self.view)


cdef Held hold(value, int flags):
    cdef Held held = Held.__new__(Held)
    PyObject_GetBuffer(value, &held.view, flags)
    held.is_held = True
    if held.view.suboffsets != NULL:
        raise BufferError("expected a buffer without suboffsets")
    return held


cdef void unfold(
    const Nulls *nulls, Py_ssize_t start, Py_ssize_t width, uint8_t *absent
) noexcept nogil:
    """Write for each of ``width`` rows (up to TILE) a byte that is not zero where it is null."""
    cdef Py_ssize_t place, last, i = 0
    cdef int shift
    cdef uint8_t byte
    if nulls.bits == NULL:
        memcpy(absent, nulls.mask + start, width)
        return
    place = nulls.offset + start
    shift = place & 7
    last = (nulls.offset + start + width - 1) >> 3  # the bitmap ends no earlier
    place >>= 3
    while i < width:
        byte = nulls.bits[place] >> shift
        if shift and place < last:
            byte |= <uint8_t> (nulls.bits[place + 1] << (8 - shift))
        memcpy(absent + i, &ABSENT[byte][0], 8)  # the tile has room for whole eights
        i += 8
        place += 1
    if nulls.mask != NULL:
        for i in range(width):
            absent[i] |= nulls.mask[start + i]


cdef Verdict find_nulls(const Nulls *nulls, Py_ssize_t length) noexcept nogil:
    cdef Verdict verdict = Verdict(OK, 0, 0)
    cdef uint8_t absent[TILE]
    cdef Py_ssize_t start = 0, width, i
    if is_full(nulls, length):
        return verdict
    while start < length:
        width = min(<Py_ssize_t> TILE, length - start)
        unfold(nulls, start, width, absent)
        for i in range(width):
            add(&verdict, NULL_ROW if absent[i] else OK, start + i)
        start += width
    return verdict


cdef class HeldNulls:
    """The buffers that say which rows are null, and where they begin."""


cdef HeldNulls hold_nulls(Py_ssize_t length, validity, Py_ssize_t offset, mask):
    cdef HeldNulls held = HeldNulls.__new__(HeldNulls)
    held.nulls.bits = held.nulls.mask = NULL
    held.nulls.offset = offset
    if offset < 0:
        raise ValueError("expected an offset of 0 or more")
    if validity is not None:
        held.bits = hold(validity, PyBUF_SIMPLE)
        # not 8 * len: no product of what comes with the data may overflow
        if offset > sys.maxsize - 7 - length or (offset + length + 7) // 8 > held.bits.view.len:
            raise ValueError("expected a bit of validity for each row")
        if length:
            held.nulls.bits = <const uint8_t *> held.bits.view.buf
    if mask is not None:
        held.mask = hold(mask, PyBUF_SIMPLE)
        if held.mask.view.len != length:
            raise ValueError("expected a byte of the mask for each row")
        if length:
            held.nulls.mask = <const uint8_t *> held.mask.view.buf
    return held


def check_nulls(Py_ssize_t length, validity, Py_ssize_t offset, mask):
    """Find the rows that are null. The definition is `_column_py.check_nulls`."""
    cdef HeldNulls held
    if length < 0:
        raise ValueError("expected a length of 0 or more")
    held = hold_nulls(length, validity, offset, mask)
    return as_tuple(find_nulls(&held.nulls, length))


cdef dispatched screen(
    const number *tile, number least, number most, Py_ssize_t width, bint *bad
) noexcept nogil:
    """Return whether any element is not surely within its bounds; NaN is not."""
    # a flag as wide as an element, and no branch inside: so the compiler vectorises it
    cdef int8_t bad8 = 0
    cdef int16_t bad16 = 0
    cdef int32_t bad32 = 0
    cdef int64_t bad64 = 0
    cdef Py_ssize_t i
    for i in range(width):
        if sizeof(number) == 1:
            bad8 |= (not tile[i] >= least) | (not tile[i] <= most)
        elif sizeof(number) == 2:
            bad16 |= (not tile[i] >= least) | (not tile[i] <= most)
        elif sizeof(number) == 4:
            bad32 |= (not tile[i] >= least) | (not tile[i] <= most)
        else:
            bad64 |= (not tile[i] >= least) | (not tile[i] <= most)
    bad[0] = bad8 or bad16 or bad32 or bad64


cdef dispatched screen_around_nan(
    const number *tile, number least, number most, Py_ssize_t width, bint *bad
) noexcept nogil:
    """Return whether any element but NaN is not within its bounds."""
    cdef int32_t bad32 = 0
    cdef int64_t bad64 = 0
    cdef Py_ssize_t i
    for i in range(width):
        if sizeof(number) == 8:
            bad64 |= (tile[i] < least) | (tile[i] > most)
        else:
            bad32 |= (tile[i] < least) | (tile[i] > most)
    bad[0] = bad32 or bad64


cdef dispatched screen_present(
    const number *tile, const uint8_t *absent, number least, number most, Py_ssize_t width,
    bint *bad,
) noexcept nogil:
    """Return whether any element that is not absent is not surely within its bounds."""
    cdef int8_t bad8 = 0
    cdef int16_t bad16 = 0
    cdef int32_t bad32 = 0
    cdef int64_t bad64 = 0
    cdef Py_ssize_t i
    for i in range(width):
        if sizeof(number) == 1:
            bad8 |= ((not tile[i] >= least) | (not tile[i] <= most)) & (absent[i] == 0)
        elif sizeof(number) == 2:
            bad16 |= ((not tile[i] >= least) | (not tile[i] <= most)) & (absent[i] == 0)
        elif sizeof(number) == 4:
            bad32 |= ((not tile[i] >= least) | (not tile[i] <= most)) & (absent[i] == 0)
        else:
            bad64 |= ((not tile[i] >= least) | (not tile[i] <= most)) & (absent[i] == 0)
    bad[0] = bad8 or bad16 or bad32 or bad64


cdef inline int fit(double low, double high, number *least, number *most) noexcept nogil:
    """Convert the bounds to the elements' type, rounded inwards.

    Returns `BELOW` where every value of the type is below ``low``, `ABOVE` where every one
    is above ``high``, and `OK` where the two results say the same as the bounds.
    """
    cdef double top, bottom
    if number is double:
        least[0], most[0] = low, high
        return OK
    elif number is float:
        least[0], most[0] = <float> low, <float> high
        if least[0] < low:
            least[0] = nextafterf(least[0], INFINITY)
        if most[0] > high:
            most[0] = nextafterf(most[0], -INFINITY)
        return OK
    else:
        # the least power of two that no value of the type reaches, and its least value
        top = ldexp(1.0, 8 * <int> sizeof(number) - (1 if <number> -1 < 0 else 0))
        bottom = -top if <number> -1 < 0 else 0.0
        low, high = ceil(low), floor(high)
        if low >= top:  # so that the casts below are defined
            return BELOW
        if high < bottom:
            return ABOVE
        least[0] = <number> (bottom if low < bottom else low)
        if high < top:
            most[0] = <number> high
        else:  # all ones, but for the sign
            most[0] = <number> (
                <uint64_t> -1 >> (64 - 8 * <int> sizeof(number) + (1 if <number> -1 < 0 else 0))
            )
        return OK


cdef bint is_clean(
    const number *values, Py_ssize_t length, const Nulls *nulls, number least, number most,
    const Demand *demand,
) noexcept nogil:
    """Return whether a contiguous column is surely good. False decides nothing."""
    cdef uint8_t absent[TILE]
    cdef Py_ssize_t start = 0, width
    cdef bint bad = False, skips = (nulls.bits != NULL or nulls.mask != NULL)
    cdef bint skips_nan = False
    if skips and is_full(nulls, length):
        skips = False
    if skips and not demand.nullable:
        return False
    if number is float or number is double:
        skips_nan = demand.nan_is_null and demand.nullable
        if demand.finite:  # infinities become bounds like any other
            if number is float:
                least, most = max(least, -FLT_MAX), min(most, FLT_MAX)
            else:
                least, most = max(least, -DBL_MAX), min(most, DBL_MAX)
    if number is int64_t and demand.nan_is_null:
        if demand.nullable:  # the exact loop tells NaT from what is below a bound
            return least == INT64_MIN and most == INT64_MAX
        least = max(least, INT64_MIN + 1)
    if skips and skips_nan:
        return False
    while start < length:
        width = min(<Py_ssize_t> TILE, length - start)
        if skips:
            unfold(nulls, start, width, absent)
            screen_present(values + start, absent, least, most, width, &bad)
        elif skips_nan:
            screen_around_nan(values + start, least, most, width, &bad)
        else:
            screen(values + start, least, most, width, &bad)
        if bad:
            return False
        start += width
    return True


cdef Verdict check_values(
    const Py_buffer *view, Py_ssize_t length, number *kind, const Nulls *nulls,
    const Demand *demand,
) noexcept nogil:
    cdef Verdict verdict = Verdict(OK, 0, 0)
    cdef const char *origin = <const char *> view.buf
    cdef Py_ssize_t stride = view.strides[0] if view.strides != NULL else <Py_ssize_t> sizeof(number)
    cdef bint is_bound = demand.low > -INFINITY or demand.high < INFINITY
    cdef number least = 0, most = 0, value
    cdef int outside = fit(demand.low, demand.high, &least, &most), code
    cdef Py_ssize_t row
    if (
        outside == OK and stride == <Py_ssize_t> sizeof(number)
        and <uintptr_t> origin % sizeof(number) == 0
        and is_clean(<const number *> origin, length, nulls, least, most, demand)
    ):
        return verdict
    for row in range(length):
        # copied, not dereferenced: an exporter need not align its elements
        memcpy(&value, origin + row * stride, sizeof(number))
        code = outside
        if is_null(nulls, row):
            code = OK if demand.nullable else NULL_ROW
        elif number is int64_t and demand.nan_is_null and value == INT64_MIN:
            code = OK if demand.nullable else NULL_ROW
        elif number is float or number is double:
            if isnan(value) and demand.nan_is_null:
                code = OK if demand.nullable else NULL_ROW
            elif not isfinite(value) and (demand.finite or (isnan(value) and is_bound)):
                code = NOT_FINITE
            elif value < least:
                code = BELOW
            elif value > most:
                code = ABOVE
        elif code == OK:
            if value < least:
                code = BELOW
            elif value > most:
                code = ABOVE
        add(&verdict, code, row)
    return verdict


cdef Verdict check_as(
    const Py_buffer *view, Py_ssize_t length, number *kind, const Nulls *nulls,
    const Demand *demand,
) noexcept:
    cdef Verdict verdict
    if length < GIL_FREE_FROM:
        return check_values(view, length, kind, nulls, demand)
    with nogil:
        verdict = check_values(view, length, kind, nulls, demand)
    return verdict


cdef char kind_of(const Py_buffer *view) noexcept:
    """Return the struct code of the element type by its size, or 0: `terms.dtype_of`."""
    cdef const char *format = view.format
    cdef const char *codes  # by size in bytes
    if format == NULL:  # PEP 3118: unsigned bytes
        return b"B" if view.itemsize == 1 else 0
    if format[0] == b"@" or format[0] == b"=" or format[0] == NATIVE:
        format += 1
    if format[0] == 0 or format[1] != 0 or not 1 <= view.itemsize <= 8:
        return 0
    if format[0] == b"?":
        codes = "\0B\0\0\0\0\0\0\0"
    elif strchr("fd", format[0]):
        codes = "\0\0\0\0f\0\0\0d"
    elif strchr("bhilqn", format[0]):
        codes = "\0bh\0i\0\0\0q"
    elif strchr("BHILQN", format[0]):
        codes = "\0BH\0I\0\0\0Q"
    else:
        return 0
    return codes[view.itemsize]


cdef char hold_kind(const Py_buffer *view) except 0:
    cdef char kind = kind_of(view)
    if kind == 0:
        raise TypeError("expected a buffer of bool, float or integer numbers in native order")
    if view.ndim != 1:
        raise ValueError("expected a buffer of one axis")
    return kind


def check_numbers(
    values, validity, Py_ssize_t offset, mask, double low, double high, bint finite,
    bint nullable, bint nan_is_null,
):
    """Find the rows of a column of numbers that are null, not finite or out of bounds.

    The definition, with arguments, result and errors, is `_column_py.check_numbers`.
    """
    cdef Held held
    cdef HeldNulls absent
    cdef const Py_buffer *view
    cdef Nulls *nulls
    cdef Demand demand
    cdef Verdict verdict
    cdef Py_ssize_t length
    cdef char kind
    if not low <= high:
        raise ValueError("expected bounds in order, and no NaN")
    held = hold(values, PyBUF_RECORDS_RO)
    view = &held.view
    kind = hold_kind(view)
    length = view.shape[0]
    absent = hold_nulls(length, validity, offset, mask)
    nulls = &absent.nulls
    demand = Demand(low, high, finite, nullable, nan_is_null)
    if kind == b"d":
        verdict = check_as[double](view, length, NULL, nulls, &demand)
    elif kind == b"f":
        verdict = check_as[float](view, length, NULL, nulls, &demand)
    elif kind == b"b":
        verdict = check_as[int8_t](view, length, NULL, nulls, &demand)
    elif kind == b"h":
        verdict = check_as[int16_t](view, length, NULL, nulls, &demand)
    elif kind == b"i":
        verdict = check_as[int32_t](view, length, NULL, nulls, &demand)
    elif kind == b"q":
        verdict = check_as[int64_t](view, length, NULL, nulls, &demand)
    elif kind == b"B":
        verdict = check_as[uint8_t](view, length, NULL, nulls, &demand)
    elif kind == b"H":
        verdict = check_as[uint16_t](view, length, NULL, nulls, &demand)
    elif kind == b"I":
        verdict = check_as[uint32_t](view, length, NULL, nulls, &demand)
    else:
        verdict = check_as[uint64_t](view, length, NULL, nulls, &demand)
    return as_tuple(verdict)
