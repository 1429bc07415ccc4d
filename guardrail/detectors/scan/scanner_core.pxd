# The C declarations of `scanner_core.py`.

cimport cython

from guardrail.detectors.rules.addresses cimport AddressRules
from guardrail.detectors.rules.cards cimport CardRules
from guardrail.detectors.rules.national cimport NationalRules
from guardrail.detectors.rules.number_context cimport NumberContext
from guardrail.detectors.rules.numbers cimport NumberRules
from guardrail.detectors.rules.phones cimport PhoneRules
from guardrail.detectors.rules.tokens cimport TokenRules
from guardrail.detectors.scan.scan_state cimport ScanSetup, ScanState

cdef int _EMAIL, _PHONE, _CARD, _IBAN, _IPV6, _MAC, _PRIVATE_KEY, _API_KEY
cdef int _DIGIT, _OTHER, _KEY
cdef Py_ssize_t _LIMIT_TOKEN, _LIMIT_SPACED, _LIMIT_BEFORE


@cython.final
cdef class ScannerCore:
    cdef readonly ScanSetup setup
    cdef AddressRules _addresses
    cdef NumberRules _numbers
    cdef PhoneRules _phones
    cdef TokenRules _tokens

    cpdef Py_ssize_t end_of_open(self, ScanState state, int closer, Py_ssize_t at) except? -2

    @cython.locals(
        text="const unsigned char *", triggers=bytes, table="const unsigned char *", at=Py_ssize_t,
        end=Py_ssize_t, what=int,
    )
    cpdef Py_ssize_t scan(self, ScanState state, Py_ssize_t begin, Py_ssize_t stop) except -1

    @cython.locals(end=Py_ssize_t)
    cdef Py_ssize_t _judge(self, ScanState state, Py_ssize_t at, int what) except -1

    @cython.locals(
        text="const unsigned char *", wanted="const unsigned char *", sign=int, end=Py_ssize_t
    )
    cdef Py_ssize_t _judge_mark(self, ScanState state, Py_ssize_t at) except -1

    @cython.locals(
        text="const unsigned char *", size=Py_ssize_t, first=Py_ssize_t, last=Py_ssize_t,
        place=Py_ssize_t, spot=Py_ssize_t, what=int,
    )
    cpdef Py_ssize_t decided_until(self, ScanState state, Py_ssize_t least) except -1

    @cython.locals(text="const unsigned char *", spot=Py_ssize_t, first=Py_ssize_t)
    cdef int _may_go_on(self, ScanState state, Py_ssize_t at) except -1

    @cython.locals(text="const unsigned char *", first=Py_ssize_t)
    cpdef Py_ssize_t earliest_start(self, ScanState state, Py_ssize_t least, Py_ssize_t at) except -1
