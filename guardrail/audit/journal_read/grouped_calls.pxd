# C declarations for grouped_calls.py, which compiles as it stands: its counters without objects.

cimport cython


cdef long _ENCRYPTED, _FIRST, _HEAD, _BETWEEN, _INTENT, _LIMIT_FRAME, _OUTCOME, _OVERHEAD
cdef long _COMMA, _MINUS, _QUOTE, _SPAN_NS, _US, _WHOLE, _ZERO


cdef class CallGroup:
    cdef readonly object record
    cdef public long count
    cdef public dict slots


cdef class GroupedCalls:
    cdef dict _defined
    cdef set _going
    cdef dict _groups
    cdef bint _is_timed
    cdef dict _known
    cdef object _since
    cdef object _slot_of
    cdef dict _spans
    cdef object _until
    cdef public long alone
    cdef public list damage
    cdef public list notes

    @cython.locals(
        size=long, at=long, sequence=long, kind=long, plain=long, end=long, check=long, found=long
    )
    cdef _read(self, reader, name, bytes data)
    @cython.locals(
        start=long, stop=long, quoted=long, defined=long, timed=long, sized=long, rest=long,
        traced=long, number=long, ns=long, text=bytes, group=CallGroup, known=dict
    )
    cdef _take(self, reader, name, bytes data, long at, long end, long sequence, long kind)
    cdef _take_other(self, reader, name, frame)
    cdef _look(self, reader, name, frame)
    @cython.locals(start=long, stop=long)
    cdef _end(self, name, bytes data, long at, long end, long sequence)
    cdef bint _is_readable(self, bytes body) except -1
    cdef _leave(self, bytes key)
    cdef _group(self, record)
    cdef _count(self, CallGroup group, long ns)
    cdef _slot(self, long ns)
    cdef bint _takes(self, long ns)


@cython.locals(first=long, second=long, third=long, last=long)
cdef inline long _whole(bytes data, long at)


cdef inline long _find(bytes data, long byte, long at, long stop) except -2


@cython.locals(size=long, index=long)
cdef inline bint _stands(bytes data, bytes word, long at) except -1


@cython.locals(is_negative=bint, value=long)
cdef inline long _integer(bytes data, long at, long stop) except? -1
