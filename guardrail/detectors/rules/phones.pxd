# The C declarations of `phones.py`.

cimport cython

from guardrail.detectors.rules.cards cimport CardRules
from guardrail.detectors.rules.number_context cimport NumberContext
from guardrail.detectors.scan.scan_state cimport DigitChain, ScanState

cdef int _PHONE, _LIMIT_GROUPS


@cython.final
cdef class PhoneRules:
    cdef CardRules _cards
    cdef NumberContext _context

    @cython.locals(groups=int)
    cdef Py_ssize_t national(self, ScanState state, Py_ssize_t at) except -1

    @cython.locals(stop=Py_ssize_t)
    cdef Py_ssize_t _accept_phone(self, ScanState state, Py_ssize_t start, Py_ssize_t end) except -1

    @cython.locals(
        text="const unsigned char *", spot=Py_ssize_t, first=Py_ssize_t, size=Py_ssize_t
    )
    cdef Py_ssize_t _extension(self, ScanState state, Py_ssize_t at) except -1

    @cython.locals(n="unsigned char *", groups=int, first=int, shape="unsigned long long")
    cdef int _groups(self, ScanState state, Py_ssize_t at) except -1

    @cython.locals(end=Py_ssize_t, is_amount=bint)
    cdef bint _is_listed(self, ScanState state, Py_ssize_t at, int groups, int first) noexcept

    @cython.locals(size=int, first=int)
    cdef int _plain(self, ScanState state, Py_ssize_t at) except -1

    @cython.locals(n="unsigned char *", least=int, most=int, groups=int, total=int, group=int)
    cdef int _trunk(self, ScanState state, Py_ssize_t at) except -1

    cdef bint _may_close(self, ScanState state, Py_ssize_t end) except -1

    @cython.locals(
        text="const unsigned char *", spot=Py_ssize_t, total=Py_ssize_t, end=Py_ssize_t, groups=int,
        size=Py_ssize_t, place=Py_ssize_t, points=int, trunk=int, least=int, most=int, opened=bint,
        threes=bint, chain=DigitChain,
    )
    cdef Py_ssize_t international(self, ScanState state, Py_ssize_t at) except -1

    @cython.locals(n="unsigned char *")
    cdef bint _is_code(self, DigitChain chain, Py_ssize_t size) except -1

    @cython.locals(text="const unsigned char *", sign=int)
    cdef Py_ssize_t _next_group(self, ScanState state, Py_ssize_t at, bint opened) noexcept

    @cython.locals(
        text="const unsigned char *", size=Py_ssize_t, spot=Py_ssize_t, end=Py_ssize_t, trunk=bint,
        total=int, groups=int, group=int, start=Py_ssize_t, count=int, first=int,
        shape="unsigned long long", is_american=bint,
    )
    cdef Py_ssize_t bracket(self, ScanState state, Py_ssize_t at) except -1

    cdef bint _has_prefix_1(self, ScanState state, Py_ssize_t at) noexcept


cdef bint _is_country(int first, int second, int third) except -1

cdef int _least(int first, int second, int third) except -1
cdef int _most(int first, int second, int third) except -1

@cython.locals(two=int)
cdef int _code(int first, int second, int third) except -1

