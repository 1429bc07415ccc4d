# The C declarations of `obligation.py`.

cimport cython

from guardrail.obligations.quota.counters cimport Counters
from guardrail.obligations.quota.windows cimport Hit
from guardrail._ports cimport ObligationContext
from guardrail.values cimport Identity, RecordAnnotations


cdef class Quota:
    cdef object _bundle
    cdef readonly object _storage
    cdef Counters _counters
    cdef readonly dict _hits

    @cython.locals(counters=Counters, wait_s=double, notes=RecordAnnotations, hit=Hit)
    cpdef admit(self, demand, ObligationContext context)
    @cython.locals(hit=Hit, identity=Identity)
    cdef Hit _hit(self, limit, ObligationContext context)
