"""What did the last days do? A short ledger of turns, and figures over its trailing windows.

Each turn adds one `TurnFacts`; nothing ever goes back over cases. Cases enter the realised figures when their outcome
becomes final, so that a figure never mixes early with late outcomes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trueup.kernel.durations import Duration
from trueup.measure.metrics import auc_of_counts

Array = NDArray[np.float64]
SCORE_BINS = 200
_CENTRES = (np.arange(SCORE_BINS) + 0.5) / SCORE_BINS
MIN_FINAL_CASES = 100
"""Below this many final cases a realised figure is no_data."""


@dataclass(frozen=True)
class TurnFacts:
    """What one turn adds."""

    end: int
    decided: int
    estimated_value: float
    """Expected gain of the decisions over the baseline's, in the currency."""
    scores: Array
    """Decided cases by score, shape (SCORE_BINS,); empty where scores are no probabilities."""
    final_cases: int
    """Cases whose outcome became final in this turn."""
    value: float
    """Their value, in the currency."""
    positives: Array
    """Final positive cases by score, shape (SCORE_BINS,)."""
    negatives: Array
    absolute_error: float
    """Sum over final cases, for numbers."""


@dataclass(frozen=True)
class WindowFigures:
    """Figures of a trailing window; None is no_data."""

    decided: int
    final_cases: int
    value_per_case: float | None
    estimated_value_per_case: float | None
    performance: float | None
    """AUC; for numbers the mean absolute error."""
    estimated_performance: float | None
    lower_is_better: bool = False
    """Whether `performance` is an error."""


def count_scores(scores: Array, weight: Array | None = None) -> Array:
    """Return the number (or weight) of scores in each of `SCORE_BINS` equal bins of [0, 1]."""
    codes = np.clip((scores * SCORE_BINS).astype(np.int64), 0, SCORE_BINS - 1)
    return np.bincount(codes, weight, minlength=SCORE_BINS).astype(np.float64)


def figures_over(turns: Sequence[TurnFacts], *, as_of: int, window: Duration) -> WindowFigures:
    """Return the figures of the turns that ended in ``(as_of - window, as_of]``."""
    recent = [t for t in turns if as_of - window.microseconds < t.end <= as_of]
    decided = sum(t.decided for t in recent)
    final = sum(t.final_cases for t in recent)
    enough = final >= MIN_FINAL_CASES
    numbers = bool(recent) and not len(recent[0].positives)
    return WindowFigures(
        decided=decided,
        final_cases=final,
        value_per_case=sum(t.value for t in recent) / final if enough else None,
        estimated_value_per_case=sum(t.estimated_value for t in recent) / decided if decided and not numbers else None,
        performance=_performance(recent, final) if enough else None,
        estimated_performance=_estimated_auc(recent),
        lower_is_better=numbers,
    )


def _performance(turns: Sequence[TurnFacts], final: int) -> float | None:
    if turns and not len(turns[0].positives):
        return sum(t.absolute_error for t in turns) / final
    return auc_of_counts(sum((t.positives for t in turns), _ZEROS), sum((t.negatives for t in turns), _ZEROS))


def _estimated_auc(turns: Sequence[TurnFacts]) -> float | None:
    """Return the AUC that calibrated scores imply about themselves (the idea of CBPE, see docs/statistics.md)."""
    if not turns or not len(turns[0].scores):
        return None
    counts = sum((t.scores for t in turns), _ZEROS)
    return auc_of_counts(counts * _CENTRES, counts * (1.0 - _CENTRES))


_ZEROS = np.zeros(SCORE_BINS)
