# The C declarations of `chain.py`.

from guardrail.audit.journal.segment cimport Segment


cdef class Chain:
    cdef public Segment segment
    cdef public set defined
    cdef public object cipher
    cdef readonly object folder
    cdef readonly long size
    cdef object _clock
    cdef object _durability
    cdef object _encrypts
    cdef object _guard
    cdef object _keys
    cdef object _left
    cdef object _name
    cdef long _number
    cdef Segment _spare
