"""The arguments of the obligations on outputs: a fault, or a demand."""

from tests.fuzz.harness import Draw, instrumented, main

with instrumented():
    from guardrail.errors import ConfigurationError, Place
    from guardrail.obligations.output.label_only import LabelOnly
    from guardrail.obligations.output.mask import Mask
    from guardrail.obligations.output.only import Only
    from guardrail.obligations.output.rounding import Round
    from guardrail.obligations.output.top_k import TopK
    from guardrail.values import Clause

PLACE = Place("policies.cedar", 3, 1)
TYPES = (Round(), TopK(), Mask(), Only(), LabelOnly({"diagnosis": ["benign", "malignant"]}))


def test_one_input(data: bytes) -> None:
    draw = Draw(data)
    kind = draw.choice(TYPES)
    text = draw.rest().decode("utf-8", "replace")
    try:
        demand = kind.parse(Clause("cut", kind.name, text, PLACE))
    except ConfigurationError as error:
        (fault,) = error.faults
        assert (fault.code, fault.place) == ("GR109", PLACE)
        return
    assert kind.merge(demand, demand) == demand
    kind.describe(demand)


if __name__ == "__main__":
    main(test_one_input, max_len=512)
