"""``python -m guardrail_cedar``: the command line."""

from . import main

main()
