"""Properties: claims about all requests to a bundle, tried on many of them.

A property comes from a test file, or from `guardrail.testing.never` and ``always``. Trying it can
find a counterexample, but it proves nothing.

format            the keys of a property
claims            reads a claim against a bundle
conditions        whether a request meets a claim
value_conditions  whether a value meets a condition
domains           the requests that a bundle can get
narrowing         domains restricted by a condition
strategies        requests for hypothesis
check             tries properties
shrinking         simplifies a counterexample
"""
