# C declarations for ids.py, which compiles as it stands: the next id without a lookup.

cdef class Ids:
    cdef object __weakref__
    cdef readonly list _ready

    cdef _fetch(self)
