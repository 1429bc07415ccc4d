# The C declarations of `tensor.py`.

cimport cython


cdef class TensorSpec:
    cdef readonly object name
    cdef readonly frozenset dtypes
    cdef readonly tuple shape
    cdef readonly object finite
    cdef readonly object lows
    cdef readonly object highs
    cdef readonly dict columns

    cpdef check(self, view)
    @cython.locals(
        axis=Py_ssize_t, length=cython.longlong, least=cython.longlong, most=cython.longlong
    )
    cdef bint _takes(self, tuple shape) except -1
