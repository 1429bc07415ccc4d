# The C declarations of `national.py`.

cimport cython

from guardrail.detectors.rules.cards cimport CardRules
from guardrail.detectors.rules.number_context cimport NumberContext
from guardrail.detectors.scan.scan_state cimport DigitChain, ScanState

cdef int _NATIONAL_ID, _CARD


@cython.final
cdef class NationalRules:
    cdef CardRules _cards
    cdef NumberContext _context

    @cython.locals(n="unsigned char *")
    cdef bint _is_id_of_11(self, ScanState state, Py_ssize_t at) except -1

    @cython.locals(
        n="unsigned char *", twice=int, thrice=int, digit=int, count=int, place=int, check=int
    )
    cdef bint _is_idnr(self, DigitChain chain) noexcept

    @cython.locals(n="unsigned char *", odd=int, even=int)
    cdef bint _is_tckimlik(self, DigitChain chain) noexcept

    @cython.locals(n="unsigned char *", day=int, one=int, two=int)
    cdef bint _is_fodselsnummer(self, DigitChain chain) noexcept

    @cython.locals(n="unsigned char *", total=int)
    cdef bint _is_pesel(self, DigitChain chain) noexcept

    @cython.locals(n="unsigned char *", one=int, two=int, all_equal=bint, place=int)
    cdef bint _is_cpf(self, DigitChain chain) noexcept

    @cython.locals(n="unsigned char *", total=int, some=int, place=int)
    cdef bint _is_bsn(self, DigitChain chain) noexcept

    @cython.locals(n="unsigned char *", check=int, mirrors=bint, place=int)
    cdef bint _is_aadhaar(self, DigitChain chain) except -1

    @cython.locals(n="unsigned char *", month=int, rest=int, place=int)
    cdef bint _is_nir(self, DigitChain chain) noexcept

    @cython.locals(rest=int, place=int, check=int)
    cdef bint _is_nn(self, DigitChain chain) noexcept

    @cython.locals(n="unsigned char *", total=int, place=int)
    cdef bint _is_ahv(self, DigitChain chain) noexcept

    @cython.locals(day=int)
    cdef bint _is_personnummer(self, DigitChain chain, int first) noexcept

    @cython.locals(n="unsigned char *", total=int, place=int)
    cdef bint _is_ric(self, DigitChain chain, int last) except -1

    @cython.locals(
        text="const unsigned char *", value=long, place=Py_ssize_t, start=Py_ssize_t,
        end=Py_ssize_t, first=int, last=int,
    )
    cdef Py_ssize_t with_letter(self, ScanState state, Py_ssize_t at, Py_ssize_t size) except -1

    @cython.locals(
        text="const unsigned char *", start=Py_ssize_t, total=int, place=int, char=int, value=int
    )
    cdef Py_ssize_t codice_fiscale(self, ScanState state, Py_ssize_t at) except -1

    @cython.locals(first=int, groups=int, end=Py_ssize_t)
    cdef Py_ssize_t national_id(self, ScanState state, Py_ssize_t at) except -1

    @cython.locals(text="const unsigned char *", end=Py_ssize_t)
    cdef int _groups(self, ScanState state, Py_ssize_t at, int first) except -1

    @cython.locals(sign=int)
    cdef int _several_groups(self, ScanState state, Py_ssize_t at) except -1

    @cython.locals(text="const unsigned char *", sign=int)
    cdef bint _has_group_of_4(self, ScanState state, Py_ssize_t at) except -1


cdef bint _is_date(int day, int month) noexcept
