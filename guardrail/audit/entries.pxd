# C declarations for entries.py, which compiles as it stands: no frame for each step.

cimport cython


cdef class Definitions:
    cdef dict _known
    cdef object _numbers
    cdef dict _told

    cpdef tuple of(self, values)
    cpdef told(self, tuple key)


cdef long long _ns(double seconds)
@cython.locals(digits=str, digit=cython.Py_UCS4)
cdef object _id(text)
cpdef tuple intent(record, trace, Definitions definitions)
cpdef tuple whole(record, trace, Definitions definitions)
@cython.locals(started_at=double, admit_s=double, model_s=double, release_s=double, ended_s=double,
               fields=tuple)
cpdef tuple outcome(record, Definitions definitions, known=*)
@cython.locals(started_at=double, admit_s=double, fields=tuple)
cdef tuple _opening(record, trace, Definitions definitions, rest)
