# C declarations for input.py, which compiles as it stands.

cimport cython


cdef class Input:
    cdef dict _checks
    cdef object _specs

    @cython.locals(checks=tuple)
    cpdef admit(self, demand, admission)
    cdef tuple _ready(self, demand)
