# The C declarations of `input.py`.

cimport cython

from guardrail._ports cimport ObligationContext


cdef class Input:
    cdef dict _checks
    cdef object _specs
    cdef readonly frozenset keys

    @cython.locals(checks=tuple)
    cpdef admit(self, demand, ObligationContext context)
    cdef tuple _checks_for(self, demand)
