"""At which rate do scores come true? A calibration learned from cases with an outcome, and how sure it is.

With many outcomes of both kinds, isotonic regression on the bins of the score (pooling adjacent violators: Ayer,
Brunk, Ewing, Reid & Silverman 1955; Zadrozny & Elkan 2002). With fewer than `MANY` of the rarer kind isotonic
regression follows luck (Niculescu-Mizil & Caruana 2005, "Predicting good probabilities with supervised learning"), so
a logistic curve on the logarithm of the score's odds is fitted instead (Platt 1999, with his corrected targets).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from trueup.measure.scorecounts import ScoreCounts

Array = NDArray[np.float64]
MANY = 1000
"""Outcomes of the rarer kind from which on isotonic regression is used."""
_SMALLEST_ODDS = 1e-6
_STEPS = 50


@dataclass(frozen=True, eq=False)
class Calibration:
    """From a score to the rate at which such scores came true; increasing, straight between the points."""

    score: Array
    """Shape (n_points,), increasing."""
    rate: Array
    factors: Array = field(default_factory=lambda: np.zeros((0, 0)))
    """Shape (n_factors, n_points): independent directions in which the rates may be wrong, each one standard error
    long. Empty when the rates are known exactly."""
    cases: int = 0
    """Cases with an outcome behind it."""
    positives: int = 0

    def of(self, score: Array) -> Array:
        """Return the calibrated score of each case, 0 to 1."""
        return np.asarray(np.interp(score, self.score, self.rate), dtype=np.float64)

    def standard_error(self, score: Array, weight: Array) -> float:
        """Return the standard error of ``sum(weight * of(score))`` that comes from not knowing the rates exactly."""
        if not len(self.factors):
            return 0.0
        nearest = np.searchsorted((self.score[1:] + self.score[:-1]) / 2, score)
        on_points = np.bincount(nearest, weights=weight, minlength=len(self.score))
        return float(np.sqrt(((self.factors @ on_points) ** 2).sum()))

    def outside(self, score: Array) -> NDArray[np.bool_]:
        """Return which scores lie below the lowest or above the highest that an outcome was seen for."""
        margin = 0.01 + 1e-9
        return np.asarray((score < self.score[0] - margin) | (score > self.score[-1] + margin))


def calibrate(counts: ScoreCounts) -> Calibration | None:
    """Return the calibration of the cases with an outcome; None without any."""
    some = counts.final > 0
    if not some.any():
        return None
    weights, positives = counts.final[some], counts.positives[some]
    score = counts.final_scores[some] / weights
    rarer = min(float(positives.sum()), float((weights - positives).sum()))
    rate, factors = _isotonic(positives, weights) if rarer >= MANY else _logistic(score, positives, weights)
    return Calibration(score, rate, factors, round(float(weights.sum())), round(float(positives.sum())))


def isotonic(values: Array, weights: Array) -> Array:
    """Return the increasing sequence nearest to `values` in weighted squares, by pooling adjacent violators.

    O(n) time after the first pass.
    """
    means: list[float] = []
    masses: list[float] = []
    sizes: list[int] = []
    for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
        means.append(value)
        masses.append(weight)
        sizes.append(1)
        while len(means) > 1 and means[-2] >= means[-1]:
            mass = masses[-2] + masses[-1]
            pooled = (means[-2] * masses[-2] + means[-1] * masses[-1]) / mass
            means[-2:], masses[-2:], sizes[-2:] = [pooled], [mass], [sizes[-2] + sizes[-1]]
    return np.repeat(np.array(means, dtype=np.float64), sizes)


def _isotonic(positives: Array, weights: Array) -> tuple[Array, Array]:
    """Return rates and factors: the rate of a pool is a share of its cases, pools are independent."""
    rate = isotonic(positives / weights, weights)
    pool = np.concatenate(([0], np.cumsum(np.diff(rate) > 0)))
    mass = np.bincount(pool, weights=weights)
    share = (np.bincount(pool, weights=positives) + 0.5) / (mass + 1.0)
    factors = np.zeros((len(mass), len(rate)))
    factors[pool, np.arange(len(rate))] = np.sqrt(share * (1.0 - share) / mass)[pool]
    return rate, factors


def _logistic(score: Array, positives: Array, weights: Array) -> tuple[Array, Array]:
    """Return rates ``1 / (1 + exp(-(a + b * log odds)))`` with b of 0 or more, and the two factors of (a, b)."""
    up, down = float(positives.sum()), float((weights - positives).sum())
    high, low = (up + 1.0) / (up + 2.0), 1.0 / (down + 2.0)
    wanted = positives * high + (weights - positives) * low
    odds = np.clip(score, _SMALLEST_ODDS, 1.0 - _SMALLEST_ODDS)
    columns = np.stack([np.ones(len(score)), np.log(odds / (1.0 - odds))])
    level = np.log((up + 1.0) / (down + 1.0))
    for kept in (columns, columns[:1]):
        beta, root = _newton(kept, wanted, weights, start=np.array([level, 0.0])[: len(kept)])
        if len(beta) == 1 or beta[1] > 0:
            break
    rate = 1.0 / (1.0 + np.exp(-(beta @ kept)))
    return rate, (root @ kept) * rate * (1.0 - rate)


def _newton(columns: Array, wanted: Array, weights: Array, *, start: Array) -> tuple[Array, Array]:
    """Return the coefficients of a logistic regression and a root of their covariance (its rows are factors)."""
    beta, ridge = start, 1e-9 * np.eye(len(columns))
    hessian = ridge
    for _ in range(_STEPS):
        rate = 1.0 / (1.0 + np.exp(-np.clip(beta @ columns, -35.0, 35.0)))
        gradient = columns @ (wanted - weights * rate)
        hessian = (columns * (weights * rate * (1.0 - rate))) @ columns.T + ridge
        step = np.linalg.solve(hessian, gradient)
        beta = beta + np.clip(step, -2.0, 2.0)
        if float(np.abs(step).max()) < 1e-9:
            break
    return beta, np.asarray(np.linalg.cholesky(np.linalg.inv(hessian)).T, dtype=np.float64)
