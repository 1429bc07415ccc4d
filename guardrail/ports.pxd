# C declarations for ports.py, which compiles as it stands: the flow's fields without a lookup.

cdef class Facing:
    cdef readonly object identity
    cdef readonly object view
    cdef readonly object action
    cdef readonly object resource
    cdef readonly object now
    cdef readonly object app


cdef class Admission:
    cdef readonly object identity
    cdef readonly object view
    cdef readonly object action
    cdef readonly object resource
    cdef readonly object now
    cdef readonly object value_of
    cdef readonly object notes


cdef class Duties:
    cdef readonly tuple admits
    cdef readonly tuple releases
    cdef readonly tuple names
    cdef readonly tuple errors


cdef class Rooms:
    cdef public object backend
    cdef public object elapsed
    cdef public object identify
    cdef public object naming
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
