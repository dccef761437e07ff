"""How good are scores and predictions against the outcomes they met?

Each function returns None where there is nothing to measure (no case, no weight, one class only), never 0. Arrays have
shape (n_cases,); NaN is not allowed in them: leave out cases without an outcome first. Weights are 0 or more.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from trueup.measure.errors import OutOfRange, UnequalLengths

Array = NDArray[np.float64]
SMALLEST_PROBABILITY = float(np.finfo(np.float64).eps)
"""Probabilities are clipped to [eps, 1 - eps] before a logarithm, as scikit-learn's `log_loss` does."""


def auc(outcome: Array, score: Array, weight: Array | None = None) -> float | None:
    """Return the share of (positive, negative) pairs in which the positive case has the higher score.

    Parameters
    ----------
    outcome : ndarray of float, shape (n_cases,)
        1 is positive, anything else negative.
    score : ndarray of float, shape (n_cases,)
        Higher means more likely positive; ties count one half.
    weight : ndarray of float, shape (n_cases,), optional

    Returns
    -------
    float or None
        0 to 1; None when one class is missing or weighs nothing.

    Notes
    -----
    The Mann-Whitney statistic over the number of pairs (Hanley & McNeil 1982). O(n log n) time.

    Examples
    --------
    >>> auc(np.array([1.0, 0.0, 1.0]), np.array([0.9, 0.5, 0.5]))
    0.75
    """
    weights = _weights(weight, outcome=outcome, score=score)
    positive = np.asarray(outcome) == 1.0
    keys, group = np.unique(score, return_inverse=True)
    up: Array = np.bincount(group, weights=weights * positive, minlength=len(keys)).astype(np.float64)
    down: Array = np.bincount(group, weights=weights * ~positive, minlength=len(keys)).astype(np.float64)
    return auc_of_counts(up, down)


def auc_of_counts(positives: Array, negatives: Array) -> float | None:
    """Return the AUC when cases are counted by score, lowest score first; within a bin they count as tied."""
    all_up, all_down = float(positives.sum()), float(negatives.sum())
    if all_up <= 0.0 or all_down <= 0.0:
        return None
    below = np.cumsum(negatives) - negatives
    return float((positives * (below + 0.5 * negatives)).sum() / (all_up * all_down))


def log_loss(outcome: Array, probability: Array, weight: Array | None = None) -> float | None:
    """Return the mean negative natural logarithm of the probability given to what happened.

    Parameters
    ----------
    outcome : ndarray of float, shape (n_cases,)
        0 or 1; the class index when `probability` has one column per class.
    probability : ndarray of float, shape (n_cases,) or (n_cases, n_classes)
        Rows of several classes sum to 1.
    weight : ndarray of float, shape (n_cases,), optional
    """
    weights = _weights(weight, outcome=outcome, probability=probability)
    if len(weights) == 0:
        return None
    if np.ndim(probability) == 2:
        given = probability[np.arange(len(weights)), np.asarray(outcome).astype(np.int64)]
    else:
        given = np.where(np.asarray(outcome) == 1.0, probability, 1.0 - probability)
    clipped = np.clip(given, SMALLEST_PROBABILITY, 1.0 - SMALLEST_PROBABILITY)
    return _mean(-np.log(clipped), weights)


def brier(outcome: Array, probability: Array, weight: Array | None = None) -> float | None:
    """Return the mean squared difference between probability and outcome, 0 to 1 (Brier 1950, one class)."""
    weights = _weights(weight, outcome=outcome, probability=probability)
    return _mean((probability - outcome) ** 2, weights)


def mae(outcome: Array, prediction: Array, weight: Array | None = None) -> float | None:
    """Return the mean absolute error, in the outcome's unit."""
    weights = _weights(weight, outcome=outcome, prediction=prediction)
    return _mean(np.abs(prediction - outcome), weights)


def rmse(outcome: Array, prediction: Array, weight: Array | None = None) -> float | None:
    """Return the root of the mean squared error, in the outcome's unit."""
    weights = _weights(weight, outcome=outcome, prediction=prediction)
    mean = _mean((prediction - outcome) ** 2, weights)
    return None if mean is None else float(np.sqrt(mean))


def accuracy(outcome: Array, predicted: Array, weight: Array | None = None) -> float | None:
    """Return the share of cases whose predicted class is what happened, 0 to 1."""
    weights = _weights(weight, outcome=outcome, predicted=predicted)
    return _mean((np.asarray(predicted) == np.asarray(outcome)).astype(np.float64), weights)


def calibration_error(
    outcome: Array, probability: Array, weight: Array | None = None, *, bins: int = 10
) -> float | None:
    """Return how far probabilities are from the outcome rate, on average over cases, 0 to 1.

    Parameters
    ----------
    outcome, probability, weight : ndarray of float, shape (n_cases,)
    bins : int
        Number of equally wide bins of [0, 1]; each holds its lower edge, the last also 1.

    Notes
    -----
    The expected calibration error (Naeini, Cooper & Hauskrecht 2015): in each bin the absolute difference between mean
    probability and outcome rate, averaged with the bins' weights. It depends on the bins: compare equal bins only.
    """
    if bins < 1:
        raise OutOfRange(f"bins is {bins}; calibration needs 1 or more", bins=bins)
    weights = _weights(weight, outcome=outcome, probability=probability)
    total = float(weights.sum())
    if total <= 0.0:
        return None
    index = np.clip((np.asarray(probability) * bins).astype(np.int64), 0, bins - 1)
    gaps = np.bincount(index, weights=weights * (probability - outcome), minlength=bins)
    return float(np.abs(gaps).sum() / total)


def precision_at(outcome: Array, score: Array, cases: int) -> float | None:
    """Return the outcome rate among the `cases` highest-scored cases, 0 to 1.

    Cases tied at the cut-off stand in for each other: each counts with the share of them that still fits, which is the
    expected value under any fair way to break the tie. With fewer cases than asked for, all of them count; None when
    there is none, or `cases` is 0 or less.
    """
    _weights(None, outcome=outcome, score=score)
    taken = min(int(cases), len(score))
    if taken <= 0:
        return None
    edge = np.partition(score, len(score) - taken)[len(score) - taken]
    above, tied = score > edge, score == edge
    share = (taken - int(above.sum())) / int(tied.sum())
    positive = np.asarray(outcome) == 1.0
    return float((positive[above].sum() + share * positive[tied].sum()) / taken)


def _weights(weight: Array | None, **arrays: Array) -> Array:
    lengths = {name: len(values) for name, values in arrays.items()}
    if weight is not None:
        lengths["weight"] = len(weight)
    if len(set(lengths.values())) > 1:
        raise UnequalLengths.of(**lengths)
    if weight is None:
        return np.ones(next(iter(lengths.values())), dtype=np.float64)
    return np.asarray(weight, dtype=np.float64)


def _mean(values: Array, weights: Array) -> float | None:
    total = float(weights.sum())
    return None if total <= 0.0 else float((values * weights).sum() / total)
