# C declarations for snapshot.py, which compiles as it stands: the way to a kept answer.

cimport cython

from guardrail.policy.generation_cache cimport GenerationCache, plain_key
from guardrail._ports cimport PolicyAnswer, PolicyQuestion


cdef class Question(PolicyQuestion):
    cdef readonly Snapshot snapshot
    cdef readonly object plan
    cdef readonly object principal
    cdef readonly object subject
    cdef readonly object prepared
    cdef readonly object resource

    cpdef decide(self, facts)


cdef class Answer(PolicyAnswer):
    cdef readonly Question question
    cdef readonly object context


cdef class Snapshot:
    cdef readonly object name
    cdef readonly object version
    cdef readonly object revision
    cdef readonly object policies
    cdef readonly object schema
    cdef readonly object store
    cdef readonly object plans
    cdef readonly object obligations
    cdef readonly long hits
    cdef readonly long misses
    cdef readonly object _allow_unknown_resources
    cdef readonly object _principals
    cdef readonly object _engine
    cdef object _by_key
    cdef object _order
    cdef GenerationCache _questions
    cdef GenerationCache _answers
    cdef GenerationCache _error_free
    cdef GenerationCache _entity_types
    cdef GenerationCache _digests

    @cython.locals(question=Question)
    cpdef ask(self, principal, action, resource)
    @cython.locals(answer=Answer)
    cpdef _decide(self, Question question, facts)
    cdef Answer _cached_answer(self, key, Answer answer, Question question)
