"""How well do scores and decisions do before any outcome is in? Performance and value from calibrated scores.

Confidence-based performance estimation (CBPE, as the documentation of NannyML describes it): a calibrated score of 0.8
is expected to be 0.8 of a positive and 0.2 of a negative case, so expected counts take the place of outcomes. It sees
what a shift of cases does, as far as the score tells all that the shift changes. It is blind to concept drift: when the
same score comes to mean another rate, the estimate stays and is wrong; `measure/contradiction.py` finds that out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trueup.measure.calibration import Calibration
from trueup.measure.errors import UnequalLengths
from trueup.measure.metrics import SMALLEST_PROBABILITY, auc_of_counts
from trueup.measure.scorecounts import ScoreCounts

Array = NDArray[np.float64]
_ACTED, _IF_POSITIVE, _IF_NEGATIVE, _SQUARED = range(4)


@dataclass(frozen=True)
class EstimatedPerformance:
    """What is to be expected of some cases; None where a denominator is 0."""

    cases: int
    auc: float | None
    outcome_rate: float | None
    accuracy: float | None
    """Of the cases chosen as positive (at or above the cut-off, or acted on), like precision and recall."""
    precision: float | None
    recall: float | None
    log_loss: float | None
    """Of the scores as they were given, uncalibrated: what `metrics.log_loss` will say."""
    brier: float | None
    standard_error: float
    """Of the outcome rate, from the calibration alone; 0 when it is known exactly."""
    outside_share: float
    """Share of the cases whose score no outcome was seen for, 0 to 1: there the rate is a guess."""


@dataclass(frozen=True, eq=False)
class DecisionCounts:
    """What was decided, by score, and what it brings either way; merge by adding."""

    table: Array
    """Shape (4, n_bins): cases acted on; value if every outcome were positive, and if every one were negative, in the
    currency; squared difference of the two."""

    @property
    def acted(self) -> Array:
        """Return the number of cases acted on per bin."""
        return np.asarray(self.table[_ACTED], dtype=np.float64)


@dataclass(frozen=True)
class EstimatedValue:
    """What decisions are expected to bring, in the currency."""

    value: float
    luck: float
    """Standard deviation of the realised value around it, when outcomes are independent given the scores."""
    standard_error: float
    """From not knowing the calibration exactly."""


def count_decisions(score: Array, acted: Array, *, if_positive: Array, if_negative: Array, bins: int) -> DecisionCounts:
    """Return the counts of some decisions.

    Parameters
    ----------
    score : ndarray of float, shape (n_cases,)
        0 to 1.
    acted : ndarray of bool or float, shape (n_cases,)
    if_positive, if_negative : ndarray of float, shape (n_cases,)
        Value of what was decided (payoff minus the baseline's payoff) if the outcome were positive, or negative, in
        the currency.
    bins : int
        As many as those of the scores' counts.
    """
    lengths = {"score": len(score), "acted": len(acted), "positive": len(if_positive), "negative": len(if_negative)}
    if len(set(lengths.values())) > 1:
        raise UnequalLengths.of(**lengths)
    index = np.minimum((np.asarray(score) * bins).astype(np.int64), bins - 1)
    rows = (np.asarray(acted, dtype=np.float64), if_positive, if_negative, (if_positive - if_negative) ** 2)
    return DecisionCounts(np.stack([np.bincount(index, weights=row, minlength=bins) for row in rows]))


@dataclass(frozen=True, eq=False)
class Part:
    """Cases that share a calibration, such as those one model decided."""

    counts: ScoreCounts
    calibration: Calibration
    decisions: DecisionCounts

    def __post_init__(self) -> None:
        """Refuse counts that do not belong together."""
        if len(self.decisions.acted) != len(self.counts.cases):
            raise UnequalLengths.of(decision_bins=len(self.decisions.acted), bins=len(self.counts.cases))


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
    bins = len(counts.cases)
    above = np.arange(bins) >= int(np.floor(cut_off * bins + 1e-9))
    return _estimated([(counts, calibration, counts.cases * above)])


def estimated_decisions(parts: Sequence[Part]) -> EstimatedPerformance:
    """Return the same for what was really decided: cases acted on count as predicted positive, wherever they score.

    Scores of several parts are ranked together, as whoever compares them later will.
    """
    return _estimated([(part.counts, part.calibration, part.decisions.acted) for part in parts])


def estimated_value(parts: Sequence[Part]) -> EstimatedValue:
    """Return what the decisions are expected to bring, and how far the realised value may lie from it."""
    value = luck = error = 0.0
    for part in parts:
        score = mean_scores(part.counts)
        rate = part.calibration.of(score)
        if_positive, if_negative = part.decisions.table[_IF_POSITIVE], part.decisions.table[_IF_NEGATIVE]
        value += float((rate * if_positive + (1.0 - rate) * if_negative).sum())
        luck += float((rate * (1.0 - rate) * part.decisions.table[_SQUARED]).sum())
        error += part.calibration.standard_error(score, if_positive - if_negative) ** 2
    return EstimatedValue(value, float(np.sqrt(luck)), float(np.sqrt(error)))


def mean_scores(counts: ScoreCounts) -> Array:
    """Return the mean score of the cases of each bin; the middle of an empty one."""
    cases, bins = counts.cases, len(counts.cases)
    middle = (np.arange(bins) + 0.5) / bins
    return np.where(cases > 0, counts.scores / np.where(cases > 0, cases, 1.0), middle)


def _estimated(parts: Sequence[tuple[ScoreCounts, Calibration, Array]]) -> EstimatedPerformance:
    if not parts:
        return EstimatedPerformance(0, None, None, None, None, None, None, None, 0.0, 0.0)
    expected = [_expected(counts, calibration, chosen) for counts, calibration, chosen in parts]
    up = np.sum([more for more, _, _ in expected], axis=0)
    down = np.sum([less for _, less, _ in expected], axis=0)
    sums = np.array([rest for _, _, rest in expected]).sum(axis=0)
    hits, right, loss, squares, variance, outside = sums.tolist()
    total, positives = float((up + down).sum()), float(up.sum())
    taken = float(sum(chosen.sum() for _, _, chosen in parts))
    return EstimatedPerformance(
        cases=round(total),
        auc=auc_of_counts(up, down),
        outcome_rate=positives / total if total else None,
        accuracy=right / total if total else None,
        precision=hits / taken if taken else None,
        recall=hits / positives if positives else None,
        log_loss=loss / total if total else None,
        brier=squares / total if total else None,
        standard_error=float(np.sqrt(variance)) / total if total else 0.0,
        outside_share=outside / total if total else 0.0,
    )


def _expected(counts: ScoreCounts, calibration: Calibration, chosen: Array) -> tuple[Array, Array, tuple[float, ...]]:
    """Return expected positives and negatives per bin, and the sums that the other figures follow from."""
    cases, score = counts.cases, mean_scores(counts)
    rate = calibration.of(score)
    up = cases * rate
    down = cases - up
    hits = float((chosen * rate).sum())
    right = hits + float(((cases - chosen) * (1.0 - rate)).sum())
    sure = np.clip(score, SMALLEST_PROBABILITY, 1.0 - SMALLEST_PROBABILITY)
    loss = -float((up * np.log(sure) + down * np.log1p(-sure)).sum())
    squares = float((up * (1.0 - score) ** 2 + down * score**2).sum())
    variance = calibration.standard_error(score, cases) ** 2
    outside = float(cases[calibration.outside(score)].sum())
    return up, down, (hits, right, loss, squares, variance, outside)
