# C declarations for framing.py, which compiles as it stands: its counters without objects.

cimport cython


@cython.locals(size=long, end=long, length=long, kind=long, beside=long)
cpdef skip_frames(data, long at, long sequence, marks)
