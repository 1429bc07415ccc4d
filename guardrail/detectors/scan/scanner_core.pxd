# C declarations for spots.py, which compiles as it stands.

cimport cython

from guardrail.detectors.rules.numbers cimport Numbers

cdef int _EMAIL, _PHONE, _CARD, _IBAN, _IPV6, _MAC, _PRIVATE_KEY, _API_KEY
cdef int _DIGIT, _OTHER, _KEY
cdef Py_ssize_t _LIMIT_TOKEN, _LIMIT_SPACED, _LIMIT_BEFORE


cdef class Spots(Numbers):
    @cython.locals(
        d="const unsigned char *", triggers=bytes, table="const unsigned char *", at=Py_ssize_t,
        end=Py_ssize_t, what=int,
    )
    cpdef Py_ssize_t scan(self, Py_ssize_t begin, Py_ssize_t stop) except -1

    @cython.locals(end=Py_ssize_t)
    cdef Py_ssize_t _judge(self, Py_ssize_t at, int what) except -1

    @cython.locals(
        d="const unsigned char *", wanted="const unsigned char *", sign=int, end=Py_ssize_t
    )
    cdef Py_ssize_t _other(self, Py_ssize_t at) except -1

    @cython.locals(
        d="const unsigned char *", size=Py_ssize_t, first=Py_ssize_t, last=Py_ssize_t,
        place=Py_ssize_t, spot=Py_ssize_t, what=int,
    )
    cpdef Py_ssize_t hold(self, Py_ssize_t least) except -1

    @cython.locals(d="const unsigned char *", spot=Py_ssize_t, first=Py_ssize_t)
    cdef int _goes_on(self, Py_ssize_t at) except -1

    @cython.locals(d="const unsigned char *", first=Py_ssize_t)
    cpdef Py_ssize_t begin(self, Py_ssize_t least, Py_ssize_t at) except -1
