"""Records: a named tuple made of its fields in one step. Compiled; the twin is ``_record_py``.

One is made for every call, and may wait in a queue among ten thousands of others. The class's own
way copies the fields twice, and leaves the record to the collector, which would then walk over all
that wait, again and again, for nothing: what a record holds never holds the record.

Where nobody else holds the tuple of fields, that becomes the record: it lies in memory alike.
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
    """Return a named tuple of a class, of as many fields as that has. See the twin."""
    cdef Py_ssize_t index
    cdef Py_ssize_t size = (<PyTypeObject*>tuple).tp_basicsize
    if not PyType_IsSubtype(kind, tuple) or (<PyTypeObject*>kind).tp_basicsize != size:
        raise TypeError("expected a class of named tuples")
    if PyTuple_GET_SIZE(fields) == 0:  # there is one empty tuple, and it is everybody's
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
