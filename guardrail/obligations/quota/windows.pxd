# The C declarations of `windows.py`.

cimport cython


cdef class Hit:
    cdef readonly str strategy
    cdef readonly str key
    cdef readonly long long limit
    cdef readonly long long window_s
    cdef readonly long long amount
    cdef readonly tuple counts


cdef class Window:
    cdef readonly long long window_s

    cpdef double wait_s(self, double now, long long limit, long long amount) except? -1
    cpdef take(self, double now, long long amount)
    cpdef give_back(self, double now, double taken_at, long long amount)
    cpdef double acquire(self, double now, Hit hit) except? -1


cdef class FixedWindow(Window):
    cdef long long _count
    cdef double _ends_at

    cpdef long long count(self, double now) except? -1


cdef class MovingWindow(Window):
    cdef long long _count
    cdef readonly list _hits
    cdef Py_ssize_t _first

    @cython.locals(hits=list, until=double, taken=cython.longlong)
    cpdef long long count(self, double now) except? -1
    @cython.locals(hits=list, kept=Py_ssize_t, since=double, until=double)
    cpdef take(self, double now, long long amount)
    @cython.locals(hits=list, index=Py_ssize_t, since=double, until=double,
                   held=cython.longlong, given=cython.longlong)
    cpdef give_back(self, double now, double taken_at, long long amount)


cdef class SlidingWindow(Window):
    cdef long long _index
    cdef long long _previous
    cdef long long _current
