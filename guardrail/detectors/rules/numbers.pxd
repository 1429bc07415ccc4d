# The C declarations of `numbers.py`.

cimport cython

from guardrail.detectors.rules.cards cimport CardRules
from guardrail.detectors.rules.number_context cimport NumberContext
from guardrail.detectors.rules.addresses cimport AddressRules
from guardrail.detectors.rules.national cimport NationalRules
from guardrail.detectors.rules.phones cimport PhoneRules
from guardrail.detectors.scan.scan_state cimport ScanState

cdef int _PHONE, _CARD, _IBAN, _SSN, _NATIONAL_ID, _IPV4, _MAC


@cython.final
cdef class NumberRules:
    cdef CardRules _cards
    cdef NumberContext _context
    cdef AddressRules _addresses
    cdef NationalRules _national
    cdef PhoneRules _phones

    @cython.locals(text="const unsigned char *", wanted="const unsigned char *", end=Py_ssize_t)
    cdef Py_ssize_t number(self, ScanState state, Py_ssize_t at) except -1

    @cython.locals(text="const unsigned char *", end=Py_ssize_t)
    cdef Py_ssize_t _chained(self, ScanState state, Py_ssize_t at) except -1

    @cython.locals(text="const unsigned char *", letters=Py_ssize_t, end=Py_ssize_t)
    cdef Py_ssize_t _lettered(self, ScanState state, Py_ssize_t at) except -1

    @cython.locals(
        text="const unsigned char *", first=Py_ssize_t, is_word=bint, before=int, is_part=bint
    )
    cdef Py_ssize_t _count_letters(self, ScanState state, Py_ssize_t at) noexcept

    @cython.locals(n="unsigned char *", sign=int, area=int)
    cdef Py_ssize_t _ssn(self, ScanState state, Py_ssize_t at) except -1

    @cython.locals(text="const unsigned char *", end=Py_ssize_t, is_phone=bint)
    cdef Py_ssize_t plus(self, ScanState state, Py_ssize_t at) except -1


