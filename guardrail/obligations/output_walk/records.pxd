# C declarations for records.py, which compiles as it stands.

cdef frozenset _OF_MODELS
