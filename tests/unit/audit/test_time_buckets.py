"""Outcomes over time: every call is in one of a few bars with common widths."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from guardrail.audit.report.time_buckets import LIMIT_BARS, WIDTHS_MS, Timeline

TIMES = st.floats(0.001, 3.2e10)


def line_of(times, outcome="released"):
    line = Timeline()
    line.add(times, [outcome] * len(times))
    return line


@given(st.lists(TIMES, min_size=1, max_size=300))
def test_few_bars_have_every_call(times):
    line = line_of(times)
    bars = line.bars()
    assert len(bars) <= LIMIT_BARS
    assert sum(bar["released"] for _, bar in bars) == len(times)
    assert bars[0][0] <= min(times) + 1e-3
    assert bars[-1][0] - 1e-3 <= max(times) < bars[-1][0] + line.width_s + 1e-3


@given(st.lists(st.lists(TIMES, max_size=20), min_size=1, max_size=6), st.randoms())
def test_the_order_of_calls_makes_no_difference(parts, chance):
    times = [at for part in parts for at in part]
    whole = line_of(times)
    parted = Timeline()
    chance.shuffle(parts)
    for part in parts:
        parted.add(part, ["released"] * len(part))
    assert parted.width_s == whole.width_s
    assert parted.bars() == whole.bars()


def test_each_width_divides_the_next():
    assert all(wider % width == 0 for width, wider in pairwise(WIDTHS_MS))


def test_bars_grow_wider_and_are_joined():
    line = line_of([100.0 + number / 1000 for number in range(120)])
    assert line.width_s == 0.001
    assert len(line.bars()) == 120
    line.add([100.120], ["denied"])
    assert line.width_s == 0.005
    assert [bar for _, bar in line.bars()] == [{"released": 5}] * 24 + [{"denied": 1}]
    line.add([100.0 + 7 * 86_400], ["denied"])
    assert line.width_s == 3 * 3600


def test_beyond_the_widths_they_double():
    line = line_of([1.0, 3.2e10])
    assert line.width_s > 28 * 86_400
    assert 60 <= len(line.bars()) <= LIMIT_BARS


def test_a_long_silence_is_empty_bars():
    bars = line_of([1000.0, 1000.5]).bars()
    assert [sum(bar.values()) for _, bar in bars] == [1, *[0] * (len(bars) - 2), 1]


def test_no_calls_have_no_bars():
    assert Timeline().bars() == []


def test_a_call_without_a_time_is_in_no_bar_and_counted():
    line = Timeline()
    line.add([0.0, 5.0, float("nan"), 4e10], ["denied", "released", "denied", "denied"])
    assert line.undated == 3
    assert [dict(bar) for _, bar in line.bars()] == [{"released": 1}]
    assert (line.first_at, line.last_at) == (5.0, 5.0)
