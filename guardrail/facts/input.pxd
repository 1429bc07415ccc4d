# C declarations for input.py, which compiles as it stands.

cimport cython


cdef class InputFacts:
    cdef dict _readers

    @cython.locals(known=dict, readers=tuple, found=dict)
    cpdef compute(self, names, facing)
    @cython.locals(known=dict)
    cdef tuple _ready(self, kind, names)
