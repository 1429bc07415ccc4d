# C declarations for alike.py, which compiles as it stands: its counters without objects.

cimport cython


cdef long _ENCRYPTED, _FIRST, _HEAD, _BETWEEN, _INTENT, _LIMIT_FRAME, _OUTCOME, _OVERHEAD
cdef long _WHOLE


cdef class Alike:
    cdef readonly object record
    cdef public long count
    cdef public dict slots


cdef class Calls:
    cdef set _going
    cdef dict _groups
    cdef bint _is_timed
    cdef dict _known
    cdef object _since
    cdef object _slot_of
    cdef object _until
    cdef public long alone
    cdef public list damage

    @cython.locals(
        size=long, at=long, sequence=long, kind=long, plain=long, end=long, check=long, found=long
    )
    cdef _read(self, opener, name, bytes data)
    @cython.locals(
        start=long, stop=long, quoted=long, defined=long, timed=long, sized=long, rest=long,
        traced=long, text=bytes, group=Alike
    )
    cdef _take(self, opener, name, bytes data, long at, long end, long sequence, long kind)
    cdef _take_other(self, opener, name, frame)
    cdef _look(self, opener, name, frame)
    cdef _end(self, bytes data, long start, long stop)
    cdef _leave(self, bytes key)
    cdef _group(self, record)
    cdef _count(self, Alike group, ns)
    cdef _takes(self, ns)


@cython.locals(first=long, second=long, third=long, last=long)
cdef inline long _whole(bytes data, long at)
