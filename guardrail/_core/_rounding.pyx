"""Round floats in place, in one pass, compiled; `_rounding_py` is the reference.

The buffer must be writable and contiguous in C order; it is held only while it is rounded.

Below 2**52 every half is a double, and multiplying by an exact power of ten is monotone. So unless
the scaled number equals a half, it is on the correct side of each half, and it rounds to the
correct integer; that integer divided by the power is correctly rounded, as one division of two
exact numbers. Numbers that scale to a half, or are too large, are left to Python's `round`.
Measured by ``benchmarks/steps.py``.
"""

from cpython.buffer cimport (
    PyBUF_RECORDS_RO,
    PyBuffer_IsContiguous,
    PyBuffer_Release,
    PyObject_GetBuffer,
)
from libc.float cimport DBL_MAX
from libc.math cimport fabs, isfinite, rint
from libc.stdint cimport int64_t
from libc.string cimport memcpy

ctypedef fused real:
    float
    double

cdef enum:
    LIMIT_DIGITS = 15
    #: Elements that are rounded together, or one by one where one of them is doubtful.
    BLOCK = 128
    #: So many elements at a time are rounded without the GIL, and no fewer: `_tensor.pyx`.
    GIL_FREE_FROM = 262144

cdef double TWO_52 = 4503599627370496.0

cdef double *POWERS = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
]


# The product below is rounded before anything is subtracted from it, or a half that it was
# rounded to would not be seen: `setup.py` compiles with `-ffp-contract=off`.

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


cdef dispatched settle_block(
    const real *elements, double power, real *settled, bint *is_doubtful
) noexcept nogil:
    """Round a block of elements; return whether any result is uncertain."""
    # No branch inside, and a flag as wide as a double: so the compiler vectorises it.
    cdef int64_t doubt = 0
    cdef double scaled, whole
    cdef Py_ssize_t i
    for i in range(BLOCK):
        scaled = <double> elements[i] * power
        whole = rint(scaled)
        doubt |= (fabs(<double> elements[i]) <= DBL_MAX) & (
            (not fabs(scaled) < TWO_52) | (fabs(scaled - whole) == 0.5)
        )
        settled[i] = (
            <real> (whole / power) if fabs(<double> elements[i]) <= DBL_MAX else elements[i]
        )
    is_doubtful[0] = doubt != 0


cdef inline bint settle(real *element, double power) noexcept nogil:
    """Round one element if the result is certain; return whether it was."""
    cdef double exact = element[0]
    cdef double scaled = exact * power
    cdef double whole = rint(scaled)
    if not fabs(scaled) < TWO_52:  # a NaN, an infinity, or too large to have a half
        return not isfinite(exact)
    if fabs(scaled - whole) == 0.5:
        return False
    element[0] = <real> (whole / power)
    return True


cdef Py_ssize_t settle_until(
    real *elements, Py_ssize_t first, Py_ssize_t stop, double power
) noexcept nogil:
    """Round from the first element on; return the index of an uncertain one, or ``stop``."""
    cdef real settled[BLOCK]
    cdef bint is_doubtful
    cdef Py_ssize_t end
    while first < stop:
        end = stop
        if first + BLOCK <= stop:
            settle_block(elements + first, power, settled, &is_doubtful)
            if not is_doubtful:
                memcpy(elements + first, settled, BLOCK * sizeof(real))
                first += BLOCK
                continue
            end = first + BLOCK
        while first < end:
            if not settle(elements + first, power):
                return first
            first += 1
    return first


cdef int round_all(real *elements, Py_ssize_t size, int digits) except -1:
    cdef double power = POWERS[digits]
    cdef Py_ssize_t done = 0, stop
    while done < size:
        stop = min(size, done + GIL_FREE_FROM)
        if stop - done == GIL_FREE_FROM:
            with nogil:
                done = settle_until(elements, done, stop, power)
        else:
            done = settle_until(elements, done, stop, power)
        while done < stop:  # the GIL is not let go again for what is left of this part
            elements[done] = <real> <double> round(<object> <double> elements[done], digits)
            done = settle_until(elements, done + 1, stop, power)
    return 0


def round_floats(buffer, digits):
    """Round the elements of a buffer in place, each as Python's ``round`` does.

    The definition, with arguments and errors, is `_rounding_py.round_floats`.
    """
    cdef Py_buffer view
    cdef char kind
    cdef int places
    if not 0 <= digits <= LIMIT_DIGITS:
        raise ValueError("expected digits from 0 to 15")
    places = digits
    PyObject_GetBuffer(buffer, &view, PyBUF_RECORDS_RO)
    try:
        if view.readonly or not PyBuffer_IsContiguous(&view, b"C"):
            raise BufferError("expected a writable buffer in C order")
        kind = view.format[0] if view.format != NULL and view.format[1] == 0 else 0
        if kind == b"d" and view.itemsize == sizeof(double):
            round_all(<double *> view.buf, view.len // view.itemsize, places)
        elif kind == b"f" and view.itemsize == sizeof(float):
            round_all(<float *> view.buf, view.len // view.itemsize, places)
        else:
            raise TypeError("expected a buffer of doubles or single floats in native order")
    finally:
        PyBuffer_Release(&view)
