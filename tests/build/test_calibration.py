from __future__ import annotations

import numpy as np
import pytest

from trueup.build.calibration import fit_calibration, log_odds, normalised
from trueup.build.errors import UnknownRecipe


def two(positive: np.ndarray[tuple[int], np.dtype[np.float64]]) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    return np.column_stack([1 - positive, positive])


@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
def test_overconfident_scores_come_down_to_what_happens(method: str) -> None:
    random = np.random.default_rng(0)
    odds = random.normal(-1, 1, 20_000)
    outcome = (random.random(20_000) < 1 / (1 + np.exp(-odds))).astype(np.float64)
    scores = 1 / (1 + np.exp(-(2.5 * odds + 1)))  # the truth, stretched and shifted
    calibration = fit_calibration(two(scores), outcome, weight=None, method=method)
    assert calibration is not None
    calibrated = calibration.apply(two(scores))[:, 1]
    for low in (0.1, 0.3, 0.5):
        group = (calibrated >= low) & (calibrated < low + 0.2)
        assert outcome[group].mean() == pytest.approx(calibrated[group].mean(), abs=0.02)


def test_a_sigmoid_keeps_the_order_of_scores() -> None:
    random = np.random.default_rng(1)
    scores = np.sort(random.random(500))
    outcome = (random.random(500) < scores**2).astype(np.float64)
    calibration = fit_calibration(two(scores), outcome, weight=None)
    assert calibration is not None
    assert (np.diff(calibration.apply(two(scores))[:, 1]) > 0).all()


def test_scores_that_rank_backwards_are_left_alone() -> None:
    scores = np.linspace(0.1, 0.9, 100)
    assert fit_calibration(two(scores), (scores < 0.5).astype(np.float64), weight=None) is None


def test_one_class_alone_cannot_be_calibrated() -> None:
    assert fit_calibration(two(np.linspace(0, 1, 10)), np.zeros(10), weight=None) is None


def test_several_classes_share_one_again() -> None:
    random = np.random.default_rng(2)
    scores = random.dirichlet([1, 2, 3], 900)
    outcome = np.array([random.choice(3, p=row) for row in scores], dtype=np.float64)
    calibration = fit_calibration(scores, outcome, weight=None)
    assert calibration is not None
    calibrated = calibration.apply(scores)
    assert calibrated.sum(axis=1) == pytest.approx(np.ones(900))
    assert calibrated.mean(axis=0) == pytest.approx(np.bincount(outcome.astype(int)) / 900, abs=0.02)


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(UnknownRecipe, match="sigmoid and isotonic"):
        fit_calibration(two(np.array([0.1, 0.9])), np.array([0.0, 1.0]), weight=None, method="beta")


def test_log_odds_are_finite_at_the_edges_and_shares_are_defined_for_zeros() -> None:
    assert log_odds(np.array([0.5])).tolist() == [0.0]
    assert np.isfinite(log_odds(np.array([0.0, 1.0]))).all()
    assert normalised(np.array([[0.0, 0.0], [1.0, 3.0]])).tolist() == [[0.5, 0.5], [0.25, 0.75]]
