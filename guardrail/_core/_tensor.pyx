# cython: cdivision=True
# cdivision: every divisor below is a length that was checked to be positive.
"""The tensor check, compiled: one pass over the bytes, without copies.

Owns `check_tensor`; `_tensor_py.py` is its definition. Refuses to read anything but the
elements that the exporter's shape and strides describe, and holds the buffer for exactly
as long as it reads.

Two loops. `is_clean` screens a contiguous tensor tile by tile against bounds converted to
the elements' own type, in a form that the compiler vectorises; it errs on the side of
suspicion and does not say where. `find` judges element by element, exactly, at any
strides; it decides whatever was not screened, and where a screened tensor is bad.
Measured by ``benchmarks/tensor_check.py``.

Elements are read through pointers, where Cython has no bounds checks to keep: its typed
views fix the number of axes at compile time, and ours is only known at the call.
"""

import sys

from cpython cimport array
from cpython.buffer cimport (
    PyBUF_CONTIG_RO, PyBUF_MAX_NDIM, PyBUF_RECORDS_RO, PyBuffer_IsContiguous, PyBuffer_Release,
    PyObject_GetBuffer,
)
from libc.float cimport DBL_MAX, FLT_MAX
from libc.math cimport INFINITY, ceil, floor, isfinite, isnan, ldexp, log2
from libc.stdint cimport (
    int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t,
)
from libc.string cimport memcpy, strchr


cdef extern from "math.h" nogil:
    float nextafterf(float start, float towards)


ctypedef packed struct half:
    uint16_t bits

ctypedef fused whole:
    int8_t
    int16_t
    int32_t
    int64_t
    uint8_t
    uint16_t
    uint32_t
    uint64_t

ctypedef fused vector:
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

ctypedef fused number:
    half
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

    #: Elements per tile: with its bounds it stays in the first-level cache.
    TILE = 512
    #: From this many elements on, the GIL is released. Letting go and taking it back costs
    #: more than the check itself below 3,000 to 30,000 elements, where two threads compute.
    GIL_FREE_FROM = 16384

cdef char NATIVE = b"<" if sys.byteorder == "little" else b">"
cdef double NO_LOW = -INFINITY, NO_HIGH = INFINITY
cdef tuple CLEAN = (OK, 0)


cdef struct Bounds:
    const double *lows
    const double *highs
    Py_ssize_t period  # how many: 1, or the number of columns
    bint finite


cdef struct Verdict:
    int code
    Py_ssize_t index


cdef inline double widen(half value) noexcept nogil:
    """IEEE 754-2008 binary16 to binary64, exactly."""
    cdef int exponent = (value.bits >> 10) & 0x1F
    cdef int fraction = value.bits & 0x3FF
    cdef double size
    if exponent == 0x1F:
        size = INFINITY - INFINITY if fraction else INFINITY
    elif exponent:
        size = ldexp(fraction + 1024, exponent - 25)
    else:
        size = ldexp(fraction, -24)
    return -size if value.bits >> 15 else size


cdef inline double top_of(whole *kind) noexcept nogil:
    """Return the least power of two that no value of the type reaches."""
    return ldexp(1.0, 8 * <int> sizeof(whole) - (1 if <whole> -1 < 0 else 0))


# A 64-bit integer rounds where it becomes a double, but rounding keeps the order; only
# where the double equals the bound must the integers themselves be compared. The limits
# guard the casts: a double that is no 64-bit integer has no defined value as one.

cdef inline bint reaches(whole element, double low) noexcept nogil:
    cdef double rounded = <double> element
    if sizeof(whole) < 8 or rounded != low:
        return rounded >= low
    return low < top_of(&element) and element >= <whole> low


cdef inline bint stays_within(whole element, double high) noexcept nogil:
    cdef double rounded = <double> element
    if sizeof(whole) < 8 or rounded != high:
        return rounded <= high
    return high >= top_of(&element) or element <= <whole> high


