"""Runs tests in the formats of Cedar's own tools, and exports a bundle's tests for these tools.

run_tests      reads, runs and writes the JSON of ``cedar run-tests``
corpus         the command that replays Cedar's corpus of integration tests
corpus_case    replays one case of the corpus
corpus_report  the results
"""
