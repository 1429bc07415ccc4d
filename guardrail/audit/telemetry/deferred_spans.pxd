# The C declarations of `deferred_spans.py`.

from guardrail.audit.telemetry.background_queue cimport BackgroundQueue


cdef class DeferredSpans:
    cdef readonly BackgroundQueue _queue
    cdef object _failed
    cdef object _given
    cdef object _signals
    cdef object _provider_tracer

    cpdef begin(self, guard, action, function)
    cpdef end(self, handle, record)
