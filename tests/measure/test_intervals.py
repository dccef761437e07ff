"""Intervals cover what they say, repeat by seed, and know when they know nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from trueup.measure.errors import OutOfRange, UnequalLengths
from trueup.measure.intervals import (
    mean_interval,
    paired_difference_interval,
    resampled_interval,
    student_quantile,
)


@pytest.mark.parametrize("degrees", [1, 2, 3, 7, 51, 364])
@pytest.mark.parametrize("probability", [0.6, 0.95, 0.995])
def test_student_quantile_equals_scipy(degrees: int, probability: float) -> None:
    expected = stats.t.ppf(probability, degrees)
    assert student_quantile(probability, degrees=degrees) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("blocks", [8, 26])
def test_nine_of_ten_intervals_cover_the_expected_total(blocks: int) -> None:
    rng = np.random.default_rng(11)
    runs, covered = 400, 0
    for seed in range(runs):
        low, high = resampled_interval(rng.normal(5.0, 2.0, blocks), draws=800, seed=seed)
        covered += low <= 5.0 * blocks <= high
    # 90 % within four standard errors of a share from 400 runs
    assert abs(covered / runs - 0.90) < 4 * math.sqrt(0.09 / runs)


def test_the_interval_of_many_blocks_is_that_of_the_normal_approximation() -> None:
    values = np.random.default_rng(3).normal(10.0, 3.0, 400)
    low, high = resampled_interval(values, draws=4000, seed=1)
    half = stats.norm.ppf(0.95) * values.std(ddof=1) * math.sqrt(400)
    assert low == pytest.approx(values.sum() - half, abs=0.06 * half)
    assert high == pytest.approx(values.sum() + half, abs=0.06 * half)


def test_the_same_seed_gives_the_same_interval() -> None:
    values = np.arange(30.0)
    assert resampled_interval(values, seed=5) == resampled_interval(values, seed=5)
    assert resampled_interval(values, seed=5) != resampled_interval(values, seed=6)


@pytest.mark.parametrize("blocks", [0, 1])
def test_fewer_than_two_blocks_say_nothing(blocks: int) -> None:
    assert resampled_interval(np.ones(blocks), seed=0) == (-math.inf, math.inf)
    assert mean_interval(np.ones(3), np.zeros(3, dtype=np.int64), seed=0) == (-math.inf, math.inf)


def test_blocks_that_do_not_vary_leave_no_doubt() -> None:
    assert resampled_interval(np.full(12, 2.5), seed=0) == (30.0, 30.0)


def test_a_constant_advantage_is_certain_however_noisy_the_weeks_are() -> None:
    noise = np.random.default_rng(2).normal(0.0, 1000.0, 20)
    low, high = paired_difference_interval(noise + 3.0, noise, seed=0)
    assert low == pytest.approx(60.0)
    assert high == pytest.approx(60.0)
    with pytest.raises(UnequalLengths):
        paired_difference_interval(noise, noise[1:], seed=0)


def test_cases_that_go_together_widen_the_interval_of_their_mean() -> None:
    rng = np.random.default_rng(8)
    of_cluster = rng.normal(0.0, 1.0, 40)
    clusters = np.repeat(np.arange(40), 25)
    values = of_cluster[clusters]
    low, high = mean_interval(values, clusters, seed=0)
    apart_low, apart_high = mean_interval(values, np.arange(1000), seed=0)
    # perfectly alike cases: the standard error is that of 40 clusters, sqrt(25) = 5 times that of 1000 cases
    assert (high - low) / (apart_high - apart_low) == pytest.approx(5.0, rel=0.15)


def test_joining_very_many_blocks_keeps_the_width() -> None:
    values = np.random.default_rng(9).normal(0.0, 1.0, 50_000)
    low, high = resampled_interval(values, draws=1000, seed=0)
    assert high - low == pytest.approx(2 * 1.6449 * math.sqrt(50_000), rel=0.12)


def test_a_level_outside_zero_and_one_is_refused() -> None:
    with pytest.raises(OutOfRange, match="level is 90"):
        resampled_interval(np.ones(3), level=90, seed=0)
