"""What `call` reaches without a lookup."""


cdef class View:
    cdef readonly object kind
    cdef readonly object name
    cdef readonly object value
    cdef readonly object buffer
    cdef readonly tuple shape
    cdef readonly object dtype
    cdef readonly object nbytes
    cdef readonly object data
