"""Properties: claims about all requests to a bundle, checked on many of them.

A property comes from a test file, or from `guardrail.testing.never` and ``always``. A check can
find a counterexample, but it does not prove the claim.

format            the keys of a property
claims            reads a claim, and checks its names against a bundle
conditions        whether a request meets a claim
value_conditions  whether a value meets a condition
domains           the requests that a bundle can get
narrowing         restricts domains by a condition
strategies        a hypothesis strategy of requests
check             checks properties
shrinking         simplifies a counterexample
"""
