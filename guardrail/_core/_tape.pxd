"""The C declarations of `_tape.pyx`, which compiled modules of the journal import."""

from libc.stdint cimport uint32_t


cdef enum:
    HASHED = 2000
    HEAD = 13
    CHECK = 4


cdef class Tape:
    cdef int _handle
    cdef readonly Py_ssize_t size
    cdef readonly Py_ssize_t end
    cdef readonly long long sequence
    cdef readonly uint32_t check
    cdef object _hash
    cdef Py_ssize_t _waiting
    cdef unsigned char _unhashed[HASHED]

    cdef int _put(self, const unsigned char* data, Py_ssize_t size) except -1
    cdef int _catch_up(self) except -1
    cpdef append(self, int kind, bytes body)
