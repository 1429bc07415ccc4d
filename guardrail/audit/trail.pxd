# C declarations for trail.py, which compiles as it stands: the one sink without a lookup.

cimport cython


cdef class Handle:
    cdef readonly list begun
    cdef readonly list framed
    cdef readonly list intents
    cdef public object failure


cdef class Part:
    cdef object sink
    cdef object begin
    cdef bint frames
    cdef bint intents
    cdef bint is_traced
    cdef object trace_of


cdef class Trail:
    cdef readonly object frames
    cdef readonly object intents
    cdef object _only
    cdef tuple _parts
    cdef object _sinks

    cpdef begin(self, guard, action, function)
    @cython.locals(part=Part, handle=Handle)
    cdef _begin_all(self, guard, action, function)
    cpdef admit(self, handle, record)
    cpdef check(self, handle)
    cpdef end(self, handle, record)
