# C declarations for objects.py, which compiles as it stands.

cimport cython


cdef class FieldReader:
    cdef object _extra
    cdef tuple _fields
    cdef object _held

    @cython.locals(found=dict)
    cpdef read(self, value)


@cython.locals(pending=list, tuples=list, nodes=cython.longlong, depth=cython.longlong)
cpdef tuple unfold(value, reader_for, long long max_depth, long long max_nodes)
cdef _items(item, reader_for)
cdef bint _has_names(dict item) except -1
