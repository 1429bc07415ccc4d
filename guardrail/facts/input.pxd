# C declarations for input.py, which compiles as it stands.

cimport cython

from guardrail.ports cimport Facing


cdef class InputFacts:
    cdef dict _readers

    @cython.locals(known=dict, readers=tuple, found=dict)
    cpdef compute(self, names, Facing facing)
    @cython.locals(known=dict)
    cdef tuple _ready(self, kind, names)
