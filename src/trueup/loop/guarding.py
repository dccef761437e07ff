"""Did a guard break? Counts guards over final cases, in windows of event time."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from trueup.align.charter import Guard
from trueup.data.pricing import CasePricer
from trueup.loop.turn import GuardReading

Rows = NDArray[np.int64]


@dataclass
class GuardWatch:
    """One guard while a strategy is played."""

    guard: Guard
    counted: NDArray[np.bool_]
    """Truth table of the guard's `count`, see `CasePricer.truth_table`."""
    per: NDArray[np.bool_]
    recent: deque[tuple[int, float, float]] = field(default_factory=deque)
    """(end of turn, counted, per) inside the window."""
    total: tuple[float, float] = (0.0, 0.0)
    breaches: int = 0

    def read(self, end: int, rows: Rows, ways: NDArray[np.int64]) -> GuardReading:
        """Add the cases that became final in a turn and say where the guard stands.

        Parameters
        ----------
        end : int
            End of the turn.
        rows : ndarray of int
            Positions of the cases.
        ways : ndarray of int
            How each ended: 0 acted and positive, 1 acted and negative, 2 not acted and positive, 3 neither.
        """
        count = float(_looked_up(self.counted, rows, ways).sum())
        per = float(_looked_up(self.per, rows, ways).sum())
        self.recent.append((end, count, per))
        self.total = (self.total[0] + count, self.total[1] + per)
        while self.recent and self.recent[0][0] <= end - self.guard.window.microseconds:
            self.recent.popleft()
        counted, base = sum(r[1] for r in self.recent), sum(r[2] for r in self.recent)
        value = counted / base if base else None
        breached = value is not None and not self.guard.limit.allows(value) and self._sure(counted, base)
        if breached:
            self.breaches += 1
            self.forget()
        return GuardReading(self.guard.name, breached, value)

    def forget(self) -> None:
        """Start the window anew, as after a release or a breach."""
        self.recent.clear()

    def overall(self) -> float | None:
        """Return the guard's figure over the whole rehearsal; None where its denominator is zero."""
        return self.total[0] / self.total[1] if self.total[1] else None

    def _sure(self, counted: float, base: float) -> bool:
        """Return whether chance alone would hardly give this many: counts beyond 3 Poisson deviations of the limit."""
        allowed = self.guard.limit.value * base
        if self.guard.limit.operator in ("<", "<="):
            return bool(counted - allowed > 3.0 * np.sqrt(max(allowed, 1.0)))
        return bool(allowed - counted > 3.0 * np.sqrt(max(allowed, 1.0)))


def watch_guards(guards: tuple[Guard, ...], pricer: CasePricer) -> tuple[GuardWatch, ...]:
    """Return a watch for each guard, nothing counted yet."""
    return tuple(GuardWatch(g, pricer.truth_table(g.count), pricer.truth_table(g.per)) for g in guards)


def ways_of(acted: NDArray[np.bool_], outcome: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return how each case ended, as an index into a truth table."""
    return np.where(acted, 0, 2) + np.where(outcome == 1.0, 0, 1)


def _looked_up(table: NDArray[np.bool_], rows: Rows, ways: NDArray[np.int64]) -> NDArray[np.bool_]:
    return table[rows if len(table) > 1 else np.zeros(len(rows), dtype=np.int64), ways]
