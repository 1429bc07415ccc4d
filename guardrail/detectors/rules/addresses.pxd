# The C declarations of `addresses.py`.

cimport cython

from guardrail.detectors.rules.cards cimport CardRules
from guardrail.detectors.scan.scan_state cimport ScanState

cdef int _EMAIL, _IBAN, _IPV6, _MAC
cdef Py_ssize_t _LIMIT_LOCAL, _LIMIT_DOMAIN


@cython.final
cdef class AddressRules:
    cdef CardRules _cards

    @cython.locals(text="const unsigned char *", start=Py_ssize_t, end=Py_ssize_t)
    cdef Py_ssize_t email(self, ScanState state, Py_ssize_t at) except -1

    @cython.locals(
        text="const unsigned char *", end=Py_ssize_t, label=Py_ssize_t, spot=Py_ssize_t,
        top=Py_ssize_t,
    )
    cdef Py_ssize_t _domain(self, ScanState state, Py_ssize_t at) except -1

    @cython.locals(text="const unsigned char *", end=Py_ssize_t)
    cdef Py_ssize_t _top_level(self, ScanState state, Py_ssize_t label, Py_ssize_t stop) except -1

    @cython.locals(
        text="const unsigned char *", start=Py_ssize_t, spot=Py_ssize_t, first=Py_ssize_t,
        end=Py_ssize_t, groups=int, gap=bint, digits=bint,
    )
    cdef Py_ssize_t ipv6(self, ScanState state, Py_ssize_t at) except -1

    cdef bint _may_stand_beside(self, ScanState state, int char, int bracket) noexcept

    @cython.locals(text="const unsigned char *", start=Py_ssize_t)
    cdef bint _is_group(self, ScanState state, Py_ssize_t at, int most) noexcept

    @cython.locals(text="const unsigned char *", end=Py_ssize_t)
    cdef Py_ssize_t _zone(self, ScanState state, Py_ssize_t at) noexcept

    @cython.locals(
        text="const unsigned char *", spot=Py_ssize_t, place=Py_ssize_t, size=Py_ssize_t, number=int,
        value=int,
    )
    cdef Py_ssize_t ipv4(self, ScanState state, Py_ssize_t at) except -1

    @cython.locals(
        text="const unsigned char *", spot=Py_ssize_t, size=Py_ssize_t, sign=int, width=int,
        least=int, most=int, groups=int, end=Py_ssize_t,
    )
    cdef Py_ssize_t mac(self, ScanState state, Py_ssize_t at) except -1

    @cython.locals(text="const unsigned char *", end=Py_ssize_t, is_account=bint)
    cdef bint _has_group(self, ScanState state, Py_ssize_t at) noexcept

    @cython.locals(
        text="const unsigned char *", country=int, bban=bytes, start=Py_ssize_t, size=Py_ssize_t, spot=Py_ssize_t,
        place=Py_ssize_t, char=int, rest=long, head=long,
    )
    cdef Py_ssize_t iban(self, ScanState state, Py_ssize_t at) except -1


cdef long _remainder(long value, int char) noexcept
