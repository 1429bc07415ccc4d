# cython: cdivision=True
# cdivision: every divisor below is a length that was checked to be positive.
"""Check tensors in one pass, without copies, compiled; `_tensor_py` is the reference.

Only the elements that the exporter's shape and strides describe are read; the buffer is held only
while it is read.

There are two loops. `screen` compares whole vectors (`_screen.h`) with bounds that were converted
to the type of the elements and repeated along a row; it may report good elements as doubtful, but
never bad ones as good, and does not state an index. `find` checks element by element, exactly, with any
strides and byte order; it decides the elements that were not screened, or are doubtful. Measured by
``benchmarks/validation/tensors.py``.

Elements are read through pointers, because Cython's typed memoryviews fix the number of axes at
compile time, and ours is known only at the call. So Cython checks no bounds here.
"""

import sys

from cpython cimport array
from cpython.buffer cimport (
    PyBUF_CONTIG_RO, PyBUF_MAX_NDIM, PyBUF_RECORDS_RO, PyBuffer_Release, PyObject_GetBuffer,
)
from libc.float cimport DBL_MAX, FLT_MAX
from libc.math cimport INFINITY, ceil, floor, isfinite, isnan, ldexp, log2
from libc.stdint cimport (
    int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t,
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

    #: Bytes per vector, as `_screen.h` has it.
    VECTOR = 32
    #: Elements per tile of bounds: both tiles of doubles together fit the first-level cache.
    TILE = 2048
    #: Rows of bounds are repeated to about so many elements: a shorter loop ends too often.
    PATTERN = 512
    #: Rows from which on a screening pays: to convert a bound costs as much as to judge
    #: several elements, and for a half, whose bounds are searched for, as many more.
    SCREEN_FROM = 8
    SCREEN_HALVES_FROM = 64
    #: Bytes from which on a tensor is not in the second-level cache, and is read in one stream.
    FAR = 524288
    #: From this many elements on, the GIL is released, and from fewer where each is judged by
    #: itself: about where a check takes half a millisecond. Where another thread computes in
    #: Python, whoever lets go waits 5 ms for the GIL; two threads that check gain a half.
    GIL_FREE_FROM = 4194304
    GIL_FREE_FROM_SLOWLY = 262144

cdef char NATIVE = b"<" if sys.byteorder == "little" else b">"
cdef double NO_LOW = -INFINITY, NO_HIGH = INFINITY
cdef tuple CLEAN = (OK, 0)


cdef extern from "_screen.h" nogil:
    void choose "guardrail_choose"()
    const char *path "guardrail_path"()
    int64_t total "guardrail_sum"(const char *start, Py_ssize_t length)
    ctypedef Py_ssize_t (*guardrail_screener)(
        const char *row, const char *lows, const char *highs,
        Py_ssize_t width, Py_ssize_t stride, Py_ssize_t rows, Py_ssize_t far,
    ) noexcept
    bint within_float "guardrail_within_float"(
        const char *elements, const double *lows, const double *highs, Py_ssize_t count, double most
    )
    bint within_double "guardrail_within_double"(
        const char *elements, const double *lows, const double *highs, Py_ssize_t count, double most
    )
    guardrail_screener screen_half "guardrail_screen_half"
    guardrail_screener screen_float "guardrail_screen_float"
    guardrail_screener screen_double "guardrail_screen_double"
    guardrail_screener screen_int8 "guardrail_screen_int8"
    guardrail_screener screen_int16 "guardrail_screen_int16"
    guardrail_screener screen_int32 "guardrail_screen_int32"
    guardrail_screener screen_int64 "guardrail_screen_int64"
    guardrail_screener screen_uint8 "guardrail_screen_uint8"
    guardrail_screener screen_uint16 "guardrail_screen_uint16"
    guardrail_screener screen_uint32 "guardrail_screen_uint32"
    guardrail_screener screen_uint64 "guardrail_screen_uint64"

choose()


cdef struct Rules:
    const double *lows
    const double *highs
    Py_ssize_t period  # how many: 1, or the number of columns
    bint finite
    bint is_swapped  # whether the elements lie in the other byte order
    bint counts  # whether to go on after the first bad element


cdef struct Verdict:
    int code
    Py_ssize_t index
    Py_ssize_t count


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


cdef inline number load(const char *place, number *kind, bint is_swapped) noexcept nogil:
    """Read one element. Copied, not dereferenced: an exporter need not align its elements."""
    cdef number element
    cdef char turned[8]
    cdef size_t i
    if is_swapped:
        for i in range(sizeof(number)):
            turned[i] = place[sizeof(number) - 1 - i]
        place = turned
    memcpy(&element, place, sizeof(number))
    return element


cdef Verdict find(const Py_buffer *view, number *kind, const Rules *rules) noexcept nogil:
    """Return the first bad element in C order, and how many, where they are counted.

    Any strides, any number of axes.
    """
    cdef Py_ssize_t strides[PyBUF_MAX_NDIM]
    cdef Py_ssize_t counters[PyBUF_MAX_NDIM]
    cdef const char *origin = <const char *> view.buf
    cdef const double *lows = rules.lows
    cdef const double *highs = rules.highs
    cdef Py_ssize_t period = rules.period
    cdef bint finite = rules.finite, is_swapped = rules.is_swapped
    cdef Py_ssize_t last = view.ndim - 1
    cdef Py_ssize_t length = view.shape[last] if view.ndim else 1
    cdef Py_ssize_t extent = sizeof(number), stride = 0, offset = 0
    cdef Py_ssize_t index = 0, column = 0, step, axis
    cdef number element
    cdef Verdict verdict
    cdef int code
    verdict.code, verdict.index, verdict.count = OK, 0, 0
    for axis in range(last, -1, -1):
        # ctypes leaves the strides out, which says: in C order without gaps
        strides[axis] = view.strides[axis] if view.strides != NULL else extent
        extent *= view.shape[axis]
        counters[axis] = 0
    if view.ndim:
        stride = strides[last]
    while True:
        for step in range(length):
            element = load(origin + offset + step * stride, kind, is_swapped)
            code = judge(element, lows[column], highs[column], finite)
            if code != OK:
                if verdict.count == 0:
                    verdict.code, verdict.index = code, index
                verdict.count += 1
                if not rules.counts:
                    return verdict
            index += 1
            column += 1
            if column == period:
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
            return verdict


cdef inline double half_of(int place) noexcept nogil:
    """Return the half that stands at a place in their order, as `_screen.h` counts them."""
    cdef half element
    element.bits = <uint16_t> (place if place >= 0 else place ^ 0x7FFF)
    return widen(element)


cdef void narrow_half(
    double low, double high, bint finite, half *least, half *most
) noexcept nogil:
    """Find the places of the least and the most half within: by halving, as they are few."""
    cdef int bottom = -0x7C00 if finite else -0x7C01  # -65504, or the infinity below it
    cdef int top = 0x7BFF if finite else 0x7C00
    cdef int under = bottom - 1, over = top + 1, middle
    while over - under > 1:
        middle = (under + over) >> 1
        if half_of(middle) >= low:
            over = middle
        else:
            under = middle
    least.bits = <uint16_t> (over if over <= top else 0x7FFF)  # where no half is a NaN either
    under, over = bottom - 1, top + 1
    while over - under > 1:
        middle = (under + over) >> 1
        if half_of(middle) <= high:
            under = middle
        else:
            over = middle
    most.bits = <uint16_t> (under if under >= bottom else -0x8000)


cdef inline bint narrow(
    double low, double high, bint finite, number *least, number *most
) noexcept nogil:
    """Convert bounds to the elements' type: the least and the most that lie within.

    Rounds inwards, so that no element passes here which the double would refuse. Returns
    false where no value of the type lies within.
    """
    cdef double top, bottom
    if number is half:
        narrow_half(low, high, finite, least, most)
        return True
    elif number is float or number is double:
        if finite:  # infinities become bounds like any other, without a test of their own
            top = FLT_MAX if number is float else DBL_MAX
            low = -top if low == -INFINITY else low
            high = top if high == INFINITY else high
        least[0] = <number> low
        most[0] = <number> high
        if number is float:
            if least[0] < low:
                least[0] = nextafterf(least[0], INFINITY)
            if most[0] > high:
                most[0] = nextafterf(most[0], -INFINITY)
        return True
    else:
        top = top_of(least)
        bottom = -top if <number> -1 < 0 else 0.0
        low = ceil(low)
        low = bottom if low < bottom else low  # not `max`: a NaN must stay one, and fail below
        high = floor(high)
        if not low < top or not high >= bottom:  # so that the casts below are defined
            return False
        least[0] = <number> low
        # the greatest value of the type is all ones, but for the sign
        most[0] = <number> (<uint64_t> -1 >> (64 - <int> log2(top)))
        if high < top:
            most[0] = <number> high
        return True


cdef inline bint narrow_all(
    Py_ssize_t first, Py_ssize_t width, const Rules *rules, number *least, number *most
) noexcept nogil:
    """Convert the bounds of some columns; false where a column has no value of the type."""
    cdef Py_ssize_t i, column
    for i in range(width):
        column = first + i if rules.period > 1 else 0
        if not narrow(
            rules.lows[column], rules.highs[column], rules.finite, &least[i], &most[i]
        ):
            return False
    return True


cdef inline void repeat(number *bounds, Py_ssize_t period, Py_ssize_t width) noexcept nogil:
    """Lay out a row of bounds again and again, up to a width that is a multiple of it."""
    cdef Py_ssize_t done = period
    while done < width:
        memcpy(bounds + done, bounds, period * sizeof(number))
        done += period


cdef inline Py_ssize_t screen(
    const char *row, const number *least, const number *most,
    Py_ssize_t width, Py_ssize_t stride, Py_ssize_t rows, Py_ssize_t far,
) noexcept nogil:
    """Return how many rows of a tile are surely good, up to the first of which it is not sure.

    The row's width is in elements, its stride in bytes.
    """
    cdef guardrail_screener kernel
    if number is half:
        kernel = screen_half
    elif number is float:
        kernel = screen_float
    elif number is double:
        kernel = screen_double
    elif number is int8_t:
        kernel = screen_int8
    elif number is int16_t:
        kernel = screen_int16
    elif number is int32_t:
        kernel = screen_int32
    elif number is int64_t:
        kernel = screen_int64
    elif number is uint8_t:
        kernel = screen_uint8
    elif number is uint16_t:
        kernel = screen_uint16
    elif number is uint32_t:
        kernel = screen_uint32
    else:
        kernel = screen_uint64
    return kernel(
        row, <const char *> least, <const char *> most,
        width * sizeof(number), stride, rows, far,
    )


cdef Py_ssize_t pattern_of(Py_ssize_t period, Py_ssize_t lanes) noexcept nogil:
    """Return how many elements of repeated rows are whole vectors, or 0 where a tile has not."""
    cdef Py_ssize_t width = period
    while width % lanes and width <= TILE:  # the lanes are a power of two
        width *= 2
    if width > TILE:
        return 0
    return width * max(1, PATTERN // width)


cdef Verdict check_by_pattern(
    const Py_buffer *view, Py_ssize_t size, Py_ssize_t width, number *kind, const Rules *rules
) noexcept nogil:
    """Check a C-contiguous tensor as rows of one pattern of bounds, each some rows of its own."""
    cdef number least[TILE]
    cdef number most[TILE]
    cdef Py_ssize_t extent = sizeof(number), stride = width * extent
    cdef Py_ssize_t far = size * extent >= FAR
    cdef Py_ssize_t done = 0, left
    cdef Py_buffer part = view[0]
    cdef Verdict verdict, found
    if not narrow_all(0, rules.period, rules, least, most):
        return find(view, kind, rules)
    repeat(least, rules.period, width)
    repeat(most, rules.period, width)
    verdict.code, verdict.index, verdict.count = OK, 0, 0
    part.ndim, part.shape, part.strides = 1, &left, NULL
    while True:
        done += width * screen(
            <const char *> view.buf + done * extent, least, most,
            width, stride, (size - done) // width, far,
        )
        left = size - done
        if left == 0:
            return verdict
        if VECTOR <= left * extent < stride and screen(
            <const char *> view.buf + done * extent, least, most, left, stride, 1, 0
        ):
            return verdict
        # what is left of the last rows, or a group in doubt, which a NaN without bounds is too
        left = min(left, 4 * width)
        part.buf = <char *> view.buf + done * extent
        found = find(&part, kind, rules)
        if found.code != OK:
            if verdict.count == 0:
                verdict.code, verdict.index = found.code, done + found.index
            verdict.count += found.count
            if not rules.counts:
                return verdict
        done += left
        if done == size:
            return verdict


cdef bint is_clean_by_rows(
    const char *origin, Py_ssize_t rows, Py_ssize_t columns, Py_ssize_t stride,
    number *kind, const Rules *rules,
) noexcept nogil:
    """Return whether rows without gaps of their own are surely good. False decides nothing."""
    cdef number least[TILE]
    cdef number most[TILE]
    cdef Py_ssize_t lanes = VECTOR // sizeof(number)
    cdef Py_ssize_t first = 0, width
    while first < columns:
        if columns - first < lanes:
            first = columns - lanes  # a last tile that is no vector overlaps the one before
        width = min(<Py_ssize_t> TILE, columns - first)
        if not narrow_all(first, width, rules, least, most):
            return False
        if rows > screen(
            origin + first * <Py_ssize_t> sizeof(number), least, most,
            width, stride, rows, 4 * stride,
        ):
            return False
        first += width
    return True


cdef bint is_clean_by_columns(
    const char *origin, Py_ssize_t rows, Py_ssize_t columns, Py_ssize_t stride,
    number *kind, const Rules *rules,
) noexcept nogil:
    """Likewise for columns without gaps, as pandas hands out a table."""
    cdef number least[PATTERN]
    cdef number most[PATTERN]
    cdef Py_ssize_t extent = sizeof(number), column
    cdef Py_ssize_t width = min(<Py_ssize_t> PATTERN, rows)
    cdef Py_ssize_t far = rows * columns * extent >= FAR
    for column in range(columns):
        if not narrow_all(column, 1, rules, least, most):
            return False
        repeat(least, 1, width)
        repeat(most, 1, width)
        if rows // width > screen(
            origin, least, most, width, width * extent, rows // width, far
        ):
            return False
        # the last elements, those before them among them
        if not screen(origin + (rows - width) * extent, least, most, width, 0, 1, 0):
            return False
        origin += stride
    return True


cdef inline bint is_row_clean(
    const char *row, number *kind, const Rules *rules, double most
) noexcept nogil:
    if number is float:
        return within_float(row, rules.lows, rules.highs, rules.period, most)
    elif number is double:
        return within_double(row, rules.lows, rules.highs, rules.period, most)
    else:
        return False


cdef bint is_clean_in_few_rows(
    const Py_buffer *view, Py_ssize_t size, number *kind, const Rules *rules
) noexcept nogil:
    """Return whether rows without gaps are surely good, by the bounds as they were given."""
    cdef double most = DBL_MAX if rules.finite else INFINITY
    cdef const char *row = <const char *> view.buf
    cdef Py_ssize_t done
    if rules.period < 4 or not is_contiguous(view):
        return False
    for done in range(size // rules.period):
        if not is_row_clean(row, kind, rules, most):
            return False
        row += rules.period * <Py_ssize_t> sizeof(number)
    return True


cdef Verdict check(
    const Py_buffer *view, Py_ssize_t size, number *kind, const Rules *rules
) noexcept nogil:
    """Check a tensor in the fastest way that its layout and its size allow."""
    cdef Py_ssize_t extent = sizeof(number), lanes = VECTOR // sizeof(number)
    cdef Py_ssize_t least_rows = SCREEN_HALVES_FROM if number is half else SCREEN_FROM
    cdef Py_ssize_t width, columns
    cdef Verdict clean
    clean.code, clean.index, clean.count = OK, 0, 0
    if rules.is_swapped:  # numbers that arrive like this are few
        return find(view, kind, rules)
    if size < least_rows * max(rules.period, lanes):
        if is_clean_in_few_rows(view, size, kind, rules):
            return clean
        return find(view, kind, rules)
    if is_contiguous(view):
        width = pattern_of(rules.period, lanes)
        if width:
            return check_by_pattern(view, size, width, kind, rules)
        if is_clean_by_rows(
            <const char *> view.buf, size // rules.period, rules.period, rules.period * extent,
            kind, rules,
        ):
            return clean
    elif view.ndim == 2:
        columns = view.shape[1]
        if view.strides[1] == extent and columns >= lanes and view.shape[0] >= least_rows:
            if is_clean_by_rows(
                <const char *> view.buf, view.shape[0], columns, view.strides[0], kind, rules
            ):
                return clean
        elif view.strides[0] == extent and view.shape[0] >= least_rows * lanes:
            if is_clean_by_columns(
                <const char *> view.buf, view.shape[0], columns, view.strides[1], kind, rules
            ):
                return clean
    return find(view, kind, rules)


cdef bint is_contiguous(const Py_buffer *view) noexcept nogil:
    """Return whether the elements lie in C order, without gaps: `PyBuffer_IsContiguous` needs the GIL."""
    cdef Py_ssize_t extent = view.itemsize, axis
    if view.strides == NULL:
        return True
    for axis in range(view.ndim - 1, -1, -1):
        if view.shape[axis] != 1 and view.strides[axis] != extent:
            return False
        extent *= view.shape[axis]
    return True


cdef Verdict check_as(
    const Py_buffer *view, Py_ssize_t size, number *kind, const Rules *rules
) noexcept:
    cdef Verdict verdict
    if size < GIL_FREE_FROM_SLOWLY:
        return check(view, size, kind, rules)
    if size < GIL_FREE_FROM and is_contiguous(view) and not rules.is_swapped:
        return check(view, size, kind, rules)
    with nogil:
        verdict = check(view, size, kind, rules)
    return verdict


cdef char kind_of(const Py_buffer *view, bint *is_swapped) noexcept:
    """Return the struct code of the element type by its size, or 0: `terms.dtype_of`."""
    cdef const char *format = view.format
    cdef const char *codes  # by size in bytes
    is_swapped[0] = False
    if format == NULL:  # PEP 3118: unsigned bytes
        return b"B" if view.itemsize == 1 else 0
    if format[0] and strchr("@=<>!", format[0]):
        if format[0] == b"<" or format[0] == b">":
            is_swapped[0] = format[0] != NATIVE
        elif format[0] == b"!":
            is_swapped[0] = NATIVE != b">"
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


cdef Verdict check_kind(const Py_buffer *view, char kind, const Rules *rules) noexcept:
    cdef Py_ssize_t size = 1, axis
    cdef Verdict clean
    for axis in range(view.ndim):
        size *= view.shape[axis]
    if size == 0:
        clean.code, clean.index, clean.count = OK, 0, 0
        return clean
    if kind == b"e":
        return check_as[half](view, size, NULL, rules)
    if kind == b"f":
        return check_as[float](view, size, NULL, rules)
    if kind == b"d":
        return check_as[double](view, size, NULL, rules)
    if kind == b"b":
        return check_as[int8_t](view, size, NULL, rules)
    if kind == b"h":
        return check_as[int16_t](view, size, NULL, rules)
    if kind == b"i":
        return check_as[int32_t](view, size, NULL, rules)
    if kind == b"q":
        return check_as[int64_t](view, size, NULL, rules)
    if kind == b"B":
        return check_as[uint8_t](view, size, NULL, rules)
    if kind == b"H":
        return check_as[uint16_t](view, size, NULL, rules)
    if kind == b"I":
        return check_as[uint32_t](view, size, NULL, rules)
    return check_as[uint64_t](view, size, NULL, rules)


cdef bint is_doubles(bounds):
    """Return whether bounds are an ``array("d")``."""
    return isinstance(bounds, array.array) and (<array.array> bounds).ob_descr.typecode == b"d"


cdef bint is_one_each(Py_ssize_t count, const Py_buffer *view) noexcept:
    """Return whether there is one bound for all columns, or one for each."""
    cdef Py_ssize_t columns = 1, axis
    for axis in range(1, view.ndim):
        columns *= view.shape[axis]
    return count == 1 or count == columns


cdef int check_within(
    const Py_buffer *view, lows, highs, Rules *rules, Verdict *verdict
) except -1:
    cdef Py_buffer low, high
    cdef char kind = kind_of(view, &rules.is_swapped)
    if view.suboffsets != NULL:
        raise BufferError("expected a buffer without suboffsets")
    if kind == 0:
        raise TypeError("expected a buffer of bool, float or integer numbers")
    if lows is None and highs is None:
        rules.lows, rules.highs, rules.period = &NO_LOW, &NO_HIGH, 1
        verdict[0] = check_kind(view, kind, rules)
        return 0
    if lows is None or highs is None:
        raise ValueError("expected both bounds or neither")
    if not (is_doubles(lows) and is_doubles(highs)):
        raise TypeError('expected bounds as an array("d")')
    # held like the tensor: an array must not be resized under a check without the GIL
    PyObject_GetBuffer(lows, &low, PyBUF_CONTIG_RO)
    try:
        PyObject_GetBuffer(highs, &high, PyBUF_CONTIG_RO)
        try:
            rules.lows, rules.highs = <const double *> low.buf, <const double *> high.buf
            rules.period = low.shape[0]
            if rules.period != high.shape[0] or not is_one_each(rules.period, view):
                raise ValueError("expected one bound for all columns or one for each")
            verdict[0] = check_kind(view, kind, rules)
        finally:
            PyBuffer_Release(&high)
    finally:
        PyBuffer_Release(&low)
    return 0


cdef Verdict check_buffer(buffer, lows, highs, bint finite, bint counts) except *:
    cdef Py_buffer view
    cdef Rules rules
    cdef Verdict verdict
    rules.finite, rules.counts = finite, counts
    PyObject_GetBuffer(buffer, &view, PyBUF_RECORDS_RO)
    try:
        check_within(&view, lows, highs, &rules, &verdict)
    finally:
        PyBuffer_Release(&view)
    return verdict


def check_tensor(buffer, lows, highs, bint finite):
    """Find the first element of a tensor that is not finite or not within its bounds.

    The definition, with arguments, result and errors, is `_tensor_py.check_tensor`.
    """
    cdef Verdict verdict = check_buffer(buffer, lows, highs, finite, False)
    return CLEAN if verdict.code == OK else (verdict.code, verdict.index)


def count_bad(buffer, lows, highs, bint finite):
    """Count the elements of a tensor that are not finite or not within their bounds.

    The definition, with arguments, result and errors, is `_tensor_py.count_bad`.
    """
    return check_buffer(buffer, lows, highs, finite, True).count


def vector_path():
    """Return which loop screens tensors on this machine: ``avx2`` or ``portable``."""
    return path().decode("ascii")


def _sum_words(buffer):
    """Return the sum of a buffer as 64-bit words: the machine's read bound, for the benchmark."""
    cdef Py_buffer view
    cdef int64_t result
    PyObject_GetBuffer(buffer, &view, PyBUF_CONTIG_RO)
    try:
        with nogil:
            result = total(<const char *> view.buf, view.len)
    finally:
        PyBuffer_Release(&view)
    return result
