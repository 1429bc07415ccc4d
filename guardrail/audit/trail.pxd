# C declarations for trail.py, which compiles as it stands: the one sink without a lookup.

cdef class Trail:
    cdef readonly object frames
    cdef readonly object intents
    cdef object _only
    cdef object _sinks

    cpdef begin(self, guard, action, function)
    cpdef end(self, handle, record)
