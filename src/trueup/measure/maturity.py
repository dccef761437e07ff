"""How long do outcomes take to become final, and how much of a window can be known by now?

Delays are counted in whole days, so that the state stays small. Cases still waiting are not left out, which would make
delays look short: they count as "longer than this" (Kaplan & Meier 1958, product-limit estimate). It assumes that
recent cases will take as long as earlier ones did.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trueup.kernel.durations import MICROSECONDS_PER_DAY
from trueup.kernel.periods import NEVER, Moments

Array = NDArray[np.float64]
LONGEST_DAYS = 1500
"""Delays from here on are counted together."""


@dataclass(frozen=True, eq=False)
class DelayCounts:
    """Cases by delay; merge by adding the arrays of two sets of cases at one `as_of`. Shapes (1501,)."""

    final: NDArray[np.int64]
    """Cases that became final within ``i`` whole days, and not within ``i - 1``."""
    waiting: NDArray[np.int64]
    """Cases that are ``i`` whole days old and not final."""


@dataclass(frozen=True, eq=False)
class DelayCurve:
    """Share of outcomes that are final within ``i`` days, increasing; shape (n_days,), empty when nothing is known."""

    share: Array
    cases: int
    """Cases behind the curve."""

    def at(self, age_days: Array) -> Array:
        """Return the share that is final at each age; beyond the longest age the last share known, 0 without any."""
        if not len(self.share):
            return np.zeros(len(age_days))
        day = np.floor(np.asarray(age_days, dtype=np.float64) + 1e-9).astype(np.int64)
        known = self.share[np.clip(day, 0, len(self.share) - 1)]
        return np.asarray(np.where(day < 0, 0.0, known), dtype=np.float64)


def count_delays(event_time: Moments, final_at: Moments, *, as_of: int) -> DelayCounts:
    """Return how long outcomes took, as known at `as_of`.

    Parameters
    ----------
    event_time : ndarray of int64, shape (n_cases,)
        When each case happened; later ones than `as_of` are left out.
    final_at : ndarray of int64, shape (n_cases,)
        When its outcome became final; anything after `as_of`, NEVER included, is still waiting.
    as_of : int
    """
    happened = event_time <= as_of
    start, end = event_time[happened], final_at[happened]
    is_final = end <= as_of
    delays = np.maximum(end[is_final] - start[is_final], 0)
    ages = as_of - start[~is_final]
    return DelayCounts(
        _by_day(-(-delays // MICROSECONDS_PER_DAY)),
        _by_day(ages // MICROSECONDS_PER_DAY),
    )


def delay_curve(counts: DelayCounts) -> DelayCurve:
    """Return the share of outcomes final by age, cases still waiting counted as later than their age."""
    finals, waiting = counts.final.astype(np.float64), counts.waiting.astype(np.float64)
    at_risk = np.cumsum((finals + waiting)[::-1])[::-1]
    if not at_risk[0]:
        return DelayCurve(np.empty(0), 0)
    some = at_risk > 0
    still = np.cumprod(1.0 - finals[some] / at_risk[some])
    return DelayCurve(np.asarray(1.0 - still, dtype=np.float64), int(at_risk[0]))


def label_maturity(final_at: Moments, *, as_of: int) -> float | None:
    """Return the share of cases whose outcome is final at `as_of`, 0 to 1; None without a case."""
    return float((final_at <= min(as_of, int(NEVER) - 1)).mean()) if len(final_at) else None


def expected_maturity(curve: DelayCurve, event_time: Moments, *, as_of: int) -> float | None:
    """Return the share of a window's outcomes to expect final at `as_of`, 0 to 1; None without a case.

    Later `as_of` than now answers "when will this window be settled?".
    """
    if not len(event_time):
        return None
    return float(curve.at((as_of - event_time) / MICROSECONDS_PER_DAY).mean())


def _by_day(days: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.bincount(np.minimum(days, LONGEST_DAYS), minlength=LONGEST_DAYS + 1).astype(np.int64)
