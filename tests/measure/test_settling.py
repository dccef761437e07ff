"""The interval of a window's final value covers it as often as it says."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from trueup.measure.errors import OutOfRange, UnequalLengths
from trueup.measure.estimated import EstimatedValue
from trueup.measure.settling import Dispersion, dispersion_of, final_value_interval


def test_limits_follow_by_hand() -> None:
    # spread = sqrt(2 * 30^2 + 40^2) = sqrt(3400); Student's t with 10 degrees of freedom at 95 %
    low, high = final_value_interval(100.0, EstimatedValue(50.0, 30.0, 40.0), dispersion=Dispersion(2.0, 10))
    reach = stats.t.ppf(0.95, 10) * 3400**0.5
    assert (low, high) == pytest.approx((150 - reach, 150 + reach), rel=1e-3)


def test_a_settled_window_has_no_interval_left() -> None:
    assert final_value_interval(70.0, EstimatedValue(0.0, 0.0, 0.0), dispersion=Dispersion(3.0, 9)) == (70.0, 70.0)


def test_few_blocks_say_nothing_about_dispersion() -> None:
    assert dispersion_of(np.full(3, 100.0), np.ones(3)) == Dispersion(1.0, 3)
    assert dispersion_of(np.array([2.0, -2.0, 2.0, -2.0, 7.0]), np.array([1.0, 1.0, 1.0, 1.0, 0.0])) == Dispersion(4, 4)
    assert dispersion_of(np.full(5, 0.1), np.ones(5)).factor == 1.0


def test_what_is_assumed_gives_way_to_what_was_seen() -> None:
    assumed = Dispersion(3.0, 4)
    assert dispersion_of(np.zeros(0), np.zeros(0), before=assumed) == assumed
    # four assumed blocks of factor 3 and four seen ones of factor 1, of equal variance
    assert dispersion_of(np.full(4, 5.0), np.full(4, 25.0), before=assumed) == Dispersion(2.0, 8)


def test_outcomes_in_bunches_are_covered_nine_times_in_ten() -> None:
    rng = np.random.default_rng(1)
    hits, runs = 0, 2_000
    for _ in range(runs):
        # 13 past weeks and a window of 4 open ones; each week's outcomes share luck of twice their own size
        weeks = rng.normal(0.0, 10.0, 17) + rng.normal(0.0, 20.0, 17)
        dispersion = dispersion_of(weeks[:13], np.full(13, 100.0))
        low, high = final_value_interval(0.0, EstimatedValue(0.0, 20.0, 0.0), dispersion=dispersion)
        hits += low <= weeks[13:].sum() <= high
    assert 0.87 < hits / runs < 0.94


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(UnequalLengths):
        dispersion_of(np.ones(2), np.ones(3))
    with pytest.raises(OutOfRange, match="level is 90"):
        final_value_interval(0.0, EstimatedValue(0.0, 1.0, 0.0), dispersion=Dispersion(), level=90)
