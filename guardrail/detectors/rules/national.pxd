# C declarations for national.py, which compiles as it stands.

cimport cython

from guardrail.detectors.rules.tokens cimport Tokens

cdef int _NATIONAL_ID
cdef Py_ssize_t _LIMIT_NAME


cdef class National(Tokens):
    cdef bytearray _store
    cdef bytearray _sizes
    cdef bytearray _signs
    cdef unsigned char *_n
    cdef unsigned char *_lens
    cdef unsigned long long _shape
    cdef int _numbers

    cdef _lay_numbers(self)

    @cython.locals(first=Py_ssize_t, before=bytes, name=bytes)
    cdef bint _named(self, Py_ssize_t at, tuple names) except -1

    cdef bint _is_date(self, int day, int month) noexcept
    cdef int _pair(self, int at) noexcept

    @cython.locals(total=int, digit=int, place=int)
    cdef bint _luhn(self, int first, int count) noexcept

    @cython.locals(n="unsigned char *")
    cdef bint _run_of_11(self, Py_ssize_t at) except -1

    @cython.locals(
        n="unsigned char *", twice=int, thrice=int, digit=int, count=int, place=int, check=int
    )
    cdef bint _is_idnr(self) noexcept

    @cython.locals(n="unsigned char *", odd=int, even=int)
    cdef bint _is_tckimlik(self) noexcept

    @cython.locals(n="unsigned char *", day=int, one=int, two=int)
    cdef bint _is_fodselsnummer(self) noexcept

    @cython.locals(n="unsigned char *", total=int)
    cdef bint _is_pesel(self) noexcept

    @cython.locals(n="unsigned char *", one=int, two=int, alike=bint, place=int)
    cdef bint _is_cpf(self) noexcept

    @cython.locals(n="unsigned char *", total=int, some=int, place=int)
    cdef bint _is_bsn(self) noexcept

    @cython.locals(n="unsigned char *", check=int, mirrors=bint, place=int)
    cdef bint _is_aadhaar(self) except -1

    @cython.locals(n="unsigned char *", month=int, rest=int, place=int)
    cdef bint _is_nir(self) noexcept

    @cython.locals(rest=int, place=int, check=int)
    cdef bint _is_nn(self) noexcept

    @cython.locals(n="unsigned char *", total=int, place=int)
    cdef bint _is_ahv(self) noexcept

    @cython.locals(day=int)
    cdef bint _is_personnummer(self, int first) noexcept

    @cython.locals(n="unsigned char *", total=int, place=int)
    cdef bint _ric(self, int last) except -1

    @cython.locals(
        d="const unsigned char *", value=long, place=Py_ssize_t, start=Py_ssize_t,
        end=Py_ssize_t, first=int, last=int,
    )
    cdef Py_ssize_t _with_letter(self, Py_ssize_t at, Py_ssize_t size) except -1

    @cython.locals(
        d="const unsigned char *", start=Py_ssize_t, total=int, place=int, char=int, value=int
    )
    cdef Py_ssize_t _codice(self, Py_ssize_t at) except -1
