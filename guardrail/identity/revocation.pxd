# The C declarations of `revocation.py`.

cdef class Revocations:
    cdef readonly long epoch
    cdef readonly double look_at
    cdef readonly double looked_at
    cdef object _own
    cdef object _listed
    cdef object _file
    cdef object _file_state
    cdef bint _unreadable
    cdef bint _any
    cdef object _lock
