# C declarations for addresses.py, which compiles as it stands.

cimport cython

from guardrail.detectors.scan.scan_state cimport Sheet

cdef int _EMAIL, _IBAN, _IPV6, _MAC
cdef Py_ssize_t _LIMIT_LOCAL, _LIMIT_DOMAIN, _LIMIT_CHAIN


cdef class Addresses(Sheet):
    @cython.locals(d="const unsigned char *", start=Py_ssize_t, end=Py_ssize_t)
    cdef Py_ssize_t _email(self, Py_ssize_t at) except -1

    @cython.locals(
        d="const unsigned char *", end=Py_ssize_t, label=Py_ssize_t, spot=Py_ssize_t,
        top=Py_ssize_t,
    )
    cdef Py_ssize_t _domain(self, Py_ssize_t at) except -1

    @cython.locals(d="const unsigned char *", end=Py_ssize_t)
    cdef Py_ssize_t _top_level(self, Py_ssize_t label, Py_ssize_t stop) except -1

    @cython.locals(
        d="const unsigned char *", start=Py_ssize_t, spot=Py_ssize_t, first=Py_ssize_t,
        end=Py_ssize_t, groups=int, gap=bint, digits=bint,
    )
    cdef Py_ssize_t _ipv6(self, Py_ssize_t at) except -1

    cdef bint _apart(self, int char, int bracket) noexcept

    @cython.locals(d="const unsigned char *", start=Py_ssize_t)
    cdef bint _is_group(self, Py_ssize_t at, int most) noexcept

    @cython.locals(d="const unsigned char *", end=Py_ssize_t)
    cdef Py_ssize_t _zone(self, Py_ssize_t at) noexcept

    @cython.locals(
        d="const unsigned char *", spot=Py_ssize_t, place=Py_ssize_t, size=Py_ssize_t, number=int,
        value=int,
    )
    cdef Py_ssize_t _quad(self, Py_ssize_t at) except -1

    @cython.locals(
        d="const unsigned char *", spot=Py_ssize_t, size=Py_ssize_t, sign=int, width=int,
        least=int, most=int, groups=int, end=Py_ssize_t,
    )
    cdef Py_ssize_t _mac(self, Py_ssize_t at) except -1

    @cython.locals(d="const unsigned char *", end=Py_ssize_t, is_account=bint)
    cdef bint _is_more(self, Py_ssize_t at) noexcept

    @cython.locals(d="const unsigned char *", before=int)
    cdef bint _joined(self, Py_ssize_t at) noexcept

    @cython.locals(d="const unsigned char *", spot=Py_ssize_t, high=Py_ssize_t, char=int)
    cdef bint _linked(self, Py_ssize_t at) noexcept

    @cython.locals(d="const unsigned char *", spot=Py_ssize_t, end=Py_ssize_t)
    cdef Py_ssize_t _between(self, Py_ssize_t at) noexcept

    cdef bint _blocks(self, Py_ssize_t at) except -1

    @cython.locals(
        d="const unsigned char *", country=int, bban=bytes, start=Py_ssize_t, size=Py_ssize_t, spot=Py_ssize_t,
        place=Py_ssize_t, char=int, rest=long, head=long,
    )
    cdef Py_ssize_t _iban(self, Py_ssize_t at) except -1


cdef long _remainder(long value, int char) noexcept
