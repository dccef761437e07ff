"""Estimated performance meets realised performance when cases shift, and cannot see concept drift."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import precision_score, recall_score, roc_auc_score

from trueup.measure.estimated import Calibration, calibrate, estimated_performance, isotonic
from trueup.measure.scorecounts import count_scores


def test_isotonic_equals_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    values, weights = np.sort(rng.random(300)) + rng.normal(0, 0.2, 300), rng.integers(1, 9, 300).astype(np.float64)
    expected = IsotonicRegression().fit_transform(np.arange(300.0), values, sample_weight=weights)
    assert np.allclose(isotonic(values, weights), expected)
    assert isotonic(np.empty(0), np.empty(0)).tolist() == []


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
