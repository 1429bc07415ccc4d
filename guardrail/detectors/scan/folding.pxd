# The C declarations of `folding.py`.

cimport cython


cdef class Folding:
    cdef list _pages
    cdef dict _expansions

    @cython.locals(text=str, char=Py_UCS4, point=Py_ssize_t, code=int, row=int, plain=bytearray)
    cdef bytearray _fold(self, str text, int lead)

    @cython.locals(
        text=str, cells="int[::1]", char=Py_UCS4, point=Py_ssize_t, code=int, row=int,
        spot=Py_ssize_t, at=Py_ssize_t, many=Py_ssize_t,
    )
    cdef _place(self, str text, object places, int lead)

    @cython.locals(page=bytes)
    cdef int _code(self, Py_ssize_t point) except -1

    cdef bytes _load(self, Py_ssize_t number)
