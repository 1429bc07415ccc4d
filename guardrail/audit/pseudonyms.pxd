# C declarations for pseudonyms.py, which compiles as it stands: its caches without attribute lookups.

cdef class Pseudonyms:
    cdef tuple _attrs
    cdef object _digest_of
    cdef object _digests
    cdef dict _facts
    cdef bint _groups
    cdef object _principal_mode
    cdef object _keys
    cdef object _has_entity
    cdef tuple _last_caller
    cdef tuple _last_principal
    cdef tuple _last_resource
    cdef dict _principals
    cdef object _plain
    cdef object _prefix
    cdef dict _resources
    cdef object _secret
    cdef object _take_view
