"""What did cases bring, by the gain that was expected of acting on them? Value at any cut-off or capacity, from counts.

A server acts on the cases whose expected gain is highest. Counted by expected gain, on keys that keep its order and
have an edge at 0, cases tell what any other cut-off or capacity would have brought, without a row being read again.
Within a bin, at most 3.2 % of its gain wide, cases count as tied. Counts merge by adding.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trueup.measure.errors import OutOfRange, UnequalLengths
from trueup.measure.profiles import lower_edges, number_keys
from trueup.measure.scorecounts import ValueCurve

Array = NDArray[np.float64]
Keys = NDArray[np.int64]
GAIN_SHIFT = 47
"""See `profiles.number_keys`: 5 bits of the mantissa stay."""
SUMS = ("cases", "expected", "final", "final_expected", "positives", "if_acted", "if_not")
"""Rows of `GainCounts.table`."""


@dataclass(frozen=True, eq=False)
class GainCounts:
    """Counts and sums by expected gain."""

    keys: Keys
    """Increasing: `profiles.number_keys` of the expected gain, in the currency."""
    table: Array
    """Shape (7, n_keys), see `SUMS`: cases, their expected gains; of those with an outcome the number, expected gains,
    positives, payoff if acted and payoff if not acted, summed."""

    @property
    def cases(self) -> Array:
        """Return the number of cases per key."""
        return self._row("cases")

    @property
    def final(self) -> Array:
        """Return the number of cases with an outcome per key."""
        return self._row("final")

    @property
    def final_expected(self) -> Array:
        """Return the expected gain of the cases with an outcome per key, in the currency."""
        return self._row("final_expected")

    @property
    def positives(self) -> Array:
        """Return the number of positive outcomes per key."""
        return self._row("positives")

    @property
    def gain(self) -> Array:
        """Return the realised gain of acting per key: payoff if acted minus payoff if not, in the currency."""
        return self._row("if_acted") - self._row("if_not")

    def _row(self, name: str) -> Array:
        return np.asarray(self.table[SUMS.index(name)], dtype=np.float64)


@dataclass(frozen=True)
class Top:
    """What the cases of highest expected gain came to; a bin that is cut counts by its share."""

    cases: float = 0.0
    """With an outcome."""
    positives: float = 0.0
    expected: float = 0.0
    """Gain of acting on them that was expected, in the currency."""
    realised: float = 0.0

    @property
    def precision(self) -> float | None:
        """Return the share of positives; None without a case."""
        return self.positives / self.cases if self.cases else None


def count_gains(
    expected: Array, outcome: Array, *, payoff_if_acted: Array | None = None, payoff_if_not: Array | None = None
) -> GainCounts:
    """Return the counts of some cases.

    Parameters
    ----------
    expected : ndarray of float, shape (n_cases,)
        Expected gain of acting, in the currency; finite.
    outcome : ndarray of float, shape (n_cases,)
        1 is positive, anything else negative, NaN not known yet: such a case counts, but judges nothing.
    payoff_if_acted, payoff_if_not : ndarray of float, shape (n_cases,), optional
        In the currency; read only where the outcome is known.
    """
    payoffs = [np.zeros(len(expected)) if given is None else given for given in (payoff_if_acted, payoff_if_not)]
    lengths = {"expected": len(expected), "outcome": len(outcome), "acted": len(payoffs[0]), "not": len(payoffs[1])}
    if len(set(lengths.values())) > 1:
        raise UnequalLengths.of(**lengths)
    strange = int(np.count_nonzero(~np.isfinite(expected)))
    if strange:
        raise OutOfRange(f"{strange} expected gains are no finite number; leave out cases without one", cases=strange)
    known = ~np.isnan(outcome)
    rows = (np.ones(len(expected)), expected, known, expected, outcome == 1.0, *payoffs)
    keys, index = np.unique(number_keys(expected, shift=GAIN_SHIFT), return_inverse=True)
    table = np.zeros((len(SUMS), len(keys)))
    for row, given in enumerate(rows):
        counted = given if row < SUMS.index("final") else np.where(known, given, 0.0)
        table[row] = np.bincount(index, weights=counted, minlength=len(keys))
    return GainCounts(keys, table)


def merge_gains(one: GainCounts, other: GainCounts) -> GainCounts:
    """Return the counts of both."""
    keys = np.union1d(one.keys, other.keys)
    table = np.zeros((len(SUMS), len(keys)))
    for part in (one, other):
        table[:, np.searchsorted(keys, part.keys)] += part.table
    return GainCounts(keys, table)


def gain_curve(counts: GainCounts) -> ValueCurve:
    """Return what acting on all cases at or above an expected gain was worth, on cases with an outcome.

    One point for each key that is used, at the smallest gain under it; highest first.
    """
    final, positives, gain = (np.cumsum(row[::-1]) for row in (counts.final, counts.positives, counts.gain))
    return ValueCurve(lower_edges(counts.keys, shift=GAIN_SHIFT)[::-1], final, positives, gain)


def top_by_gain(counts: GainCounts, cases: float) -> Top:
    """Return what the `cases` of highest expected gain among those with an outcome came to."""
    final = counts.final[::-1]
    above = np.cumsum(final) - final
    share = np.clip((max(float(cases), 0.0) - above) / np.where(final > 0, final, 1.0), 0.0, 1.0)
    rows = (counts.final, counts.positives, counts.final_expected, counts.gain)
    return Top(*(float((share * row[::-1]).sum()) for row in rows))


def top_a_day(days: Iterable[GainCounts], cases_a_day: float) -> Top:
    """Return what the `cases_a_day` of highest expected gain of each day came to; no day gives capacity to another."""
    tops = [top_by_gain(counts, cases_a_day) for counts in days]
    return Top(*(sum(getattr(top, name) for top in tops) for name in ("cases", "positives", "expected", "realised")))
