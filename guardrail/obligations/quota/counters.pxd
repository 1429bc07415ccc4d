# The C declarations of `counters.py`.

cimport cython

from guardrail.obligations.quota.windows cimport Hit, Window


cdef double _FIRST
cdef double _LAST


cdef class Counters:
    cdef readonly object lock
    cdef object _elapsed
    cdef double _latest
    cdef object _take_lock
    cdef object _let_lock_go
    cdef public long long limit_keys
    cdef double _sweep_at
    cdef object _sweeping
    cdef readonly dict _windows
    cdef tuple _all

    @cython.locals(now=double)
    cpdef double now(self) except? -1
    @cython.locals(now=double, windows=dict, window=Window)
    cpdef double acquire(self, Hit hit) except? -1
    cpdef Window find(self, strategy, key)
    @cython.locals(kept=Py_ssize_t, windows=dict)
    cdef Py_ssize_t _kept(self)
    @cython.locals(windows=dict, window=Window)
    cdef Window _open(self, strategy, key, window_s)
    cdef _make_room(self, double now, Py_ssize_t hits)
