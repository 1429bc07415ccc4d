# C declarations for segment.py, which compiles as it stands: its counters without a lookup.

cimport cython

from guardrail.audit.frames cimport frame


cdef long _ENDED, _HASHED, _SEAL, _TAIL


cdef class Segment:
    cdef public object path
    cdef public long end
    cdef public long sequence
    cdef public long size
    cdef public long synced
    cdef long _unsealed
    cdef object _check
    cdef int _fd
    cdef object _hash
    cdef object _map
    cdef list _unhashed
    cdef long _waiting

    @cython.locals(size=long, start=long, end=long)
    cdef _put(self, bytes data)
    cdef _catch_up(self)
    cpdef long free(self)
    cpdef append(self, int kind, bytes body)
    cpdef seal(self)
