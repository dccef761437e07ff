"""What became of cases, counted by score? Ranking, calibration and value at any cut-off, without touching a row again.

Scores in [0, 1] fall into equally wide bins that hold their lower edge (the last also 1). Counts merge by adding.
Within a bin cases count as tied: with 2,000 bins the AUC of a smooth score is less than 1e-4 off.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trueup.measure.errors import OutOfRange, UnequalLengths
from trueup.measure.metrics import SMALLEST_PROBABILITY, auc_of_counts

Array = NDArray[np.float64]
BINS = 2000
_CASES, _SCORES, _FINAL, _FINAL_SCORES, _POSITIVES, _IF_ACTED, _IF_NOT, _LOSSES = range(8)


@dataclass(frozen=True, eq=False)
class ScoreCounts:
    """Counts and sums by score bin."""

    table: Array
    """Shape (8, n_bins): cases, their scores; of those with an outcome the number, scores, positives, payoff if acted,
    payoff if not acted and logarithmic losses, summed."""

    @property
    def cases(self) -> Array:
        """Return the number of cases per bin, with or without an outcome."""
        return self._row(_CASES)

    @property
    def scores(self) -> Array:
        """Return the sum of the scores per bin."""
        return self._row(_SCORES)

    @property
    def final(self) -> Array:
        """Return the number of cases with an outcome per bin."""
        return self._row(_FINAL)

    @property
    def positives(self) -> Array:
        """Return the number of positive outcomes per bin."""
        return self._row(_POSITIVES)

    @property
    def final_scores(self) -> Array:
        """Return the sum of the scores of cases with an outcome per bin."""
        return self._row(_FINAL_SCORES)

    @property
    def gain(self) -> Array:
        """Return the realised gain of acting per bin: payoff if acted minus payoff if not, in the currency."""
        return self._row(_IF_ACTED) - self._row(_IF_NOT)

    @property
    def losses(self) -> Array:
        """Return the sum of the logarithmic losses of cases with an outcome per bin, each from its own score."""
        return self._row(_LOSSES)

    def _row(self, row: int) -> Array:
        return np.asarray(self.table[row], dtype=np.float64)


@dataclass(frozen=True)
class CalibrationBin:
    """One row of a calibration table."""

    low: float
    high: float
    cases: int
    mean_score: float | None
    outcome_rate: float | None
    """Share of positive outcomes, 0 to 1; None without a case."""


@dataclass(frozen=True)
class Confusion:
    """How cases with an outcome fell when those at or above a cut-off were taken for positive."""

    cut_off: float
    """The edge of a bin. A score within the rounding of one product of it may count on either side; at 1 no case is
    taken, not even one of score 1."""
    true_positives: int
    false_positives: int
    false_negatives: int
    true_negatives: int

    @property
    def precision(self) -> float | None:
        """Return the share of positives among those taken for positive; None without one."""
        taken = self.true_positives + self.false_positives
        return self.true_positives / taken if taken else None

    @property
    def recall(self) -> float | None:
        """Return the share of the positives that was taken for positive; None without one."""
        positives = self.true_positives + self.false_negatives
        return self.true_positives / positives if positives else None


@dataclass(frozen=True, eq=False)
class ValueCurve:
    """What acting on all cases at or above a cut-off was worth; arrays of shape (n_bins,), highest cut-off first."""

    cut_off: Array
    cases: Array
    """Cases with an outcome at or above the cut-off."""
    positives: Array
    value: Array
    """Against nobody acting, in the currency."""


def count_scores(
    score: Array,
    outcome: Array,
    *,
    payoff_if_acted: Array | None = None,
    payoff_if_not: Array | None = None,
    bins: int = BINS,
) -> ScoreCounts:
    """Return the counts of some cases.

    Parameters
    ----------
    score : ndarray of float, shape (n_cases,)
        0 to 1.
    outcome : ndarray of float, shape (n_cases,)
        1 positive, 0 negative, NaN not known yet.
    payoff_if_acted, payoff_if_not : ndarray of float, shape (n_cases,), optional
        What the case paid or would have paid, in the currency; left out where the outcome is not known.
    bins : int
        Number of bins; counts merge with counts of the same number.
    """
    lengths = {"score": len(score), "outcome": len(outcome)}
    payoffs = {"payoff_if_acted": payoff_if_acted, "payoff_if_not": payoff_if_not}
    lengths |= {name: len(given) for name, given in payoffs.items() if given is not None}
    if len(set(lengths.values())) > 1:
        raise UnequalLengths.of(**lengths)
    if len(score) and not 0.0 <= float(score.min()) <= float(score.max()) <= 1.0:
        raise OutOfRange(f"scores go from {score.min():g} to {score.max():g}; they must be in [0, 1]")
    index = np.minimum((score * bins).astype(np.int64), bins - 1)
    final = ~np.isnan(outcome)
    known = index[final]
    table = np.zeros((8, bins), dtype=np.float64)
    table[_CASES] = np.bincount(index, minlength=bins)
    table[_SCORES] = np.bincount(index, weights=score, minlength=bins)
    table[_FINAL] = np.bincount(known, minlength=bins)
    table[_FINAL_SCORES] = np.bincount(known, weights=score[final], minlength=bins)
    table[_POSITIVES] = np.bincount(known[outcome[final] == 1.0], minlength=bins)
    table[_LOSSES] = np.bincount(known, weights=_losses(score[final], outcome[final]), minlength=bins)
    for row, given in zip((_IF_ACTED, _IF_NOT), payoffs.values(), strict=True):
        if given is not None:
            table[row] = np.bincount(known, weights=given[final], minlength=bins)
    return ScoreCounts(table)


def merge_scores(one: ScoreCounts, other: ScoreCounts) -> ScoreCounts:
    """Return the counts of both sets of cases together."""
    if one.table.shape != other.table.shape:
        raise UnequalLengths.of(bins=one.table.shape[1], other_bins=other.table.shape[1])
    return ScoreCounts(one.table + other.table)


def auc_from(counts: ScoreCounts) -> float | None:
    """Return the AUC of the cases with an outcome; None when one class is missing."""
    return auc_of_counts(counts.positives, counts.final - counts.positives)


def log_loss_from(counts: ScoreCounts) -> float | None:
    """Return the log-loss of the cases with an outcome (`metrics.log_loss`), exact; None without any."""
    total = float(counts.final.sum())
    return float(counts.losses.sum()) / total if total else None


def confusion_at(counts: ScoreCounts, cut_off: float) -> Confusion:
    """Return the confusion of cases with an outcome at the bin edge nearest to a cut-off, which the answer names."""
    bins = counts.table.shape[1]
    if not 0.0 <= cut_off <= 1.0:
        raise OutOfRange(f"the cut-off is {cut_off:g}; scores are in [0, 1]", cut_off=cut_off)
    edge = round(cut_off * bins)
    taken, positives = counts.final[edge:].sum(), counts.positives[edge:].sum()
    missed = counts.positives[:edge].sum()
    return Confusion(
        cut_off=edge / bins,
        true_positives=round(positives),
        false_positives=round(taken - positives),
        false_negatives=round(missed),
        true_negatives=round(counts.final[:edge].sum() - missed),
    )


def calibration_table(counts: ScoreCounts, *, bins: int = 10) -> tuple[CalibrationBin, ...]:
    """Return mean score and outcome rate in equally wide bins of the score; `bins` must divide the counts' bins."""
    fine = counts.table.shape[1]
    if bins < 1 or fine % bins:
        raise OutOfRange(f"{bins} bins do not divide the {fine} of the counts; choose a divisor, such as 10 or 20")
    final, scores, positives = (
        row.reshape(bins, -1).sum(axis=1) for row in (counts.final, counts.final_scores, counts.positives)
    )
    return tuple(
        CalibrationBin(
            low=i / bins,
            high=(i + 1) / bins,
            cases=int(final[i]),
            mean_score=float(scores[i] / final[i]) if final[i] else None,
            outcome_rate=float(positives[i] / final[i]) if final[i] else None,
        )
        for i in range(bins)
    )


