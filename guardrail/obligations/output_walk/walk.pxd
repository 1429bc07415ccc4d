# C declarations for walk.py, which compiles as it stands.

cdef frozenset _SCALARS, _NUMBERS, _PLAIN_CONTAINERS, _PLAIN, _TIMES, _NUMERIC, _OF_MEMBERS
cdef tuple _LISTS
