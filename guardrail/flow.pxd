# C declarations for flow.py, which compiles as it stands: a call's fields without a lookup.

from guardrail.ports cimport Rooms, Target


cdef class Call:
    cdef object __weakref__
    cdef public Target target
    cdef public Rooms rooms
    cdef public object snapshot
    cdef public object value
    cdef public object arguments
    cdef public object parent
    cdef public object decision_id
    cdef public double now
    cdef public double started_at
    cdef public double admitted_at
    cdef public double returned_at
    cdef public long at
    cdef public long met
    cdef public object stage
    cdef public object identity
    cdef public object view
    cdef public object resource
    cdef public object decision
    cdef public object cached
    cdef public object duties
    cdef public object admission
    cdef public object handle
    cdef public object error_type
    cdef public bint recorded


cpdef _begin(Call call)
cpdef _identify(Call call)
cpdef _bound(Call call)
cpdef _decide(Call call)
cpdef _meet(Call call)
cpdef advance(Call call)
cpdef _mark_return(Call call)
cpdef conclude(Call call, outcome, error=*)
cpdef _record(Call call, outcome, error)
