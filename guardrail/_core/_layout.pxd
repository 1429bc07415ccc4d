"""The C declarations of `_layout.pyx`, which compiled modules of the journal import."""

cdef enum:
    #: Bytes of the longest key, with all that stands around it.
    KEY = 24


cdef struct Field:
    int kind
    Py_ssize_t at
    Py_ssize_t count
    Py_ssize_t size
    char key[KEY + 1]


cdef class Layout:
    cdef Field* _fields
    cdef Py_ssize_t _count
    cdef Py_ssize_t _limit

    cpdef bytes write(self, record, tuple more)


cdef class Run:
    cdef Py_ssize_t _start
    cdef readonly tuple values

    cpdef bint is_in(self, record) except -1
