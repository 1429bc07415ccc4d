# cython: cdivision=True
# cdivision: every divisor below is a length that was checked to be positive.
"""Select the largest entries of each row in place, compiled; `_select_py` is the reference.

The buffer must have floats in C order; it is held only while it is processed.

For a short row, a heap holds as many entries as are kept. For a longer row, a binary search over
all floats finds the least entry that is kept, by counting how many entries reach the middle: at
most 32 or 64 passes for any input. Then all smaller entries are cut, and as many equal ones as exceed the
number to keep. Measured by ``benchmarks/validation/tensors.py``.
"""

from cpython cimport array
from cpython.buffer cimport (
    PyBUF_RECORDS_RO, PyBuffer_IsContiguous, PyBuffer_Release, PyObject_GetBuffer,
)
from libc.math cimport INFINITY, NAN
from libc.stdint cimport INT32_MAX, INT64_MAX, int32_t, int64_t
from libc.string cimport memcpy

ctypedef fused real:
    float
    double

cdef enum:
    #: The longest row that goes through a heap.
    SHORT = 64
    #: Entries of a row that are looked at together: whole vectors of any machine.
    LANES = 16
    #: Entries among which one is looked for at a time.
    STRETCH = 128
    #: Entries that are counted at a time: the sum fits an integer as wide as an entry.
    BLOCK = 4096
    #: From this many elements on, the GIL is released: `_tensor.pyx`.
    GIL_FREE_FROM = 262144

cdef array.array NO_LABELS = array.array("q")


cdef extern from *:
    """
    #if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__)
    #define DISPATCHED_VOID __attribute__((target_clones("avx2", "default"))) void
    #else
    #define DISPATCHED_VOID void
    #endif
    """
    #: Compiled twice, for AVX2 and for any x86-64, and chosen as the module is loaded. No
    #: branch in their loops, and counts as wide as an entry: so the compiler vectorises them.
    ctypedef void dispatched "DISPATCHED_VOID"


cdef dispatched read_most(const real *row, Py_ssize_t length, real *most) noexcept nogil:
    """Return the largest entry; minus infinity if there is none but NaN."""
    cdef real lanes[LANES]
    cdef Py_ssize_t at = 0, i
    for i in range(LANES):
        lanes[i] = -INFINITY
    while at + LANES <= length:
        for i in range(LANES):
            lanes[i] = row[at + i] if row[at + i] > lanes[i] else lanes[i]
        at += LANES
    while at < length:
        lanes[0] = row[at] if row[at] > lanes[0] else lanes[0]
        at += 1
    for i in range(1, LANES):
        lanes[0] = lanes[i] if lanes[i] > lanes[0] else lanes[0]
    most[0] = lanes[0]


cdef dispatched read_first(
    const real *row, Py_ssize_t length, real entry, Py_ssize_t *index
) noexcept nogil:
    """Return the first index of an entry; the length if it is absent."""
    cdef Py_ssize_t at = 0, i
    cdef int32_t seen32 = 0
    cdef int64_t seen64 = 0
    while at + STRETCH <= length:
        for i in range(STRETCH):
            if real is float:
                seen32 |= row[at + i] == entry
            else:
                seen64 |= row[at + i] == entry
        if seen32 or seen64:
            break
        at += STRETCH
    while at < length and row[at] != entry:
        at += 1
    index[0] = at


cdef dispatched read_count(
    const real *row, Py_ssize_t length, real least, Py_ssize_t *count
) noexcept nogil:
    """Return how many entries are not less; a NaN counts as less."""
    cdef Py_ssize_t at = 0, stop
    cdef int32_t count32
    cdef int64_t count64
    count[0] = 0
    while at < length:
        stop = min(length, at + BLOCK)
        count32 = count64 = 0
        while at < stop:
            if real is float:
                count32 += row[at] >= least
            else:
                count64 += row[at] >= least
            at += 1
        count[0] += count32 + count64


cdef dispatched cut_below(real *row, Py_ssize_t length, real least) noexcept nogil:
    cdef Py_ssize_t at
    for at in range(length):
        row[at] = row[at] if row[at] >= least else <real> NAN


