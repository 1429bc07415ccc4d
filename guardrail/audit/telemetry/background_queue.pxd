# The C declarations of `background_queue.py`.

cdef class BackgroundQueue:
    cdef object __weakref__
    cdef readonly object _wakeups
    cdef long _idle
    cdef bint _is_asleep
    cdef bint _is_waited_for
    cdef object _items
    cdef object _left
    cdef long _limit
    cdef object _linger_s
    cdef readonly object _name
    cdef object _starting
    cdef readonly object _thread
    cdef object _work

    cpdef bint put(self, item) except -1
