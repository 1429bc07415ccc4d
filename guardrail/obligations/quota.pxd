# C declarations for quota.py, which compiles as it stands: the way to a counter without a lookup.

cimport cython

from guardrail.obligations.counters cimport Counters
from guardrail.obligations.windows cimport Hit


cdef class Quota:
    cdef object _bundle
    cdef readonly object _storage
    cdef Counters _counters
    cdef readonly dict _hits

    @cython.locals(counters=Counters, wait_s=double)
    cpdef admit(self, demand, admission)
    @cython.locals(hit=Hit)
    cdef Hit _hit(self, limit, admission)