cdef inline int judge(number element, double low, double high, bint finite) noexcept nogil:
    """Return the code for one element; see `check_tensor` for what it means."""
    cdef double value
    if number is half or number is float or number is double:
        if number is half:
            value = widen(element)
        else:
            value = element
        if not isfinite(value):
            if finite or (isnan(value) and (low > -INFINITY or high < INFINITY)):
                return NOT_FINITE
            if isnan(value) and not (isnan(low) or isnan(high)):
                return OK
        if not value >= low:  # not `<`: a bound that is NaN must let nothing pass
            return BELOW
        return OK if value <= high else ABOVE
    else:
        if not reaches(element, low):
            return BELOW
        return OK if stays_within(element, high) else ABOVE


cdef Verdict find(const Py_buffer *view, number *kind, Bounds bounds) noexcept nogil:
    """Return the first bad element in C order. Any strides, any number of axes."""
    cdef Py_ssize_t strides[PyBUF_MAX_NDIM]
    cdef Py_ssize_t counters[PyBUF_MAX_NDIM]
    cdef const char *origin = <const char *> view.buf
    cdef Py_ssize_t last = view.ndim - 1
    cdef Py_ssize_t length = view.shape[last] if view.ndim else 1
    cdef Py_ssize_t extent = sizeof(number), stride = 0, offset = 0
    cdef Py_ssize_t index = 0, column = 0, step, axis
    cdef number element
    cdef Verdict verdict
    verdict.code = OK
    for axis in range(last, -1, -1):
        # ctypes leaves the strides out, which says: in C order without gaps
        strides[axis] = view.strides[axis] if view.strides != NULL else extent
        extent *= view.shape[axis]
        counters[axis] = 0
    if view.ndim:
        stride = strides[last]
    while True:
        for step in range(length):
            # copied, not dereferenced: an exporter need not align its elements
            memcpy(&element, origin + offset + step * stride, sizeof(number))
            verdict.code = judge(
                element, bounds.lows[column], bounds.highs[column], bounds.finite
            )
            if verdict.code != OK:
                verdict.index = index
                return verdict
            index += 1
            column += 1
            if column == bounds.period:
                column = 0
        axis = last - 1
        while axis >= 0:
            counters[axis] += 1
            offset += strides[axis]
            if counters[axis] < view.shape[axis]:
                break
            offset -= strides[axis] * view.shape[axis]
            counters[axis] = 0
            axis -= 1
        if axis < 0:
            verdict.index = 0
            return verdict


cdef inline bint narrow(
    double low, double high, bint finite, vector *least, vector *most
) noexcept nogil:
    """Convert bounds to the elements' type: the least and the most that lie within.

    Rounds inwards, so that no element passes here which the double would refuse. Returns
    false where no value of the type lies within.
    """
    cdef double top, bottom
    if vector is float or vector is double:
        if finite:  # infinities become bounds like any other, without a test of their own
            top = FLT_MAX if vector is float else DBL_MAX
            low = -top if low == -INFINITY else low
            high = top if high == INFINITY else high
        least[0] = <vector> low
        most[0] = <vector> high
        if vector is float:
            if least[0] < low:
                least[0] = nextafterf(least[0], INFINITY)
            if most[0] > high:
                most[0] = nextafterf(most[0], -INFINITY)
        return True
    else:
        top = top_of(least)
        bottom = -top if <vector> -1 < 0 else 0.0
        low = ceil(low)
        low = bottom if low < bottom else low  # not `max`: a NaN must stay one, and fail below
        high = floor(high)
        if not low < top or not high >= bottom:  # so that the casts below are defined
            return False
        least[0] = <vector> low
        # the greatest value of the type is all ones, but for the sign
        most[0] = <vector> (<uint64_t> -1 >> (64 - <int> log2(top)))
        if high < top:
            most[0] = <vector> high
        return True


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
    const vector *tile, const vector *least, const vector *most, Py_ssize_t width, bint *bad
) noexcept nogil:
    """Tell whether any element of a tile is not surely within its bounds."""
    # No branch inside, and a flag as wide as an element: so the compiler vectorises it.
    cdef int8_t bad8 = 0
    cdef int16_t bad16 = 0
    cdef int32_t bad32 = 0
    cdef int64_t bad64 = 0
    cdef Py_ssize_t i
    for i in range(width):
        if sizeof(vector) == 1:
            bad8 |= (not tile[i] >= least[i]) | (not tile[i] <= most[i])
        elif sizeof(vector) == 2:
            bad16 |= (not tile[i] >= least[i]) | (not tile[i] <= most[i])
        elif sizeof(vector) == 4:
            bad32 |= (not tile[i] >= least[i]) | (not tile[i] <= most[i])
        else:
            bad64 |= (not tile[i] >= least[i]) | (not tile[i] <= most[i])
    bad[0] = bad8 or bad16 or bad32 or bad64


