# C declarations for current.py, which compiles as it stands: the cell is read without a lookup.

cimport cython

from guardrail.identity.revocation cimport Revocations
from guardrail.values cimport Identity


cdef class ActingAs:
    cdef readonly Identity _identity
    cdef readonly Revocations _revocations
    cdef long _epoch
    cdef double _since
    cdef object _pending
    cdef object _token


@cython.locals(scope=ActingAs, identity=Identity, held=Revocations)
cpdef current(now)
