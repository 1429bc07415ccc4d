"""The grammar of ``@quota``: a fault at the annotation, or limits that are read alike again."""

from tests.fuzz.harness import instrumented, main

with instrumented():
    from guardrail.errors import ConfigurationError, Place
    from guardrail.obligations.quota.grammar import LIMIT_AMOUNT, LIMIT_DAYS, read_limits
    from guardrail.values import Clause

PLACE = Place("policies.cedar", 3, 1)


def test_one_input(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    try:
        demand = read_limits(Clause("rate", "quota", text, PLACE), bundle="fuzz")
    except ConfigurationError as error:
        (fault,) = error.faults
        assert (fault.code in ("GR109", "GR004"), fault.place) == (True, PLACE)
        return
    assert len({limit.prefix for limit in demand}) == len(demand) >= 1
    for limit in demand:
        assert 1 <= limit.amount <= LIMIT_AMOUNT
        assert 1 <= limit.window_s <= LIMIT_DAYS * 86_400
    again = "; ".join(reversed([limit.text for limit in demand]))
    assert read_limits(Clause("rate", "quota", again, PLACE), bundle="fuzz") == demand


if __name__ == "__main__":
    main(test_one_input, max_len=512)
