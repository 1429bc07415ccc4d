# C declarations for view.py, which compiles as it stands: bounds without a box or a lookup.

cimport cython


cdef class Viewer:
    cdef readonly long long input_bytes
    cdef readonly long long input_depth
    cdef readonly long long input_rows
    cdef readonly long long input_nodes
    cdef dict _objections

    @cython.locals(shape=tuple, nbytes=cython.longlong, rows=cython.longlong)
    cpdef take(self, value, name)
    cdef _object(self, kind)


@cython.locals(nodes=cython.longlong, nbytes=cython.longlong, steps=list, depth=cython.longlong)
cdef _measure_record(record, name, Viewer bounds)
@cython.locals(bits=cython.longlong)
cdef _leaf_bytes(item, kind, name)
