# The C declarations of `codec.py`.

cimport cython

from guardrail._core._layout cimport Layout as LayoutKernel, Run as RunKernel


cdef LayoutKernel _ENDING
cdef LayoutKernel _OPENING
cdef Py_ssize_t _FROM, _LIMIT_ENDING, _TO


cdef class Definitions:
    cdef tuple _ended
    cdef dict _known
    cdef object _numbers
    cdef tuple _opened

    @cython.locals(last=tuple, run=RunKernel)
    cpdef tuple for_opening(self, record)
    @cython.locals(last=tuple, run=RunKernel)
    cpdef tuple for_outcome(self, record)
    @cython.locals(run=RunKernel)
    cdef tuple _find(self, record)


@cython.locals(definition=bytes, facts=bytes, ids=bytes)
cpdef tuple encode_opening(record, trace, Definitions definitions)
@cython.locals(definition=bytes, body=bytes)
cpdef tuple encode_outcome(record, Definitions definitions, known=*)
