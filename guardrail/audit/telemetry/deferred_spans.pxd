# C declarations for deferred.py, which compiles as it stands: a record is handed in without a lookup.

from guardrail.audit.telemetry.background_queue cimport Backlog


cdef class DeferredSpans:
    cdef readonly Backlog _backlog
    cdef object _failed
    cdef object _given
    cdef object _signals
    cdef object _way

    cpdef begin(self, guard, action, function)
    cpdef end(self, handle, record)
