# The C declarations of `segment.py`.

from guardrail._core._tape cimport Tape as TapeKernel


cdef long _ENDED, _SEAL, _SEALED, _TAIL


cdef class Segment:
    cdef public object path
    cdef public long size
    cdef public long synced
    cdef object _check
    cdef int _fd
    cdef long _first
    cdef TapeKernel _tape
    cdef long _unsealed

    cpdef long free(self)
    cpdef append(self, int kind, bytes body)
    cpdef seal(self)
