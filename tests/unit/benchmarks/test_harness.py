import json

import pytest

from benchmarks.harness import Case, main, measure


class Clock:
    """Time passes only while a case runs."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def taking(self, seconds):
        def call():
            self.now += seconds

        return call


@pytest.fixture
def clock():
    return Clock()


def test_ratio_is_to_the_baseline_of_the_same_round(clock):
    cases = [Case("one", clock.taking(1e-4)), Case("two", clock.taking(2e-4), "one")]
    one, two = measure(cases, rounds=3, clock=clock)
    assert one.ratio is None
    assert one.value == pytest.approx(100)
    assert two.ratio == pytest.approx(2)


def test_row_without_goal_holds(clock):
    assert all(row.holds for row in measure([Case("a", clock.taking(1e-3))], rounds=3, clock=clock))


def test_unknown_baseline_is_refused(clock):
    with pytest.raises(ValueError, match="no case is named other"):
        measure([Case("a", clock.taking(1e-3), "other")], clock=clock)


@pytest.mark.parametrize(("goal", "code"), [(1.9, 1), (2.1, 0)])
def test_missed_goal_exits_with_1(clock, capsys, goal, code):
    cases = [Case("one", clock.taking(1e-4)), Case("two", clock.taking(2e-4), "one", goal)]
    assert (
        main(cases, title="t", arguments=["--format", "json", "--rounds", "3"], clock=clock) == code
    )
    rows = json.loads(capsys.readouterr().out)
    assert [row["holds"] for row in rows] == [True, not code]
    assert set(rows[1]) == {"case", "value", "unit", "baseline", "ratio", "goal", "holds"}


def test_text_names_the_missed_goal(clock, capsys):
    cases = [Case("one", clock.taking(1e-4)), Case("two", clock.taking(2e-4), "one", 1.0)]
    main(cases, title="A title", arguments=["--rounds", "3"], clock=clock)
    assert "MISSED" in capsys.readouterr().out


def test_the_first_call_which_may_make_much_is_not_timed(clock):
    takes = iter([10.0])

    def call():
        clock.now += next(takes, 1e-3)

    (row,) = measure([Case("a", call)], rounds=3, clock=clock)
    assert row.value == pytest.approx(1000)


@pytest.mark.parametrize(("counts", "value"), [(False, 100), (True, 200)])
def test_what_is_left_for_later_counts_where_the_case_says_so(clock, counts, value):
    left = []

    def call():
        clock.now += 1e-4
        left.append(1)

    def drain():
        clock.now += 1e-4 * len(left)
        left.clear()

    case = Case("a", call, drain=drain, counts_drain=counts)
    (row,) = measure([case], rounds=3, clock=clock)
    assert row.value == pytest.approx(value)
