# C declarations for input.py, which compiles as it stands.

cimport cython

from guardrail._ports cimport FactContext


cdef class InputFacts:
    cdef dict _readers
    cdef object _findings
    cdef object _tokens

    @cython.locals(known=dict, readers=tuple, found=dict)
    cpdef compute(self, names, FactContext context)
    cdef dict _of_messages(self, names, view)
    cdef dict _of_texts(self, list texts, names, view, list decoded=*)
    @cython.locals(known=dict)
    cdef tuple _readers_for(self, kind, names)
