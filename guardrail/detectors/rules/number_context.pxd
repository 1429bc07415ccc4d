# The C declarations of `number_context.py`.

cimport cython

from guardrail.detectors.scan.scan_state cimport ScanState

cdef int _LIMIT_DIGITS


@cython.final
cdef class NumberContext:
    cdef bint is_exponent(self, ScanState state, Py_ssize_t at) noexcept

    @cython.locals(
        text="const unsigned char *", size=Py_ssize_t, end=Py_ssize_t, sign=int, first=Py_ssize_t
    )
    cdef bint is_fraction(self, ScanState state, Py_ssize_t at) noexcept

    @cython.locals(text="const unsigned char *")
    cdef bint has_more_groups(self, ScanState state, Py_ssize_t at) noexcept

    @cython.locals(text="const unsigned char *", first=Py_ssize_t, size=Py_ssize_t, before=int,
                   has_letter=bint)
    cdef bint is_identifier(self, ScanState state, Py_ssize_t at) noexcept

    @cython.locals(text="const unsigned char *", stop=Py_ssize_t)
    cdef bint is_amount(self, ScanState state, Py_ssize_t at) noexcept

    @cython.locals(text="const unsigned char *", first=Py_ssize_t)
    cdef bint is_thousands(self, ScanState state, Py_ssize_t at, Py_ssize_t end) noexcept


