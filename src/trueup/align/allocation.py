"""Which cases get a person's time, when there are more good cases than people?

Two ways to fill a capacity of so many cases a period, both in the order of arrival and never above it:

- `allocate_period` sees the whole period and takes the best cases;
- `StreamAllocator` decides case by case, not knowing the rest of the period, at a cut-off that is solved again in every
  slot (an hour of a day, a day of a month) from what is left of the capacity and what may still come. Within a slot it
  stays, however the cases are cut into batches: `align/streaming.py` decides one by one by the same law.

A case qualifies when its expected gain is above zero. Ties go to the earlier case, so a capacity is filled exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trueup.kernel.durations import MICROSECONDS_PER_DAY
from trueup.kernel.periods import Calendar, Moments, local_offset

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
_HOUR = MICROSECONDS_PER_DAY // 24
_HOURS_OF_WEEK = 168
_EPOCH_IS_THURSDAY = 72
SLOT = {"hour": _HOUR // 12, "day": _HOUR, "week": 6 * _HOUR, "month": MICROSECONDS_PER_DAY}
"""How long a cut-off stays, by the capacity's period, in microseconds."""
_DAYS = {"hour": 1 / 24, "day": 1, "week": 7, "month": 30.4}
CONTROL_SALT, EXPLORATION_SALT, CANARY_SALT = 1, 2, 1_000
"""What makes the draws of a unit independent; a release adds its own salt to the canary's."""
PACE_SAMPLE = 20_000
"""Most recent gains a pace keeps; a share of 1 in 500 still rests on 40 of them."""


def allocate_period(gains: Array, *, capacity: int) -> Flags:
    """Return which cases of one whole period to act on: the best `capacity` of those with a gain above zero.

    Parameters
    ----------
    gains : ndarray of float, shape (n_cases,)
        Expected gains in the order of arrival; NaN never qualifies.
    capacity : int
        The most cases, 0 or more.
    """
    acted = np.zeros(len(gains), dtype=bool)
    qualifying = np.flatnonzero(gains > 0)
    if len(qualifying) > capacity:
        order = np.argsort(-gains[qualifying], kind="stable")[:capacity]
        qualifying = qualifying[order]
    acted[qualifying] = True
    return acted


def value_of_one_more(gains: Array, acted: Flags) -> float:
    """Return the expected gain of the best case that was left out, in the currency; 0 where nothing was."""
    left_out = gains[~acted & (gains > 0)]
    return float(left_out.max()) if len(left_out) else 0.0


