"""Records: a named tuple made of its fields in one step. Compiled; the twin is ``_record_py``.

One is made for every call, and may wait in a queue among ten thousands of others. The class's own
way copies the fields twice, and leaves the record to the collector, which would then walk over all
that wait, again and again, for nothing: what a record holds never holds the record.
"""

from cpython.object cimport PyTypeObject
from cpython.ref cimport Py_INCREF
from cpython.tuple cimport PyTuple_SET_ITEM

cdef extern from "Python.h":
    object PyType_GenericAlloc(type kind, Py_ssize_t count)
    void PyObject_GC_UnTrack(object made)


def as_record(type kind, tuple fields):
    """Return a named tuple of a class, of as many fields as that has. See the twin."""
    cdef Py_ssize_t index
    cdef Py_ssize_t size = (<PyTypeObject*>tuple).tp_basicsize
    if not issubclass(kind, tuple) or (<PyTypeObject*>kind).tp_basicsize != size:
        raise TypeError("expected a class of named tuples")
    made = PyType_GenericAlloc(kind, len(fields))
    for index in range(len(fields)):
        field = fields[index]
        Py_INCREF(field)
        PyTuple_SET_ITEM(made, index, field)
    PyObject_GC_UnTrack(made)
    return made
