# The C declarations of `records.py`.

cdef frozenset _OF_MODELS
