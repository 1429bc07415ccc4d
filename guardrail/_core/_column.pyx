# cython: cdivision=True
# cdivision: every divisor below is a constant.
"""The checks of a table's columns, compiled: one pass over each column's buffers.

Owns what `_column_py.py` defines. Refuses to read past a buffer, whatever offsets, codes and
views say: these come with the data, and a file that was never validated may hold any.

As in `_tensor.pyx` there are two loops: a screening that the compiler vectorises and that
errs on the side of suspicion, and an exact one that decides whatever was not found clean,
finds the first bad row and counts all. A column has one pair of bounds, which are converted
once to the elements' own type, rounded inwards: both loops compare in that type, exactly.
Measured by ``benchmarks/validation/tables.py``.
"""

import sys

from cpython.buffer cimport (
    PyBUF_RECORDS_RO, PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer,
)
from cpython.object cimport PyObject
from cpython.unicode cimport PyUnicode_KIND, PyUnicode_DATA, PyUnicode_GET_LENGTH, PyUnicode_READ
from libc.float cimport DBL_MAX, FLT_MAX
from libc.math cimport INFINITY, ceil, floor, isfinite, isnan, ldexp
from libc.stdint cimport (
    INT64_MAX, INT64_MIN,
    int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t,
)
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcmp, memcpy, memset, strchr


cdef extern from "math.h" nogil:
    float nextafterf(float start, float towards)

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

ctypedef fused ending:
    int32_t
    int64_t

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
    OK = 0
    NOT_FINITE = 1
    BELOW = 2
    ABOVE = 3
    NULL_ROW = 4
    NOT_LISTED = 5
    TOO_LONG = 6
    NOT_TEXT = 7
    MALFORMED = 8

    #: Rows that are screened before their verdict is looked at. A multiple of 64.
    TILE = 512
    #: From this many rows on, the GIL is released; see `_tensor.pyx`.
    GIL_FREE_FROM = 16384
    VIEW_BYTES = 16
    LIMIT_INLINE = 12
    #: Bytes of a text that fits a number together with its length, and the table of such: 2 KiB.
    LIMIT_SHORT = 7
    SHORT_BITS = 8

cdef char NATIVE = b"<" if sys.byteorder == "little" else b">"
cdef tuple CLEAN = (OK, 0, 0)

#: For each byte of a bitmap, eight bytes that are 1 where its bit is not set.
cdef uint8_t ABSENT[256][8]
cdef int _byte, _bit
for _byte in range(256):
    for _bit in range(8):
        ABSENT[_byte][_bit] = (_byte >> _bit & 1) ^ 1

#: For each length up to 7, a number whose bytes are ones as far as it goes; and none for 8.
cdef uint64_t HEADS[LIMIT_SHORT + 2]
#: How far to shift a length, so that it fills the byte of a number that no text of 7 has.
cdef int TAG_BITS = 56 if sys.byteorder == "little" else 0
cdef bytes _head
for _byte in range(LIMIT_SHORT + 1):
    _head = b"\xff" * _byte + b"\0" * (8 - _byte)
    memcpy(&HEADS[_byte], <const char *> _head, 8)
HEADS[LIMIT_SHORT + 1] = 0


cdef struct Verdict:
    int code
    Py_ssize_t index
    Py_ssize_t count


cdef struct Nulls:
    const uint8_t *bits  # Arrow's bitmap, or NULL
    Py_ssize_t offset    # the bit of the first row
    const uint8_t *mask  # a byte per row, or NULL


cdef struct Demand:
    double low
    double high
    bint finite
    bint nullable
    bint nan_is_null


cdef class Held:
    """A buffer that is held for as long as it is read."""

    cdef Py_buffer view
    cdef bint is_held

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


cdef inline void add(Verdict *verdict, int code, Py_ssize_t row) noexcept nogil:
    if code != OK:
        if verdict.count == 0:
            verdict.code = code
            verdict.index = row
        verdict.count += 1


cdef inline tuple as_tuple(Verdict verdict):
    return CLEAN if verdict.count == 0 else (verdict.code, verdict.index, verdict.count)


# ---- nulls

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


