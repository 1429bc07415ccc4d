"""Policy text: our bounds stand before Cedar's parser, which dies of what is too deep."""

from tests.fuzz.harness import check_faults, instrumented, main

with instrumented():
    from tests.fuzz.policies import check_policies

FILE = "policies.cedar"


def test_one_input(data: bytes) -> None:
    check_faults(check_policies(FILE, data), {FILE: data})


if __name__ == "__main__":
    main(test_one_input, max_len=16384)
