# The C declarations of `record.py`.

cimport cython


cdef class FieldRule:
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
    cdef FieldRule _items

    @cython.locals(rule=FieldRule)
    cpdef bint is_met(self, value) except -1
    @cython.locals(rule=FieldRule, name=str)
    cdef bint _takes_record(self, dict record) except -1
    @cython.locals(rule=FieldRule)
    cdef bint _takes_list(self, items) except -1
    @cython.locals(number=double)
    cdef int _find(self, value) except -1
    cdef int _find_exactly(self, value) except -1
    cdef int _find_text(self, str text) except -1
    @cython.locals(rule=FieldRule)
    cdef _collect_record_faults(self, dict record, path, faults)
    cdef _collect_leaf_faults(self, int code, kind, path, faults)


cdef class RecordSpec:
    cdef readonly object name
    cdef FieldRule _rule

    cpdef check(self, view)
