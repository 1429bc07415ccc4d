"""A lock that knows which thread holds it, compiled; `_gate_py` is the reference.

It uses the interpreter's lock directly. Taking a free one costs a tenth of ``threading.Lock``,
whose two calls took a tenth of the time of a journal's append (`benchmarks.audit`).
"""

from cpython.pythread cimport (
    NOWAIT_LOCK,
    PyThread_acquire_lock,
    PyThread_allocate_lock,
    PyThread_free_lock,
    PyThread_get_thread_ident,
    PyThread_release_lock,
    WAIT_LOCK,
)


cdef class Gate:
    """A lock that a thread which already holds it can't enter again. See `_gate_py.Gate`."""

    def __cinit__(self):
        self._lock = PyThread_allocate_lock()
        if self._lock is NULL:
            raise MemoryError

    def __dealloc__(self):
        if self._lock is not NULL:
            PyThread_free_lock(self._lock)

    cpdef bint enter(self) except -1:
        """Wait until no other thread holds the lock, and take it. See `_gate_py.Gate`."""
        cdef unsigned long me = PyThread_get_thread_ident()
        if self._owner == me:
            return False
        if not PyThread_acquire_lock(self._lock, NOWAIT_LOCK):
            with nogil:
                PyThread_acquire_lock(self._lock, WAIT_LOCK)
        self._owner = me
        return True

    cpdef int leave(self) except -1:
        """Release the lock. See `_gate_py.Gate`."""
        if self._owner != PyThread_get_thread_ident():
            raise RuntimeError("this thread is not in here")
        self._owner = 0
        PyThread_release_lock(self._lock)
        return 0
