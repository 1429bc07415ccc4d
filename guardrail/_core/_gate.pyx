"""A lock that knows who holds it. Compiled; the twin is ``_gate_py``.

The lock is the interpreter's own. Taken from here where nobody holds it, it costs a tenth of what
``threading.Lock`` does, whose two calls were a tenth of a journal's append (`benchmarks.audit`).
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
    """Lets one thread through at a time. The definition is `_gate_py.Gate`."""

    def __cinit__(self):
        self._lock = PyThread_allocate_lock()
        if self._lock is NULL:
            raise MemoryError

    def __dealloc__(self):
        if self._lock is not NULL:
            PyThread_free_lock(self._lock)

    cpdef bint enter(self) except -1:
        """Come in, once all others have left. See the twin."""
        cdef unsigned long me = PyThread_get_thread_ident()
        if self._owner == me:
            return False
        if not PyThread_acquire_lock(self._lock, NOWAIT_LOCK):
            with nogil:
                PyThread_acquire_lock(self._lock, WAIT_LOCK)
        self._owner = me
        return True

    cpdef int leave(self) except -1:
        """Let the next one in. See the twin."""
        if self._owner != PyThread_get_thread_ident():
            raise RuntimeError("this thread is not in here")
        self._owner = 0
        PyThread_release_lock(self._lock)
        return 0