@dataclass(frozen=True)
class Pace:
    """What usually arrives: cases by hour of the local week, and how good they are."""

    cases_per_hour: Array
    """Shape (168,), from Monday 00:00 in the business time zone."""
    offset: int
    """Local time minus UTC, in microseconds."""
    gains: Array
    """Recent expected gains, sorted from best to worst; at most `PACE_SAMPLE`."""

    def expected_cases(self, first: int, last: int) -> float:
        """Return how many cases usually arrive in ``[first, last)``."""
        if last <= first:
            return 0.0
        start, end = first + self.offset, last + self.offset
        hours = np.arange(start // _HOUR, -(-end // _HOUR))
        shares = (np.minimum((hours + 1) * _HOUR, end) - np.maximum(hours * _HOUR, start)) / _HOUR
        return float(shares @ self.cases_per_hour[(hours + _EPOCH_IS_THURSDAY) % _HOURS_OF_WEEK])

    def cutoff(self, *, tokens: int, first: int, last: int, share: float = 1.0) -> float:
        """Return the gain from which on to act, so that `tokens` last from `first` to `last`; 0 or more.

        Of all cases, `share` come to whoever has these tokens.
        """
        expected = self.expected_cases(first, last) * share
        if not len(self.gains) or expected <= tokens:
            return 0.0
        rank = int(tokens / expected * len(self.gains))
        return max(0.0, float(self.gains[min(rank, len(self.gains) - 1)]))

    def exploration_rate(self, reserve: int, per: str) -> float:
        """Return the share of cases to draw at random, so that about `reserve` a period are drawn; may be above 1."""
        return reserve / max(float(self.cases_per_hour.sum()) * _DAYS[per] / 7, 1.0)


def learn_pace(moments: Moments, gains: Array, *, first: int, last: int, calendar: Calendar) -> Pace:
    """Return the pace of the cases that arrived in ``[first, last)``.

    Parameters
    ----------
    moments, gains : ndarray, shape (n_cases,)
        Event times, increasing, and expected gains.
    first, last : int
        The stretch they cover, in microseconds UTC; at least an hour, whole weeks are best.
    """
    offset = local_offset(last, timezone=calendar.timezone)
    hours = ((moments + offset) // _HOUR + _EPOCH_IS_THURSDAY) % _HOURS_OF_WEEK
    counts = np.bincount(hours, minlength=_HOURS_OF_WEEK).astype(np.float64)
    covered_hours = np.arange((first + offset) // _HOUR, -(-(last + offset) // _HOUR)) + _EPOCH_IS_THURSDAY
    covered = np.bincount(covered_hours % _HOURS_OF_WEEK, minlength=_HOURS_OF_WEEK)
    step = max(1, -(-len(gains) // PACE_SAMPLE))
    recent = gains[::step]
    return Pace(
        cases_per_hour=counts / np.maximum(covered, 1),
        offset=offset,
        gains=np.sort(recent[~np.isnan(recent)])[::-1],
    )


@dataclass(frozen=True)
class Tokens:
    """What is used of one period's capacity."""

    period_start: int
    used: int = 0
    explored: int = 0
    slot_start: int | None = None
    """Start of the slot that the last case fell in; a batch may end within it."""
    cutoff: float = 0.0
    """In force until that slot ends."""


@dataclass(frozen=True)
class Allotment:
    """What was decided for a stretch of cases, and where the capacity stands."""

    acted: Flags
    explored: Flags
    """Acted on at random, to learn; a subset of `acted`."""
    cutoffs: Array
    """The cut-off in force for each case."""
    tokens: Tokens


@dataclass(frozen=True)
class StreamAllocator:
    """Decides case by case under a capacity of `cases` a period of the calendar."""

    calendar: Calendar
    cases: int
    reserve: int = 0
    """Tokens of each period kept for exploration."""

    def allot(
        self, moments: Moments, gains: Array, *, pace: Pace, tokens: Tokens | None, wanted: Wanted | None = None
    ) -> Allotment:
        """Decide cases in the order of arrival.

        Parameters
        ----------
        moments, gains : ndarray, shape (n_cases,)
            Event times, not decreasing, and expected gains.
        pace : Pace
            What usually arrives.
        tokens : Tokens or None
            Where the period stood before the first case; None at the very start.
        wanted : Wanted, optional
            Cases decided by something other than the cut-off.
        """
        acted = np.zeros(len(gains), dtype=bool)
        explored = np.zeros(len(gains), dtype=bool)
        cutoffs = np.zeros(len(gains))
        if not len(gains):
            return Allotment(acted, explored, cutoffs, tokens or Tokens(0))
        for first, last, slot_start, period_start, period_end in self._slots(moments):
            if tokens is None or tokens.period_start != period_start:
                tokens = Tokens(period_start)
            room = max(0, self.cases - self.reserve - (tokens.used - tokens.explored))
            cutoff = tokens.cutoff
            if tokens.slot_start != slot_start:
                cutoff = pace.cutoff(tokens=room, first=slot_start, last=period_end)
            window = slice(first, last)
            cutoffs[window] = cutoff
            slot_gains = gains[window]
            want = (slot_gains > 0) & (slot_gains >= cutoff)
            if wanted is not None:
                want = np.where(wanted.forced[window], wanted.acts[window], want)
            chosen = np.flatnonzero(want)[:room]
            acted[first + chosen] = True
            extra = self._explore(want, wanted, window, self.reserve - tokens.explored)
            acted[first + extra] = True
            explored[first + extra] = True
            used = tokens.used + len(chosen) + len(extra)
            tokens = Tokens(period_start, used, tokens.explored + len(extra), slot_start, cutoff)
        return Allotment(acted, explored, cutoffs, tokens or Tokens(0))

    def _explore(self, want: Flags, wanted: Wanted | None, window: slice, left: int) -> NDArray[np.int64]:
        if wanted is None or left <= 0:
            return np.empty(0, dtype=np.int64)
        return np.flatnonzero(~want & wanted.drawn[window] & ~wanted.forced[window])[:left]

    def _slots(self, moments: Moments) -> list[tuple[int, int, int, int, int]]:
        """Return (first, last, slot start, period start, period end) of each stretch of cases in one slot."""
        starts = self.calendar.starts_between(int(moments[0]), int(moments[-1]) + 1)
        period = self.calendar.index_of(moments, starts)
        slot = (moments - starts[period]) // SLOT[self.calendar.per]
        edges = np.flatnonzero((np.diff(period) != 0) | (np.diff(slot) != 0)) + 1
        firsts = np.concatenate(([0], edges))
        lasts = np.concatenate((edges, [len(moments)]))
        return [
            (
                int(first),
                int(last),
                int(starts[period[first]] + slot[first] * SLOT[self.calendar.per]),
                int(starts[period[first]]),
                int(starts[period[first] + 1]),
            )
            for first, last in zip(firsts, lasts, strict=True)
        ]


@dataclass(frozen=True)
class Wanted:
    """Cases whose decision does not come from the cut-off; arrays of shape (n_cases,)."""

    forced: Flags
    """Decided by the baseline (control group) or the fallback."""
    acts: Flags
    """What that rule wants; still needs a token."""
    drawn: Flags
    """Drawn at random for exploration, if below the cut-off."""


def uniform_of(unit_hash: NDArray[np.uint64], salt: int) -> Array:
    """Return a number in [0, 1) for each unit that depends on nothing but its hash and the salt (splitmix64)."""
    with np.errstate(over="ignore"):
        z = unit_hash + np.uint64(salt * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return (z >> np.uint64(11)).astype(np.float64) / float(1 << 53)
