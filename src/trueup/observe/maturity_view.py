"""How much of what was decided is settled? Label maturity by day of the case, from each turn's new facts.

The state is two counts per day of event time, for the last `keep` days: cases that happened, and those of them whose
outcome became final. Older days leave the state; those of their cases that were never settled stay counted.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from trueup.kernel.durations import MICROSECONDS_PER_DAY
from trueup.kernel.periods import Moments
from trueup.observe.status import Status

Counts = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class MaturityState:
    """Counts per UTC day of event time; arrays of shape (n_days,), at most `keep` long."""

    keep: int
    """Days kept; longer than the longest delay."""
    first_day: int = 0
    """Day (since 1970-01-01) of the first entry."""
    happened: Counts = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    settled: Counts = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    left_unsettled: int = 0
    """Cases that left the state, or came too late for it, without a final outcome."""


@dataclass(frozen=True)
class Maturity:
    """Label maturity of a window of event time."""

    cases: int
    settled: int
    share: float | None
    """0 to 1; None without a case."""

    @property
    def status(self) -> Status:
        """Return ``no_data`` when no outcome is settled, else healthy."""
        return "healthy" if self.settled else "no_data"

    @property
    def text(self) -> str:
        """Return it in words: "62 % of outcomes in"."""
        return "no cases" if self.share is None else f"{int(self.share * 100)} % of outcomes in"


def record_maturity(state: MaturityState, *, happened: Moments, settled: Moments) -> MaturityState:
    """Return the state after a turn.

    Parameters
    ----------
    state : MaturityState
    happened : ndarray of int64
        Event times of the cases that happened in this turn.
    settled : ndarray of int64
        Event times of the cases whose outcome became final in this turn.
    """
    new, done = happened // MICROSECONDS_PER_DAY, settled // MICROSECONDS_PER_DAY
    if not len(new) and not len(done):
        return state
    grown = _grown(state, new)
    first, days = grown.first_day, len(grown.happened)
    inside = done[(done >= first) & (done < first + days)] - first
    recent = new[(new >= first) & (new < first + days)] - first
    return replace(
        grown,
        happened=grown.happened + np.bincount(recent, minlength=days),
        settled=grown.settled + np.bincount(inside, minlength=days),
        left_unsettled=grown.left_unsettled + len(new) - len(recent),
    )


def maturity_between(state: MaturityState, first: int, last: int) -> Maturity:
    """Return the label maturity of the cases of the days from moment `first` to before moment `last`."""
    low = max(first // MICROSECONDS_PER_DAY - state.first_day, 0)
    high = max(-(-last // MICROSECONDS_PER_DAY) - state.first_day, low)
    cases, settled = int(state.happened[low:high].sum()), int(state.settled[low:high].sum())
    return Maturity(cases, settled, settled / cases if cases else None)


def _grown(state: MaturityState, new: Counts) -> MaturityState:
    """Return the state with room for new days, and without those that are too old."""
    if not len(new):
        return state
    first = state.first_day if len(state.happened) else int(new.min())
    end = max(first + len(state.happened), int(new.max()) + 1)
    added = end - first - len(state.happened)
    happened, settled = (np.concatenate([part, np.zeros(added, np.int64)]) for part in (state.happened, state.settled))
    drop = max(0, len(happened) - state.keep)
    lost = int((happened[:drop] - settled[:drop]).sum())
    return replace(
        state,
        first_day=first + drop,
        happened=happened[drop:],
        settled=settled[drop:],
        left_unsettled=state.left_unsettled + lost,
    )
