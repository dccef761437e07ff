"""Capacity is filled, never exceeded, and the best cases come first."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from trueup.align.allocation import (
    Pace,
    StreamAllocator,
    Wanted,
    allocate_period,
    learn_pace,
    uniform_of,
    value_of_one_more,
)
from trueup.kernel.durations import MICROSECONDS_PER_DAY
from trueup.kernel.periods import Calendar, Moments, local_moment

BERLIN_DAYS = Calendar("Europe/Berlin", "day")
LISBON_MONTHS = Calendar("Europe/Lisbon", "month")
HOUR = MICROSECONDS_PER_DAY // 24

gains_with_ties = st.lists(st.sampled_from([-5.0, 0.0, 1.0, 2.0, 2.0, 7.5]), max_size=200)


def moments_over(days: float, *, cases: int, timezone: str = "Europe/Berlin") -> Moments:
    start = local_moment(2016, 3, 25, timezone=timezone)
    return start + np.linspace(0, days * MICROSECONDS_PER_DAY, cases, endpoint=False).astype(np.int64)


def quiet_pace(gains: list[float], *, per_hour: float = 1.0) -> Pace:
    return Pace(np.full(168, per_hour), 0, np.sort(np.array(gains, dtype=np.float64))[::-1])


def test_a_whole_period_takes_the_best_cases_and_breaks_ties_by_arrival() -> None:
    acted = allocate_period(np.array([1.0, 3.0, 3.0, -1.0, 3.0]), capacity=2)
    assert acted.tolist() == [False, True, True, False, False]


def test_a_case_without_a_gain_is_never_acted_on_even_with_room() -> None:
    assert allocate_period(np.array([0.0, -2.0, np.nan]), capacity=10).tolist() == [False, False, False]


def test_one_more_case_is_worth_the_best_gain_that_was_left_out() -> None:
    gains = np.array([9.0, 5.0, 7.0])
    assert value_of_one_more(gains, allocate_period(gains, capacity=1)) == 7.0
    assert value_of_one_more(gains, allocate_period(gains, capacity=3)) == 0.0


@given(gains=gains_with_ties, capacity=st.integers(0, 50))
def test_a_whole_period_is_filled_exactly_when_enough_cases_qualify(gains: list[float], capacity: int) -> None:
    array = np.array(gains, dtype=np.float64)
    acted = allocate_period(array, capacity=capacity)
    assert acted.sum() == min(capacity, int((array > 0).sum()))
    if acted.any() and not acted.all():
        assert array[acted].min() >= np.max(array[~acted], initial=-np.inf, where=array[~acted] > 0)


@given(
    gains=gains_with_ties,
    capacity=st.integers(0, 20),
    days=st.floats(0.2, 5),
    control=st.floats(0, 0.5),
    reserve=st.integers(0, 5),
    pace_gains=st.lists(st.floats(0, 10), max_size=20),
)
def test_streaming_never_acts_on_more_than_the_capacity_in_any_day(
    gains: list[float], capacity: int, days: float, control: float, reserve: int, pace_gains: list[float]
) -> None:
    moments = moments_over(days, cases=len(gains))
    draws = np.random.default_rng(0).random((3, len(gains)))
    wanted = Wanted(forced=draws[0] < control, acts=draws[1] < 0.5, drawn=draws[2] < 0.3)
    allocator = StreamAllocator(BERLIN_DAYS, capacity, min(reserve, capacity))
    half = len(gains) // 2
    tokens, acted = None, []
    for part in (slice(0, half), slice(half, None)):  # a turn may end inside a day
        allotment = allocator.allot(
            moments[part],
            np.array(gains, dtype=np.float64)[part],
            pace=quiet_pace(pace_gains),
            tokens=tokens,
            wanted=Wanted(wanted.forced[part], wanted.acts[part], wanted.drawn[part]),
        )
        tokens = allotment.tokens if len(moments[part]) else tokens
        acted.append(allotment.acted)
    if not len(moments):
        return
    starts = BERLIN_DAYS.starts_between(int(moments[0]), int(moments[-1]) + 1)
    per_day = np.bincount(BERLIN_DAYS.index_of(moments, starts)[np.concatenate(acted)], minlength=1)
    assert per_day.max() <= capacity


def test_streaming_spreads_the_capacity_over_the_month_and_fills_it() -> None:
    rng = np.random.default_rng(1)
    start = local_moment(2016, 5, 1, timezone="Europe/Lisbon")
    moments = start + np.sort(rng.integers(0, 31 * MICROSECONDS_PER_DAY, 6_000))
    gains = rng.exponential(10, 6_000) - 5
    before = start - 28 * MICROSECONDS_PER_DAY + np.sort(rng.integers(0, 28 * MICROSECONDS_PER_DAY, 5_600))
    pace = learn_pace(
        before,
        rng.exponential(10, 5_600) - 5,
        first=start - 28 * MICROSECONDS_PER_DAY,
        last=start,
        calendar=LISBON_MONTHS,
    )
    acted = StreamAllocator(LISBON_MONTHS, 300).allot(moments, gains, pace=pace, tokens=None).acted
    best = allocate_period(gains, capacity=300)
    assert acted.sum() == 300
    assert gains[acted].sum() > 0.9 * gains[best].sum()
    first_third = acted[moments < start + 10 * MICROSECONDS_PER_DAY].sum()
    assert 70 < first_third < 130


def test_the_short_day_of_spring_has_a_capacity_of_its_own() -> None:
    moments = moments_over(95 / 24, cases=95)  # 25 to 28 March 2016, the clocks go forward on the 27th
    acted = StreamAllocator(BERLIN_DAYS, 3).allot(moments, np.ones(95), pace=quiet_pace([]), tokens=None).acted
    starts = BERLIN_DAYS.starts_between(int(moments[0]), int(moments[-1]) + 1)
    assert np.diff(starts).min() == 23 * HOUR
    per_day = np.bincount(BERLIN_DAYS.index_of(moments, starts)[acted])
    assert per_day.tolist() == [3, 3, 3, 3]


def test_a_capacity_of_zero_acts_on_nobody() -> None:
    allotment = StreamAllocator(BERLIN_DAYS, 0).allot(
        moments_over(1, cases=24), np.full(24, 9.0), pace=quiet_pace([9.0]), tokens=None
    )
    assert not allotment.acted.any()


def test_the_control_group_is_decided_by_the_old_rule_and_still_needs_a_token() -> None:
    moments = moments_over(0.01, cases=4)
    wanted = Wanted(np.ones(4, bool), np.array([False, True, True, True]), np.zeros(4, bool))
    allotment = StreamAllocator(BERLIN_DAYS, 2).allot(
        moments, np.full(4, 9.0), pace=quiet_pace([]), tokens=None, wanted=wanted
    )
    assert allotment.acted.tolist() == [False, True, True, False]


def test_expected_cases_follow_the_hour_of_the_local_week() -> None:
    per_hour = np.zeros(168)
    per_hour[9] = 12.0  # Monday 9 to 10 o'clock
    pace = Pace(per_hour, 2 * HOUR, np.array([1.0]))
    monday = local_moment(2016, 5, 2, timezone="UTC")
    assert pace.expected_cases(monday + 7 * HOUR, monday + 8 * HOUR) == 12.0
    assert pace.expected_cases(monday + 7 * HOUR + HOUR // 2, monday + 24 * HOUR) == 6.0
    assert pace.expected_cases(monday, monday + 7 * 24 * HOUR) == 12.0


def test_the_same_unit_is_always_drawn_alike_and_units_are_spread_evenly() -> None:
    units = np.arange(100_000, dtype=np.uint64)
    draws = uniform_of(units, 3)
    assert np.array_equal(draws, uniform_of(units, 3))
    assert not np.array_equal(draws, uniform_of(units, 4))
    assert abs((draws < 0.05).mean() - 0.05) < 0.003
    assert draws.min() >= 0
    assert draws.max() < 1
