"""What must never, or always, be decided: claims about requests, tried on many of them.

Owns the way from a property in a test file, or from `guardrail.testing.never` and ``always``, to
the request that breaks it. Refuses to prove anything: it tries.

format       the keys of a property
claims       what it says, read against a bundle
conditions   whether a request is as claimed; value_tests: whether a value is
domains      what a request to a bundle can be; narrowing: made smaller by a condition
strategies   requests for hypothesis, made of these
check        properties, tried
simpler      what breaks one, made as simple as can be
"""
