"""Metrics agree with scikit-learn and with figures counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn import metrics as reference

from trueup.measure.errors import OutOfRange, UnequalLengths
from trueup.measure.metrics import (
    accuracy,
    auc,
    auc_of_counts,
    brier,
    calibration_error,
    log_loss,
    mae,
    precision_at,
    rmse,
)

Array = NDArray[np.float64]


def some_cases(seed: int, *, size: int = 500) -> tuple[Array, Array, Array]:
    rng = np.random.default_rng(seed)
    score = np.round(rng.beta(1.0, 3.0, size), 2)
    outcome = (rng.random(size) < score).astype(np.float64)
    return outcome, score, rng.integers(1, 5, size).astype(np.float64)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_weighted_and_tied_auc_equals_scikit_learn(seed: int) -> None:
    outcome, score, weight = some_cases(seed)
    assert auc(outcome, score) == pytest.approx(reference.roc_auc_score(outcome, score), abs=1e-12)
    weighted = reference.roc_auc_score(outcome, score, sample_weight=weight)
    assert auc(outcome, score, weight) == pytest.approx(weighted, abs=1e-12)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=1, max_size=30))
def test_auc_is_the_share_of_pairs_in_the_right_order(cases: list[tuple[bool, int]]) -> None:
    outcome = np.array([float(positive) for positive, _ in cases])
    score = np.array([float(points) for _, points in cases])
    pairs = [(p, n) for p in score[outcome == 1] for n in score[outcome == 0]]
    if not pairs:
        assert auc(outcome, score) is None
        return
    right = sum(1.0 if p > n else 0.5 if p == n else 0.0 for p, n in pairs)
    assert auc(outcome, score) == pytest.approx(right / len(pairs), abs=1e-12)


def test_auc_of_one_class_or_no_weight_is_none() -> None:
    ones = np.ones(3)
    assert auc(ones, np.array([0.1, 0.2, 0.3])) is None
    assert auc(np.array([1.0, 0.0]), np.array([0.1, 0.2]), np.array([1.0, 0.0])) is None
    assert auc(np.empty(0), np.empty(0)) is None


def test_auc_of_counts_treats_a_bin_as_tied() -> None:
    # the middle positive beats the low negative and ties with one: 1.5; two high positives beat both: 4; of 6 pairs
    assert auc_of_counts(np.array([0.0, 1.0, 2.0]), np.array([1.0, 1.0, 0.0])) == pytest.approx(5.5 / 6)


def test_log_loss_equals_scikit_learn_for_two_and_more_classes() -> None:
    outcome, score, weight = some_cases(4)
    sure = np.where(score == score.max(), 1.0, score)
    expected = reference.log_loss(outcome, sure, sample_weight=weight)
    assert log_loss(outcome, sure, weight) == pytest.approx(expected, rel=1e-12)
    rng = np.random.default_rng(0)
    probability = rng.dirichlet(np.ones(3), 200)
    kind = rng.integers(0, 3, 200).astype(np.float64)
    expected = reference.log_loss(kind, probability, labels=[0, 1, 2])
    assert log_loss(kind, probability) == pytest.approx(expected, rel=1e-12)


def test_errors_and_accuracy_equal_scikit_learn() -> None:
    outcome, score, weight = some_cases(5)
    assert mae(outcome, score) == pytest.approx(reference.mean_absolute_error(outcome, score))
    assert rmse(outcome, score, weight) == pytest.approx(
        reference.root_mean_squared_error(outcome, score, sample_weight=weight)
    )
    assert brier(outcome, score) == pytest.approx(reference.brier_score_loss(outcome, score))
    assert accuracy(outcome, np.round(score)) == pytest.approx(reference.accuracy_score(outcome, np.round(score)))


def test_calibration_error_is_the_mean_gap_of_its_bins() -> None:
    outcome = np.array([0.0, 1.0, 1.0, 1.0])
    probability = np.array([0.1, 0.3, 0.6, 1.0])
    # two bins: [0, 0.5) gap |0.4 - 1| = 0.6 over both cases, [0.5, 1] gap |1.6 - 2| = 0.4; 1.0 over four cases
    assert calibration_error(outcome, probability, bins=2) == pytest.approx(0.25)
    with pytest.raises(OutOfRange, match="bins is 0"):
        calibration_error(outcome, probability, bins=0)


def test_precision_at_shares_the_tie_at_the_cut_off() -> None:
    outcome = np.array([1.0, 1.0, 0.0, 0.0])
    score = np.array([0.9, 0.5, 0.5, 0.1])
    assert precision_at(outcome, score, 1) == 1.0
    assert precision_at(outcome, score, 2) == pytest.approx(0.75)
    assert precision_at(outcome, score, 99) == pytest.approx(0.5)
    assert precision_at(outcome, score, 0) is None


def test_nothing_to_measure_is_none_and_never_zero() -> None:
    nothing = np.empty(0)
    for metric in (log_loss, mae, rmse, accuracy, brier, calibration_error):
        assert metric(nothing, nothing) is None
    assert precision_at(nothing, nothing, 3) is None


def test_arrays_of_other_lengths_are_refused_by_name() -> None:
    with pytest.raises(UnequalLengths, match="outcome has 2, score has 3"):
        auc(np.zeros(2), np.zeros(3))
