# C declarations for frames.py, which compiles as it stands: its counters without objects.

cimport cython


@cython.locals(size="long", at="long", end="long", length="long", sequence="long", number="long",
               kind="long", head="long", tail="long")
cpdef check(data, long base, marks)
