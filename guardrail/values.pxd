# The C declarations of `values.py`.

cdef class Identity:
    cdef readonly object principal
    cdef readonly object provider
    cdef readonly object issuer
    cdef readonly object method
    cdef readonly object mfa
    cdef readonly object authenticated_at
    cdef readonly object expires_at
    cdef readonly object delegated
    cdef readonly object actor
    cdef readonly object scopes
    cdef readonly object subject
    cdef readonly object token_id
    cdef readonly object issued_at
    cdef readonly object peer
    cdef readonly object evidence


cdef class RecordAnnotations:
    cdef public tuple counts
    cdef public object facts
    cdef public tuple returns

    cpdef count(self, name, amount)
    cpdef add(self, tuple counts)


cdef class Obligation:
    cdef readonly object name
    cdef readonly object demand
    cdef readonly object policies


cdef class Decision:
    cdef readonly object allowed
    cdef readonly object code
    cdef readonly object policies
    cdef readonly object obligations
    cdef readonly object errors
    cdef readonly object reason
    cdef readonly object path
    cdef readonly object message
    cdef readonly object revision
    cdef readonly object decision_id
