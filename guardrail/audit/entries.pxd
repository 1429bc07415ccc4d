# C declarations for entries.py, which compiles as it stands: no frame for each step.

cdef object _ns(double seconds)
cdef object _id(text)
cpdef bytes intent(record, trace)
cpdef bytes whole(record, trace)
cpdef bytes outcome(record)
cdef object _opening(record, trace)
cdef bytes _ending(record, said, counts)
