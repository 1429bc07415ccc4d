# The C declarations of `_ports.py`.

from guardrail.values cimport Decision


cdef class FactContext:
    cdef readonly object identity
    cdef readonly object view
    cdef readonly object action
    cdef readonly object resource
    cdef readonly object now
    cdef readonly object app


cdef class ObligationContext:
    cdef readonly object identity
    cdef readonly object view
    cdef readonly object action
    cdef readonly object resource
    cdef readonly object now
    cdef readonly object value_of
    cdef readonly object notes


cdef class PendingObligations:
    cdef readonly tuple admits
    cdef readonly tuple releases
    cdef readonly tuple names
    cdef readonly tuple errors
    cdef readonly tuple demands
    cdef readonly object releases_block


cdef class PolicyAnswer:
    cdef readonly Decision decision
    cdef readonly PendingObligations pending
    cdef readonly bint cached
    # `value_of` is a method of Python alone. Taken as a value, as the flow hands it on, a method of
    # C is bound without a look at the subclass: tests/parity/test_overrides_are_called.py.


cdef class PolicyQuestion:
    cdef readonly object blocking
    cdef readonly Decision refusal
    cdef readonly tuple wants

    cpdef decide(self, facts)


cdef class Runtime:
    cdef public object backend
    cdef public bint checks_again
    cdef readonly object digest_of
    cdef public object elapsed
    cdef readonly bint frames
    cdef readonly object guard
    cdef public object identify
    cdef readonly bint intents
    cdef public object naming
    cdef public object new_id
    cdef public object now
    cdef readonly object revision
    cdef readonly object shadow
    cdef public object sink
    cdef public object snapshot
    cdef public object take_view
    cdef readonly object version


cdef class Target:
    cdef public object action
    cdef readonly object action_id
    cdef public object facts
    cdef public object function
    cdef public object input_name
    cdef public object principal
    cdef public object resource
    cdef public object serving
    cdef public object streams