cdef inline Py_ssize_t largest(const real *row, Py_ssize_t length) noexcept nogil:
    """Return the index of the first largest entry, or -1 if all are NaN."""
    cdef Py_ssize_t index, found = -1
    cdef real most = 0
    if length > LANES:
        read_most(row, length, &most)
        read_first(row, length, most, &found)
        return found if found < length else -1
    for index in range(length):
        # the first that is a number, and from then on what is larger
        if row[index] > most if found >= 0 else row[index] == row[index]:
            most, found = row[index], index
    return found


cdef inline real at_place(int64_t place, real *kind) noexcept nogil:
    """Return the float at an index in the order of all floats; 0.0 is at 0, -0.0 at -1."""
    cdef int32_t bits32
    cdef float value32
    cdef double value64
    if real is float:
        bits32 = <int32_t> (place if place >= 0 else place ^ INT32_MAX)
        memcpy(&value32, &bits32, sizeof(float))
        return value32
    else:
        place = place if place >= 0 else place ^ INT64_MAX
        memcpy(&value64, &place, sizeof(double))
        return value64


cdef inline real least_of(
    const real *row, Py_ssize_t length, Py_ssize_t kept, Py_ssize_t *reached
) noexcept nogil:
    """Return what the kept entries reach, and how many do: more than are kept where some tie.

    All that are numbers reach minus infinity; they may be fewer than are kept.
    """
    cdef int64_t top = <int64_t> 0x7F8 << 20 if real is float else <int64_t> 0x7FF << 52  # infinity
    cdef int64_t under = -top - 1, over = top + 1, middle
    cdef Py_ssize_t count
    cdef real least = -INFINITY
    read_count(row, length, least, reached)
    while reached[0] > kept and over > under + 1:
        middle = under // 2 + over // 2 if under < 0 < over else under + (over - under) // 2
        read_count(row, length, at_place[real](middle, NULL), &count)
        if count >= kept:
            under, reached[0] = middle, count
            least = at_place[real](middle, NULL)
        else:
            over = middle
    return least


cdef inline void sink(real *heap, Py_ssize_t size, real entry) noexcept nogil:
    """Replace the root of the heap with an entry, and sift it down."""
    cdef Py_ssize_t place = 0, below = 1
    while below < size:
        if below + 1 < size and heap[below + 1] < heap[below]:
            below += 1
        if entry <= heap[below]:
            break
        heap[place] = heap[below]
        place, below = below, 2 * below + 1
    heap[place] = entry


cdef inline void rise(real *heap, Py_ssize_t place, real entry) noexcept nogil:
    """Append an entry to the heap, and sift it up."""
    cdef Py_ssize_t above
    while place > 0:
        above = (place - 1) // 2
        if heap[above] <= entry:
            break
        heap[place] = heap[above]
        place = above
    heap[place] = entry


cdef inline real least_in_heap(
    const real *row, Py_ssize_t length, Py_ssize_t kept, Py_ssize_t *reached
) noexcept nogil:
    """Likewise for a short row."""
    cdef real heap[SHORT]
    cdef Py_ssize_t index, size = 0
    for index in range(length):
        if row[index] != row[index]:
            continue
        if size < kept:
            rise(heap, size, row[index])
            size += 1
        elif row[index] > heap[0]:
            sink(heap, size, row[index])
    if size < kept:
        reached[0] = size
        return -INFINITY
    read_count(row, length, heap[0], reached)
    return heap[0]


cdef inline void cut_to_one(real *row, Py_ssize_t length) noexcept nogil:
    cdef Py_ssize_t index, found = largest(row, length)
    cdef real entry = row[found] if found >= 0 else <real> NAN
    for index in range(length):
        row[index] = <real> NAN
    if found >= 0:
        row[found] = entry


