# C declarations for fields.py, which compiles as it stands.

cdef str _ITEM
