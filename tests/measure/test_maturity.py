"""Delays count cases that still wait, and maturity follows the ages of a window."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from trueup.kernel.periods import NEVER
from trueup.measure.maturity import (
    DelayCounts,
    DelayCurve,
    count_delays,
    delay_curve,
    expected_maturity,
    label_maturity,
)

DAY = 86_400_000_000


def test_the_curve_of_settled_cases_is_their_empirical_distribution() -> None:
    start = np.zeros(4, dtype=np.int64)
    end = np.array([0, DAY, DAY + 1, 5 * DAY], dtype=np.int64)
    curve = delay_curve(count_delays(start, end, as_of=100 * DAY))
    assert curve.share.tolist() == [0.25, 0.5, 0.75, 0.75, 0.75, 1.0]
    assert curve.cases == 4


def test_cases_that_still_wait_are_not_left_out() -> None:
    rng = np.random.default_rng(3)
    start = (rng.random(4000) * 60 * DAY).astype(np.int64)
    delay = (np.ceil(rng.exponential(20.0, 4000)) * DAY).astype(np.int64)
    end, as_of = start + delay, 60 * DAY
    curve = delay_curve(count_delays(start, end, as_of=as_of))
    observed = np.minimum(end, as_of) - start
    waiting = end > as_of
    sample = stats.CensoredData(uncensored=np.ceil(observed[~waiting] / DAY), right=np.floor(observed[waiting] / DAY))
    expected = stats.ecdf(sample).cdf
    days = np.arange(1, 50)
    assert np.allclose(curve.at(days.astype(np.float64)), expected.evaluate(days))
    naive = float((delay[~waiting] <= 10 * DAY).mean())
    truth = 1 - np.exp(-10 / 20)
    assert abs(curve.at(np.array([10.0]))[0] - truth) < 0.03 < naive - truth


def test_the_future_is_not_seen() -> None:
    start = np.array([0, 3 * DAY], dtype=np.int64)
    end = np.array([9 * DAY, 4 * DAY], dtype=np.int64)
    counts = count_delays(start, end, as_of=2 * DAY)
    assert counts.final.sum() == 0
    assert counts.waiting.tolist()[:4] == [0, 0, 1, 0]


def test_counts_of_two_parts_add_up() -> None:
    rng = np.random.default_rng(4)
    start = (rng.random(50) * 40 * DAY).astype(np.int64)
    end = start + (rng.random(50) * 30 * DAY).astype(np.int64)
    one, two, both = (count_delays(start[s], end[s], as_of=30 * DAY) for s in (slice(20), slice(20, 50), slice(50)))
    assert np.array_equal(one.final + two.final, both.final)
    assert np.array_equal(one.waiting + two.waiting, both.waiting)


def test_maturity_of_a_window_by_hand() -> None:
    curve = DelayCurve(np.array([0.0, 0.5, 1.0]), 10)
    events = np.array([0, DAY, 2 * DAY], dtype=np.int64)
    # at day 2 the cases are 2, 1 and 0 days old: 1 + 0.5 + 0
    assert expected_maturity(curve, events, as_of=2 * DAY) == pytest.approx(0.5)
    assert expected_maturity(curve, events, as_of=50 * DAY) == 1.0
    assert expected_maturity(curve, events[:0], as_of=DAY) is None
    assert label_maturity(np.array([DAY, 3 * DAY, NEVER], dtype=np.int64), as_of=2 * DAY) == pytest.approx(1 / 3)
    assert label_maturity(np.array([NEVER], dtype=np.int64), as_of=int(NEVER)) == 0.0
    assert label_maturity(events[:0], as_of=DAY) is None


def test_without_any_case_nothing_is_known_of_delays() -> None:
    nothing = np.zeros(5, dtype=np.int64)
    curve = delay_curve(DelayCounts(nothing, nothing))
    assert curve.cases == 0
    assert curve.at(np.array([3.0])).tolist() == [0.0]