def calibration_error_from(counts: ScoreCounts, *, bins: int = 10) -> float | None:
    """Return the expected calibration error on equally wide bins (`metrics.calibration_error`); None without cases."""
    total = float(counts.final.sum())
    rows = calibration_table(counts, bins=bins)
    gaps = [
        abs(row.mean_score - row.outcome_rate) * row.cases
        for row in rows
        if row.mean_score is not None and row.outcome_rate is not None
    ]
    return sum(gaps) / total if total else None


def value_curve(counts: ScoreCounts) -> ValueCurve:
    """Return what acting at or above each bin's lower edge was worth, on cases with an outcome."""
    bins = counts.table.shape[1]
    final, positives, gain = (np.cumsum(row[::-1]) for row in (counts.final, counts.positives, counts.gain))
    return ValueCurve(np.arange(bins - 1, -1, -1) / bins, final, positives, gain)


def precision_of_top(counts: ScoreCounts, cases: float) -> float | None:
    """Return the outcome rate among the `cases` highest-scored with an outcome; a cut bin counts by its share."""
    taken, hits = _top(counts, cases)
    return hits / taken if taken else None


def precision_a_day(days: Iterable[ScoreCounts], cases_a_day: float) -> float | None:
    """Return the outcome rate when each day's `cases_a_day` highest-scored are taken, over all days; None without any.

    A day with fewer cases gives what it has: its capacity does not move to another day.
    """
    tops = [_top(counts, cases_a_day) for counts in days]
    taken = sum(cases for cases, _ in tops)
    return sum(hits for _, hits in tops) / taken if taken else None


def _top(counts: ScoreCounts, cases: float) -> tuple[float, float]:
    """Return how many of the `cases` highest-scored have an outcome, and how many of them are positive."""
    final, positives = counts.final[::-1], counts.positives[::-1]
    taken = min(float(cases), float(final.sum()))
    if taken <= 0.0:
        return 0.0, 0.0
    above = np.cumsum(final) - final
    share = np.clip((taken - above) / np.where(final > 0, final, 1.0), 0.0, 1.0)
    return taken, float((share * positives).sum())


def _losses(score: Array, outcome: Array) -> Array:
    given = np.where(outcome == 1.0, score, 1.0 - score)
    losses: Array = -np.log(np.clip(given, SMALLEST_PROBABILITY, 1.0 - SMALLEST_PROBABILITY))
    return losses
