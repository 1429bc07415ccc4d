# The C declarations of `call.py`.

cimport cython

from guardrail._ports cimport ObligationContext, PendingObligations, FactContext, Runtime, Target
from guardrail.values cimport Decision, Identity, RecordAnnotations


cdef class Call:
    cdef object __weakref__
    cdef public Target target
    cdef public Runtime runtime
    cdef public object snapshot
    cdef public object value
    cdef public object arguments
    cdef public object parent
    cdef public object decision_id
    cdef public object now
    cdef public double started_at
    cdef public double admitted_at
    cdef public double returned_at
    cdef public long at
    cdef public long met
    cdef public object stage
    cdef public Identity identity
    cdef public object view
    cdef public object resource
    cdef public Decision decision
    cdef public object cached
    cdef public tuple differences
    cdef public PendingObligations pending
    cdef public ObligationContext context
    cdef public object outlet
    cdef public object facts
    cdef public object waiting
    cdef public object input_digest
    cdef public object digest_before_wait
    cdef public tuple named
    cdef public object output_digest
    cdef public long output_rows
    cdef public long output_bytes
    cdef public object handle
    cdef public object framed
    cdef public object running
    cdef public object error_type
    cdef public bint recorded
    cdef public bint off_loop
    cdef public object computed


cpdef FactContext fact_context_of(Call call, Identity identity)
cpdef mark_return(Call call)
cpdef conclude(Call call, outcome, error=*)
@cython.locals(decision=Decision, identity=Identity, context=ObligationContext, notes=RecordAnnotations,
               named=tuple, counts=tuple)
cpdef record_of(Call call, outcome, error=*)
