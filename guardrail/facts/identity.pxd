# C declarations for identity.py, which compiles as it stands.

cimport cython

from guardrail._ports cimport FactContext
from guardrail.values cimport Identity


cdef class IdentityFacts:
    cdef dict _readers

    @cython.locals(readers=tuple, found=dict, identity=Identity)
    cpdef compute(self, names, FactContext context)
    cdef tuple _readers_for(self, names)
