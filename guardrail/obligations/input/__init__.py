"""The obligation `input` and the kinds of input specs."""
