# C declarations for fan_out.py, which compiles as it stands: the one sink without a lookup.

cimport cython


cdef class FanOutHandle:
    cdef public list handles
    cdef public object failure


cdef class FanOutSink:
    cdef readonly object sink
    cdef readonly object admit
    cdef readonly object begin
    cdef readonly object end
    cdef readonly bint frames
    cdef readonly bint intents
    cdef readonly bint is_traced
    cdef readonly object trace_of


cdef class FanOut:
    cdef readonly object frames
    cdef readonly object intents
    cdef list _framed
    cdef object _only
    cdef tuple _parts

    cpdef begin(self, guard, action, function)
    @cython.locals(part=FanOutSink, handle=FanOutHandle)
    cdef _begin_all(self, guard, action, function)
    @cython.locals(part=FanOutSink, owned=FanOutHandle, at=Py_ssize_t)
    cpdef admit(self, handle, record)
    cpdef check(self, handle)
    cpdef end(self, handle, record)
    @cython.locals(part=FanOutSink, at=Py_ssize_t, taken=long)
    cdef _end_all(self, FanOutHandle handle, record)
