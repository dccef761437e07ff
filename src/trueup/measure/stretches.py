"""In which stretch of days was something far more frequent than it ever was?

A gambler who knows how frequent it may be at most bets, from some day on, on a larger share; while the share is not
larger, no betting grows capital on average, so that capital from one start ever reaches ``1 / alpha`` with a chance of
at most alpha (Ville 1939). Capital is multiplied over every start and every share bet on, and the best stretch is the
one in which it grew most: the largest sum of neighbouring log-likelihood ratios (Kadane; Page 1954).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trueup.measure.errors import OutOfRange, UnequalLengths

Array = NDArray[np.float64]
SHARES = (0.03, 0.1, 0.3, 0.8)
"""Shares that are bet on."""
_ENOUGH_A_WEEK = 20
"""Cases of a week whose share says anything."""


@dataclass(frozen=True)
class Stretch:
    """Days with far more flagged cases than usual."""

    first: int
    """Position of the first day."""
    last: int
    """Position of the day after the last."""
    cases: int
    flagged: int

    @property
    def share(self) -> float:
        """Return the share of its cases that are flagged, 0 to 1."""
        return self.flagged / self.cases


def find_stretch(flagged: Array, cases: Array, *, usual_share: float, alpha: float) -> Stretch | None:
    """Return the stretch of days in which flagged cases were most surely more frequent; None when it may be chance.

    Parameters
    ----------
    flagged : ndarray of float, shape (n_days,)
        Flagged cases by day.
    cases : ndarray of float, shape (n_days,)
        All cases by day.
    usual_share : float
        Share of flagged cases that is nothing unusual, above 0 and below 1.
    alpha : float
        Chance of finding a stretch where there is none, if cases are independent; between 0 and 1.

    Notes
    -----
    O(n) time. Cases that come in bunches, such as one group's bookings, break the independence: the caller looks at
    how the cases of a stretch are spread over its days.

    Examples
    --------
    >>> find_stretch(np.array([0.0, 9, 8, 0]), np.array([20.0, 20, 20, 20]), usual_share=0.01, alpha=0.001)
    Stretch(first=1, last=3, cases=40, flagged=17)
    """
    if len(flagged) != len(cases):
        raise UnequalLengths.of(flagged=len(flagged), cases=len(cases))
    if not 0.0 < usual_share < 1.0 or not 0.0 < alpha < 1.0:
        raise OutOfRange(f"usual_share is {usual_share:g} and alpha {alpha:g}; both are shares between 0 and 1")
    bets = [share for share in SHARES if share >= 2.0 * usual_share]
    if not len(cases) or not bets:
        return None
    best, first, last = max(_largest_sum(_log_ratio(flagged, cases, usual_share, bet=bet)) for bet in bets)
    if best < math.log(len(cases) * len(bets) / alpha):
        return None
    inside = slice(first, last)
    return Stretch(first, last, int(cases[inside].sum()), int(flagged[inside].sum()))


def usual_share_of(flags: NDArray[np.bool_], days: NDArray[np.int64]) -> float:
    """Return the largest share of flagged cases in any week, 0 to 1; weeks with fewer than 20 cases say nothing.

    Parameters
    ----------
    flags : ndarray of bool, shape (n_cases,)
    days : ndarray of int, shape (n_cases,)
        Day of each case, ascending.
    """
    if not len(flags):
        return 0.0
    week = (days - days[0]) // 7
    cases = np.bincount(week)
    enough = cases >= _ENOUGH_A_WEEK
    return float((np.bincount(week, weights=flags)[enough] / cases[enough]).max()) if enough.any() else 0.0


def _log_ratio(flagged: Array, cases: Array, usual: float, *, bet: float) -> Array:
    return flagged * math.log(bet / usual) + (cases - flagged) * math.log((1.0 - bet) / (1.0 - usual))


def _largest_sum(gains: Array) -> tuple[float, int, int]:
    """Return the largest sum of neighbours, and where it begins and ends."""
    summed = np.concatenate(([0.0], np.cumsum(gains)))
    last = int(np.argmax(summed - np.minimum.accumulate(summed)))
    first = int(np.argmin(summed[: last + 1]))
    return float(summed[last] - summed[first]), first, last