cdef inline void cut(real *row, Py_ssize_t length, Py_ssize_t kept) noexcept nogil:
    cdef Py_ssize_t reached, index
    cdef real least
    if kept == 1:
        cut_to_one(row, length)
        return
    if kept >= length:
        cut_below(row, length, <real> -INFINITY)
        return
    if length <= SHORT:
        least = least_in_heap(row, length, kept, &reached)
    else:
        least = least_of(row, length, kept, &reached)
    index = length
    while reached > kept:  # the last of those that tie have no room
        index -= 1
        if row[index] == least:
            row[index] = <real> NAN
            reached -= 1
    cut_below(row, length, least)


cdef void cut_all(
    real *elements, Py_ssize_t rows, Py_ssize_t length, Py_ssize_t kept
) noexcept nogil:
    cdef Py_ssize_t row
    if kept >= length and kept > 1:  # as one row: only NaN are cut
        rows, length = 1, rows * length
        kept = length
    for row in range(rows):
        cut(elements + row * length, length, kept)


cdef void cut_rows(real *elements, Py_ssize_t size, Py_ssize_t length, Py_ssize_t kept) noexcept:
    if size < GIL_FREE_FROM:
        cut_all(elements, size // length, length, kept)
    else:
        with nogil:
            cut_all(elements, size // length, length, kept)


cdef void label_all(
    const real *elements, Py_ssize_t rows, Py_ssize_t length, int64_t *labels
) noexcept nogil:
    cdef Py_ssize_t row
    for row in range(rows):
        labels[row] = largest(elements + row * length, length)


cdef int read_rows(Py_buffer *view) except -1:
    """Check a buffer for both functions; return the format letter of its elements."""
    cdef char kind
    if not PyBuffer_IsContiguous(view, b"C"):
        raise BufferError("expected a buffer in C order")
    kind = view.format[0] if view.format != NULL and view.format[1] == 0 else 0
    if not (
        (kind == b"d" and view.itemsize == sizeof(double))
        or (kind == b"f" and view.itemsize == sizeof(float))
    ):
        raise TypeError("expected a buffer of doubles or single floats in native order")
    if view.ndim == 0:
        raise ValueError("expected an axis for the rows")
    return kind


def keep_largest(buffer, kept):
    """Replace by NaN, in each row, all but the largest entries.

    The definition, with arguments and errors, is `_select_py.keep_largest`.
    """
    cdef Py_buffer view
    cdef char kind
    cdef Py_ssize_t size, length, most
    if kept < 1:
        raise ValueError("expected to keep one entry or more")
    PyObject_GetBuffer(buffer, &view, PyBUF_RECORDS_RO)
    try:
        if view.readonly:
            raise BufferError("expected a writable buffer in C order")
        kind = read_rows(&view)
        size, length = view.len // view.itemsize, view.shape[view.ndim - 1]
        if size == 0:
            return
        most = length if kept > length else kept
        if kind == b"d":
            cut_rows(<double *> view.buf, size, length, most)
        else:
            cut_rows(<float *> view.buf, size, length, most)
    finally:
        PyBuffer_Release(&view)


def label_rows(buffer):
    """Return the index of each row's largest entry, as an ``array("q")`` in C order.

    The definition, with arguments and errors, is `_select_py.label_rows`.
    """
    cdef Py_buffer view
    cdef char kind
    cdef Py_ssize_t rows = 1, length, axis
    cdef array.array labels
    cdef int64_t *first
    PyObject_GetBuffer(buffer, &view, PyBUF_RECORDS_RO)
    try:
        kind = read_rows(&view)
        length = view.shape[view.ndim - 1]
        for axis in range(view.ndim - 1):
            rows *= view.shape[axis]
        labels = array.clone(NO_LABELS, rows, False)
        first = <int64_t *> labels.data.as_longlongs
        if kind == b"d" and rows * length < GIL_FREE_FROM:
            label_all(<const double *> view.buf, rows, length, first)
        elif kind == b"d":
            with nogil:
                label_all(<const double *> view.buf, rows, length, first)
        elif rows * length < GIL_FREE_FROM:
            label_all(<const float *> view.buf, rows, length, first)
        else:
            with nogil:
                label_all(<const float *> view.buf, rows, length, first)
        return labels
    finally:
        PyBuffer_Release(&view)
