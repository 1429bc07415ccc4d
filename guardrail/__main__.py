"""``python -m guardrail``: the command line, where the ``guardrail`` script is not on the path.

Owns nothing and decides nothing; everything stands in `guardrail.cli`.
"""

from guardrail.cli import main

if __name__ == "__main__":
    main()
