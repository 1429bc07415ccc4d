# C declarations for backlog.py, which compiles as it stands: an item is handed in without a lookup.

cdef class Backlog:
    cdef object __weakref__
    cdef readonly object _bell
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
