# C declarations for field_paths.py, which compiles as it stands.

cdef str _ITEM
