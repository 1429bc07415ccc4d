# The C declarations of `view.py`.

cimport cython


cdef class Viewer:
    cdef readonly long long input_bytes
    cdef readonly long long input_depth
    cdef readonly long long input_rows
    cdef readonly long long input_nodes
    cdef dict _known
    cdef object _bounds
    cdef frozenset _keys

    @cython.locals(known=tuple, route=int)
    cpdef take(self, value, name)
    cdef tuple _cache_route(self, kind)
    @cython.locals(shape=tuple, nbytes=cython.longlong, rows=cython.longlong)
    cdef _take_tensor(self, value, name)
    @cython.locals(nbytes=cython.longlong)
    cdef _take_text(self, value, name)
    cdef _take_dict(self, value, name)
    cdef bint _holds_arrays(self, value, name) except -1
    cdef _read_table(self, value, name)
    @cython.locals(code=int, nbytes=cython.longlong)
    cdef _take_plain(self, view_kind, value, name)
    @cython.locals(code=int, nbytes=cython.longlong)
    cdef _take_unfolded(self, view_kind, value, name)
