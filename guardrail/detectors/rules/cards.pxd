# The C declarations of `cards.py`.

cimport cython

from guardrail.detectors.rules.number_context cimport NumberContext
from guardrail.detectors.scan.scan_state cimport ScanState

cdef int _CARD, _LIMIT_DIGITS


@cython.final
cdef class CardRules:
    cdef NumberContext _context

    @cython.locals(
        text="const unsigned char *", size=Py_ssize_t, stop=Py_ssize_t, digits=Py_ssize_t
    )
    cdef bint has_fraction(self, ScanState state, Py_ssize_t at, Py_ssize_t end) except -1

    cdef bint may_end(self, ScanState state, Py_ssize_t end) except -1

    cdef bint blocks(self, ScanState state, Py_ssize_t at) except -1

    @cython.locals(text="const unsigned char *", first=Py_ssize_t, end=Py_ssize_t)
    cdef Py_ssize_t card(self, ScanState state, Py_ssize_t at, bint joined) except -1

    @cython.locals(
        spot=Py_ssize_t, count=Py_ssize_t, size=Py_ssize_t, sign=int,
        lines=int, char=int, place=Py_ssize_t, end=Py_ssize_t,
    )
    cdef Py_ssize_t _in_groups(self, ScanState state, Py_ssize_t at) except -1

    @cython.locals(place=Py_ssize_t)
    cdef int _sign_between(self, ScanState state, Py_ssize_t at, Py_ssize_t end) noexcept

    @cython.locals(text="const unsigned char *", spot=Py_ssize_t)
    cdef bint _is_in_column(self, ScanState state, Py_ssize_t at, Py_ssize_t end) noexcept

    @cython.locals(text="const unsigned char *", spot=Py_ssize_t, count=int, before=int, is_part=bint)
    cdef Py_ssize_t _digit_by_digit(self, ScanState state, Py_ssize_t at, int sign) except -1

    @cython.locals(
        text="const unsigned char *", total=int, count=int, place=Py_ssize_t, digit=int, head=int,
        read=int, is_named=bint,
    )
    cdef Py_ssize_t _checked_end(self, ScanState state, Py_ssize_t start, Py_ssize_t end) except -1

    @cython.locals(text="const unsigned char *", spot=Py_ssize_t, is_word=bint)
    cdef bint _is_word(self, ScanState state, Py_ssize_t at) noexcept


cdef bint _is_maestro(int head) noexcept

@cython.locals(two=int, three=int, four=int)
cdef bint _is_issued(int head, int count) noexcept
