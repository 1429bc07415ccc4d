"""Make a named tuple from its fields in one step, compiled; `_record_py` is the reference.

A record is made for every call, and may wait in a queue with tens of thousands of others. The
class's constructor copies the fields twice, and leaves the record tracked by the garbage collector,
which would traverse all waiting records again and again. That is unnecessary: the fields of a
record never refer to the record.

If nothing else refers to the tuple of fields, that tuple becomes the record, since both have the
same memory layout.
"""

from cpython.object cimport PyObject, PyTypeObject
from cpython.ref cimport Py_INCREF
from cpython.tuple cimport PyTuple_GET_ITEM, PyTuple_GET_SIZE, PyTuple_New, PyTuple_SET_ITEM

cdef extern from "Python.h":
    Py_ssize_t Py_REFCNT(object held)
    void Py_SET_TYPE(object held, type kind)
    bint PyType_IsSubtype(type kind, type above)
    void PyObject_GC_UnTrack(object made)


def as_record(type kind not None, tuple fields not None):
    """Return a named tuple of a class from all of its fields. See `_record_py`."""
    cdef Py_ssize_t index
    cdef Py_ssize_t size = (<PyTypeObject*>tuple).tp_basicsize
    if not PyType_IsSubtype(kind, tuple) or (<PyTypeObject*>kind).tp_basicsize != size:
        raise TypeError("expected a class of named tuples")
    if PyTuple_GET_SIZE(fields) == 0:  # the empty tuple is shared by the whole process
        return tuple.__new__(kind, fields)
    made = fields
    if Py_REFCNT(fields) > 2:  # beside ours, which is made here, and the caller's
        made = PyTuple_New(PyTuple_GET_SIZE(fields))
        for index in range(PyTuple_GET_SIZE(fields)):
            field = <object>PyTuple_GET_ITEM(fields, index)
            Py_INCREF(field)
            PyTuple_SET_ITEM(made, index, field)
    PyObject_GC_UnTrack(made)
    Py_INCREF(kind)
    Py_SET_TYPE(made, kind)
    return made