cdef inline void unfold(
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

    cdef Nulls nulls
    cdef Held bits
    cdef Held mask


cdef HeldNulls hold_nulls(Py_ssize_t length, validity, Py_ssize_t offset, mask):
    cdef HeldNulls held = HeldNulls.__new__(HeldNulls)
    held.nulls.bits = held.nulls.mask = NULL
    held.nulls.offset = offset
    if offset < 0:
        raise ValueError("expected an offset of 0 or more")
    if validity is not None:
        held.bits = hold(validity, PyBUF_SIMPLE)
        # not 8 * len: no product of what comes with the data may overflow
        if offset > sys.maxsize - length or (offset + length + 7) // 8 > held.bits.view.len:
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


# ---- numbers

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


cdef dispatched screen(
    const number *tile, number least, number most, Py_ssize_t width, bint *bad
) noexcept nogil:
    """Tell whether any element is not surely within its bounds; NaN is not."""
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
    """Tell whether any element but NaN is not within its bounds."""
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
    """Tell whether any element that is not absent is not surely within its bounds."""
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
    """Whether a contiguous column is surely good. False decides nothing."""
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


# ---- text

cdef inline bint is_ascii(const uint8_t *text, Py_ssize_t length) noexcept nogil:
    cdef uint64_t seen = 0, word
    cdef Py_ssize_t i = 0
    while i + 8 <= length:
        memcpy(&word, text + i, 8)
        seen |= word
        i += 8
    while i < length:
        seen |= text[i]  # its highest bit is that of a byte of the word
        i += 1
    return not seen & <uint64_t> 0x8080808080808080


cdef inline Py_ssize_t count_chars(const uint8_t *text, Py_ssize_t length) noexcept nogil:
    """Return how many characters the UTF-8 has, or -1 where it is none (Unicode, table 3-7)."""
    cdef Py_ssize_t i = 0, chars = 0
    cdef int lead, low, high, more
    if is_ascii(text, length):
        return length
    while i < length:
        lead = text[i]
        i += 1
        chars += 1
        if lead < 0x80:
            continue
        low, high = 0x80, 0xBF  # of the second byte; the others always have these
        if 0xC2 <= lead <= 0xDF:
            more = 1
        elif 0xE0 <= lead <= 0xEF:
            more = 2
            if lead == 0xE0:
                low = 0xA0
            elif lead == 0xED:  # no surrogates
                high = 0x9F
        elif 0xF0 <= lead <= 0xF4:
            more = 3
            if lead == 0xF0:
                low = 0x90
            elif lead == 0xF4:
                high = 0x8F
        else:
            return -1
        if length - i < more or not low <= text[i] <= high:
            return -1
        i += 1
        more -= 1
        while more:
            if not 0x80 <= text[i] <= 0xBF:
                return -1
            i += 1
            more -= 1
    return chars


cdef inline uint64_t pack(const uint8_t *text, Py_ssize_t length) noexcept nogil:
    """Return up to 8 bytes as a number that no other text of this length has."""
    # of loads whose sizes are constants, which may overlap: no call of memcpy
    cdef uint64_t all8
    cdef uint32_t head4, tail4
    cdef uint16_t head2, tail2
    if length == 8:
        memcpy(&all8, text, 8)
        return all8
    if length >= 4:
        memcpy(&head4, text, 4)
        memcpy(&tail4, text + length - 4, 4)
        return head4 | <uint64_t> tail4 << 32
    if length >= 2:
        memcpy(&head2, text, 2)
        memcpy(&tail2, text + length - 2, 2)
        return head2 | <uint64_t> tail2 << 16
    return text[0] if length else 0


cdef inline uint64_t hash_of(const uint8_t *text, Py_ssize_t length) noexcept nogil:
    """Return a number that differs for different texts of the same length up to 8."""
    # The entries are the spec's, and few of them share a slot: whatever the data, a look-up
    # ends within the longest run of entries that the spec itself makes.
    cdef uint64_t hash = <uint64_t> length
    while length > 8:
        hash = (hash ^ pack(text, 8)) * <uint64_t> 0xFF51AFD7ED558CCD
        hash ^= hash >> 32
        text += 8
        length -= 8
    # both steps can be undone, and so keep different numbers apart
    hash = (hash ^ pack(text, length)) * <uint64_t> 0xFF51AFD7ED558CCD
    return hash ^ (hash >> 29)


cdef struct Slot:
    const uint8_t *text  # NULL where the slot is free
    Py_ssize_t length
    uint64_t hash


cdef struct Shorts:
    # where no text is over 7 bytes: a table in which each has a slot of its own
    const uint64_t *slots  # or NULL
    uint64_t seed


cdef inline uint64_t key_of(uint64_t word, uint64_t length) noexcept nogil:
    """Return a number for a text of up to 7 bytes, and for all longer ones another.

    ``word`` begins with the text and may go on with anything.
    """
    length = length if length <= LIMIT_SHORT else LIMIT_SHORT + 1
    return (word & HEADS[length]) ^ length << TAG_BITS


cdef inline uint64_t slot_of(uint64_t key, uint64_t seed) noexcept nogil:
    return (key ^ key >> 32) * seed >> (64 - SHORT_BITS)


cdef class Choices:
    """The texts that a column may hold. The definition is `_column_py.Choices`."""

    cdef readonly frozenset texts
    cdef tuple words
    cdef Slot *slots
    cdef uint64_t last  # their number, less one: a power of two less one
    cdef uint64_t *short_slots
    cdef Shorts shorts

    def __cinit__(self, texts):
        cdef uint64_t size = 8, place
        cdef const uint8_t *text
        cdef bytes word
        self.texts = frozenset(texts)
        self.words = tuple([choice.encode() for choice in self.texts])
        while size < 4 * <uint64_t> len(self.words):
            size *= 2
        self.slots = <Slot *> calloc(size, sizeof(Slot))
        if self.slots == NULL:
            raise MemoryError
        self.last = size - 1
        for word in self.words:
            text = <const uint8_t *> <const char *> word
            place = hash_of(text, len(word)) & self.last
            while self.slots[place].text != NULL:
                place = (place + 1) & self.last
            self.slots[place] = Slot(text, len(word), hash_of(text, len(word)))
        self.shorts.slots = NULL
        if self.words and max(map(len, self.words)) <= LIMIT_SHORT:
            self.spread()

    cdef spread(self):
        """Find a table in which no two words share a slot; leave it where none is found soon."""
        cdef uint64_t seed = <uint64_t> 0x9E3779B97F4A7C15
        cdef int attempt
        self.short_slots = <uint64_t *> malloc(sizeof(uint64_t) << SHORT_BITS)
        if self.short_slots == NULL:
            raise MemoryError
        for attempt in range(64):
            seed = (seed * <uint64_t> 6364136223846793005 + <uint64_t> 1442695040888963407) | 1
            if self.fits(seed):
                self.shorts = Shorts(self.short_slots, seed)
                return

    cdef bint fits(self, uint64_t seed) except -1:
        cdef uint64_t word
        cdef uint64_t *slot
        cdef bytes text
        memset(self.short_slots, 0xFF, sizeof(uint64_t) << SHORT_BITS)
        for text in self.words:
            word = 0
            memcpy(&word, <const char *> text, len(text))
            slot = &self.short_slots[slot_of(key_of(word, len(text)), seed)]
            if ~slot[0]:
                return False
            slot[0] = key_of(word, len(text))
        return True

    def __dealloc__(self):
        free(self.slots)
        free(self.short_slots)


cdef inline bint is_listed(
    const Slot *slots, uint64_t last, const uint8_t *text, Py_ssize_t length
) noexcept nogil:
    cdef uint64_t hash = hash_of(text, length), place = hash & last
    while slots[place].text != NULL:
        if (
            slots[place].hash == hash and slots[place].length == length
            and (length <= 8 or memcmp(slots[place].text, text, length) == 0)
        ):
            return True
        place = (place + 1) & last
    return False


cdef struct Taste:
    bint nullable
    Py_ssize_t max_chars  # or -1
    const Slot *slots     # or NULL
    uint64_t last
    Shorts shorts


cdef Taste taste_of(bint nullable, Py_ssize_t max_chars, Choices choices):
    cdef Taste taste
    memset(&taste, 0, sizeof(taste))
    taste.nullable, taste.max_chars = nullable, max_chars
    if choices is not None:
        taste.slots, taste.last, taste.shorts = choices.slots, choices.last, choices.shorts
    return taste


cdef inline int judge_word(
    const uint8_t *text, Py_ssize_t length, const Taste *taste
) noexcept nogil:
    cdef Py_ssize_t chars
    if taste.slots != NULL:
        if not is_listed(taste.slots, taste.last, text, length):
            return NOT_LISTED
        if taste.max_chars < 0:
            return OK
    chars = count_chars(text, length)
    if chars < 0:
        return NOT_TEXT
    return TOO_LONG if 0 <= taste.max_chars < chars else OK


cdef inline Py_ssize_t end_at(const char *offsets, ending *kind, Py_ssize_t i) noexcept nogil:
    cdef ending end
    memcpy(&end, offsets + sizeof(ending) * i, sizeof(ending))
    return end


cdef dispatched measure_ends(
    const char *offsets, ending *kind, Py_ssize_t rows, Py_ssize_t size, Py_ssize_t *nbytes
) noexcept nogil:
    """Find how many bytes of text offsets name, or -1 where any is out of order."""
    cdef Py_ssize_t first = end_at(offsets, kind, 0), last = end_at(offsets, kind, rows), row
    cdef ending bad = 0
    for row in range(rows):
        bad |= end_at(offsets, kind, row + 1) < end_at(offsets, kind, row)
    nbytes[0] = -1 if bad or not 0 <= first <= last <= size else last - first


cdef bint is_clean_text(
    const char *offsets, ending *kind, Py_ssize_t rows, const uint8_t *data, Py_ssize_t size,
    const Nulls *nulls, const Taste *taste,
) noexcept nogil:
    """Whether a column of plain ASCII is surely good. False decides nothing."""
    cdef Py_ssize_t first = end_at(offsets, kind, 0), last = end_at(offsets, kind, rows)
    cdef Py_ssize_t start = first, end, i
    cdef bint bad = False
    if taste.slots != NULL or not 0 <= first <= last <= size:
        return False
    if not taste.nullable and not is_full(nulls, rows):
        return False
    for i in range(1, rows + 1):
        end = end_at(offsets, kind, i)
        bad |= end < start
        # in unsigned numbers, whose overflow is defined: offsets may be anything
        if taste.max_chars >= 0:
            bad |= <size_t> end - <size_t> start > <size_t> taste.max_chars
        start = end
    return not bad and is_ascii(data + first, last - first)


cdef inline bint are_listed_there(
    const char *offsets, ending *kind, Py_ssize_t first, Py_ssize_t rows, const uint8_t *data,
    const uint8_t *absent, const Shorts *shorts,
) noexcept nogil:
    """Whether a tile of rows is listed, after each of which 8 bytes can be loaded."""
    cdef Py_ssize_t start, end = end_at(offsets, kind, first), i
    cdef uint64_t word, key
    for i in range(rows):
        start, end = end, end_at(offsets, kind, first + i + 1)
        if absent != NULL and absent[i]:
            continue
        memcpy(&word, data + start, 8)
        key = key_of(word, <uint64_t> (end - start))
        if shorts.slots[slot_of(key, shorts.seed)] != key:
            return False
    return True


cdef bint are_listed(
    const char *offsets, ending *kind, Py_ssize_t rows, const uint8_t *data, Py_ssize_t size,
    const Nulls *nulls, const Taste *taste,
) noexcept nogil:
    """Whether a column of short choices is surely good. False decides nothing."""
    cdef uint8_t absent[TILE]
    cdef bint skips = not is_full(nulls, rows)
    cdef Py_ssize_t row = 0, near = rows, width, start, nbytes
    if taste.shorts.slots == NULL or taste.max_chars >= 0 or (skips and not taste.nullable):
        return False
    measure_ends(offsets, kind, rows, size, &nbytes)
    if nbytes < 0:
        return False
    # from here on offsets are in order; at the end there may be no 8 bytes to load
    while near > 0 and end_at(offsets, kind, near - 1) > size - 8:
        near -= 1
    while row < near:
        width = min(<Py_ssize_t> TILE, near - row)
        if skips:
            unfold(nulls, row, width, absent)
        if not are_listed_there(
            offsets, kind, row, width, data, absent if skips else NULL, &taste.shorts
        ):
            return False
        row += width
    while row < rows:
        start = end_at(offsets, kind, row)
        if not is_null(nulls, row) and not is_listed(
            taste.slots, taste.last, data + start, end_at(offsets, kind, row + 1) - start
        ):
            return False
        row += 1
    return True


cdef Verdict check_words(
    const char *offsets, ending *kind, Py_ssize_t rows, const uint8_t *data, Py_ssize_t size,
    const Nulls *nulls, const Taste *taste, uint8_t *flags,
) noexcept nogil:
    cdef Verdict verdict = Verdict(OK, 0, 0)
    cdef Py_ssize_t row, start, end
    cdef int code
    if flags == NULL and (
        is_clean_text(offsets, kind, rows, data, size, nulls, taste)
        or are_listed(offsets, kind, rows, data, size, nulls, taste)
    ):
        return verdict
    end = end_at(offsets, kind, 0)
    for row in range(rows):
        start, end = end, end_at(offsets, kind, row + 1)
        if not 0 <= start <= end <= size:
            code = MALFORMED
        elif is_null(nulls, row):
            code = OK if taste.nullable else NULL_ROW
        else:
            code = judge_word(data + start, end - start, taste)
        if flags != NULL:
            flags[row] = code
        add(&verdict, code, row)
    return verdict


cdef Held hold_offsets(offsets):
    cdef Held held = hold(offsets, PyBUF_RECORDS_RO)
    cdef char kind = kind_of(&held.view)
    if kind != b"i" and kind != b"q":
        raise TypeError("expected offsets as integers of 32 or 64 bits")
    if hold_kind(&held.view) and held.view.shape[0] == 0:
        raise ValueError("expected one offset more than rows")
    if held.view.strides != NULL and held.view.strides[0] != held.view.itemsize:
        raise ValueError("expected contiguous offsets")
    return held


cdef uint8_t *hold_flags(Held held, Py_ssize_t rows) except? NULL:
    if held is None:
        return NULL
    if held.view.len < rows:
        raise ValueError("expected a flag for each row")
    return <uint8_t *> held.view.buf


def check_text(
    offsets, data, validity, Py_ssize_t offset, bint nullable, Py_ssize_t max_chars,
    Choices choices, flags,
):
    """Find the bad rows of a column of text. The definition is `_column_py.check_text`."""
    cdef Held ends = hold_offsets(offsets), text, held_flags = None
    cdef HeldNulls absent
    cdef Taste taste = taste_of(nullable, max_chars, choices)
    cdef Verdict verdict
    cdef uint8_t *entries
    cdef Py_ssize_t rows
    rows = ends.view.shape[0] - 1
    text = hold(data, PyBUF_SIMPLE)
    absent = hold_nulls(rows, validity, offset, None)
    if flags is not None:
        held_flags = hold(flags, PyBUF_SIMPLE | PyBUF_WRITABLE)
    entries = hold_flags(held_flags, rows)
    with nogil:
        if ends.view.itemsize == 8:
            verdict = check_words[int64_t](
                <const char *> ends.view.buf, NULL, rows, <const uint8_t *> text.view.buf,
                text.view.len, &absent.nulls, &taste, entries,
            )
        else:
            verdict = check_words[int32_t](
                <const char *> ends.view.buf, NULL, rows, <const uint8_t *> text.view.buf,
                text.view.len, &absent.nulls, &taste, entries,
            )
    return as_tuple(verdict)


def measure_text(offsets, Py_ssize_t size):
    """Return how many bytes of text offsets name. The definition is `_column_py.measure_text`."""
    cdef Held held = hold_offsets(offsets)
    cdef const char *ends = <const char *> held.view.buf
    cdef Py_ssize_t rows = held.view.shape[0] - 1, nbytes
    if held.view.itemsize == 8:
        measure_ends[int64_t](ends, NULL, rows, size, &nbytes)
    else:
        measure_ends[int32_t](ends, NULL, rows, size, &nbytes)
    return nbytes


cdef struct Span:
    const uint8_t *text
    Py_ssize_t size


cdef inline int judge_view(
    const uint8_t *view, const Span *spans, Py_ssize_t count, const Taste *taste
) noexcept nogil:
    cdef int32_t length, index, start
    memcpy(&length, view, 4)
    if 0 <= length <= LIMIT_INLINE:
        return judge_word(view + 4, length, taste)
    memcpy(&index, view + 8, 4)
    memcpy(&start, view + 12, 4)
    if length < 0 or not 0 <= index < count or start < 0:
        return MALFORMED
    if length > spans[index].size or start > spans[index].size - length:
        return MALFORMED
    return judge_word(spans[index].text + start, length, taste)


cdef bint are_listed_views(
    const uint8_t *views, Py_ssize_t rows, const Nulls *nulls, const Taste *taste
) noexcept nogil:
    """Whether a column of short choices is surely good. False decides nothing."""
    cdef bint skips = not is_full(nulls, rows)
    cdef Py_ssize_t row
    cdef int32_t length
    cdef uint64_t word, key
    if taste.shorts.slots == NULL or taste.max_chars >= 0 or (skips and not taste.nullable):
        return False
    for row in range(rows):
        if skips and is_null(nulls, row):
            continue
        memcpy(&length, views + VIEW_BYTES * row, 4)
        memcpy(&word, views + VIEW_BYTES * row + 4, 8)
        key = key_of(word, <uint64_t> length)  # a negative length is a long one
        if taste.shorts.slots[slot_of(key, taste.shorts.seed)] != key:
            return False
    return True


cdef Verdict judge_views(
    const uint8_t *views, Py_ssize_t rows, const Span *spans, Py_ssize_t count,
    const Nulls *nulls, const Taste *taste, uint8_t *flags,
) noexcept nogil:
    cdef Verdict verdict = Verdict(OK, 0, 0)
    cdef Py_ssize_t row
    cdef int code
    if flags == NULL and are_listed_views(views, rows, nulls, taste):
        return verdict
    for row in range(rows):
        if is_null(nulls, row):
            code = OK if taste.nullable else NULL_ROW
        else:
            code = judge_view(views + VIEW_BYTES * row, spans, count, taste)
        if flags != NULL:
            flags[row] = code
        add(&verdict, code, row)
    return verdict


cdef Py_ssize_t rows_of(Held held) except -1:
    if held.view.len % VIEW_BYTES:
        raise ValueError("expected 16 bytes per row")
    return held.view.len // VIEW_BYTES


def check_views(
    views, buffers, validity, Py_ssize_t offset, bint nullable, Py_ssize_t max_chars,
    Choices choices, flags,
):
    """Find the bad rows of a column of string views. The definition is `_column_py.check_views`."""
    cdef Held held = hold(views, PyBUF_SIMPLE), buffer, held_flags = None
    cdef list texts = [hold(each, PyBUF_SIMPLE) for each in buffers]
    cdef Py_ssize_t rows = rows_of(held), count = len(texts), i
    cdef HeldNulls absent = hold_nulls(rows, validity, offset, None)
    cdef Taste taste = taste_of(nullable, max_chars, choices)
    cdef uint8_t *entries
    cdef Verdict verdict
    cdef Span *spans
    if flags is not None:
        held_flags = hold(flags, PyBUF_SIMPLE | PyBUF_WRITABLE)
    entries = hold_flags(held_flags, rows)
    spans = <Span *> malloc((count + 1) * sizeof(Span))
    if spans == NULL:
        raise MemoryError
    try:
        for i in range(count):
            buffer = texts[i]
            spans[i] = Span(<const uint8_t *> buffer.view.buf, buffer.view.len)
        with nogil:
            verdict = judge_views(
                <const uint8_t *> held.view.buf, rows, spans, count, &absent.nulls, &taste, entries
            )
    finally:
        free(spans)
    return as_tuple(verdict)


def measure_views(views, validity, Py_ssize_t offset):
    """Return how many bytes of text views name. The definition is `_column_py.measure_views`."""
    cdef Held held = hold(views, PyBUF_SIMPLE)
    cdef Py_ssize_t rows = rows_of(held), row
    cdef HeldNulls absent = hold_nulls(rows, validity, offset, None)
    cdef const uint8_t *views_at = <const uint8_t *> held.view.buf
    cdef int64_t nbytes = 0  # 2**31 bytes in each of at most 2**59 rows of memory: no overflow
    cdef int32_t length
    cdef bint skips = not is_full(&absent.nulls, rows)
    for row in range(rows):
        memcpy(&length, views_at + VIEW_BYTES * row, 4)
        if not (skips and is_null(&absent.nulls, row)):
            nbytes += max(0, length)
    return nbytes


# ---- codes

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
    """Find the bad rows of a column of codes. The definition is `_column_py.check_codes`."""
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


# ---- objects

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
    """Whether a string is free of lone surrogates."""
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
    """Find the bad rows of a column of strings. The definition is `_column_py.check_objects`."""
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
    """Return the size of a column of strings. The definition is `_column_py.measure_objects`."""
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
