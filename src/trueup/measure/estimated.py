"""How well do scores do before any outcome is in? Performance estimated from calibrated scores.

Confidence-based performance estimation (CBPE, as the documentation of NannyML describes it; calibration by isotonic
regression: Zadrozny & Elkan 2002): a calibrated score of 0.8 is expected to be 0.8 of a positive and 0.2 of a negative
case, so expected counts take the place of outcomes. It sees what a shift of cases does. It is blind to concept drift:
when the same score comes to mean another rate, the estimate stays and is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trueup.measure.metrics import auc_of_counts
from trueup.measure.scorecounts import ScoreCounts

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Calibration:
    """From a score to the rate at which such scores came true; increasing, straight between the points."""

    score: Array
    rate: Array

    def of(self, score: Array) -> Array:
        """Return the calibrated score of each case, 0 to 1."""
        return np.asarray(np.interp(score, self.score, self.rate), dtype=np.float64)


@dataclass(frozen=True)
class EstimatedPerformance:
    """What is to be expected of some cases; None where a denominator is 0."""

    cases: int
    auc: float | None
    outcome_rate: float | None
    accuracy: float | None
    """At the cut-off, like precision and recall."""
    precision: float | None
    recall: float | None


def calibrate(counts: ScoreCounts) -> Calibration | None:
    """Return the calibration of the cases with an outcome, by isotonic regression on bins; None without any."""
    some = counts.final > 0
    if not some.any():
        return None
    weights = counts.final[some]
    rates = isotonic(counts.positives[some] / weights, weights)
    return Calibration(counts.final_scores[some] / weights, rates)


def isotonic(values: Array, weights: Array) -> Array:
    """Return the increasing sequence nearest to `values` in weighted squares, by pooling adjacent violators.

    Ayer, Brunk, Ewing, Reid & Silverman 1955. O(n) time after the first pass.
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


def estimated_performance(counts: ScoreCounts, calibration: Calibration, *, cut_off: float) -> EstimatedPerformance:
    """Return the performance to expect of all cases counted, whatever is known of their outcomes.

    Parameters
    ----------
    counts : ScoreCounts
    calibration : Calibration
        Of cases like these, with outcomes.
    cut_off : float
        Cases in bins at or above it count as predicted positive.
    """
    cases = counts.cases
    total = float(cases.sum())
    mean_score = counts.scores / np.where(cases > 0, cases, 1.0)
    up = cases * calibration.of(mean_score)
    down = cases - up
    chosen = np.arange(len(cases)) >= int(np.floor(cut_off * len(cases) + 1e-9))
    hits, taken, positives = float(up[chosen].sum()), float(cases[chosen].sum()), float(up.sum())
    right = hits + float(down[~chosen].sum())
    return EstimatedPerformance(
        cases=int(total),
        auc=auc_of_counts(up, down),
        outcome_rate=positives / total if total else None,
        accuracy=right / total if total else None,
        precision=hits / taken if taken else None,
        recall=hits / positives if positives else None,
    )
