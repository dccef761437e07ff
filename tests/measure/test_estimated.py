"""Estimated performance meets realised performance when cases shift, and cannot see concept drift."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, log_loss, precision_score, recall_score, roc_auc_score

from trueup.measure.calibration import Calibration, calibrate
from trueup.measure.errors import UnequalLengths
from trueup.measure.estimated import (
    Part,
    count_decisions,
    estimated_decisions,
    estimated_performance,
    estimated_value,
)
from trueup.measure.scorecounts import count_scores


def test_a_shift_of_cases_is_estimated_without_their_outcomes() -> None:
    rng = np.random.default_rng(2)

    def cases(size: int, a: float, b: float) -> tuple[np.ndarray, np.ndarray]:
        rate = rng.beta(a, b, size)
        return np.sqrt(rate), (rng.random(size) < rate).astype(np.float64)  # scores too high: they need calibration

    reference_score, reference_outcome = cases(60_000, 1.0, 4.0)
    score, outcome = cases(60_000, 1.5, 3.0)
    calibration = calibrate(count_scores(reference_score, reference_outcome))
    assert calibration is not None
    estimate = estimated_performance(count_scores(score, np.full(len(score), np.nan)), calibration, cut_off=0.5)
    predicted = (score >= 0.5).astype(np.float64)
    assert estimate.cases == 60_000
    assert estimate.auc == pytest.approx(roc_auc_score(outcome, score), abs=0.01)
    assert estimate.outcome_rate == pytest.approx(outcome.mean(), abs=0.01)
    assert estimate.precision == pytest.approx(precision_score(outcome, predicted), abs=0.015)
    assert estimate.recall == pytest.approx(recall_score(outcome, predicted), abs=0.015)
    assert estimate.accuracy == pytest.approx(float((predicted == outcome).mean()), abs=0.01)


@pytest.mark.parametrize(("a", "b"), [(0.5, 6.0), (1.0, 2.0), (2.0, 8.0), (4.0, 4.0), (0.4, 0.6)])
def test_every_figure_is_within_3_hundredths_of_the_truth_when_cases_shift(a: float, b: float) -> None:
    rng = np.random.default_rng(3)

    def cases(size: int, a: float, b: float) -> tuple[np.ndarray, np.ndarray]:
        rate = np.clip(rng.beta(a, b, size), 1e-9, 1 - 1e-9)
        return 1 / (1 + (1 / rate - 1) ** 1.6), (rng.random(size) < rate).astype(np.float64)  # scores too sure

    calibration = calibrate(count_scores(*cases(40_000, 0.7, 2.5)))
    score, outcome = cases(40_000, a, b)
    assert calibration is not None
    estimate = estimated_performance(count_scores(score, np.full(len(score), np.nan)), calibration, cut_off=0.25)
    acted = score >= 0.25
    assert estimate.auc == pytest.approx(roc_auc_score(outcome, score), abs=0.03)
    assert estimate.precision == pytest.approx(precision_score(outcome, acted), abs=0.03)
    assert estimate.recall == pytest.approx(recall_score(outcome, acted), abs=0.03)
    assert estimate.accuracy == pytest.approx(float((acted == outcome).mean()), abs=0.03)
    assert estimate.log_loss == pytest.approx(log_loss(outcome, score), rel=0.05)
    assert estimate.brier == pytest.approx(brier_score_loss(outcome, score), abs=0.01)
    assert estimate.outcome_rate == pytest.approx(outcome.mean(), abs=5 * estimate.standard_error + 0.005)


def test_concept_drift_goes_unseen() -> None:
    rng = np.random.default_rng(4)
    score = rng.random(20_000)
    calibration = calibrate(count_scores(score, (rng.random(20_000) < score).astype(np.float64)))
    assert calibration is not None
    now = (rng.random(20_000) < 0.5).astype(np.float64)  # the score says nothing any more
    estimate = estimated_performance(count_scores(score, np.full(20_000, np.nan)), calibration, cut_off=0.5)
    assert estimate.auc is not None
    assert estimate.auc - float(roc_auc_score(now, score)) > 0.3


def test_value_and_its_luck_follow_by_hand() -> None:
    sure = Calibration(np.array([0.0, 1.0]), np.array([0.0, 1.0]))
    score = np.array([0.2, 0.8])
    decisions = count_decisions(
        score, np.array([0.0, 1.0]), if_positive=np.array([0.0, 90.0]), if_negative=np.array([0.0, -10.0]), bins=10
    )
    part = Part(count_scores(score, np.full(2, np.nan), bins=10), sure, decisions)
    value = estimated_value([part, part])
    assert value.value == pytest.approx(2 * (0.8 * 90 - 0.2 * 10))
    assert value.luck == pytest.approx((2 * 0.8 * 0.2 * 100**2) ** 0.5)
    assert value.standard_error == 0.0
    both = estimated_decisions([part, part])
    assert both.cases == 4
    assert [both.precision, both.recall] == pytest.approx([0.8, 0.8])


def test_scores_beyond_any_outcome_are_counted() -> None:
    calibration = calibrate(count_scores(np.array([0.3, 0.4]), np.array([0.0, 1.0]), bins=100))
    assert calibration is not None
    seen = count_scores(np.array([0.3, 0.4, 0.9, 0.95]), np.full(4, np.nan), bins=100)
    assert estimated_performance(seen, calibration, cut_off=0.5).outside_share == 0.5


def test_counts_that_do_not_belong_together_are_refused() -> None:
    one = np.array([0.5])
    with pytest.raises(UnequalLengths):
        count_decisions(one, one, if_positive=np.ones(2), if_negative=one, bins=10)
    sure = Calibration(np.array([0.0, 1.0]), np.array([0.0, 1.0]))
    with pytest.raises(UnequalLengths):
        Part(
            count_scores(one, one, bins=20), sure, count_decisions(one, one, if_positive=one, if_negative=one, bins=10)
        )


def test_expected_counts_follow_from_calibrated_scores_by_hand() -> None:
    sure = Calibration(np.array([0.0, 1.0]), np.array([0.0, 1.0]))
    counts = count_scores(np.array([0.2, 0.8]), np.full(2, np.nan), bins=10)
    estimate = estimated_performance(counts, sure, cut_off=0.5)
    # 0.8 positives above, 0.2 below; pairs: 0.8*0.8 right, ties (0.2*0.8 + 0.8*0.2)/2, over 1*1
    assert estimate.auc == pytest.approx(0.64 + 0.16)
    assert estimate.precision == pytest.approx(0.8)
    assert estimate.recall == pytest.approx(0.8)
    assert estimate.accuracy == pytest.approx(0.8)


def test_nothing_is_estimated_from_nothing() -> None:
    assert calibrate(count_scores(np.array([0.5]), np.array([np.nan]))) is None
    flat = Calibration(np.array([0.5]), np.array([0.3]))
    nothing = estimated_performance(count_scores(np.empty(0), np.empty(0)), flat, cut_off=0.5)
    assert (nothing.auc, nothing.outcome_rate, nothing.accuracy, nothing.precision, nothing.recall) == (None,) * 5
