# The C declarations of `walk.py`.

cdef frozenset _SCALARS, _NUMBERS, _PLAIN_CONTAINERS, _PLAIN, _TIMES, _NUMERIC, _OF_MEMBERS
cdef tuple _LISTS
