# C declarations for record_spec.py, which compiles as it stands: rules without a lookup.

cimport cython


cdef class Rule:
    cdef int _kind
    cdef bint _nullable
    cdef bint _allows_extra
    cdef double _least
    cdef double _most
    cdef Py_ssize_t _max_chars
    cdef Py_ssize_t _max_items
    cdef object _low
    cdef object _high
    cdef object _lowest
    cdef object _highest
    cdef frozenset _choices
    cdef tuple _fields
    cdef Rule _items

    @cython.locals(rule=Rule)
    cpdef bint is_met(self, value) except -1
    @cython.locals(rule=Rule, name=str)
    cdef bint _takes_record(self, dict record) except -1
    @cython.locals(rule=Rule)
    cdef bint _takes_list(self, items) except -1
    @cython.locals(number=double)
    cdef int _find(self, value) except -1
    cdef int _find_exactly(self, value) except -1
    cdef int _find_text(self, str text) except -1
    @cython.locals(rule=Rule)
    cdef _blame_record(self, dict record, path, blamed)
    cdef _blame_leaf(self, int code, kind, path, blamed)


cdef class RecordSpec:
    cdef readonly object name
    cdef Rule _rule

    cpdef check(self, view)
