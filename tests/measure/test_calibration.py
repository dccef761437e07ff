"""A calibration gives scores the rate at which they came true, and knows how sure it is."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from trueup.measure.calibration import MANY, calibrate, isotonic
from trueup.measure.scorecounts import ScoreCounts, count_scores


def scored(rng: np.random.Generator, size: int, *, rate: float) -> ScoreCounts:
    """Return cases whose score is twice too sure of itself in log odds, at about `rate` positives."""
    odds = rng.normal(np.log(rate / (1 - rate)), 1.0, size)
    outcome = (rng.random(size) < 1 / (1 + np.exp(-odds))).astype(np.float64)
    return count_scores(1 / (1 + np.exp(-2 * odds)), outcome, bins=500)


def test_isotonic_equals_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    values, weights = np.sort(rng.random(300)) + rng.normal(0, 0.2, 300), rng.integers(1, 9, 300).astype(np.float64)
    expected = IsotonicRegression().fit_transform(np.arange(300.0), values, sample_weight=weights)
    assert np.allclose(isotonic(values, weights), expected)
    assert isotonic(np.empty(0), np.empty(0)).tolist() == []


def test_with_few_positives_the_curve_is_the_logistic_one_of_scikit_learn() -> None:
    counts = scored(np.random.default_rng(2), 3_000, rate=0.1)
    calibration = calibrate(counts)
    assert calibration is not None
    assert calibration.positives < MANY
    some = counts.final > 0
    score, up, down = counts.final_scores[some] / counts.final[some], counts.positives[some], counts.final[some]
    odds = np.log(np.clip(score, 1e-6, 1) / (1 - np.clip(score, 0, 1 - 1e-6)))[:, None]
    plain = LogisticRegression(C=np.inf, tol=1e-8, max_iter=1000).fit(
        np.concatenate([odds, odds]),
        np.repeat([1.0, 0.0], len(score)),
        sample_weight=np.concatenate([up, down - up]),
    )
    # Platt's targets shrink towards one half by one case in a few hundred
    assert calibration.of(score) == pytest.approx(plain.predict_proba(odds)[:, 1], abs=0.005)


def test_the_rate_stays_within_its_standard_error_as_often_as_it_should() -> None:
    rng = np.random.default_rng(3)
    for size, rate in ((3_000, 0.1), (40_000, 0.3)):  # logistic, isotonic
        truth, errors = scored(rng, 400_000, rate=rate), []
        some = truth.final > 0
        score, weight = truth.final_scores[some] / truth.final[some], truth.final[some]
        for _ in range(120):
            calibration = calibrate(scored(rng, size, rate=rate))
            assert calibration is not None
            wrong = float((weight * calibration.of(score)).sum()) - float(truth.positives.sum())
            errors.append(wrong / calibration.standard_error(score, weight))
        assert 0.75 < float(np.std(errors)) < 1.3  # 1 by definition; 120 draws give it to 7 %


def test_scores_that_rank_upside_down_are_calibrated_to_one_rate() -> None:
    rng = np.random.default_rng(4)
    score = rng.random(2_000)
    outcome = (rng.random(2_000) < 0.3 * (1 - score)).astype(np.float64)
    calibration = calibrate(count_scores(score, outcome, bins=100))
    assert calibration is not None
    assert calibration.of(np.array([0.1, 0.9])) == pytest.approx(np.full(2, outcome.mean()), abs=1e-3)


def test_scores_no_outcome_was_seen_for_are_outside() -> None:
    calibration = calibrate(count_scores(np.array([0.2, 0.3, 0.4]), np.array([0.0, 1.0, 1.0]), bins=100))
    assert calibration is not None
    assert calibration.outside(np.array([0.05, 0.2, 0.3, 0.4, 0.8])).tolist() == [True, False, False, False, True]


def test_nothing_is_calibrated_without_an_outcome() -> None:
    assert calibrate(count_scores(np.array([0.5]), np.array([np.nan]))) is None
