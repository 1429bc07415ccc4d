# The C declarations of `tricks.py`.

cimport cython

cdef int _PLAIN, _SPACE, _JOINED, _FLAG, _SELECTOR, _BIDI, _TAG, _JOINER, _ZERO
cdef int _LATIN, _GREEK, _CYRILLIC, _OTHER, _STYLED, _WIDE, _UNSEEN


cdef class TrickFinder:
    cdef list _pages

    @cython.locals(
        size=Py_ssize_t, at=Py_ssize_t, end=Py_ssize_t, place=Py_ssize_t, point=Py_ssize_t,
        kept=int, what=int, after=int, kind=int, last=int, last_end=Py_ssize_t,
        wants_bidi=bint, wants_tag=bint, wants_zero=bint,
    )
    cdef Py_ssize_t _look(
        self, str text, Py_ssize_t begin, bint final, tuple wanted, Py_ssize_t limit, list spans
    ) except -1

    @cython.locals(size=Py_ssize_t, end=Py_ssize_t, point=Py_ssize_t)
    cdef Py_ssize_t _flag_end(self, str text, Py_ssize_t at, bint final) except -2

    @cython.locals(at=Py_ssize_t, point=Py_ssize_t, what=int, last=int, adjacent=bint)
    cdef Py_ssize_t _compare(self, str text, Py_ssize_t begin) except -2

    @cython.locals(page=bytes)
    cdef int _of(self, Py_ssize_t point) except -1


cdef int _trick(int what, int before, int after) noexcept
cdef bint _differ(int one, int other, bint adjacent) noexcept
