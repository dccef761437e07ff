"""Which rows may a model learn from, and on which is it judged? Rows are cut in time, unless asked otherwise.

A row may train only when its outcome was final at the cut: outcomes that arrive early are unlike those that arrive
late. All functions are pure; rows are positions in event-time order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from trueup.build.errors import SplitImpossible
from trueup.kernel.periods import Moments, iso

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """Rows to learn from and rows to be judged on."""

    train: Rows
    holdout: Rows
    cut: int | None
    """The moment between them; None for a random split."""


@dataclass(frozen=True)
class SplitComparison:
    """What the same recipe reaches under both splits."""

    in_time: float
    at_random: float

    @property
    def difference(self) -> float:
        """Return how much better a random split makes the model look (in the metric's own direction)."""
        return self.at_random - self.in_time

    def sentence(self, metric: str) -> str:
        """Return the comparison in words.

        Examples
        --------
        >>> SplitComparison(in_time=0.75, at_random=0.88).sentence("AUC")
        'A random split says AUC 0.880, later data say 0.750.'
        """
        return f"A random split says {metric} {self.at_random:.3f}, later data say {self.in_time:.3f}."


def split_in_time(event_time: Moments, final_at: Moments, *, cut: int, as_of: int) -> Split:
    """Return the split at a moment.

    Parameters
    ----------
    event_time, final_at : ndarray of int64, shape (rows,)
        When each case happened, increasing, and from when on its outcome is known and cannot change; NEVER sorts last.
    cut : int
        Rows with ``final_at <= cut`` that happened before it train; rows that happened at or after it are held out.
    as_of : int
        Held-out rows must be final by now; usually the end of the data.

    Raises
    ------
    SplitImpossible
        If either side is empty.
    """
    train = np.flatnonzero((final_at <= cut) & (event_time < cut))
    holdout = np.flatnonzero((event_time >= cut) & (final_at <= as_of))
    _check_sides(train, holdout, f"cut at {iso(cut)}, as known at {iso(as_of)}")
    return Split(train, holdout, cut)


def cut_for_holdout(event_time: Moments, final_at: Moments, *, length: int | None, as_of: int) -> int:
    """Return where a holdout starts: `length` microseconds before the last final case, or at 80 % of final cases.

    Raises
    ------
    SplitImpossible
        If no row is final.
    """
    final = event_time[final_at <= as_of]
    if len(final) == 0:
        raise SplitImpossible(f"No row has a final outcome at {iso(as_of)}", rows=0)
    if length is not None:
        return int(final[-1]) + 1 - length
    return int(final[int(len(final) * 0.8)])


def folds_in_time(event_time: Moments, final_at: Moments, *, rows: Rows, folds: int) -> tuple[Split, ...]:
    """Return splits for cross-validation: each learns from everything final before it is judged on the next rows.

    Parameters
    ----------
    rows : ndarray of int64
        The rows to use, all of them final, increasing.
    folds : int
        Splits, 1 or more. The rows are cut into ``folds + 1`` parts of equal size; the first only trains. A fold whose
        training side is empty, because outcomes arrive late, is left out.

    Raises
    ------
    SplitImpossible
        If no fold is left.
    """
    places = [int(len(rows) * part / (folds + 1)) for part in range(1, folds + 2)]
    splits = []
    for first, last in pairwise(places):
        if first == last:
            continue
        cut = int(event_time[rows[first]])
        before = rows[:first]
        train = before[(final_at[before] <= cut) & (event_time[before] < cut)]
        if len(train):
            splits.append(Split(train, rows[first:last], cut))
    if not splits:
        raise SplitImpossible(
            f"None of {folds} folds in time has a row that was final before it: outcomes arrive too late for "
            f"{len(rows)} rows; use a longer history",
            rows=len(rows),
        )
    return tuple(splits)


def split_at_random(rows: Rows, *, holdout_share: float, seed: int) -> Split:
    """Return a random split, which on dated data must be asked for.

    Raises
    ------
    SplitImpossible
        If either side is empty.
    """
    held = np.zeros(len(rows), dtype=bool)
    held[np.random.default_rng(seed).permutation(len(rows))[: round(len(rows) * holdout_share)]] = True
    _check_sides(rows[~held], rows[held], f"a random {holdout_share:.0%} of {len(rows)} rows")
    return Split(rows[~held], rows[held], None)


def compare_splits(in_time: Split, metric_of: Callable[[Split], float], *, seed: int) -> SplitComparison:
    """Return what the metric is in time, and what a random split of the very same rows would have said.

    Parameters
    ----------
    in_time : Split
        The split that is used.
    metric_of : callable
        Fits on a split's `train` and returns the metric on its `holdout`.
    """
    rows = np.sort(np.concatenate([in_time.train, in_time.holdout]))
    at_random = split_at_random(rows, holdout_share=len(in_time.holdout) / len(rows), seed=seed)
    return SplitComparison(metric_of(in_time), metric_of(at_random))


def _check_sides(train: Rows, holdout: Rows, what: str) -> None:
    if len(train) and len(holdout):
        return
    side = "learn from" if not len(train) else "be judged on"
    raise SplitImpossible(
        f"The split ({what}) leaves no row to {side}: {len(train)} rows train, {len(holdout)} are held out; move "
        "train.holdout, or check when outcomes become final",
        train=len(train),
        holdout=len(holdout),
    )
