# C declarations for ports.py, which compiles as it stands: the flow's fields without a lookup.

cdef class Rooms:
    cdef public object backend
    cdef public object elapsed
    cdef public object identify
    cdef public object new_id
    cdef public object now
    cdef public object sink
    cdef public object snapshot
    cdef public object take_view


cdef class Target:
    cdef public object action
    cdef public object facts
    cdef public object function
    cdef public object input_name
    cdef public object principal
    cdef public object resource
    cdef public object serving
    cdef public object streams
