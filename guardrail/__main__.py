"""Runs the command line as ``python -m guardrail``, if the ``guardrail`` script is not on the path.

The commands are in `guardrail.cli`.
"""

from guardrail.cli import main

if __name__ == "__main__":
    main()
