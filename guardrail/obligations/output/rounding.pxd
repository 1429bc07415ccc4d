# C declarations for rounding.py, which compiles as it stands.

cdef dict _MODULES

cdef bint _is_array(output) except -1
