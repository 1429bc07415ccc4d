"""Tests in the formats of Cedar's own tools, run on a bundle, and written for those tools.

run_tests      the JSON of ``cedar run-tests``: read, run and written
corpus         the command that replays Cedar's corpus of integration tests
corpus_case    one case of the corpus
corpus_report  the results
"""
