# C declarations for identity.py, which compiles as it stands.

cimport cython


cdef class IdentityFacts:
    cdef dict _readers

    @cython.locals(readers=tuple, found=dict)
    cpdef compute(self, names, facing)
    cdef tuple _ready(self, names)