cdef bint is_clean_by_rows(
    const vector *elements, Py_ssize_t size, Bounds bounds
) noexcept nogil:
    """Whether a C-contiguous tensor is surely good. False decides nothing."""
    cdef vector least[TILE]
    cdef vector most[TILE]
    # as many whole rows as fit a tile, or a row in as many tiles as it takes
    cdef Py_ssize_t step = bounds.period * max(1, TILE // bounds.period)
    cdef Py_ssize_t first = 0, start, width, i, column
    cdef bint bad
    while first < step:
        width = min(<Py_ssize_t> TILE, step - first)
        for i in range(width):
            column = (first + i) % bounds.period
            if not narrow(
                bounds.lows[column], bounds.highs[column], bounds.finite, &least[i], &most[i]
            ):
                return False
        start = first
        while start < size:
            screen(elements + start, least, most, min(width, size - start), &bad)
            if bad:
                return False
            start += step
        first += width
    return True


cdef bint is_clean_by_columns(
    const vector *elements, Py_ssize_t rows, Py_ssize_t columns, Bounds bounds
) noexcept nogil:
    """Likewise for a table in Fortran's order, as pandas hands it out."""
    cdef vector least[TILE]
    cdef vector most[TILE]
    cdef Py_ssize_t start, column, bound, i
    cdef bint bad
    for column in range(columns):
        bound = column if bounds.period > 1 else 0
        if not narrow(
            bounds.lows[bound], bounds.highs[bound], bounds.finite, &least[0], &most[0]
        ):
            return False
        for i in range(1, TILE):
            least[i] = least[0]
            most[i] = most[0]
        start = 0
        while start < rows:
            screen(
                elements + column * rows + start, least, most,
                min(<Py_ssize_t> TILE, rows - start), &bad,
            )
            if bad:
                return False
            start += TILE
    return True


cdef bint is_clean(
    const Py_buffer *view, Py_ssize_t size, char order, vector *kind, Bounds bounds
) noexcept nogil:
    """Whether a screening was worth its price, and found the tensor surely good."""
    # Converting a tile's bounds costs as much as judging its elements one by one.
    if size < 2 * TILE or <uintptr_t> view.buf % sizeof(vector) != 0:
        return False
    if order == b"C":
        return size >= 2 * bounds.period and is_clean_by_rows(
            <const vector *> view.buf, size, bounds
        )
    if order == b"F" and view.ndim == 2 and view.shape[0] >= TILE:
        return is_clean_by_columns(
            <const vector *> view.buf, view.shape[0], view.shape[1], bounds
        )
    return False


cdef Verdict check(
    const Py_buffer *view, Py_ssize_t size, char order, number *kind, Bounds bounds
) noexcept nogil:
    cdef Verdict verdict
    if number is not half:
        if is_clean(view, size, order, kind, bounds):
            verdict.code = OK
            verdict.index = 0
            return verdict
    return find(view, kind, bounds)


cdef char order_of(Py_buffer *view) noexcept:
    if PyBuffer_IsContiguous(view, b"C"):
        return b"C"
    return b"F" if PyBuffer_IsContiguous(view, b"F") else 0


cdef Verdict check_as(
    const Py_buffer *view, Py_ssize_t size, number *kind, Bounds bounds
) noexcept:
    cdef char order = order_of(<Py_buffer *> view)
    cdef Verdict verdict
    if size < GIL_FREE_FROM:
        return check(view, size, order, kind, bounds)
    with nogil:
        verdict = check(view, size, order, kind, bounds)
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
    if format[0] == b"?":  # as the byte it is: what claims to be bool may hold any byte
        codes = "\0B\0\0\0\0\0\0\0"
    elif strchr("efd", format[0]):
        codes = "\0\0e\0f\0\0\0d"
    elif strchr("bhilqn", format[0]):
        codes = "\0bh\0i\0\0\0q"
    elif strchr("BHILQN", format[0]):
        codes = "\0BH\0I\0\0\0Q"
    else:
        return 0
    return codes[view.itemsize]


cdef tuple check_view(const Py_buffer *view, char kind, Bounds bounds):
    cdef Py_ssize_t size = 1, axis
    cdef Verdict verdict
    for axis in range(view.ndim):
        size *= view.shape[axis]
    if size == 0:
        return CLEAN
    if kind == b"e":
        verdict = check_as[half](view, size, NULL, bounds)
    elif kind == b"f":
        verdict = check_as[float](view, size, NULL, bounds)
    elif kind == b"d":
        verdict = check_as[double](view, size, NULL, bounds)
    elif kind == b"b":
        verdict = check_as[int8_t](view, size, NULL, bounds)
    elif kind == b"h":
        verdict = check_as[int16_t](view, size, NULL, bounds)
    elif kind == b"i":
        verdict = check_as[int32_t](view, size, NULL, bounds)
    elif kind == b"q":
        verdict = check_as[int64_t](view, size, NULL, bounds)
    elif kind == b"B":
        verdict = check_as[uint8_t](view, size, NULL, bounds)
    elif kind == b"H":
        verdict = check_as[uint16_t](view, size, NULL, bounds)
    elif kind == b"I":
        verdict = check_as[uint32_t](view, size, NULL, bounds)
    else:
        verdict = check_as[uint64_t](view, size, NULL, bounds)
    return CLEAN if verdict.code == OK else (verdict.code, verdict.index)


cdef bint is_doubles(bounds):
    """Whether bounds are an ``array("d")``."""
    return isinstance(bounds, array.array) and (<array.array> bounds).ob_descr.typecode == b"d"


cdef bint is_one_each(Py_ssize_t count, const Py_buffer *view) noexcept:
    """Whether there is one bound for all columns, or one for each."""
    cdef Py_ssize_t columns = 1, axis
    for axis in range(1, view.ndim):
        columns *= view.shape[axis]
    return count == 1 or count == columns


cdef tuple check_within(const Py_buffer *view, lows, highs, bint finite):
    cdef Py_buffer low, high
    cdef Bounds bounds
    cdef char kind = kind_of(view)
    if view.suboffsets != NULL:
        raise BufferError("expected a buffer without suboffsets")
    if kind == 0:
        raise TypeError("expected a buffer of bool, float or integer numbers in native order")
    bounds.finite = finite
    if lows is None and highs is None:
        bounds.lows, bounds.highs, bounds.period = &NO_LOW, &NO_HIGH, 1
        return check_view(view, kind, bounds)
    if lows is None or highs is None:
        raise ValueError("expected both bounds or neither")
    if not (is_doubles(lows) and is_doubles(highs)):
        raise TypeError('expected bounds as an array("d")')
    # held like the tensor: an array must not be resized under a check without the GIL
    PyObject_GetBuffer(lows, &low, PyBUF_CONTIG_RO)
    try:
        PyObject_GetBuffer(highs, &high, PyBUF_CONTIG_RO)
        try:
            bounds.lows, bounds.highs = <const double *> low.buf, <const double *> high.buf
            bounds.period = low.shape[0]
            if bounds.period != high.shape[0] or not is_one_each(bounds.period, view):
                raise ValueError("expected one bound for all columns or one for each")
            return check_view(view, kind, bounds)
        finally:
            PyBuffer_Release(&high)
    finally:
        PyBuffer_Release(&low)


def check_tensor(buffer, lows, highs, bint finite):
    """Find the first element of a tensor that is not finite or not within its bounds.

    The definition, with arguments, result and errors, is `_tensor_py.check_tensor`.
    """
    cdef Py_buffer view
    PyObject_GetBuffer(buffer, &view, PyBUF_RECORDS_RO)
    try:
        return check_within(&view, lows, highs, finite)
    finally:
        PyBuffer_Release(&view)
