# The C declarations of `flow.py`.

cimport cython

from guardrail.runtime.call cimport Call, conclude, fact_context_of, mark_return, record_of
from guardrail._ports cimport ObligationContext, PolicyAnswer, PolicyQuestion, FactContext
from guardrail.values cimport Decision, Identity, Obligation


cdef int _ARRAY, _LATER, _VALUE

cpdef _begin(Call call)
cpdef _identify(Call call)
cpdef _bound(Call call)
@cython.locals(context=FactContext)
cpdef _gather(Call call, Identity identity, PolicyQuestion question, dict facts)
cpdef _refusal(Decision decision, PolicyQuestion question, FactContext context)
cpdef tuple _compare_shadow(Call call, PolicyQuestion question, FactContext context, dict facts, known)
@cython.locals(identity=Identity, context=FactContext, facts=dict, question=PolicyQuestion)
cpdef _decide(Call call)
@cython.locals(identity=Identity, decision=Decision, answer=PolicyAnswer)
cpdef _decide_on(Call call, PolicyQuestion question, FactContext context, dict facts, known)
@cython.locals(admits=tuple, held=Obligation)
cpdef _meet(Call call)
cpdef _intend(Call call)
cpdef _step(Call call)
cpdef advance(Call call)
@cython.locals(changes=bint)
cpdef check_again(Call call)
cpdef enter(Call call)
cpdef leave(Call call)
@cython.locals(context=ObligationContext, held=Obligation, nature=cython.int)
cpdef release(Call call, output)
cpdef tuple size_of(output, bint is_array)
