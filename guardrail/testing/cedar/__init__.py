"""Tests in the forms of Cedar's own tools, run on our policies, and the other way round.

Owns how each is read and written. Refuses to evaluate: room `policy` asks Cedar.

run_tests       the JSON of ``cedar run-tests``: read, run, written
corpus          Cedar's corpus of integration tests, replayed
corpus_case     one case of it
corpus_report   how they ended
"""
