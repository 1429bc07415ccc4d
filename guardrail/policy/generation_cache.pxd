# The C declarations of `generation_cache.py`.

cimport cython


cdef class GenerationCache:
    cdef long _limit
    cdef long _weight
    cdef object _weigh
    cdef dict _young
    cdef dict _old

    cpdef get(self, key)
    cpdef put(self, key, value)
    cpdef replace(self, key, value)


@cython.locals(key=list, places=dict, given=dict)
cpdef plain_key(long number, tuple flat, facts)
