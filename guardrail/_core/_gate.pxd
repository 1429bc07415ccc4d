"""The C declarations of `_gate.pyx`, which compiled modules of the journal import."""

from cpython.pythread cimport PyThread_type_lock


cdef class Gate:
    cdef PyThread_type_lock _lock
    cdef unsigned long _owner

    cpdef bint enter(self) except -1
    cpdef int leave(self) except -1
