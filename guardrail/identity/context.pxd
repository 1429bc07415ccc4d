# The C declarations of `context.py`.

cimport cython

from guardrail.identity.revocation cimport Revocations
from guardrail.values cimport Identity


cdef class ActingAs:
    cdef readonly Identity _identity
    cdef readonly Revocations _revocations
    cdef long _epoch
    cdef long _fork_count
    cdef long _serial
    cdef int _state
    cdef bint _is_certain
    cdef bint _is_direct
    cdef bint _is_anonymous
    cdef bint _is_owned
    cdef bint _is_context_shared
    cdef object _frame
    cdef object _group
    cdef ActingAs _outer
    cdef object _context_token
    cdef object _owner
    cdef double _since
    cdef object _pending
    cdef object _task
    cdef tuple _owner_frames

    @cython.locals(outer=ActingAs)
    cpdef _begin(self)
    @cython.locals(top=ActingAs, outer=ActingAs)
    cdef _end(self)
    @cython.locals(above=ActingAs, is_apart=bint)
    cdef _unlink(self, ActingAs top)
    cdef bint _shares_context_with(self, ActingAs outer)
    cdef bint _is_in_own_context(self)
    cdef _check(self, Identity identity, now)


cdef class _Process:
    cdef readonly long forks
    cdef readonly dict owned

    cpdef after_fork(self)
    cpdef add_owned(self, ActingAs scope, owner)
    cpdef remove_owned(self, ActingAs scope, owner)
    cpdef tuple owner_frames_on_stack(self)


cdef int _NEW, _OPEN, _ENDED


cdef class CurrentIdentity:
    cdef object _group
    cdef bint _inherits

    @cython.locals(scope=ActingAs, identity=Identity, held=Revocations, process=_Process)
    cpdef current(self, now)
    cdef bint _applies_to_guard(self, ActingAs scope)
    @cython.locals(scope=ActingAs, direct=ActingAs, in_force=ActingAs, at=cython.int)
    cdef ActingAs _find_scope(self)
    @cython.locals(is_here=bint, outer=ActingAs)
    cdef ActingAs _resolve_task_scope(self, ActingAs scope, bint passed)
    @cython.locals(place=cython.int)
    cdef ActingAs _resolve_generator_scope(self, ActingAs scope, tuple near, ActingAs direct, int at)
    @cython.locals(scope=ActingAs, place=cython.int)
    cdef tuple _nearest_direct_scope(self, tuple near)


@cython.locals(first=ActingAs, scope=ActingAs)
cdef ActingAs _innermost()
cpdef current(now)
