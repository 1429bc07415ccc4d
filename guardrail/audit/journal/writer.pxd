# C declarations for journal.py, which compiles as it stands: an append without lookups.

cimport cython

from guardrail._core._gate cimport Gate as GateKernel
from guardrail.audit.journal.chain cimport Chain
from guardrail.audit.journal.codec cimport Definitions, opening, outcome
from guardrail.audit.journal.segment cimport Segment


cdef long _BESIDE, _DEFINED, _INTENT, _KEPT, _LIMIT_INTENT, _LOOKED, _OUTCOME, _WHOLE
cdef double _LOOK_S


cdef class Pending:
    cdef public object counts
    cdef public bint is_intended
    cdef public object trace


cdef class Journal:
    cdef object __weakref__
    cdef Chain _chain
    cdef Definitions _definitions
    cdef double _failed_at
    cdef object _failed_with
    cdef long _going
    cdef bint _is_damaged
    cdef object _keeper
    cdef list _late
    cdef double _looked_at
    cdef GateKernel _gate
    cdef object _make_keeper
    cdef long _missed
    cdef long _reserve
    cdef object _syncing
    cdef bint _rings
    cdef long _unlooked
    cdef bint _waits
    cdef readonly object clock
    cdef readonly object durability
    cdef readonly object folder
    cdef readonly long written

    @cython.locals(segment=Segment)
    cpdef begin(self, guard, action, function)
    cpdef admit(self, Pending handle, record)
    cpdef end(self, Pending handle, record)
    @cython.locals(segment=Segment)
    cpdef _append(self, long kind, tuple entry)
    cdef _take(self)
    cdef _give(self)
    cdef _drain(self)
    @cython.locals(size=long, segment=Segment, body=bytes, definition=bytes)
    cdef _write(self, long kind, tuple entry)
    cdef bint _is_look_due(self) except -1
    @cython.locals(segment=Segment)
    cdef _look(self)
    cdef _put(self, Segment segment, long kind, bytes body)
    @cython.locals(kept=long)
    cdef long _room(self, Segment segment)
