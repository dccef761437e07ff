"""Counts by expected gain give what the rows themselves would give."""

from __future__ import annotations

from functools import reduce

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from trueup.measure.errors import OutOfRange, UnequalLengths
from trueup.measure.gaincounts import GainCounts, count_gains, gain_curve, merge_gains, top_a_day, top_by_gain

Array = NDArray[np.float64]
UNKNOWN = float("nan")
cases = st.lists(
    st.tuples(
        st.integers(-400, 400).map(lambda n: n / 4), st.sampled_from([0.0, 1.0, UNKNOWN]), st.integers(-9, 9).map(float)
    ),
    max_size=12,
)


def counted(rows: list[tuple[float, float, float]]) -> GainCounts:
    expected, outcome, acted = (np.array([row[i] for row in rows], dtype=np.float64) for i in range(3))
    return count_gains(expected, outcome, payoff_if_acted=acted)


def same(one: GainCounts, other: GainCounts) -> bool:
    return np.array_equal(one.keys, other.keys) and np.array_equal(one.table, other.table)


@given(cases, cases, cases)
def test_merging_is_associative_and_commutative_and_equals_one_pass(
    a: list[tuple[float, float, float]], b: list[tuple[float, float, float]], c: list[tuple[float, float, float]]
) -> None:
    one, other, third = counted(a), counted(b), counted(c)
    whole = counted([*c, *a, *b])
    assert same(whole, merge_gains(merge_gains(one, other), third))
    assert same(whole, merge_gains(third, merge_gains(other, one)))
    assert same(one, merge_gains(one, counted([])))


def test_a_point_of_the_curve_is_what_acting_at_or_above_it_brought() -> None:
    rng = np.random.default_rng(2)
    expected = rng.normal(0, 100, 5_000)
    outcome = np.where(rng.random(5_000) < 0.2, UNKNOWN, (rng.random(5_000) < 0.3).astype(np.float64))
    acted, passed = np.where(outcome == 1, -30.0, -55.0), outcome * -200.0
    curve = gain_curve(count_gains(expected, outcome, payoff_if_acted=acted, payoff_if_not=passed))
    assert (np.diff(curve.cut_off) < 0).all()
    for point in (0, 50, len(curve.cut_off) // 2, len(curve.cut_off) - 1):
        own = (expected >= curve.cut_off[point]) & ~np.isnan(outcome)
        assert curve.cases[point] == own.sum()
        assert curve.positives[point] == outcome[own].sum()
        assert curve.value[point] == pytest.approx((acted - passed)[own].sum())


def test_gains_above_and_below_zero_never_share_a_bin() -> None:
    counts = count_gains(np.array([1e-9, 0.0, -0.0, -1e-9]), np.zeros(4))
    assert counts.cases.tolist() == [1, 2, 1]
    assert gain_curve(counts).cut_off[1] == 0.0


def test_the_top_are_those_of_the_highest_gain_whose_outcome_is_known() -> None:
    counts = count_gains(
        np.array([900.0, 500.0, 100.0, 10.0, -5.0]),
        np.array([UNKNOWN, 1.0, 0.0, 1.0, 1.0]),
        payoff_if_acted=np.array([UNKNOWN, -30.0, -30.0, -30.0, -30.0]),
        payoff_if_not=np.array([UNKNOWN, -800.0, 0.0, -20.0, 0.0]),
    )
    top = top_by_gain(counts, 2)
    assert (top.cases, top.positives, top.expected, top.realised) == (2.0, 1.0, 600.0, 740.0)
    assert top.precision == 0.5
    assert top_by_gain(counts, 99).cases == 4.0
    assert top_by_gain(counts, 0).precision is None


def test_a_bin_that_is_cut_counts_by_its_share() -> None:
    top = top_by_gain(count_gains(np.array([8.0, 8.0, 8.0, 1.0]), np.array([1.0, 1.0, 0.0, 0.0])), 1.5)
    assert top.positives == pytest.approx(1.0)
    assert top.expected == pytest.approx(12.0)


def test_no_day_gives_its_capacity_to_another() -> None:
    busy = count_gains(np.array([9.0, 7.0, 5.0]), np.array([0.0, 1.0, 1.0]))
    quiet = count_gains(np.array([1.0]), np.array([1.0]))
    top = top_a_day([busy, quiet], 2)
    assert (top.cases, top.positives, top.expected) == (3.0, 2.0, 17.0)
    assert top_a_day([], 2).precision is None


def test_gains_that_are_no_number_are_refused() -> None:
    with pytest.raises(OutOfRange, match="2 expected gains are no finite number"):
        count_gains(np.array([1.0, np.nan, np.inf]), np.zeros(3))
    with pytest.raises(UnequalLengths):
        count_gains(np.zeros(2), np.zeros(3))


def test_days_merge_to_the_year() -> None:
    rng = np.random.default_rng(8)
    days = [count_gains(rng.integers(-50, 50, 40) / 2, np.ones(40)) for _ in range(9)]
    assert reduce(merge_gains, days).cases.sum() == 360
