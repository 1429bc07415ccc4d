# The C declarations of `writer.py`.

cimport cython

from guardrail._core._gate cimport Gate as GateKernel
from guardrail.audit.journal.chain cimport Chain
from guardrail.audit.journal.codec cimport Definitions, encode_opening, encode_outcome
from guardrail.audit.journal.segment cimport Segment


cdef long _CHECK_ENTRIES, _DEFINED, _ENTRY_OVERHEAD, _INTENT, _LIMIT_INTENT, _OUTCOME, _OUTCOME_RESERVE
cdef long _WHOLE
cdef double _CHECK_S


cdef class JournalHandle:
    cdef public object counts
    cdef public bint is_intended
    cdef public object trace


cdef class Journal:
    cdef object __weakref__
    cdef Chain _chain
    cdef Definitions _definitions
    cdef double _failed_at
    cdef object _failed_with
    cdef long _open_calls
    cdef bint _is_damaged
    cdef object _maintenance
    cdef list _deferred_entries
    cdef double _checked_at
    cdef GateKernel _gate
    cdef object _make_maintenance
    cdef long _unwritten_denials
    cdef long _denial_reserve
    cdef object _syncing
    cdef bint _wakes_sync_thread
    cdef long _entries_since_check
    cdef bint _syncs_each_entry
    cdef readonly object clock
    cdef readonly object durability
    cdef readonly object folder
    cdef readonly long written

    @cython.locals(segment=Segment)
    cpdef begin(self, guard, action, function)
    cpdef admit(self, JournalHandle handle, record)
    cpdef end(self, JournalHandle handle, record)
    @cython.locals(segment=Segment)
    cpdef _append(self, long kind, tuple entry)
    cdef _enter_gate(self)
    cdef _leave_gate(self)
    cdef _write_deferred(self)
    @cython.locals(size=long, segment=Segment, body=bytes, definition=bytes)
    cdef _write(self, long kind, tuple entry)
    cdef bint _is_check_due(self) except -1
    @cython.locals(segment=Segment)
    cdef _check_file(self)
    cdef _append_frame(self, Segment segment, long kind, bytes body)
    @cython.locals(kept=long)
    cdef long _free_for_new_calls(self, Segment segment)
